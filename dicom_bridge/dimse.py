"""DICOM's own protocol: C-ECHO, C-STORE, modality worklist and MPPS for the peers of a table (PS3.4, B, F, K; PS3.7).

pynetdicom has a thread for each association; what it is told is done on the event loop, where archive and repository
are. Nothing outlives its deadline, and nobody is let in who is not in the table.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import TimeoutError as TookTooLong
from contextlib import suppress
from copy import deepcopy
from dataclasses import dataclass
from functools import partial
from ipaddress import ip_address
from pathlib import Path
from socket import IPPROTO_TCP, TCP_NODELAY
from tempfile import NamedTemporaryFile
from threading import Thread
from time import monotonic
from typing import Any, Literal, TypeVar
from zoneinfo import ZoneInfo

from pydicom.dataset import Dataset
from pydicom.filereader import dcmread
from pynetdicom import _config, dimse_messages, evt
from pynetdicom.ae import ApplicationEntity
from pynetdicom.presentation import AllStoragePresentationContexts, PresentationContext, build_context
from pynetdicom.transport import RequestHandler, ThreadedAssociationServer

from dicom_bridge.archive import TOO_LARGE, DicomArchive, Refused
from dicom_bridge.data_set import json_of
from dicom_bridge.dicom_json import Json
from dicom_bridge.imaging_order import Orders
from dicom_bridge.performed_step import told
from dicom_bridge.worklist import answers, entry_of, written_in
from fhir_server.errors import Conflict, FhirError, NoStore, NotFound, Unavailable
from fhir_server.rest.node import Node
from fhir_server.settings import DicomPeer, Settings

T = TypeVar("T")
Service = Literal["store", "worklist", "mpps"]

VERIFICATION, MPPS, WORKLIST = "1.2.840.10008.1.1", "1.2.840.10008.3.1.2.3.3", "1.2.840.10008.5.1.4.31"

SUCCESS, PENDING, CANCELLED = 0x0000, 0xFF00, 0xFE00
OUT_OF_RESOURCES, MISMATCH, UNABLE = 0xA700, 0xA900, 0xC000
NOT_ALLOWED, DUPLICATE, NO_SUCH, FAILED, INVALID = 0x0124, 0x0111, 0x0112, 0x0110, 0x0106
UNKNOWN_CALLER = (0x01, 0x01, 0x03)
"""Rejected for good by the service user: the calling AE title is not recognized (PS3.8, 9.3.4)."""

SECONDS_TO_STORE = 300.0
SECONDS_TO_ANSWER = 30.0
SECONDS_TO_ASSOCIATE = 10
SECONDS_OF_SILENCE = 60
SECONDS_TO_FINISH = 10.0
MOST_ANSWERS = 500
COMMENT = 64
PDU_HEAD = 1_024
ASSOCIATION_PDU = 131_072
PIECE_BYTES = 256 * 1024

SYNTAXES = [
    "1.2.840.10008.1.2.1", "1.2.840.10008.1.2", "1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.2",
    "1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51", "1.2.840.10008.1.2.4.57", "1.2.840.10008.1.2.4.70",
    "1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.81", "1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.91",
    "1.2.840.10008.1.2.4.100", "1.2.840.10008.1.2.4.102", "1.2.840.10008.1.2.4.201", "1.2.840.10008.1.2.4.202",
    "1.2.840.10008.1.2.4.203", "1.2.840.10008.1.2.5",
]  # fmt: skip
"""Transfer syntaxes that instances may come in: they are stored as they come."""

QUERY_SYNTAXES = SYNTAXES[:2]

log = logging.getLogger(__name__)


def contexts_of(services: tuple[Service, ...]) -> list[PresentationContext]:
    """Return what a peer with these rights may propose; everybody may ask whether the server is there."""
    found = [build_context(VERIFICATION, QUERY_SYNTAXES)]
    if "store" in services:
        found += [build_context(str(each.abstract_syntax), SYNTAXES) for each in AllStoragePresentationContexts]
    if "worklist" in services:
        found.append(build_context(WORKLIST, QUERY_SYNTAXES))
    if "mpps" in services:
        found.append(build_context(MPPS, QUERY_SYNTAXES))
    return found


class Peers:
    """The table of those who are known."""

    def __init__(self, peers: tuple[DicomPeer, ...]) -> None:
        self._peers = peers
        self._contexts = {peer: contexts_of(peer.may) for peer in peers}

    def of(self, ae_title: str, address: str) -> DicomPeer | None:
        """The peer with an AE title at an address; None where there is none."""
        here = (peer for peer in self._peers if peer.ae_title == ae_title.strip() and _is_at(peer, address))
        return next(here, None)

    def is_known(self, address: str) -> bool:
        """Whether anybody is at an address."""
        return any(_is_at(peer, address) for peer in self._peers)

    def contexts(self, peer: DicomPeer) -> list[PresentationContext]:
        """What a peer may propose."""
        return deepcopy(self._contexts[peer])


def _is_at(peer: DicomPeer, address: str) -> bool:
    found = ip_address(address.partition("%")[0])
    return (getattr(found, "ipv4_mapped", None) or found) in peer.host


class Handler(RequestHandler):
    """Begins an association whose messages are bounded, and whose silence is."""

    server: Listener

    def _create_association(self) -> Any:
        self.request.settimeout(SECONDS_OF_SILENCE)
        self.request.setsockopt(IPPROTO_TCP, TCP_NODELAY, 1)
        association = super()._create_association()
        socket = association.dul.socket
        assert socket is not None
        socket.recv = partial(received, self.request, self.server.most_bytes)  # type: ignore[method-assign] # its own reads whatever is announced
        return association


def received(connection: Any, most: int, length: int) -> bytearray:
    """Return so many bytes of a connection, fewer where it ends; raise OSError for more than any message may have."""
    if length > most:
        text = f"a message of {length:,} bytes is announced, and {most:,} are the most"
        raise OSError(text)
    found = bytearray(length)
    view, done = memoryview(found), 0
    while done < length:
        got = connection.recv_into(view[done:])
        if not got:
            break
        done += got
    view.release()
    return found[:done] if done < length else found


class Listener(ThreadedAssociationServer):
    """Lets known addresses in, and not too many at once."""

    daemon_threads = True
    most_bytes = ASSOCIATION_PDU
    peers: Peers
    most_associations: int

    def verify_request(self, request: Any, client_address: Any) -> bool:
        """Whether to talk with an address at all."""
        is_known = self.peers.is_known(client_address[0])
        if not is_known:
            log.warning("a connection for DICOM from %s is refused: no peer is there", client_address[0])
        return is_known and len(self.active_associations) < 2 * self.most_associations

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Put a fault into the log."""
        log.error("a connection for DICOM from %s failed", client_address[0], exc_info=sys.exc_info())


@dataclass(frozen=True, slots=True)
class Surface:
    """What the server's threads reach: the loop, and what lives on it."""

    loop: asyncio.AbstractEventLoop
    archive: DicomArchive
    orders: Orders
    zone: ZoneInfo

    def ask(self, work: Coroutine[Any, Any, T], seconds: float) -> T:
        """Have something done on the loop; raise Unavailable where it takes too long."""
        asked = asyncio.run_coroutine_threadsafe(work, self.loop)
        try:
            return asked.result(seconds)
        except TookTooLong:
            asked.cancel()
            raise Unavailable("It took too long.") from None


class Dimse:
    """The server, listening from `start` to `stop`. `folder` is its own, for what is being received."""

    def __init__(self, settings: Settings, surface: Surface, folder: Path) -> None:
        self._surface = surface
        self._peers = Peers(settings.dicom_peers)
        self._image_bytes = settings.image_bytes
        self._settings = settings
        self._busy = 0
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for left in folder.iterdir():
            left.unlink()
        # Instances are written to a file as they come. The library has no setting for where.
        _config.STORE_RECV_CHUNKED_DATASET = True
        dimse_messages.NamedTemporaryFile = partial(NamedTemporaryFile, dir=folder)  # type: ignore[assignment, attr-defined]
        self._entity = ApplicationEntity(settings.dicom_ae_title)
        self._entity.require_called_aet = True
        self._entity.maximum_associations = settings.dicom_associations
        self._entity.maximum_pdu_size = settings.dicom_pdu_bytes
        self._entity.acse_timeout = SECONDS_TO_ASSOCIATE
        self._entity.dimse_timeout = self._entity.network_timeout = SECONDS_OF_SILENCE
        self._listener: Listener | None = None

    def start(self) -> int:
        """Listen; return the port."""
        handlers: list[Any] = [
            (evt.EVT_REQUESTED, self._requested),
            (evt.EVT_DATA_RECV, self._measured),
            (evt.EVT_CONN_CLOSE, closed),
            (evt.EVT_C_STORE, self._counted(self._store)),
            (evt.EVT_C_FIND, self._find),
            (evt.EVT_N_CREATE, self._counted(self._create)),
            (evt.EVT_N_SET, self._counted(self._set)),
        ]
        listener = self._listener = Listener(
            self._entity,
            (self._settings.dicom_host, self._settings.dicom_port),
            self._settings.dicom_ae_title,
            [build_context(VERIFICATION, QUERY_SYNTAXES)],
            evt_handlers=handlers,
            request_handler=Handler,
        )
        listener.peers = self._peers
        listener.most_associations = self._settings.dicom_associations
        listener.most_bytes = max(ASSOCIATION_PDU, self._settings.dicom_pdu_bytes) + PDU_HEAD
        # The library takes a server that it stops off this list.
        self._entity._servers.append(listener)  # noqa: SLF001
        Thread(target=listener.serve_forever, args=(0.1,), name="dicom", daemon=True).start()
        return int(listener.server_address[1])

    def stop(self) -> None:
        """Listen no more; finish what is being stored, end the rest."""
        assert self._listener is not None
        associations = self._listener.active_associations
        self._listener.shutdown()
        until = monotonic() + SECONDS_TO_FINISH
        while self._busy and monotonic() < until:
            associations[0].join(0.05) if associations else None
        for each in associations:
            each.abort()

    def _counted(self, act: Callable[[Any], T]) -> Callable[[Any], T]:
        def counted(event: Any) -> T:
            self._busy += 1
            try:
                return act(event)
            finally:
                self._busy -= 1

        return counted

    def _requested(self, event: Any) -> None:
        """Reject who is not in the table; let others propose what they may do."""
        association = event.assoc
        title, address = association.requestor.primitive.calling_ae_title, association.requestor.address
        peer = self._peers.of(title, address)
        if peer is None:
            log.warning("an association of %r at %s is refused: it is no peer", title, address)
            association.acse.send_reject(*UNKNOWN_CALLER)
            association.kill()
            return
        association.peer = peer
        association.acceptor.supported_contexts = self._peers.contexts(peer)

    def _measured(self, event: Any) -> None:
        """End an association that sends an instance longer than any may be."""
        association = event.assoc
        association.sent = getattr(association, "sent", 0) + len(event.data)
        if association.sent > self._image_bytes + ASSOCIATION_PDU:
            log.warning("an association of %s is ended: it sends more than is taken", association.requestor.address)
            association.abort()

    def _store(self, event: Any) -> Dataset:
        """C-STORE: what came goes into the archive as instances of STOW-RS do."""
        event.assoc.sent = 0
        named = str(event.request.AffectedSOPInstanceUID)
        try:
            return self._surface.ask(self._stored(event.dataset_path, named), SECONDS_TO_STORE)
        except (NoStore, Unavailable) as failure:
            return status(OUT_OF_RESOURCES, str(failure))
        except Exception:
            log.exception("an instance could not be stored")
            return status(UNABLE, "The server failed.")

    async def _stored(self, path: Path, named: str) -> Dataset:
        if await asyncio.to_thread(instance_in, path) not in (named, ""):
            return status(MISMATCH, "The data set has another SOPInstanceUID than the message.")
        incoming = self._surface.archive.receive()
        try:
            await asyncio.to_thread(copied, path, incoming.write)
        except Refused:
            incoming.abandon()
            return status(TOO_LARGE.code, "It is too long.")
        (result,) = await self._surface.archive.store([incoming])
        return status(result.reason.code, result.text) if isinstance(result, Refused) else status(SUCCESS)

    def _find(self, event: Any) -> Iterator[tuple[Dataset | int, Dataset | None]]:
        """C-FIND in the modality worklist."""
        try:
            asked = asked_of(event.identifier)
            orders = self._surface.ask(self._surface.orders.scheduled(), SECONDS_TO_ANSWER)
        except FhirError as failure:
            yield status(OUT_OF_RESOURCES, str(failure)), None
            return
        except Exception:
            log.exception("a worklist could not be answered")
            yield status(UNABLE, "The server failed, or cannot read the question."), None
            return
        found = answers([entry_of(order) for order in orders], asked)
        for number, each in enumerate(found):
            if event.is_cancelled:
                yield CANCELLED, None
                return
            if number >= MOST_ANSWERS:
                break
            yield PENDING, answered(each, event.assoc.peer.character_set)

    def _create(self, event: Any) -> tuple[Dataset | int, Dataset | None]:
        """N-CREATE of MPPS: a step begins."""
        message = json_of(event.attribute_list)
        uid = str(event.request.AffectedSOPInstanceUID or "")
        what = told(message, self._surface.zone)
        if what.state != "in-progress" or not uid:
            return status(INVALID, "A step begins IN PROGRESS, with a UID of its own."), None
        return self._done(self._surface.orders.begin(uid, what), DUPLICATE), event.attribute_list

    def _set(self, event: Any) -> tuple[Dataset | int, Dataset | None]:
        """N-SET of MPPS: a step goes on, or ends."""
        what = told(json_of(event.modification_list), self._surface.zone)
        uid = str(event.request.RequestedSOPInstanceUID)
        return self._done(self._surface.orders.progress(uid, what), FAILED), event.modification_list

    def _done(self, work: Coroutine[Any, Any, None], conflict: int) -> Dataset:
        """The status of a change of resources."""
        try:
            self._surface.ask(work, SECONDS_TO_ANSWER)
        except NotFound as failure:
            return status(NO_SUCH, str(failure))
        except Conflict as failure:
            return status(conflict, str(failure))
        except FhirError as failure:
            return status(FAILED, str(failure))
        except Exception:
            log.exception("a performed step could not be noted")
            return status(FAILED, "The server failed.")
        return status(SUCCESS)


def status(code: int, text: str = "") -> Dataset:
    """Return a status, with a comment that says why (PS3.7, C)."""
    found = Dataset()
    found.Status = code
    if text:
        found.ErrorComment = text.encode("ascii", "replace").decode()[:COMMENT]
    return found


def closed(event: Any) -> None:
    """Remove what an association was sending when it ended; wait no more for one that never began."""
    if event.assoc.requestor.primitive is None:
        event.assoc.dul.to_user_queue.put(None)
    message = event.assoc.dimse.message
    file = getattr(message, "_data_set_file", None)
    if file is not None:
        with suppress(OSError):
            file.close()
            Path(file.name).unlink(missing_ok=True)


def instance_in(path: Path) -> str:
    """Return the SOPInstanceUID of a file; empty where it cannot be read, which the archive says better."""
    try:
        return str(dcmread(path, stop_before_pixels=True, specific_tags=["SOPInstanceUID"]).get("SOPInstanceUID", ""))
    except Exception:  # noqa: BLE001 -- pydicom raises whatever a broken file makes it stumble over
        return ""


def copied(path: Path, write: Callable[[bytes], None]) -> None:
    """Give a file to what writes it, piece by piece."""
    with path.open("rb") as file:
        while piece := file.read(PIECE_BYTES):
            write(piece)


def asked_of(identifier: Dataset) -> Json:
    """Return the keys of a question, without what is about its own form."""
    return {tag: element for tag, element in json_of(identifier).items() if tag != "00080005"}


def answered(entry: Json, character_set: str) -> Dataset:
    """Return an answer in the character set of a peer."""
    found = Dataset.from_json(written_in(entry, character_set))
    if character_set != "ISO_IR 6":
        found.SpecificCharacterSet = character_set
    return found


async def serve(settings: Settings, node: Node, archive: DicomArchive, folder: Path) -> None:
    """Listen until cancelled."""
    zone = ZoneInfo(settings.time_zone)
    surface = Surface(asyncio.get_running_loop(), archive, Orders(node), zone)
    dimse = Dimse(settings, surface, folder)
    port = await asyncio.to_thread(dimse.start)
    log.info("listening for DICOM on %s, port %d", settings.dicom_host, port)
    try:
        await asyncio.Event().wait()
    finally:
        await asyncio.shield(asyncio.to_thread(dimse.stop))

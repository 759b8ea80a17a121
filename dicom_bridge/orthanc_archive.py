"""The archive whose files are in Orthanc: the bridge keeps the index, the order of changes, and copies of what is read.

Orthanc's own searches, its DICOMweb and its feed of changes are not relied on: they lose letters, ignore filters and
know no deletions (docs/decisions).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from fcntl import LOCK_EX, flock
from hashlib import file_digest
from pathlib import Path

from dicom_bridge.archive import DUPLICATE, DicomArchive, Held, Incoming, Refused, Stored, Uids
from dicom_bridge.file_cache import FileCache
from dicom_bridge.incoming import INCOMING, LocalIncoming, Spool, entry_of, no_store, stored, synced
from dicom_bridge.index import Entry, Index
from dicom_bridge.indexed_archive import IndexedArchive
from dicom_bridge.orthanc import Account, Orthanc
from dicom_bridge.orthanc_feed import Feed, Pace
from dicom_bridge.orthanc_links import Link, Links
from fhir_server.errors import NoStore, Unavailable
from fhir_server.extension import Surroundings
from fhir_server.part import Part

FOLDER = "images/orthanc"
INDEX = "index.sqlite"
LINKS = "orthanc.sqlite"
CACHE = "copies"
REPLACED = "replaced"
GUARD = "opening.lock"
UPLOADS_AT_ONCE = 4
CHANGED = "The archive of images (Orthanc) has another file than it had. It is looked into; ask again soon."

PACE = Pace()
EXAMINED: Part[Callable[[Account], Iterable[str]]] = Part("dicom_bridge.orthanc_examination:examined")

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Room:
    """How long an instance may be, and how much copies of files may take, in bytes."""

    instance: int
    copies: int


class OrthancArchive(IndexedArchive):
    """An archive in Orthanc. What is deleted or replaced stays, in Orthanc or in the folder `replaced`."""

    def __init__(
        self, folder: Path, account: Account, clock: Callable[[], float], room: Room, pace: Pace = PACE
    ) -> None:
        self._folder = folder
        self._clock = clock
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with (folder / GUARD).open("w") as guard:
            # One process at a time is opening: what is there without a lock is nobody's.
            flock(guard, LOCK_EX)
            self._index = Index(folder / INDEX)
            self._links = Links(folder / LINKS)
            self._spool = Spool(folder / INCOMING, room.instance)
        self._copies = FileCache(folder / CACHE, room.copies)
        self._orthanc = Orthanc(account)
        self._uploading = asyncio.Semaphore(UPLOADS_AT_ONCE)
        self._fetching: dict[str, asyncio.Lock] = {}
        self._feed = Feed(self, self._orthanc, self._links, folder, pace)

    @asynccontextmanager
    async def following(self) -> AsyncIterator[DicomArchive]:
        """Follow Orthanc meanwhile, and close in the end."""
        task = asyncio.create_task(self._feed.follow())
        try:
            yield self
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await self.close()

    def receive(self) -> Incoming:
        """A place for the next instance."""
        return self._spool.receive()

    async def store(
        self, incoming: Sequence[Incoming], *, study: str = "", replaces: bool = False
    ) -> Sequence[Stored | Refused]:
        """Store what was received: in Orthanc first, then in one durable step of the index."""
        try:
            read = await asyncio.to_thread(self._understood, incoming, study, replaces=replaces)
            sent = await asyncio.gather(
                *(self._send(each, entry, replaces=replaces) for each, entry in zip(incoming, read, strict=True)),
                return_exceptions=True,
            )
            results = await asyncio.to_thread(self._enter, incoming, read, sent, replaces=replaces)
        except OSError as failure:
            raise no_store(failure) from failure
        finally:
            for each in incoming:
                each.abandon()
        for result in sent:
            if isinstance(result, BaseException) and not isinstance(result, Refused):
                raise result
        return results

    def _understood(self, incoming: Sequence[Incoming], study: str, *, replaces: bool) -> list[Entry | Refused]:
        read = [entry_of(each, study) for each in incoming]
        entries = [each for each in read if isinstance(each, Entry)]
        refused = dict(zip(map(id, entries), self._index.refusals(entries, replaces=replaces), strict=True))
        return [refused.get(id(each)) or each for each in read]

    async def _send(self, incoming: Incoming, entry: Entry | Refused, *, replaces: bool) -> Link | Refused:
        """Bring an instance into Orthanc; how it is linked."""
        if isinstance(entry, Refused):
            return entry
        assert isinstance(incoming, LocalIncoming)
        uids = entry.instance.uids
        try:
            async with self._uploading:
                uploaded = await self._orthanc.upload(incoming.path, incoming.bytes)
                if not uploaded.is_new and not await self._is_there(uploaded.name, incoming.path):
                    await self._make_room(uploaded.name, replaces=replaces)
                    uploaded = await self._orthanc.upload(incoming.path, incoming.bytes)
        except Refused as refused:
            return Refused(refused.reason, refused.text, sop_class=entry.instance.sop_class, uid=uids.instance)
        # What is new to Orthanc is told by its feed in a moment.
        return Link(uploaded.name, uids, entry.sha256, is_told=not uploaded.is_new)

    async def _is_there(self, name: str, path: Path) -> bool:
        """Whether Orthanc's file of an instance is this one."""
        return await self._orthanc.md5(name) == await asyncio.to_thread(md5_of, path)

    async def _make_room(self, name: str, *, replaces: bool) -> None:
        """Take an instance out of Orthanc, its file into the folder of what was replaced; Refused where it stays."""
        link = (await asyncio.to_thread(self._links.of, [name])).get(name)
        if not replaces and (link is None or link.state != "deleted"):
            raise Refused(DUPLICATE, "Another instance has this SOPInstanceUID, and stays.")
        incoming = await self._received(name)
        if incoming is not None:
            await asyncio.to_thread(self._kept_aside, incoming)
        await self._orthanc.remove(name)

    def _kept_aside(self, incoming: LocalIncoming) -> None:
        incoming.finish()
        folder = self._folder / REPLACED
        folder.mkdir(mode=0o700, exist_ok=True)
        incoming.path.replace(self.put_aside(incoming.digest.hexdigest()))
        synced(folder)

    def put_aside(self, sha256: str) -> Path:
        """Where the file of an instance is that was replaced."""
        return self._folder / REPLACED / f"{sha256}.dcm"

    def _enter(
        self,
        incoming: Sequence[Incoming],
        read: Sequence[Entry | Refused],
        sent: Sequence[Link | Refused | BaseException],
        *,
        replaces: bool,
    ) -> list[Stored | Refused]:
        """Link what is in Orthanc, enter it, and keep copies of it."""
        done = {place: link for place, link in enumerate(sent) if isinstance(link, Link)}
        entries = {place: each for place in done if isinstance(each := read[place], Entry)}
        self._links.put(done.values())
        at = int(self._clock() * 1000)
        entered = dict(zip(entries, self._index.enter(entries.values(), at, replaces=replaces), strict=True))
        results: list[Stored | Refused] = []
        for place, link in enumerate(sent):
            if isinstance(link, Refused):
                results.append(link)
            elif place in entered:
                results.append(stored(entries[place], entered[place]))
                self._copy(incoming[place], entries[place].sha256)
        return results

    def _copy(self, incoming: Incoming, sha256: str) -> None:
        assert isinstance(incoming, LocalIncoming)
        with suppress(OSError):  # a copy is a convenience: the instance is stored without it
            self._copies.keep(incoming.path, sha256)

    async def _received(self, name: str) -> LocalIncoming | None:
        """The file of an instance of Orthanc, received from there; None where it has none."""
        async with self._orthanc.file(name) as content:
            if content is None:
                return None
            incoming = self._spool.receive()
            try:
                async for piece in content:
                    incoming.write(piece)
            except BaseException:
                incoming.abandon()
                raise
        return incoming

    async def adopt(self, name: str, known: Link | None) -> None:
        """Enter what came to Orthanc by another way; what cannot be found beside the rest is remembered as refused."""
        try:
            incoming = await self._received(name)
        except Refused as refused:
            self._links.put([Link(name, Uids(""), "", "refused", refused.text, is_told=True)])
            return
        if incoming is None:
            return
        try:
            await asyncio.to_thread(self._adopted, name, known, incoming)
        finally:
            incoming.abandon()

    def _adopted(self, name: str, known: Link | None, incoming: LocalIncoming) -> None:
        entry = entry_of(incoming, "")
        if isinstance(entry, Refused):
            self._quarantine(Link(name, Uids("", "", entry.uid), "", "refused", entry.text, is_told=True))
            return
        if known is not None and (known.state, known.sha256) == ("deleted", entry.sha256):
            return  # what was deleted here stays so until it is stored here
        link = Link(name, entry.instance.uids, entry.sha256, is_told=True)
        if not self._links.claim(link, known):
            return  # it was stored or deleted here while it was fetched
        replaces = known is not None and known.state == "held"
        (entered,) = self._index.enter([entry], int(self._clock() * 1000), replaces=replaces)
        if isinstance(entered, Refused):
            self._quarantine(Link(name, link.uids, link.sha256, "refused", entered.text, is_told=True))
        else:
            self._copy(incoming, entry.sha256)

    def _quarantine(self, link: Link) -> None:
        self._links.put([link])
        log.warning("an instance in Orthanc is not shown, %s: %s", link.name, link.reason)

    async def vanished(self, link: Link) -> None:
        """Take out what Orthanc has no more; what it lost while another was put in its place is put back."""
        aside = self.put_aside(link.sha256)
        if link.state == "held" and link.sha256 and await asyncio.to_thread(aside.exists):
            await self._orthanc.upload(aside, await asyncio.to_thread(lambda: aside.stat().st_size))
            return
        await asyncio.to_thread(self._taken_out, link)

    def _taken_out(self, link: Link) -> None:
        if link.state == "held" and any(each.sha256 == link.sha256 for each in self._index.held(link.uids)):
            self._index.remove(link.uids, int(self._clock() * 1000))
        self._links.forget(link.name)

    def refused(self) -> Sequence[Link]:
        """What is in Orthanc and cannot be shown, with the reason."""
        return tuple(self._links.refused())

    def _path(self, uids: Uids, digest: str) -> Path:
        return self._copies.path(digest)

    async def _fetch(self, held: Held) -> None:
        """Bring a copy of a file here, once for all who wait for it."""
        if self._copies.path(held.sha256).exists():
            return
        async with self._fetching.setdefault(held.sha256, asyncio.Lock()):
            try:
                if not self._copies.path(held.sha256).exists():
                    await self._copied(held)
            finally:
                self._fetching.pop(held.sha256, None)

    async def _copied(self, held: Held) -> None:
        name = await asyncio.to_thread(self._links.name_of, held.uids, held.sha256)
        incoming = await self._received(name) if name else None
        if incoming is None:
            raise Unavailable(CHANGED)
        try:
            entry = await asyncio.to_thread(entry_of, incoming, "")
            if isinstance(entry, Refused) or entry.sha256 != held.sha256:
                await self._feed.look_again()
                raise Unavailable(CHANGED)
            await asyncio.to_thread(self._copies.keep, incoming.path, held.sha256)
        except OSError as failure:
            raise NoStore(f"There is no room for a copy of an image: {failure.strerror}.") from failure
        finally:
            incoming.abandon()

    async def delete(self, uids: Uids) -> int:
        """Take instances out of what is found; Orthanc keeps them."""
        await asyncio.to_thread(self._links.delete, uids)
        return len(await asyncio.to_thread(self._index.remove, uids, int(self._clock() * 1000)))

    async def close(self) -> None:
        """Let go of every file and connection."""
        await self._orthanc.close()
        self._index.close()
        self._links.close()
        self._spool.close()


@asynccontextmanager
async def connected(surroundings: Surroundings) -> AsyncIterator[DicomArchive]:
    """The archive in the Orthanc that the settings name, followed while it is open."""
    settings = surroundings.settings
    account = Account.of(settings.archive.removeprefix("orthanc="))
    room = Room(settings.image_bytes, settings.archive_copies_bytes)
    looking = asyncio.create_task(asyncio.to_thread(warn, account))
    async with OrthancArchive(surroundings.data / FOLDER, account, surroundings.clock, room).following() as archive:
        yield archive
    await asyncio.gather(looking, return_exceptions=True)


def warn(account: Account) -> None:
    """Put into the log what is wrong with an Orthanc."""
    for fault in EXAMINED.load()(account):
        log.warning("%s", fault)


def md5_of(path: Path) -> str:
    """Return the MD5 of a file, which is what Orthanc knows of its own."""
    with path.open("rb") as file:
        return file_digest(file, "md5").hexdigest()

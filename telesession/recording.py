"""Recording a session: only while everybody in it has agreed by a Consent, encrypted, stored as Media of the patient.

Who has agreed: an active Consent of category `recording` about the Encounter (`provision.data`), by the participant
(`performer`). Whoever comes in without one, or takes it back, ends the recording within seconds.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
from starlette.responses import Response, StreamingResponse

from fhir_server.access.caller import Caller
from fhir_server.errors import Conflict, FhirError, Forbidden, InvalidValue, NotFound
from fhir_server.extension import Row, Visit
from fhir_server.part import Part
from fhir_server.repository.sent import Sent
from fhir_server.repository.write import Write
from fhir_server.rest.node import Node
from telesession import room as rooms
from telesession.conversation import coded, who
from telesession.conversation_routes import made_for
from telesession.encounter import moment
from telesession.gate import Entry, Gate, body_of, text_member
from telesession.media import Media
from telesession.recorder import Recorded, Recorder
from telesession.room import Participant, Room
from telesession.room_routes import SEE, SESSION, told
from telesession.sealed import key_in, opened
from telesession.session import Session

if TYPE_CHECKING:
    from telesession.webm import Webm

FOLDER = "recordings"
KEY_FILE = "recording.key"
CATEGORY = "urn:nhipcau:CodeSystem:consent-category"
AGREED = "recording"
MEDIA_TYPE = "video/webm"
SECONDS_BETWEEN_LOOKS = 1.0
MOST_CONSENTS = 500
NAMED = re.compile(r"[0-9a-f]{32}").fullmatch
WEBM: Part[type[Webm]] = Part("telesession.webm:Webm")

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Running:
    """A recording that goes on."""

    entry: Entry
    by: Participant
    recorder: Recorder
    end_tap: Callable[[], Awaitable[None]]
    watch: asyncio.Task[None] | None = None


class Recordings:
    """The recordings of this process's sessions; `base` is the address of the server."""

    def __init__(self, gate: Gate, media: Media, data: Path, base: str) -> None:
        self._gate = gate
        self._sessions = gate.sessions
        self._media = media
        self._data = data
        self._base = base
        self._running: dict[str, Running] = {}

    def rows(self, knows: Callable[[str | None], Awaitable[Caller | None]]) -> tuple[Row, ...]:
        """The routes of a session."""
        return (Row("POST", f"{SESSION}/recording", self.decide, SEE, knows),)

    def reading(self) -> tuple[Row, ...]:
        """The routes of what was recorded."""
        return (Row("GET", "/recordings/{media}", self.read, (("Media", "r"),)),)

    async def decide(self, visit: Visit) -> Response:
        """Start or stop."""
        entry = await self._gate.entry(visit)
        me = entry.needs("record")
        action = text_member(await body_of(visit), "action")
        if action not in ("start", "stop"):
            raise InvalidValue("action must be one of: start, stop.", expression=("action",))
        entry.audited(f"recording-{action}")
        if action == "start":
            await self._start(entry, me)
        else:
            await self.stop(entry.name)
        return told({"recording": entry.session.room.recording or None})

    async def _start(self, entry: Entry, me: Participant) -> None:
        if entry.name in self._running:
            raise Conflict("The session is recorded already.")
        missing = await self._missing(entry.session.room)
        if missing:
            raise Forbidden(f"Not everybody has agreed to be recorded: {', '.join(missing)}.")
        folder = self._data / FOLDER
        folder.mkdir(mode=0o700, exist_ok=True)
        make = await asyncio.to_thread(WEBM.load)
        recorder = Recorder(folder, key_in(self._data, KEY_FILE), make, self._sessions.clock)
        end_tap = await (await self._media.engine()).tap(entry.name, recorder.hear)
        running = self._running[entry.name] = Running(entry, me, recorder, end_tap)
        await self._note(entry.session, me.person.name)
        running.watch = asyncio.create_task(self._watched(running))

    async def _watched(self, running: Running) -> None:
        """Stop as soon as somebody is in who has not agreed, or nobody is any more."""
        room = running.entry.session.room
        while room.ended is None and any(each.is_in for each in room.here) and not await self._missing(room):
            await asyncio.sleep(SECONDS_BETWEEN_LOOKS)
            room = running.entry.session.room
        running.watch = None
        await self.stop(running.entry.name)

    async def _missing(self, room: Room) -> list[str]:
        """The names of those who are in and have not agreed."""
        repository = made_for(self._sessions.node.repository, ())
        about = [("status", "active"), ("category", f"{CATEGORY}|{AGREED}"), ("data", f"Encounter/{room.id}")]
        page = await repository.page(repository.query(("Consent",), about).plan, MOST_CONSENTS)
        agreed = {reference for each in page.matches for reference in performers(orjson.loads(each.body or b"{}"))}
        return [each.person.name for each in room.here if each.is_in and each.person.reference not in agreed]

    async def stop(self, session: str) -> None:
        """Finish a recording, and store what it is; nothing where there is none."""
        running = self._running.pop(session, None)
        if running is None:
            return
        if running.watch is not None:
            running.watch.cancel()
        await running.end_tap()
        files = await asyncio.to_thread(running.recorder.close)
        repository = made_for(self._sessions.node.repository, running.entry.owners)
        for each in files:
            body = self._media_of(running, each)
            await repository.write([Write("PUT", "Media", each.file, sent=Sent(body), unless_exists=True)])
        if running.entry.session.room.ended is None:
            await self._note(running.entry.session, "")

    async def _note(self, session: Session, recording: str) -> None:
        try:
            await self._sessions.change(session, lambda room, _now: rooms.record(room, recording))
        except FhirError:
            log.warning("a recording was not noted in its room, which is elsewhere now")

    def _media_of(self, running: Running, recorded: Recorded) -> dict[str, Any]:
        encounter = running.entry.encounter
        source = running.entry.session.room.participants.get(recorded.source.participant)
        name = source.person.name if source is not None else ""
        subject = encounter.get("subject")
        return {
            "resourceType": "Media",
            "id": recorded.file,
            "status": "completed",
            "type": coded("http://terminology.hl7.org/CodeSystem/media-type", "video"),
            **({"subject": subject} if subject else {}),
            "encounter": {"reference": f"Encounter/{running.entry.name}"},
            "createdDateTime": moment(recorded.began),
            "operator": who(running.by),
            "duration": round(recorded.seconds, 1),
            "content": {
                "contentType": MEDIA_TYPE,
                "url": f"{self._base}/telesession/recordings/{recorded.file}",
                "size": recorded.size,
                "title": f"{name}{recorded.source.part}",
                "creation": moment(recorded.began),
            },
        }

    async def read(self, visit: Visit) -> Response:
        """The recording of a Media that the caller may see, by its id."""
        name = visit.request.path_params["media"]
        await visit.node.repository.read("Media", name)
        path = self._data / FOLDER / name
        if NAMED(name) is None or not path.is_file():
            raise NotFound("This Media has no recording here.")
        pieces: Iterator[bytes] = opened(path, key_in(self._data, KEY_FILE))
        return StreamingResponse(pieces, media_type=MEDIA_TYPE, headers={"cache-control": "no-store"})

    async def close(self, _node: Node) -> None:
        """Finish all recordings."""
        for session in list(self._running):
            await self.stop(session)


def performers(consent: dict[str, Any]) -> Iterator[str]:
    """Yield the references of those who gave a Consent."""
    for each in consent.get("performer", ()):
        yield str(each.get("reference", ""))

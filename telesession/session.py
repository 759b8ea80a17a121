"""Live sessions: the room of each Encounter in the one process that it is in, kept so that a restart loses no place.

A room is written down (a note of the store) before anybody is told of a change, by compare-and-set against what was
there: where another process has taken a room over, this one notices at its next change and lets go of it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from secrets import token_hex
from typing import Any, Protocol

import orjson

from fhir_server.errors import Conflict, FhirError, Gone, PreconditionFailed, Unavailable
from fhir_server.repository.sent import Sent
from fhir_server.repository.write import Write
from fhir_server.resource.exact import parse_exact
from fhir_server.resource.parsing import STANDARD_LIMITS
from fhir_server.rest.node import Node
from telesession import room as rooms
from telesession.consequence import Facts, Order, facts, notices, orders, room_json
from telesession.encounter import FINAL, brought_up
from telesession.event_log import EventLog, Kind
from telesession.media_engine import (
    Happening,
    Lost,
    Loudest,
    Presence,
    Published,
    Quality,
    SoundOnly,
    Unpublished,
)
from telesession.review import Review, review_in, review_text
from telesession.room import Limits, Room
from telesession.room_record import owner_in, room_in, text_of

NOTE = "telesession room "
OWNER = "x-nhipcau-owner"
"""The header by which one process of the server hands a request to another, which it names."""
REVIEW_NOTE = "telesession review "
SECONDS_BETWEEN_LOOKS = 1.0
SECONDS_BETWEEN_CHECKS = 5.0
"""How often it is looked whether somebody ended the Encounter."""
SECONDS_SILENT = 3.0
"""After so long without a sign of life, of a stream of events or of media, somebody has dropped."""
SECONDS_TO_APPEAR = 30.0
"""So long they may take to show one first, also after a restart of the server."""
SECONDS_REMEMBERED = 900.0
"""A session that is over, or that nobody is in, stays in memory for so long."""
ATTEMPTS = 5

Json = dict[str, Any]
Command = Callable[[Room, float], Room]

log = logging.getLogger(__name__)


class Media(Protocol):
    """What carries the sound and pictures of rooms: it obeys, and says where to connect."""

    async def obey(self, session: str, order: Order) -> None:
        """Do what a room asks for; what is not there needs nothing."""
        ...

    def connecting(self, session: str, participant: str) -> Json:
        """What a participant needs to connect: `engine`, `iceServers`."""
        ...


async def nothing_left(_session: str) -> None:
    """Have nothing to forget of a session that is over."""


async def nothing_drawn(_session: Session) -> None:
    """Have nothing to keep of a session that ends."""


class NoMedia:
    """Stands where a node carries no media."""

    async def obey(self, session: str, order: Order) -> None:
        """Have nothing to do."""

    def connecting(self, session: str, participant: str) -> Json:
        """Say that there is none."""
        return {"engine": "none", "iceServers": []}


@dataclass
class Sign:
    """The signs of life of a participant: open streams of events, connections that are heard, when the last one was."""

    streams: int = 0
    connections: dict[str, bool] = field(default_factory=dict)
    last: float = 0.0
    appeared: bool = False

    @property
    def is_alive(self) -> bool:
        """Whether they are heard of now. A client whose media fell silent has no network, whatever its stream is."""
        if self.connections:
            return any(self.connections.values())
        return self.streams > 0


class Elsewhere(Exception):
    """A session is in another process; `address` is where that can be asked."""

    def __init__(self, owner: str, address: str) -> None:
        super().__init__(owner, address)
        self.owner = owner
        self.address = address


class Unreachable(Exception):
    """The process that a session was in does not answer, or has it no more."""


class Session:
    """One room while it is in this process. `text` is what is written down of it."""

    def __init__(self, room: Room, text: str | None, at: float) -> None:
        self.room = room
        self.text = text
        self.log = EventLog(token_hex(4))
        self.review = Review()
        self.review_text: str | None = None
        self.signs: dict[str, Sign] = {each.id: Sign(last=at) for each in room.here}
        self.quality: dict[str, Json] = {}
        self.lock = asyncio.Lock()
        self.told: Facts | None = None
        self.checked = at
        self.used = at
        self.warned = False

    def sign(self, participant: str) -> Sign:
        """The signs of life of a participant."""
        return self.signs.setdefault(participant, Sign())

    def tell(self, kind: Kind, data: Json | None = None) -> None:
        """Tell all who are let in; of a state each is told what they see."""
        if data is None:
            self.log.add(kind, lambda viewer: room_json(self.room, viewer))
            return
        told = data

        def to_those_in(viewer: str) -> Json | None:
            known = self.room.participants.get(viewer)
            return told if known is not None and known.is_in else None

        self.log.add(kind, to_those_in)


class Sessions:
    """The rooms of this process, by the id of their Encounter.

    `node` sees everything: what follows from a room is the server's own doing. `address` is where other processes
    reach this one; empty where there is no other.
    """

    node: Node

    def __init__(self, clock: Callable[[], float], limits: Limits = Limits()) -> None:  # noqa: B008 -- a value
        self.clock = clock
        self.limits = limits
        self.media: Media = NoMedia()
        self.finished: Callable[[str], Awaitable[None]] = nothing_left
        self.closing: Callable[[Session], Awaitable[None]] = nothing_drawn
        self.me = token_hex(8)
        self.address = ""
        self.is_stopping = False
        self._sessions: dict[str, Session] = {}
        self._opening = asyncio.Lock()
        self._doing: set[asyncio.Task[None]] = set()

    def here(self, name: str) -> Session | None:
        """A session that is in this process."""
        return self._sessions.get(name)

    async def elsewhere(self, name: str) -> Elsewhere | None:
        """Where a session is, if it is in another process."""
        if name in self._sessions or not self.address:
            return None
        text = await self.node.notes.note(NOTE + name)
        owner, address = owner_in(text) if text is not None else ("", "")
        return Elsewhere(owner, address) if address and owner != self.me else None

    async def abandon(self, name: str, there: Elsewhere) -> None:
        """Note that a process is no more, so that whoever is asked next has the session."""
        text = await self.node.notes.note(NOTE + name)
        if text is not None and owner_in(text) == (there.owner, there.address):
            await self.node.notes.keep(NOTE + name, text_of(room_in(text), "", ""), text)

    async def at(self, name: str, status: str) -> Session:
        """The session of an Encounter with this status; raise Elsewhere, or Gone where it is over."""
        found = self._sessions.get(name)
        if found is None:
            async with self._opening:
                found = self._sessions.get(name) or await self._opened(name, status)
        found.used = self.clock()
        return found

    async def _opened(self, name: str, status: str) -> Session:
        now = self.clock()
        for _ in range(ATTEMPTS):
            text = await self.node.notes.note(NOTE + name)
            if text is None and status in FINAL:
                raise Gone("The session is over.")
            if text is not None:
                owner, address = owner_in(text)
                if address and owner != self.me and self.address:
                    raise Elsewhere(owner, address)
            room = Room(name, now, self.limits) if text is None else room_in(text)
            mine = text_of(room, self.me, self.address)
            if await self.node.notes.keep(NOTE + name, mine, text):
                found = Session(room, mine, now)
                found.review_text = await self.node.notes.note(REVIEW_NOTE + name)
                found.review = review_in(found.review_text)
                self._sessions[name] = found
                return found
        raise Unavailable("The session is being opened elsewhere; ask again.")

    async def change(self, session: Session, command: Command) -> Room:
        """Change a room; return it as it is then. It is written down before anybody is told."""
        async with session.lock:
            before, now = session.room, self.clock()
            after = arrived(session, command(before, now), now)
            if after == before:
                return before
            text = text_of(after, self.me, self.address)
            if not await self.node.notes.keep(NOTE + before.id, text, session.text):
                self._sessions.pop(before.id, None)
                session.log.wake()
                raise Unavailable("The session has moved to another process of the server; ask again.")
            session.room, session.text = after, text
        self._follow(session, before, after)
        return after

    def _follow(self, session: Session, before: Room, after: Room) -> None:
        for kind in notices(before, after):
            if kind == "ended":
                session.log.wake()
                self._do(self.closing(session))
            else:
                session.tell(kind)
        for each in after.here:
            session.sign(each.id)
        for order in orders(before, after):
            self._do(self.media.obey(after.id, order))
        self._do(self.bring_up(session))

    def _do(self, work: Any) -> None:
        task = asyncio.create_task(_quietly(work))
        self._doing.add(task)
        task.add_done_callback(self._doing.discard)

    async def bring_up(self, session: Session) -> None:
        """Let the Encounter say what the room says."""
        wanted = facts(session.room)
        if wanted == session.told:
            return
        refused: FhirError | None = None
        for _ in range(ATTEMPTS):
            version = await self.node.repository.read("Encounter", session.room.id)
            raw = version.body or b"{}"
            body, now = orjson.loads(raw), self.clock()
            new = brought_up(body, wanted, now)
            if new == body:
                session.told = wanted
                return
            sent = Sent(new, exact=brought_up(parse_exact(raw, STANDARD_LIMITS), wanted, now))
            write = Write("PUT", "Encounter", session.room.id, sent=sent, match=(version.version,))
            try:
                await self.node.repository.write([write])
            except (Conflict, PreconditionFailed) as failure:
                refused = failure
        session.told = wanted
        log.warning("Encounter/%s does not say what its session says: %s", session.room.id, refused)

    # Signs of life

    def stream_opened(self, session: Session, participant: str) -> None:
        """Note that a participant reads events."""
        sign = session.sign(participant)
        sign.streams += 1
        sign.last, sign.appeared = self.clock(), True

    def stream_closed(self, session: Session, participant: str) -> None:
        """Note that a stream of events ended."""
        sign = session.sign(participant)
        sign.streams = max(0, sign.streams - 1)
        sign.last = self.clock()

    def tell(self, happening: Happening) -> None:
        """Take in what an engine tells (a `media_engine.Tell`)."""
        session = self._sessions.get(happening.session)
        if session is not None:
            _TAKEN[type(happening)](self, session, happening)

    def _published(self, session: Session, happening: Published | Unpublished) -> None:
        source, is_on = happening.source, isinstance(happening, Published)
        if source.layer == "low":
            return
        name = source.part.strip("/") or "camera"
        if is_on:
            self._heard(session, source.participant, happening.connection, is_heard=True)
        else:
            session.sign(source.participant).connections.pop(happening.connection, None)
        self._change_soon(session, lambda room, _now: rooms.publish(room, source.participant, name, is_on=is_on))

    def _loudest(self, session: Session, happening: Loudest) -> None:
        session.tell("loudest", {"sources": list(happening.sources)})

    def _presence(self, session: Session, happening: Presence) -> None:
        self._heard(session, happening.participant, happening.connection, is_heard=happening.is_heard)

    def _heard(self, session: Session, participant: str, connection: str, *, is_heard: bool) -> None:
        if participant not in session.room.participants:
            return
        sign = session.sign(participant)
        sign.connections[connection] = is_heard
        sign.last = self.clock()
        if is_heard:
            sign.appeared = True
            self._change_soon(session, lambda room, now: rooms.present(room, participant, now))
        elif not sign.is_alive:
            # The engine has listened for SECONDS_SILENT already.
            self._change_soon(session, lambda room, now: rooms.lose(room, participant, now))

    def disconnected(self, name: str, participant: str, connection: str) -> None:
        """Note that a connection was closed on purpose: it says nothing of who had it."""
        session = self._sessions.get(name)
        if session is not None:
            session.sign(participant).connections.pop(connection, None)

    def _quality(self, session: Session, happening: Quality) -> None:
        told = {
            "sentKbps": happening.sent_kbps, "receivedKbps": happening.received_kbps, "lost": happening.lost,
            "availableKbps": happening.available_kbps, "roundTripMs": happening.round_trip_ms,
        }  # fmt: skip
        self.measured(session, happening.participant, told)

    def measured(self, session: Session, participant: str, figures: Json) -> None:
        """Take in figures of a participant's network."""
        session.quality[participant] = {"participant": participant, **figures}
        session.tell("quality", session.quality[participant])

    def _sound_only(self, session: Session, happening: SoundOnly) -> None:
        reason = happening.reason if happening.is_on else ""
        self._change_soon(session, lambda room, _now: rooms.darken(room, happening.participant, reason))

    def _lost(self, session: Session, _happening: Lost) -> None:
        for sign in session.signs.values():
            sign.connections.clear()
            sign.last = self.clock()
        session.tell("reconnect", {"reason": "The engine that carried this session was lost; connect again."})

    def _change_soon(self, session: Session, command: Command) -> None:
        async def change() -> None:
            await self.change(session, command)

        self._do(change())

    # What passes by itself

    async def watch(self) -> None:
        """Let time pass in all rooms, for ever."""
        while True:
            await asyncio.sleep(SECONDS_BETWEEN_LOOKS)
            for session in tuple(self._sessions.values()):
                await _quietly(self.look(session))

    async def look(self, session: Session) -> None:
        """See who dropped, whose place is given up, and what has lasted too long."""
        now = self.clock()
        for participant in self._silent(session, now):
            await self.change(session, lambda room, at, who=participant: rooms.lose(room, who, at))  # type: ignore[misc]
        room = await self.change(session, rooms.pass_time)
        if room.until is not None and room.ended is None and not session.warned and now > room.until - 300:
            session.warned = True
            session.tell("limit", {"until": room.until})
        if now - session.checked >= SECONDS_BETWEEN_CHECKS and room.ended is None:
            session.checked = now
            await self._heed_encounter(session)
        await self.bring_up(session)
        await self.keep_review(session)
        if now - (room.ended or session.used) > SECONDS_REMEMBERED and not any(session.room.here):
            await self._forget(session)

    def _silent(self, session: Session, now: float) -> list[str]:
        found = []
        for each in session.room.here:
            sign = session.sign(each.id)
            patience = SECONDS_SILENT if sign.appeared else SECONDS_TO_APPEAR
            if each.state != "dropped" and not sign.is_alive and now - max(sign.last, each.since) >= patience:
                found.append(each.id)
        return found

    async def keep_review(self, session: Session) -> None:
        """Write down what is looked at and drawn, so that a restart loses none of it."""
        text = review_text(session.review)
        if session.review.version and text != session.review_text:
            name = REVIEW_NOTE + session.room.id
            if await self.node.notes.keep(name, text, session.review_text):
                session.review_text = text

    async def _heed_encounter(self, session: Session) -> None:
        """End a session whose Encounter somebody ended."""
        try:
            version = await self.node.repository.read("Encounter", session.room.id)
            status = orjson.loads(version.body or b"{}").get("status")
        except FhirError:
            status = "entered-in-error"
        if status in FINAL:
            await self.change(session, lambda room, now: rooms.over(room, "closed", now))

    async def _forget(self, session: Session) -> None:
        self._sessions.pop(session.room.id, None)
        if session.room.ended is not None or not session.room.participants:
            await self.node.notes.keep(NOTE + session.room.id, None, session.text)
            await self.node.notes.keep(REVIEW_NOTE + session.room.id, None, session.review_text)
            await self.finished(session.room.id)

    def stop(self) -> None:
        """Let all streams of events end; who reads them comes back to another process, or to this one later."""
        self.is_stopping = True
        for session in self._sessions.values():
            session.log.wake()

    async def close(self) -> None:
        """Write down what is not yet, and finish what follows from changes already made."""
        for session in tuple(self._sessions.values()):
            await _quietly(self.keep_review(session))
        while self._doing:
            await asyncio.gather(*self._doing, return_exceptions=True)


def arrived(session: Session, room: Room, now: float) -> Room:
    """The room with those in session who were admitted and are heard of."""
    for each in room.here:
        if each.state == "admitted" and session.sign(each.id).is_alive:
            room = rooms.present(room, each.id, now)
    return room


async def _quietly(work: Any) -> None:
    try:
        await work
    except FhirError as failure:
        log.warning("a session goes on without what follows from a change: %s", failure)
    except Exception:
        log.exception("a session goes on without what follows from a change")


_TAKEN: dict[type, Callable[[Sessions, Session, Any], None]] = {
    Published: Sessions._published,  # noqa: SLF001 -- its own class
    Unpublished: Sessions._published,  # noqa: SLF001
    Loudest: Sessions._loudest,  # noqa: SLF001
    Presence: Sessions._presence,  # noqa: SLF001
    Quality: Sessions._quality,  # noqa: SLF001
    SoundOnly: Sessions._sound_only,  # noqa: SLF001
    Lost: Sessions._lost,  # noqa: SLF001
}

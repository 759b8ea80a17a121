"""The engine within the server's process: forwards RTP between aiortc connections, never decodes (design D11)."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from random import SystemRandom
from secrets import token_urlsafe
from typing import Any

from aiortc.rtcdtlstransport import RTCCertificate
from aiortc.rtcrtpparameters import RTCRtpCodecParameters

from fhir_server.errors import Conflict, Invalid, NotFound, Unavailable, Unprocessable
from fhir_server.settings import Settings
from telesession.aiortc_engine.feed import Feed
from telesession.aiortc_engine.gathering import Ports
from telesession.aiortc_engine.packet import Arrived
from telesession.aiortc_engine.peer import Means, Peer
from telesession.aiortc_engine.room import FILLED, EngineRoom, Place, Publication, Viewer
from telesession.media_engine import (
    LOUDEST,
    Abilities,
    Answer,
    Heard,
    Loudest,
    Mode,
    Overloaded,
    Presence,
    Published,
    Quality,
    Slot,
    Source,
    Tell,
    Unpublished,
)
from telesession.sdp import check_offer, read_fragment

SECONDS_TO_CONNECT = 20.0
SECONDS_SILENT = 3.0
SECONDS_SILENT_VIEWER = 7.0
SECONDS_GONE = 30.0
SECONDS_OF_TICK = 0.1
TICKS_OF_LOOK = 5
TICKS_OF_REPORT = 10
TICKS_OF_QUALITY = 50
MOST_LATE = 0.05
"""Seconds that a turn of the event loop may come late before nobody else is let in."""
BUSY_PACKETS = 1_000
"""With less to send than this in a second it is others that make the machine late, and refusing helps nobody."""
MOST_PACKETS = 16_000
"""Packets sent in a second by one process, above which nobody else is let in: a core carries about 19,000."""

log = logging.getLogger(__name__)


class AiortcEngine:
    """Keeps the connections of all sessions of this process. See MediaEngine for what each method promises."""

    abilities = Abilities("aiortc", answers_viewers=True, restarts=False)

    def __init__(
        self,
        tell: Tell,
        ports: Ports | None = None,
        most_packets: int = MOST_PACKETS,
        most_late: float = MOST_LATE,
    ) -> None:
        self._tell = tell
        self._means = Means(ports or Ports(), RTCCertificate.generateCertificate(), time.monotonic, SystemRandom())
        self._most_packets = most_packets
        self._most_late = most_late
        self._rooms: dict[str, EngineRoom] = {}
        self._connections: dict[str, tuple[EngineRoom, Publication | Viewer]] = {}
        self._loudest: dict[str, tuple[str, ...]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._watches: set[asyncio.Task[None]] = set()
        self._ticking: asyncio.Task[None] | None = None
        self._late = 0.0
        self._rate = 0.0
        self._sent = 0

    # Who sends.

    async def publish(self, session: str, source: Source, offer: str) -> Answer:
        """Answer 'yes' to what a source sends."""
        check_offer(offer, "publish")
        self._admit()
        peer = Peer(self._means)
        sdp = await self._answer(peer, offer, "recvonly")
        room = self._room(session)
        before = room.publications.get(source)
        publication = Publication(source, token_urlsafe(18), peer, peer.feeds)
        self._connections[publication.connection] = room, publication
        room.add(publication)
        if before is not None:
            self._connections.pop(before.connection, None)
            room.remove(before)
            self._spawn(before.peer.end())
        self._tell(Published(session, source, publication.connection))
        self._watch(peer, publication.connection)
        return Answer(publication.connection, sdp)

    # Who watches.

    async def subscribe(self, session: str, participant: str, offer: str, source: str | None = None) -> Answer:
        """Answer a viewer's offer: each media becomes a slot."""
        check_offer(offer, "view")
        room = self._rooms.get(session)
        if source is not None and (room is None or all(each.name != source for each in room.publications)):
            raise Conflict(f"{source[:60]} sends nothing yet.")
        self._admit()
        peer = Peer(self._means)
        sdp = await self._answer(peer, offer, "sendonly")
        room = self._room(session)
        places = {}
        for mid, stream in peer.slots.items():
            wish = source or (LOUDEST if stream.kind == "audio" else FILLED)
            places[mid] = Place(mid, stream, wish)
        viewer = Viewer(participant, token_urlsafe(18), peer, places)
        room.viewers[viewer.connection] = viewer
        self._connections[viewer.connection] = room, viewer
        room.arrange()
        self._watch(peer, viewer.connection)
        return Answer(viewer.connection, sdp)

    async def accept(self, connection: str, answer: str) -> None:
        """Refuse: this engine makes no offers."""
        self._find(connection)
        raise Unprocessable("No offer is waiting for an answer in this connection.")

    def has(self, connection: str) -> bool:
        """Whether a connection is there."""
        return connection in self._connections

    async def trickle(self, connection: str, fragment: str) -> None:
        """Take more candidates."""
        read = read_fragment(fragment)
        await self._find(connection)[1].peer.add_candidates(read)

    async def restart(self, connection: str, fragment: str) -> str:
        """Refuse: a new connection takes a quarter of a second."""
        self._find(connection)
        raise Unprocessable("This engine takes no ICE restart: make the connection anew (RFC 9725, 4.3).")

    async def switch(self, connection: str, slots: Sequence[Slot], mode: Mode | None = None) -> None:
        """Show other sources."""
        room, viewer = self._viewer(connection)
        unknown = [each.mid for each in slots if each.mid not in viewer.places]
        if unknown:
            raise Invalid(f"The connection has no slot {unknown[0]!r}: it has {', '.join(viewer.places)}.")
        room.choose(viewer, slots, mode, self._means.clock())

    async def slots(self, connection: str) -> tuple[Slot, ...]:
        """What the slots show."""
        room, viewer = self._viewer(connection)
        return room.slots_of(viewer)

    async def mute(self, session: str, participant: str, *, is_muted: bool) -> None:
        """Stop a microphone, or let it be heard."""
        self._room(session).mute(participant, is_muted=is_muted)

    async def show(self, session: str, participant: str, mode: Mode) -> None:
        """Give pictures always, never, or as the network allows."""
        room = self._rooms.get(session)
        for viewer in list(room.viewers.values()) if room is not None else ():
            if viewer.participant == participant and room is not None:
                room.choose(viewer, (), mode, self._means.clock())

    async def tap(self, session: str, hear: Callable[[Heard], None]) -> Callable[[], Awaitable[None]]:
        """Let every packet of a session be heard."""
        room = self._room(session)
        taps: dict[Feed, Tap] = {}

        def follow() -> None:
            for source, publication in room.publications.items():
                for kind, feed in publication.feeds.items():
                    if feed not in taps and source.layer == "high":
                        taps[feed] = Tap(source, kind, hear)
                        feed.sinks.append(taps[feed])
                        feed.request_keyframe()

        follow()
        room.taps.append(follow)

        async def end() -> None:
            room.taps.remove(follow)
            for feed, tap in taps.items():
                if tap in feed.sinks:
                    feed.sinks.remove(tap)

        return end

    # Ends.

    async def close(self, connection: str) -> None:
        """End a connection."""
        self._find(connection)
        await self._end(connection)

    async def remove(self, session: str, participant: str) -> None:
        """End all connections of a participant."""
        for connection, (room, held) in list(self._connections.items()):
            owner = held.participant if isinstance(held, Viewer) else held.source.participant
            if room.session == session and owner == participant:
                await self._end(connection)

    async def end(self, session: str) -> None:
        """End a session."""
        for connection, (room, _) in list(self._connections.items()):
            if room.session == session:
                await self._end(connection)
        self._rooms.pop(session, None)
        self._loudest.pop(session, None)

    async def stop(self) -> None:
        """End everything."""
        for session in list(self._rooms):
            await self.end(session)
        waiting = [*self._watches, *([self._ticking] if self._ticking else [])]
        self._ticking = None
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, *self._tasks, return_exceptions=True)

    async def _end(self, connection: str) -> None:
        room, held = self._connections.pop(connection, (None, None))
        if room is None or held is None:
            return
        if isinstance(held, Viewer):
            room.viewers.pop(connection, None)
        else:
            room.remove(held)
            self._tell(Unpublished(room.session, held.source, connection))
        if room.is_empty and not room.muted:
            self._rooms.pop(room.session, None)
            self._loudest.pop(room.session, None)
        await held.peer.end()

    # What they share.

    async def _answer(self, peer: Peer, offer: str, direction: str) -> str:
        try:
            sdp = await peer.answer(offer, direction)
        except BaseException:
            await peer.end()
            raise
        if "a=candidate:" not in sdp:
            await peer.end()
            raise Unavailable("No address or port is free for the connection's packets: see NHIPCAU_MEDIA_ADDRESSES.")
        return sdp

    def _admit(self) -> None:
        """Raise Overloaded where one more connection would be felt by those who are in."""
        if self._ticking is None:
            self._ticking = asyncio.create_task(self._tick_on())
        if self._rate > self._most_packets or (self._late > self._most_late and self._rate > BUSY_PACKETS):
            raise Overloaded(
                f"The engine is full: {self._rate:,.0f} packets a second, {self._late * 1000:.0f} ms late. Try again."
            )

    def _room(self, session: str) -> EngineRoom:
        return self._rooms.setdefault(session, EngineRoom(session))

    def _find(self, connection: str) -> tuple[EngineRoom, Publication | Viewer]:
        try:
            return self._connections[connection]
        except KeyError:
            raise NotFound("There is no such connection, or it has ended.") from None

    def _viewer(self, connection: str) -> tuple[EngineRoom, Viewer]:
        room, held = self._find(connection)
        if not isinstance(held, Viewer):
            raise NotFound("This connection has no slots: it publishes.")
        return room, held

    def _watch(self, peer: Peer, connection: str) -> None:
        """End a connection that does not come up, or fails."""

        async def watch() -> None:
            if not await peer.until_up(SECONDS_TO_CONNECT):
                self._spawn(self._end(connection))

        _kept(watch(), self._watches)
        peer.on("connectionstatechange", lambda: self._changed(peer, connection))

    def _changed(self, peer: Peer, connection: str) -> None:
        if peer.connectionState in ("failed", "closed") and connection in self._connections:
            self._spawn(self._end(connection))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        _kept(work, self._tasks)

    # The course of time.

    async def _tick_on(self) -> None:
        loop, ticks = asyncio.get_running_loop(), 0
        while True:
            due = loop.time() + SECONDS_OF_TICK
            await asyncio.sleep(SECONDS_OF_TICK)
            self._late = 0.9 * self._late + 0.1 * (loop.time() - due)
            ticks += 1
            try:
                self._each_tick(ticks)
            except Exception:
                log.exception("a tick of the media engine failed; it goes on")

    def _each_tick(self, ticks: int) -> None:
        for room in list(self._rooms.values()):
            self._tick(room)
        if ticks % TICKS_OF_LOOK == 0:
            for connection, (room, held) in list(self._connections.items()):
                self._look(room, connection, held)
        if ticks % TICKS_OF_REPORT == 0:
            before, self._sent = self._sent, self._report()
            self._rate = max(0, self._sent - before) / (TICKS_OF_REPORT * SECONDS_OF_TICK)
        if ticks % TICKS_OF_QUALITY == 0:
            self._tell_quality(TICKS_OF_QUALITY * SECONDS_OF_TICK)

    def _tick(self, room: EngineRoom) -> None:
        room.loudness.tick()
        for follow in room.taps:
            follow()
        speakers = room.loudness.speakers
        if speakers != self._loudest.get(room.session, ()):
            self._loudest[room.session] = speakers
            room.arrange()
            self._tell(Loudest(room.session, speakers))

    def _look(self, room: EngineRoom, connection: str, held: Publication | Viewer) -> None:
        """Notice who fell silent, and whose line is bad."""
        link = held.peer.link
        if link is None or not link.is_up:
            return
        now = self._means.clock()
        silence = now - link.heard
        is_viewer = isinstance(held, Viewer)
        if silence > SECONDS_GONE:
            self._spawn(self._end(connection))
            return
        is_silent = silence > (SECONDS_SILENT_VIEWER if is_viewer else SECONDS_SILENT)
        if is_silent != held.is_silent:
            held.is_silent = is_silent
            participant = held.participant if isinstance(held, Viewer) else held.source.participant
            self._tell(Presence(room.session, participant, connection, not is_silent))
        if isinstance(held, Viewer):
            for each in room.adapt(held, now):
                self._tell(each)

    def _report(self) -> int:
        """Send the reports of RTCP; return how many packets were sent so far."""
        now, sent = self._means.clock(), 0
        for _, held in self._connections.values():
            if isinstance(held, Viewer):
                for place in held.places.values():
                    place.stream.report(now)
                    sent += place.stream.packets
            else:
                for feed in held.feeds.values():
                    feed.report(now)
        return sent

    def _tell_quality(self, seconds: float) -> None:
        for connection, (room, held) in list(self._connections.items()):
            if isinstance(held, Viewer):
                self._tell(room.quality_of(held, seconds))
            elif held.peer.link is not None:
                received = held.peer.link.received
                rate = (received - held.counted) / 125 / seconds
                held.counted = received
                lost = max((feed.lost for feed in held.feeds.values()), default=0.0)
                owner = held.source.participant
                self._tell(Quality(room.session, owner, connection, 0.0, rate, lost, None, None))


def made(settings: Settings, tell: Tell) -> AiortcEngine:
    """Return the engine as settings have it."""
    first, _, last = settings.media_ports.partition("-")
    ports = Ports(settings.media_addresses, int(first or 0), int(last or first or 0))
    return AiortcEngine(tell, ports, settings.media_packets)


def _kept(work: Coroutine[Any, Any, None], tasks: set[asyncio.Task[None]]) -> None:
    """Do work that nobody waits for; a task that nobody holds could vanish."""
    task = asyncio.create_task(work)
    tasks.add(task)
    task.add_done_callback(tasks.discard)


class Tap:
    """A sink that hands packets to a listener."""

    def __init__(self, source: Source, kind: str, hear: Callable[[Heard], None]) -> None:
        self._source = source
        self._kind = kind
        self._hear = hear

    def forward(self, packet: Arrived, codec: RTCRtpCodecParameters, now: bytes) -> None:
        """Hand on a packet."""
        self._hear(
            Heard(
                self._source,
                "audio" if self._kind == "audio" else "video",
                codec.mimeType.lower(),
                packet.sequence,
                packet.timestamp,
                bool(packet.marker),
                packet.payload,
            )
        )

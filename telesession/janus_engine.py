"""Janus as the engine: sessions spread over several processes of it by their ids; it offers, viewers answer."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from hashlib import sha256
from random import SystemRandom
from secrets import token_urlsafe
from typing import Any

from fhir_server.errors import Conflict, FhirError, Invalid, NotFound, Unavailable, Unprocessable
from fhir_server.settings import Settings
from telesession.aiortc_engine.packet import Ids, parse_rtp
from telesession.janus_api import JanusProcess, Json, Refused
from telesession.loudness import Loudness, assigned
from telesession.media_engine import (
    LOUDEST,
    Abilities,
    Answer,
    CounterOffer,
    Heard,
    Kind,
    Lost,
    Loudest,
    Mode,
    Presence,
    Published,
    Slot,
    Source,
    Tell,
    Unpublished,
)
from telesession.sdp import Description, check_offer, read_description, read_fragment

FILLED = "filled"
SECONDS_TO_ACCEPT = 30
SECONDS_OF_TICK = 0.2
SECONDS_DOWN = 2.0
"""A process that did not answer is not asked again for so long."""
SECONDS_SILENT = 3.0
TALKING = 30
"""The level (decibels below full scale) of whom Janus calls talking."""
EXISTS = 427
LARGEST_ID = 2**53

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Publication:
    """A source: its handle, what Janus calls it, its media by kind with their mids, and which of them come in."""

    source: Source
    connection: str
    handle: int
    feed: int
    mids: dict[Kind, str]
    coming: dict[str, bool] = field(default_factory=dict)
    talks: bool = False
    is_silent: bool = False
    quiet_since: float | None = None


@dataclass(slots=True)
class Place:
    """A slot of a viewer: its mid in Janus' offer, what is wished for it, what it shows (feed) and calls it (shown)."""

    kind: Kind
    mid: str
    wish: str | None
    layer: str = "high"
    shown: str | None = None
    feed: int | None = None
    sends: bool = True


@dataclass(slots=True)
class Viewer:
    """A viewer's connection; `accepted` once it has answered the offer."""

    participant: str
    connection: str
    handle: int
    places: list[Place]
    since: float
    accepted: bool = False
    mode: Mode = "auto"


class JanusRoom:
    """A session in one Janus: its VideoRoom, and who is in it."""

    def __init__(self, session: str, process: JanusProcess, number: int, secret: str, control: int) -> None:
        self.session = session
        self.process = process
        self.number = number
        self.secret = secret
        self.control = control
        self.publications: dict[Source, Publication] = {}
        self.viewers: dict[str, Viewer] = {}
        self.loudness = Loudness()
        self.heard: tuple[str, ...] = ()
        self.muted: set[str] = set()
        self.taps: list[Callable[[Publication], Awaitable[None]]] = []
        self.lock = asyncio.Lock()

    def names(self, kind: Kind, but: str) -> list[str]:
        """The names of sources of a kind, in the order in which they came, without a participant's own."""
        return list(
            dict.fromkeys(
                source.name
                for source, each in self.publications.items()
                if kind in each.mids and source.participant != but
            )
        )

    def find(self, name: str | None, kind: Kind, layer: str) -> Publication | None:
        """A source by its name, in the quality asked for or else the other."""
        fitting = {s.layer: each for s, each in self.publications.items() if s.name == name and kind in each.mids}
        return fitting.get("low" if layer == "low" else "high") or next(iter(fitting.values()), None)

    def wanted(self, viewer: Viewer) -> list[tuple[Place, str | None]]:
        """What each place of a viewer is to show now."""
        found: list[tuple[Place, str | None]] = []
        for kind in ("audio", "video"):
            places = [each for each in viewer.places if each.kind == kind]
            chosen = {each.wish for each in places}
            following = [each for each in places if each.wish in (LOUDEST, FILLED)]
            others = [each for each in self.names(kind, viewer.participant) if each not in chosen]
            if any(each.wish == LOUDEST for each in following):
                others = self.loudness.chosen(others, len(others))
            names = assigned([each.shown for each in following], others[: len(following)])
            found += zip(following, names, strict=True)
            found += [(each, each.wish) for each in places if each.wish not in (LOUDEST, FILLED)]
        return found


class JanusEngine:
    """Keeps the sessions of several Janus processes. See MediaEngine for what each method promises."""

    abilities = Abilities("janus", answers_viewers=False, restarts=False)

    def __init__(self, tell: Tell, urls: Sequence[str], secret: str = "", admin_key: str = "") -> None:
        self._tell = tell
        self._admin_key = admin_key
        self._random = SystemRandom()
        self._processes = [JanusProcess(url, secret, time.time, self._told, partial(self._lost, url)) for url in urls]
        self._down: dict[str, float] = {}
        self._rooms: dict[str, JanusRoom] = {}
        self._opening: dict[str, asyncio.Lock] = {}
        self._connections: dict[str, tuple[JanusRoom, Publication | Viewer]] = {}
        self._by_handle: dict[int, tuple[JanusRoom, Publication | Viewer]] = {}
        self._early: set[int] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._ticking: asyncio.Task[None] | None = None

    # Who sends.

    async def publish(self, session: str, source: Source, offer: str) -> Answer:
        """Have Janus answer what a source sends."""
        description = check_offer(offer, "publish")
        room = await self._room(session)
        handle = await room.process.attach()
        feed = self._random.randrange(1, LARGEST_ID)
        body = {"request": "joinandconfigure", "ptype": "publisher", "room": room.number, "id": feed}
        try:
            _, jsep = await room.process.request(handle, body, {"type": "offer", "sdp": offer})
            sdp = _sdp_of(jsep, len(description.media))
        except BaseException:
            await room.process.detach(handle)
            raise
        mids: dict[Kind, str] = {"audio" if e.kind == "audio" else "video": e.mid for e in description.media}
        publication = Publication(source, token_urlsafe(18), handle, feed, mids)
        self._hold(room, publication)
        if handle in self._early:
            self._spawn(self._up(room, publication))
        return Answer(publication.connection, sdp)

    async def _up(self, room: JanusRoom, publication: Publication) -> None:
        """A source's packets can come: Janus knows no feed before."""
        self._early.discard(publication.handle)
        source = publication.source
        before = room.publications.get(source)
        room.publications[source] = publication
        self._tell(Published(room.session, source, publication.connection))
        if source.participant in room.muted:
            await self._moderate(room, publication, is_muted=True)
        await self._arrange(room)
        if before is not None and before is not publication:
            self._drop(before)
            await room.process.detach(before.handle)
        for tap in room.taps:
            await tap(publication)

    # Who watches.

    async def subscribe(
        self, session: str, participant: str, offer: str, source: str | None = None
    ) -> Answer | CounterOffer:
        """Have Janus offer as many slots as the viewer's offer has."""
        description = check_offer(offer, "view")
        room = await self._room(session)
        viewer = Viewer(participant, token_urlsafe(18), 0, _places(description, source), time.monotonic())
        streams = self._streams(room, viewer, source)
        viewer.handle = await room.process.attach()
        body = {"request": "join", "ptype": "subscriber", "room": room.number, "streams": streams}
        try:
            _, jsep = await room.process.request(viewer.handle, body)
            sdp = _sdp_of(jsep, len(viewer.places))
        except BaseException:
            await room.process.detach(viewer.handle)
            raise
        for place, media in zip(viewer.places, read_description(sdp).media, strict=False):
            place.mid = media.mid
        room.viewers[viewer.connection] = viewer
        self._hold(room, viewer)
        return CounterOffer(viewer.connection, sdp, SECONDS_TO_ACCEPT)

    def _streams(self, room: JanusRoom, viewer: Viewer, source: str | None) -> list[Json]:
        """What Janus is to offer: a spare slot repeats a stream until there is another; raise Conflict without any."""
        wanted = {id(place): name for place, name in room.wanted(viewer)}
        streams, kept = [], []
        for place in viewer.places:
            name = wanted[id(place)]
            found = room.find(name, place.kind, place.layer)
            spare = next((each for each in room.publications.values() if place.kind in each.mids), None)
            shown = found or (spare if source is None else None)
            if shown is None:
                continue
            place.shown, place.feed = (name if found is not None else None), shown.feed
            streams.append({"feed": shown.feed, "mid": shown.mids[place.kind]})
            kept.append(place)
        if not streams:
            raise Conflict(f"{source[:60]} sends nothing yet." if source else "Nobody sends anything yet.")
        viewer.places = kept
        return streams

    async def accept(self, connection: str, answer: str) -> None:
        """Bring the viewer's answer to Janus."""
        room, viewer = self._find(connection)
        if not isinstance(viewer, Viewer) or viewer.accepted:
            raise Unprocessable("No offer is waiting for an answer in this connection.")
        read_description(answer)
        await room.process.request(viewer.handle, {"request": "start"}, {"type": "answer", "sdp": answer})
        viewer.accepted = True
        await self._arrange(room)

    def has(self, connection: str) -> bool:
        """Whether a connection is there."""
        return connection in self._connections

    async def trickle(self, connection: str, fragment: str) -> None:
        """Take more candidates."""
        room, held = self._find(connection)
        read = read_fragment(fragment)
        found: list[Json] = [{"candidate": f"candidate:{text}", "sdpMid": mid} for mid, text in read.candidates]
        if read.is_end:
            found.append({"completed": True})
        if found:
            await room.process.trickle(held.handle, found)

    async def restart(self, connection: str, fragment: str) -> str:
        """Refuse: a new connection takes a quarter of a second."""
        self._find(connection)
        raise Unprocessable("This engine takes no ICE restart: make the connection anew.")

    async def switch(self, connection: str, slots: Sequence[Slot], mode: Mode | None = None) -> None:
        """Show other sources."""
        room, viewer = self._viewer(connection)
        places = {each.mid: each for each in viewer.places}
        unknown = [each.mid for each in slots if each.mid not in places]
        if unknown:
            raise Invalid(f"The connection has no slot {unknown[0]!r}: it has {', '.join(places)}.")
        for slot in slots:
            places[slot.mid].wish, places[slot.mid].layer = slot.source, slot.layer
        viewer.mode = mode or viewer.mode
        await self._arrange(room)

    async def slots(self, connection: str) -> tuple[Slot, ...]:
        """What the slots show."""
        _, viewer = self._viewer(connection)
        return tuple(
            Slot(each.mid, each.shown, "low" if each.layer == "low" else "high", each.kind) for each in viewer.places
        )

    async def show(self, session: str, participant: str, mode: Mode) -> None:
        """Give pictures always, never, or as the network allows."""
        room = self._rooms.get(session)
        if room is not None:
            for viewer in room.viewers.values():
                viewer.mode = mode if viewer.participant == participant else viewer.mode
            await self._arrange(room)

    async def mute(self, session: str, participant: str, *, is_muted: bool) -> None:
        """Stop a microphone, or let it be heard."""
        room = self._rooms.get(session)
        if room is None:
            return
        (room.muted.add if is_muted else room.muted.discard)(participant)
        for source, publication in room.publications.items():
            if source.participant == participant:
                await self._moderate(room, publication, is_muted=is_muted)

    async def _moderate(self, room: JanusRoom, publication: Publication, *, is_muted: bool) -> None:
        mid = publication.mids.get("audio")
        if mid is not None:
            body = {"request": "moderate", "room": room.number, "secret": room.secret, "id": publication.feed}
            await room.process.request(room.control, body | {"mid": mid, "mute": is_muted})

    async def tap(self, session: str, hear: Callable[[Heard], None]) -> Callable[[], Awaitable[None]]:
        """Have Janus forward plain RTP to sockets of this process."""
        room = await self._room(session)
        sockets: list[asyncio.DatagramTransport] = []

        async def follow(publication: Publication) -> None:
            if publication.source.layer == "high":
                sockets.extend([await self._forwarded(room, publication, kind, hear) for kind in publication.mids])

        for publication in list(room.publications.values()):
            await follow(publication)
        room.taps.append(follow)

        async def end() -> None:
            with suppress(ValueError):
                room.taps.remove(follow)
            for each in sockets:
                each.close()

        return end

    async def _forwarded(
        self, room: JanusRoom, publication: Publication, kind: Kind, hear: Callable[[Heard], None]
    ) -> asyncio.DatagramTransport:
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(
            lambda: Forwarded(publication.source, kind, hear), local_addr=("127.0.0.1", 0)
        )
        stream = {"mid": publication.mids[kind], "host": "127.0.0.1", "port": transport.get_extra_info("sockname")[1]}
        body = {
            "request": "rtp_forward", "room": room.number, "secret": room.secret, "publisher_id": publication.feed,
            "streams": [stream], "host": "127.0.0.1",
        }  # fmt: skip
        await room.process.request(room.control, body | ({"admin_key": self._admin_key} if self._admin_key else {}))
        return transport

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
        """End a session and its VideoRoom."""
        room = self._rooms.pop(session, None)
        if room is None:
            return
        for connection, (other, _) in list(self._connections.items()):
            if other is room:
                await self._end(connection)
        with suppress(FhirError):
            body = {"request": "destroy", "room": room.number, "secret": room.secret}
            await room.process.request(room.control, body)
        await room.process.detach(room.control)

    async def stop(self) -> None:
        """End everything."""
        if self._ticking is not None:
            self._ticking.cancel()
            await asyncio.gather(self._ticking, return_exceptions=True)
            self._ticking = None
        for session in list(self._rooms):
            await self.end(session)
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for process in self._processes:
            await process.close()

    async def _end(self, connection: str) -> None:
        room, held = self._connections.get(connection, (None, None))
        if room is None or held is None:
            return
        self._drop(held)
        if isinstance(held, Viewer):
            room.viewers.pop(connection, None)
        elif room.publications.get(held.source) is held:
            del room.publications[held.source]
            room.loudness.forget(held.source.name)
            self._tell(Unpublished(room.session, held.source, connection))
        await room.process.detach(held.handle)
        await self._arrange(room)

    # Processes and rooms.

    def _chosen(self, session: str) -> list[JanusProcess]:
        """The processes for a session, the best first: always the same one as long as it answers."""
        now = time.monotonic()
        ranked = sorted(self._processes, key=lambda each: sha256(f"{session} {each.url}".encode()).digest())
        return sorted(ranked, key=lambda each: self._down.get(each.url, 0.0) > now)

    async def _room(self, session: str) -> JanusRoom:
        """The session's VideoRoom, made where there is none; raise Unavailable where no process answers."""
        if self._ticking is None:
            self._ticking = asyncio.create_task(self._tick_on())
        async with self._opening.setdefault(session, asyncio.Lock()):
            if session not in self._rooms:
                self._rooms[session] = await self._opened(session)
            return self._rooms[session]

    async def _opened(self, session: str) -> JanusRoom:
        for process in self._chosen(session):
            try:
                return await self._created(session, process)
            except Unavailable:
                self._down[process.url] = time.monotonic() + SECONDS_DOWN
        raise Unavailable("No engine of media answers: try again.")

    async def _created(self, session: str, process: JanusProcess) -> JanusRoom:
        control = await process.attach()
        secret = token_urlsafe(18)
        while True:
            number = self._random.randrange(1, LARGEST_ID)
            body = {
                "request": "create", "room": number, "secret": secret, "is_private": True, "publishers": 100,
                "bitrate": 0, "fir_freq": 0, "videocodec": "vp8,h264", "audiocodec": "opus", "opus_fec": True,
                "audiolevel_ext": True, "audiolevel_event": True, "audio_active_packets": 15, "audio_level_average": 60,
                "notify_joining": False,
            }  # fmt: skip
            try:
                await process.request(control, body | ({"admin_key": self._admin_key} if self._admin_key else {}))
            except Refused as failure:
                if failure.number == EXISTS:
                    continue
                raise
            return JanusRoom(session, process, number, secret, control)

    def _hold(self, room: JanusRoom, held: Publication | Viewer) -> None:
        self._connections[held.connection] = room, held
        self._by_handle[held.handle] = room, held

    def _drop(self, held: Publication | Viewer) -> None:
        self._connections.pop(held.connection, None)
        self._by_handle.pop(held.handle, None)

    def _find(self, connection: str) -> tuple[JanusRoom, Publication | Viewer]:
        try:
            return self._connections[connection]
        except KeyError:
            raise NotFound("There is no such connection, or it has ended.") from None

    def _viewer(self, connection: str) -> tuple[JanusRoom, Viewer]:
        room, held = self._find(connection)
        if not isinstance(held, Viewer):
            raise NotFound("This connection has no slots: it publishes.")
        return room, held

    # What slots show.

    async def _arrange(self, room: JanusRoom) -> None:
        """Have each viewer's slots show what they are to show."""
        async with room.lock:
            for viewer in list(room.viewers.values()):
                if viewer.accepted:
                    with suppress(FhirError):
                        await self._arrange_for(room, viewer)

    async def _arrange_for(self, room: JanusRoom, viewer: Viewer) -> None:
        switched, sending = [], []
        for place, name in room.wanted(viewer):
            place.shown = name
            found = room.find(name, place.kind, place.layer)
            sends = found is not None and not (place.kind == "video" and viewer.mode == "off")
            if found is not None and found.feed != place.feed:
                place.feed = found.feed
                switched.append({"feed": found.feed, "mid": found.mids[place.kind], "sub_mid": place.mid})
            if sends != place.sends:
                place.sends = sends
                sending.append({"mid": place.mid, "send": sends})
        if switched:
            await room.process.request(viewer.handle, {"request": "switch", "streams": switched})
        if sending:
            await room.process.request(viewer.handle, {"request": "configure", "streams": sending})

    # What Janus tells.

    def _told(self, event: Json) -> None:
        data = event.get("plugindata", {}).get("data", {})
        if data.get("videoroom") in ("talking", "stopped-talking"):
            for room in self._rooms.values():
                for publication in room.publications.values():
                    if room.number == data.get("room") and publication.feed == data.get("id"):
                        publication.talks = data["videoroom"] == "talking"
            return
        found = self._by_handle.get(event.get("sender", 0))
        if found is None:
            if event.get("janus") == "webrtcup":
                self._early.add(event["sender"])
            return
        room, held = found
        if event.get("janus") == "webrtcup" and isinstance(held, Publication):
            self._spawn(self._up(room, held))
        elif event.get("janus") in ("hangup", "detached"):
            self._spawn(self._end(held.connection))
        elif event.get("janus") == "media" and isinstance(held, Publication):
            held.coming[str(event.get("mid", event.get("type")))] = bool(event.get("receiving"))
            held.quiet_since = None if any(held.coming.values()) else time.monotonic() - 1.0

    def _lost(self, url: str) -> None:
        """A process is gone, and its sessions with it: whoever connects again finds another, or the same one anew."""
        self._down[url] = time.monotonic() + SECONDS_DOWN
        for session, room in list(self._rooms.items()):
            if room.process.url != url:
                continue
            del self._rooms[session]
            for publication in room.publications.values():
                self._drop(publication)
            for viewer in room.viewers.values():
                self._drop(viewer)
            self._tell(Lost(session))

    async def _tick_on(self) -> None:
        while True:
            await asyncio.sleep(SECONDS_OF_TICK)
            for room in list(self._rooms.values()):
                try:
                    await self._tick(room)
                except FhirError:
                    continue
                except Exception:
                    log.exception("a tick of the media engine failed; it goes on")

    async def _tick(self, room: JanusRoom) -> None:
        now = time.monotonic()
        for publication in room.publications.values():
            if publication.talks:
                room.loudness.hear(publication.source.name, TALKING)
            is_silent = publication.quiet_since is not None and now - publication.quiet_since > SECONDS_SILENT - 1.0
            if is_silent != publication.is_silent:
                publication.is_silent = is_silent
                source = publication.source
                self._tell(Presence(room.session, source.participant, publication.connection, not is_silent))
        for viewer in list(room.viewers.values()):
            if not viewer.accepted and now - viewer.since > SECONDS_TO_ACCEPT:
                await self._end(viewer.connection)
        room.loudness.tick()
        if room.loudness.speakers != room.heard:
            room.heard = room.loudness.speakers
            self._tell(Loudest(room.session, room.heard))
            await self._arrange(room)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


class Forwarded(asyncio.DatagramProtocol):
    """Takes plain RTP that Janus forwards."""

    def __init__(self, source: Source, kind: Kind, hear: Callable[[Heard], None]) -> None:
        self._source = source
        self._kind: Kind = kind
        self._hear = hear

    def datagram_received(self, data: bytes, addr: Any) -> None:
        """Hand on a packet."""
        with suppress(ValueError, IndexError):
            if len(data) < 12:
                return
            packet = parse_rtp(data, Ids())
            codec = "audio/opus" if self._kind == "audio" else "video/vp8"
            self._hear(
                Heard(
                    self._source,
                    self._kind,
                    codec,
                    packet.sequence,
                    packet.timestamp,
                    bool(packet.marker),
                    packet.payload,
                )
            )


def made(settings: Settings, tell: Tell) -> JanusEngine:
    """Return the engine as settings have it."""
    urls = [url for url in settings.media.removeprefix("janus=").split(",") if url]
    return JanusEngine(tell, urls, settings.janus_secret, settings.janus_admin_key)


def _places(offer: Description, source: str | None) -> list[Place]:
    return [
        Place("audio", "", source or LOUDEST) if media.kind == "audio" else Place("video", "", source or FILLED)
        for media in offer.media
    ]


def _sdp_of(jsep: Json | None, count: int) -> str:
    """Janus' SDP; raise Unprocessable where it leaves out a media (RFC 9725: no partial answers)."""
    if jsep is None:
        raise Unprocessable("The engine takes none of the codecs that are offered: VP8 or H.264, and Opus.")
    sdp = str(jsep["sdp"])
    if any(line.startswith("m=") and line.split()[1] == "0" for line in sdp.splitlines()) or sdp.count("m=") < count:
        raise Unprocessable("A media has no codec that the engine takes: VP8 or H.264, and Opus.")
    return sdp

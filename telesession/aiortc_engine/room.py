"""Who sends and who watches in one session of the engine, and what each viewer's slots show."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from telesession.adaptation import Adaptation, Line
from telesession.aiortc_engine.feed import Feed
from telesession.aiortc_engine.peer import Peer
from telesession.aiortc_engine.slot import OutgoingSlot
from telesession.loudness import Loudness, assigned
from telesession.media_engine import LOUDEST, Layer, Mode, Quality, Slot, SoundOnly, Source

FILLED = "filled"
"""What a picture slot wishes for that nobody chose for: the others, in the order in which they came."""
LEAST_SHARE_KBPS = 200.0
"""Viewers who can take less do not hold back what a source sends to the others: they get less of it."""


@dataclass(slots=True)
class Publication:
    """A source, its connection, and what comes in by kind."""

    source: Source
    connection: str
    peer: Peer
    feeds: dict[str, Feed]
    is_silent: bool = False
    counted: int = 0


@dataclass(slots=True)
class Place:
    """A slot of a viewer: what is wished for it, and what it shows now."""

    mid: str
    stream: OutgoingSlot
    wish: str | None
    layer: Layer = "high"
    shown: str | None = None


@dataclass(slots=True)
class Viewer:
    """A viewer's connection."""

    participant: str
    connection: str
    peer: Peer
    places: dict[str, Place]
    mode: Mode = "auto"
    adaptation: Adaptation = field(default_factory=Adaptation)
    is_silent: bool = False
    counted: tuple[int, int] = (0, 0)

    def of_kind(self, kind: str) -> list[Place]:
        """The places for sound or for pictures, in the order of the offer."""
        return [each for each in self.places.values() if each.stream.kind == kind]


class EngineRoom:
    """The connections of one session. `loudness` says who is heard."""

    def __init__(self, session: str) -> None:
        self.session = session
        self.publications: dict[Source, Publication] = {}
        self.viewers: dict[str, Viewer] = {}
        self.loudness = Loudness()
        self.muted: set[str] = set()
        self.taps: list[Callable[[], None]] = []

    @property
    def is_empty(self) -> bool:
        """Whether nobody sends and nobody watches."""
        return not self.publications and not self.viewers

    def add(self, publication: Publication) -> None:
        """A source begins."""
        self.publications[publication.source] = publication
        name, participant = publication.source.name, publication.source.participant
        sound = publication.feeds.get("audio")
        if sound is not None:
            sound.hear = lambda level: None if sound.is_muted else self.loudness.hear(name, level)
            sound.is_muted = participant in self.muted
        picture = publication.feeds.get("video")
        if picture is not None:
            picture.allowed_kbps = lambda: self.allowed_kbps(picture)
        self.arrange()

    def remove(self, publication: Publication) -> None:
        """A source has ended."""
        if self.publications.get(publication.source) is publication:
            del self.publications[publication.source]
            if "audio" in publication.feeds:
                self.loudness.forget(publication.source.name)
        for viewer in self.viewers.values():
            for place in viewer.places.values():
                if place.stream.feed in publication.feeds.values():
                    place.stream.show(None)
        self.arrange()

    def mute(self, participant: str, *, is_muted: bool) -> None:
        """Let a participant's sound be forwarded no more, or again."""
        (self.muted.add if is_muted else self.muted.discard)(participant)
        for source, publication in self.publications.items():
            if source.participant == participant and "audio" in publication.feeds:
                publication.feeds["audio"].is_muted = is_muted
                if is_muted:
                    self.loudness.forget(source.name)

    def names(self, kind: str, but: str) -> list[str]:
        """The names of sources with sound or pictures, in the order in which they came, without a participant's own."""
        return list(
            dict.fromkeys(
                source.name
                for source, publication in self.publications.items()
                if kind in publication.feeds and source.participant != but
            )
        )

    def feed(self, name: str | None, kind: str, layer: Layer) -> Feed | None:
        """What comes in from a source, in the quality asked for or else the other."""
        found = {
            source.layer: publication.feeds[kind]
            for source, publication in self.publications.items()
            if source.name == name and kind in publication.feeds
        }
        return found.get(layer) or next(iter(found.values()), None)

    def has_low(self, name: str | None) -> bool:
        """Whether a source is sent in a low quality too."""
        return any(source.name == name and source.layer == "low" for source in self.publications)

    def arrange(self) -> None:
        """Show everybody what they are to see and hear now."""
        for viewer in self.viewers.values():
            self._arrange_sound(viewer)
            self._arrange_pictures(viewer)

    def _arrange_sound(self, viewer: Viewer) -> None:
        places = viewer.of_kind("audio")
        chosen = {each.wish for each in places} - {LOUDEST, None}
        following = [each for each in places if each.wish == LOUDEST]
        others = [each for each in self.names("audio", viewer.participant) if each not in chosen]
        wanted = self.loudness.chosen(others, len(following))
        for place, name in zip(following, assigned([each.shown for each in following], wanted), strict=True):
            place.shown = name
        for place in places:
            if place.wish != LOUDEST:
                place.shown = place.wish
            place.stream.show(self.feed(place.shown, "audio", "high"))

    def _arrange_pictures(self, viewer: Viewer) -> None:
        places = viewer.of_kind("video")
        chosen = {each.wish for each in places} - {LOUDEST, FILLED, None}
        others = [each for each in self.names("video", viewer.participant) if each not in chosen]
        following = [each for each in places if each.wish in (LOUDEST, FILLED)]
        ordered = self.loudness.chosen(others, len(others)) if any(e.wish == LOUDEST for e in following) else others
        wanted = ordered[: len(following)]
        for place, name in zip(following, assigned([each.shown for each in following], wanted), strict=True):
            place.shown = name
        level = {"auto": viewer.adaptation.level, "on": "high", "off": "sound"}[viewer.mode]
        for place in places:
            if place.wish not in (LOUDEST, FILLED):
                place.shown = place.wish
            layer: Layer = "low" if level == "low" else place.layer
            place.stream.show(None if level == "sound" else self.feed(place.shown, "video", layer))

    def choose(self, viewer: Viewer, slots: Sequence[Slot], mode: Mode | None, now: float) -> None:
        """Take a viewer's wishes."""
        for slot in slots:
            place = viewer.places[slot.mid]
            place.wish, place.layer = slot.source, slot.layer
        if mode is not None:
            viewer.mode = mode
            viewer.adaptation.reset(now)
        self.arrange()

    def allowed_kbps(self, feed: Feed) -> float | None:
        """What the viewers of a feed can take of it: the least, without those who fall behind; None if unknown."""
        shares = []
        for viewer in self.viewers.values():
            showing = [each for each in viewer.of_kind("video") if each.stream.feed is not None]
            if (
                viewer.peer.link is not None
                and viewer.peer.link.available
                and any(each.stream.feed is feed for each in showing)
            ):
                shares.append(viewer.peer.link.available / 1000 / len(showing))
        able = [each for each in shares if each >= LEAST_SHARE_KBPS]
        return min(able, default=max(shares, default=None))

    def adapt(self, viewer: Viewer, now: float) -> Iterator[SoundOnly]:
        """Look at a viewer's line, and step down or up; yield what people should know."""
        if viewer.mode != "auto" or viewer.peer.link is None:
            return
        streams = [each.stream for each in viewer.places.values() if each.stream.feed is not None]
        pictures = [each for each in viewer.of_kind("video") if each.stream.feed is not None]
        available = viewer.peer.link.available
        line = Line(
            available_kbps=None if available is None or not pictures else available / 1000,
            lost=max((each.lost for each in streams), default=0.0),
            needed_kbps=LEAST_SHARE_KBPS * len(pictures),
        )
        before = viewer.adaptation.level
        has_low = any(self.has_low(each.shown) for each in viewer.of_kind("video"))
        after = viewer.adaptation.step(now, line, has_low=has_low)
        if after == before:
            return
        self._arrange_pictures(viewer)
        if "sound" in (before, after) and viewer.of_kind("video"):
            is_on = after == "sound"
            reason = viewer.adaptation.reason if is_on else ""
            yield SoundOnly(self.session, viewer.participant, viewer.connection, is_on, reason)

    def quality_of(self, viewer: Viewer, seconds: float) -> Quality:
        """What a viewer's connection carried in these seconds."""
        link = viewer.peer.link
        assert link is not None
        sent, received = link.sent - viewer.counted[0], link.received - viewer.counted[1]
        viewer.counted = link.sent, link.received
        streams = [each.stream for each in viewer.places.values()]
        trip = next((each.round_trip for each in streams if each.round_trip is not None), None)
        return Quality(
            self.session,
            viewer.participant,
            viewer.connection,
            sent_kbps=sent / 125 / seconds,
            received_kbps=received / 125 / seconds,
            lost=max((each.lost for each in streams), default=0.0),
            available_kbps=None if link.available is None else link.available / 1000,
            round_trip_ms=None if trip is None else trip * 1000,
        )

    def slots_of(self, viewer: Viewer) -> tuple[Slot, ...]:
        """What a viewer's slots show."""
        return tuple(
            Slot(each.mid, each.shown, each.layer, "audio" if each.stream.kind == "audio" else "video")
            for each in viewer.places.values()
        )

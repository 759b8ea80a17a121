"""What carries the sound and pictures of sessions: the door to an engine, and what an engine tells of itself."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from fhir_server.errors import Unavailable

Kind = Literal["audio", "video"]
Layer = Literal["high", "low"]
Mode = Literal["auto", "on", "off"]
"""Whether a viewer gets pictures: always, never, or as the network allows."""

LOUDEST = "loudest"
"""The source of an audio slot that follows who speaks; of a video slot, whom the others listen to."""
SCREEN = "/screen"
CAMERA = ""


class Overloaded(Unavailable):
    """The engine takes no more, so that those who are in keep what they have; `seconds` says when to try again."""

    def __init__(self, text: str, seconds: int = 5) -> None:
        """Say when to try again."""
        super().__init__(text)
        self.seconds = seconds


@dataclass(frozen=True, slots=True)
class Source:
    """What one participant sends in one connection: camera and microphone, or the screen (`part` is SCREEN).

    Pictures may come in two qualities, each sent in a connection of its own; sound comes with the high one.
    """

    participant: str
    part: str = CAMERA
    layer: Layer = "high"

    @property
    def name(self) -> str:
        """What slots call it: the participant's id, with `/screen` for a screen."""
        return self.participant + self.part


@dataclass(frozen=True, slots=True)
class Answer:
    """The engine's answer to an offer; `connection` names what was made."""

    connection: str
    sdp: str


@dataclass(frozen=True, slots=True)
class CounterOffer:
    """An offer of the engine in place of an answer: it counts once `accept` brings its answer, within `seconds`."""

    connection: str
    sdp: str
    seconds: int = 30


@dataclass(frozen=True, slots=True)
class Slot:
    """A stream of a viewer's connection, by its mid, and what it shows: a source's name, LOUDEST, or nothing."""

    mid: str
    source: str | None
    layer: Layer = "high"
    kind: Kind = "video"


@dataclass(frozen=True, slots=True)
class Abilities:
    """What an engine is called and can do: answer viewers' offers, take an ICE restart of a connection."""

    name: str
    answers_viewers: bool
    restarts: bool


@dataclass(frozen=True, slots=True)
class Published:
    """A source can be seen or heard from now on; it is sent in a connection."""

    session: str
    source: Source
    connection: str


@dataclass(frozen=True, slots=True)
class Unpublished:
    """A source has ended."""

    session: str
    source: Source
    connection: str


@dataclass(frozen=True, slots=True)
class Loudest:
    """Who is heard now, by their sources' names, the loudest first."""

    session: str
    sources: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Presence:
    """A participant's connection fell silent (for 3 seconds), or is heard again."""

    session: str
    participant: str
    connection: str
    is_heard: bool


@dataclass(frozen=True, slots=True)
class Quality:
    """What a connection carried in the last seconds; losses are shares of 1, rates kbit/s, None where not known."""

    session: str
    participant: str
    connection: str
    sent_kbps: float
    received_kbps: float
    lost: float
    available_kbps: float | None
    round_trip_ms: float | None


@dataclass(frozen=True, slots=True)
class SoundOnly:
    """A viewer's pictures were stopped for the sake of the sound, or came back; `reason` is for people."""

    session: str
    participant: str
    connection: str
    is_on: bool
    reason: str


@dataclass(frozen=True, slots=True)
class Lost:
    """The engine lost a session with all its connections: participants have to connect anew."""

    session: str


Happening = Published | Unpublished | Loudest | Presence | Quality | SoundOnly | Lost
Tell = Callable[[Happening], None]
"""Is called on the event loop for all that happens in an engine; must return at once and raise nothing."""


@dataclass(frozen=True, slots=True)
class Heard:
    """An RTP packet of a source, decrypted; `codec` is a media type in small letters, such as `video/vp8`."""

    source: Source
    kind: Kind
    codec: str
    sequence: int
    timestamp: int
    is_last: bool
    payload: bytes


class MediaEngine(Protocol):
    """Forwards what participants send to those who watch, and never encodes anew.

    Sessions and participants are names that the caller chose; a connection's name is random and nobody can guess it.
    Errors are kinds of FhirError: Invalid for what is no SDP, Unprocessable for an offer that cannot be served whole,
    NotFound for a connection that is not (or no longer) there, Overloaded before those who are in would suffer.
    Whatever one connection sends, others go on. Every implementation passes tests/contracts/test_media_engine.py.
    """

    abilities: Abilities

    async def publish(self, session: str, source: Source, offer: str) -> Answer:
        """Take what a source sends, at most one sound and one picture; what it sent before in this layer is ended."""
        ...

    async def subscribe(
        self, session: str, participant: str, offer: str, source: str | None = None
    ) -> Answer | CounterOffer:
        """Make a viewer's connection with as many slots as the offer has media.

        Sound slots follow the loudest others; picture slots are filled with the others in the order in which they
        came. Where `source` is named, all slots show it; raise Conflict where it sends nothing. An engine that makes
        counter-offers also does so where nobody sends anything.
        """
        ...

    async def accept(self, connection: str, answer: str) -> None:
        """Bring the viewer's answer to a counter-offer; raise Unprocessable where none is waiting."""
        ...

    def has(self, connection: str) -> bool:
        """Whether a connection is there, and has not ended."""
        ...

    async def trickle(self, connection: str, fragment: str) -> None:
        """Take more ICE candidates of the other side (RFC 8840 fragment)."""
        ...

    async def restart(self, connection: str, fragment: str) -> str:
        """Restart ICE; return the engine's fragment. Raise Unprocessable where `abilities` say that it cannot."""
        ...

    async def switch(self, connection: str, slots: Sequence[Slot], mode: Mode | None = None) -> None:
        """Show other sources in slots, without a new offer; those that are not named stay as they are."""
        ...

    async def slots(self, connection: str) -> tuple[Slot, ...]:
        """What the slots of a viewer's connection show."""
        ...

    async def mute(self, session: str, participant: str, *, is_muted: bool) -> None:
        """Stop a participant's microphone for all others, or let it be heard again."""
        ...

    async def show(self, session: str, participant: str, mode: Mode) -> None:
        """Give a participant pictures always, never, or as the network allows, in all of their connections."""
        ...

    async def close(self, connection: str) -> None:
        """End a connection."""
        ...

    async def remove(self, session: str, participant: str) -> None:
        """End all connections of a participant."""
        ...

    async def end(self, session: str) -> None:
        """End all connections of a session."""
        ...

    async def tap(self, session: str, hear: Callable[[Heard], None]) -> Callable[[], Awaitable[None]]:
        """Let `hear` have every packet that is published in a session, until what is returned is called."""
        ...

    async def stop(self) -> None:
        """End everything."""
        ...


class NoEngine:
    """Stands where a node carries no media: says so to whoever connects."""

    abilities = Abilities("none", answers_viewers=True, restarts=False)

    async def publish(self, session: str, source: Source, offer: str) -> Answer:
        """Refuse."""
        raise Unavailable(NO_MEDIA)

    async def subscribe(
        self, session: str, participant: str, offer: str, source: str | None = None
    ) -> Answer | CounterOffer:
        """Refuse."""
        raise Unavailable(NO_MEDIA)

    async def accept(self, connection: str, answer: str) -> None:
        """Refuse."""
        raise Unavailable(NO_MEDIA)

    def has(self, connection: str) -> bool:
        """Nothing is there."""
        return False

    async def trickle(self, connection: str, fragment: str) -> None:
        """Refuse."""
        raise Unavailable(NO_MEDIA)

    async def restart(self, connection: str, fragment: str) -> str:
        """Refuse."""
        raise Unavailable(NO_MEDIA)

    async def switch(self, connection: str, slots: Sequence[Slot], mode: Mode | None = None) -> None:
        """Refuse."""
        raise Unavailable(NO_MEDIA)

    async def slots(self, connection: str) -> tuple[Slot, ...]:
        """Refuse."""
        raise Unavailable(NO_MEDIA)

    async def tap(self, session: str, hear: Callable[[Heard], None]) -> Callable[[], Awaitable[None]]:
        """Refuse."""
        raise Unavailable(NO_MEDIA)

    async def mute(self, session: str, participant: str, *, is_muted: bool) -> None:
        """Nobody is heard."""

    async def show(self, session: str, participant: str, mode: Mode) -> None:
        """Nobody sees anything."""

    async def close(self, connection: str) -> None:
        """Nothing is open."""

    async def remove(self, session: str, participant: str) -> None:
        """Nothing is open."""

    async def end(self, session: str) -> None:
        """Nothing is open."""

    async def stop(self) -> None:
        """Nothing is open."""


NO_MEDIA = "This node carries no sound and pictures: NHIPCAU_MEDIA is off."

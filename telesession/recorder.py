"""What a session's sources send, written into one encrypted file each, as it comes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING

from telesession.frame import Frame, Frames
from telesession.media_engine import Heard, Kind, Source
from telesession.sealed import SealedWriter

if TYPE_CHECKING:
    from telesession.webm import Webm

SECONDS_TO_SHOW = 1.5
"""So long is waited for the other kind, before a file begins with the one that is there."""
LARGEST_STEP = 2_000
"""A step of sequence numbers beyond this is another connection, and another file."""
TAKEN = {"audio/opus": "audio", "video/vp8": "video"}


@dataclass(frozen=True, slots=True)
class Recorded:
    """A file that is finished: of whom, when it began, how long it is."""

    file: str
    source: Source
    began: float
    seconds: float
    size: int
    kinds: tuple[Kind, ...]


@dataclass(slots=True)
class Track:
    """One source's file while it is written."""

    source: Source
    file: str
    began: float
    frames: dict[Kind, Frames] = field(default_factory=dict)
    newest: dict[Kind, int] = field(default_factory=dict)
    waiting: list[tuple[Kind, Frame, float]] = field(default_factory=list)
    kinds: set[Kind] = field(default_factory=set)
    webm: Webm | None = None
    writer: SealedWriter | None = None
    last: float = 0.0

    def is_other(self, packet: Heard) -> bool:
        """Whether a packet belongs to another connection of the same source."""
        newest = self.newest.get(packet.kind)
        if newest is None:
            return False
        return LARGEST_STEP < (packet.sequence - newest) & 0xFFFF < 0x10000 - LARGEST_STEP


class Recorder:
    """Takes packets; `make` opens a WebM on a file, `key` encrypts it, `clock` is the time."""

    def __init__(self, folder: Path, key: bytes, make: type[Webm], clock: Callable[[], float]) -> None:
        self.done: list[Recorded] = []
        self._folder = folder
        self._key = key
        self._make = make
        self._clock = clock
        self._tracks: dict[Source, Track] = {}

    def hear(self, packet: Heard) -> None:
        """Take a packet; what cannot be kept undecoded, such as H.264, is left out."""
        if packet.codec not in TAKEN:
            return
        track = self._tracks.get(packet.source)
        if track is not None and track.is_other(packet):
            self._finish(track)
            track = None
        if track is None:
            track = self._tracks[packet.source] = Track(packet.source, token_hex(16), self._clock())
        track.newest[packet.kind] = packet.sequence
        track.last = self._clock()
        for frame in track.frames.setdefault(packet.kind, Frames()).add(packet):
            self._add(track, packet.kind, frame, track.last - track.began)

    def _add(self, track: Track, kind: Kind, frame: Frame, seconds: float) -> None:
        if track.webm is not None:
            track.webm.add(kind, frame, seconds)
            return
        track.kinds.add(kind)
        track.waiting.append((kind, frame, seconds))
        if len(track.kinds) == len(TAKEN) or seconds > SECONDS_TO_SHOW:
            self._open(track)

    def _open(self, track: Track) -> None:
        picture = next((frame for kind, frame, _ in track.waiting if kind == "video"), None)
        track.writer = SealedWriter(self._folder / track.file, self._key)
        track.webm = self._make(track.writer, track.kinds, picture)
        for kind, frame, seconds in track.waiting:
            track.webm.add(kind, frame, seconds)
        track.waiting.clear()

    def _finish(self, track: Track) -> None:
        del self._tracks[track.source]
        if track.webm is None and track.waiting:
            self._open(track)
        if track.webm is None or track.writer is None:
            return
        track.webm.close()
        seconds = track.last - track.began
        kinds = tuple(sorted(track.kinds))
        self.done.append(Recorded(track.file, track.source, track.began, seconds, track.writer.size, kinds))

    def close(self) -> list[Recorded]:
        """Finish all files; return them."""
        for track in list(self._tracks.values()):
            self._finish(track)
        return self.done

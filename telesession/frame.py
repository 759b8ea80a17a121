"""Whole frames of packets that come out of order, or not at all: VP8 (RFC 7741) and Opus (RFC 7587), never decoded."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from telesession.aiortc_engine.packet import begins_keyframe, follows
from telesession.media_engine import Heard

MOST_WAITING = 128
"""Packets that wait for a missing one before it is given up."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One picture, or one packet of sound, with its RTP time."""

    data: bytes
    timestamp: int
    is_key: bool


class Frames:
    """Puts the packets of one source and kind in order, and makes frames of them."""

    def __init__(self) -> None:
        self._waiting: dict[int, Heard] = {}
        self._next: int | None = None
        self._parts: list[bytes] = []
        self._is_key = False
        self._lacks = True

    def add(self, packet: Heard) -> Iterator[Frame]:
        """Yield the frames that are whole now."""
        if self._next is None:
            self._next = packet.sequence
        if packet.sequence != self._next and not follows(packet.sequence, self._next):
            return
        self._waiting[packet.sequence] = packet
        if len(self._waiting) > MOST_WAITING:
            self._give_up()
        while self._next in self._waiting:
            taken = self._waiting.pop(self._next)
            self._next = (self._next + 1) & 0xFFFF
            yield from self._taken(taken)

    def _give_up(self) -> None:
        """Go on behind a gap: pictures from the next whole one."""
        assert self._next is not None
        start = self._next
        self._next = min(self._waiting, key=lambda each: (each - start) & 0xFFFF)
        self._parts, self._lacks = [], True

    def _taken(self, packet: Heard) -> Iterator[Frame]:
        if not packet.payload:
            return
        if packet.kind == "audio":
            yield Frame(packet.payload, packet.timestamp, is_key=True)
            return
        if begins_keyframe(packet.codec, packet.payload):
            self._parts, self._is_key, self._lacks = [], True, False
        if self._lacks:
            return
        self._parts.append(vp8_payload(packet.payload))
        if packet.is_last:
            data, self._parts = b"".join(self._parts), []
            if data:
                yield Frame(data, packet.timestamp, self._is_key)
            self._is_key = False


def vp8_payload(payload: bytes) -> bytes:
    """A packet's part of a picture, behind its descriptor (RFC 7741, 4.2); nothing of what has none."""
    at = 1
    try:
        if payload[0] & 0x80:
            more, at = payload[1], 2
            if more & 0x80:
                at += 2 if payload[at] & 0x80 else 1
            at += bool(more & 0x40) + bool(more & 0x30)
    except IndexError:
        return b""
    return payload[at:]


def vp8_size(frame: bytes) -> tuple[int, int]:
    """Width and height of a whole picture (RFC 6386, 9.1)."""
    return int.from_bytes(frame[6:8], "little") & 0x3FFF, int.from_bytes(frame[8:10], "little") & 0x3FFF

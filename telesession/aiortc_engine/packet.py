"""RTP packets as forwarding reads and writes them (RFC 3550, 5.1; RFC 8285 header extensions; RFC 4588)."""

from __future__ import annotations

import struct
from dataclasses import dataclass

HEADER = struct.Struct("!BBHLL")
_EXTENSION = struct.Struct("!HH")
ONE_BYTE = 0xBEDE
MID = "urn:ietf:params:rtp-hdrext:sdes:mid"
SEND_TIME = "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time"
LEVEL = "urn:ietf:params:rtp-hdrext:ssrc-audio-level"


class Arrived:
    """A packet that came in; `level` is the loudness below full scale in decibels, None where it is not said."""

    __slots__ = ("level", "marker", "mid", "payload", "payload_type", "send_time", "sequence", "ssrc", "timestamp")

    def __init__(self) -> None:
        self.level: int | None = None
        self.mid: str | None = None
        self.send_time: int | None = None
        self.marker = 0
        self.payload = b""
        self.payload_type = 0
        self.sequence = 0
        self.ssrc = 0
        self.timestamp = 0


@dataclass(frozen=True, slots=True)
class Ids:
    """The numbers that a connection gave to header extensions; 0 where it has none."""

    mid: int = 0
    send_time: int = 0
    level: int = 0


def parse_rtp(data: bytes, ids: Ids) -> Arrived:
    """Return a packet; raise ValueError, IndexError or struct.error for what is none."""
    first, second, sequence, timestamp, ssrc = HEADER.unpack_from(data)
    packet = Arrived()
    packet.marker, packet.payload_type = second >> 7, second & 127
    packet.sequence, packet.timestamp, packet.ssrc = sequence, timestamp, ssrc
    start = 12 + 4 * (first & 15)
    if first & 16:
        profile, words = _EXTENSION.unpack_from(data, start)
        start += 4
        if profile == ONE_BYTE and words:
            _read_extensions(packet, data, start, start + 4 * words, ids)
        start += 4 * words
    end = len(data) - data[-1] if first & 32 else len(data)
    if start > end:
        raise ValueError(start)
    packet.payload = data[start:end]
    return packet


def _read_extensions(packet: Arrived, data: bytes, at: int, end: int, ids: Ids) -> None:
    while at < end:
        head = data[at]
        if not head:
            at += 1
            continue
        number, after = head >> 4, at + 2 + (head & 15)
        if number == ids.level:
            packet.level = data[at + 1] & 127
        elif number == ids.send_time:
            packet.send_time = int.from_bytes(data[at + 1 : after], "big")
        elif number == ids.mid:
            packet.mid = data[at + 1 : after].decode("ascii", "replace")
        at = after


class Extensions:
    """Writes the header extensions of one outgoing stream."""

    __slots__ = ("_level", "_mid", "_send_time")

    def __init__(self, ids: Ids, mid: str) -> None:
        name = mid.encode()[:16]
        self._mid = bytes([ids.mid << 4 | len(name) - 1]) + name if ids.mid and name else b""
        self._send_time = bytes([ids.send_time << 4 | 2]) if ids.send_time else b""
        self._level = ids.level << 4

    def written(self, now: bytes, level: int | None) -> bytes:
        """The block of extensions: `now` is the time of sending (24 bits), `level` the loudness."""
        block = self._mid
        if self._send_time:
            block += self._send_time + now
        if level is not None and self._level:
            block += bytes((self._level, 0x80 | level))
        short = -len(block) & 3
        return _EXTENSION.pack(ONE_BYTE, (len(block) + short) >> 2) + block + bytes(short)


def send_time(seconds: float) -> bytes:
    """The 24 bits of abs-send-time: seconds as 6.18 fixed point."""
    return (int(seconds * 262_144) & 0xFFFFFF).to_bytes(3, "big")


def follows(sequence: int, other: int) -> bool:
    """Whether a sequence number is newer than another (RFC 1982)."""
    return sequence != other and (sequence - other) & 0xFFFF < 0x8000


def begins_keyframe(codec: str, payload: bytes) -> bool:
    """Whether a payload begins a picture that needs no other (RFC 7741, 4.3; RFC 6184, 5.2)."""
    try:
        return _KEYFRAMES[codec](payload)
    except (KeyError, IndexError):
        return codec not in _KEYFRAMES


def _vp8(payload: bytes) -> bool:
    first = payload[0]
    if first & 0x1F != 0x10:  # the start of the frame's first partition
        return False
    at = 1
    if first & 0x80:
        more = payload[1]
        at = 2
        if more & 0x80:
            at += 2 if payload[at] & 0x80 else 1
        at += bool(more & 0x40) + bool(more & 0x30)
    return not payload[at] & 1


def _h264(payload: bytes) -> bool:
    kind = payload[0] & 31
    if kind == 28:
        return bool(payload[1] & 0x80) and payload[1] & 31 in (5, 7)
    if kind == 24:
        kind = payload[3] & 31
    return kind in (5, 7)


_KEYFRAMES = {"video/vp8": _vp8, "video/h264": _h264}

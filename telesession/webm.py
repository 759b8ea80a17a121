"""A WebM file of what one source sends, as it was sent: nothing is decoded."""

from __future__ import annotations

from fractions import Fraction
from typing import Any, Protocol

import av
from av.packet import Packet

from telesession.frame import Frame, vp8_size
from telesession.media_engine import Kind

RATES: dict[Kind, int] = {"audio": 48_000, "video": 90_000}
CODECS: dict[Kind, str] = {"audio": "libopus", "video": "libvpx"}


class Written(Protocol):
    """Takes bytes, one after the other."""

    def write(self, data: bytes) -> int:
        """Take bytes; how many they were."""
        ...

    def close(self) -> None:
        """Take no more."""
        ...


class Webm:
    """Writes frames of the kinds that it is made for, from the first whole picture on."""

    def __init__(self, file: Written, kinds: set[Kind], picture: Frame | None) -> None:
        self._file = file
        self._container: Any = av.open(file, "w", format="webm", options={"live": "1"})
        self._streams: dict[Kind, Any] = {}
        for kind in sorted(kinds):
            stream: Any = self._container.add_stream(CODECS[kind], rate=RATES["audio"] if kind == "audio" else 30)
            if kind == "video" and picture is not None:
                stream.width, stream.height = vp8_size(picture.data)
                stream.pix_fmt = "yuv420p"
            stream.time_base = Fraction(1, 1000)
            self._streams[kind] = stream
        self._began: dict[Kind, tuple[int, float]] = {}

    def add(self, kind: Kind, frame: Frame, seconds: float) -> None:
        """Write a frame; the first of its kind came so many seconds after the beginning."""
        stream = self._streams.get(kind)
        if stream is None:
            return
        began, offset = self._began.setdefault(kind, (frame.timestamp, seconds))
        packet = Packet(frame.data)
        packet.stream, packet.time_base, packet.is_keyframe = stream, Fraction(1, 1000), frame.is_key
        passed = (frame.timestamp - began) & 0xFFFFFFFF
        packet.pts = packet.dts = int((offset + passed / RATES[kind]) * 1000)
        self._container.mux(packet)

    def close(self) -> None:
        """Write the end."""
        self._container.close()
        self._file.close()

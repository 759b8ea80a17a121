"""People in a session, played by stock aiortc: cameras of one shade, voices of one loudness, and who watches them."""

from __future__ import annotations

import asyncio
import fractions
import math
import struct
import time
from collections.abc import Callable
from functools import cache
from typing import Any

import av
from aioice import ice
from aiortc import (
    MediaStreamTrack,
    RTCBundlePolicy,
    RTCConfiguration,
    RTCIceServer,
    RTCIceTransportPolicy,
    RTCPeerConnection,
    RTCRtpSender,
    RTCSessionDescription,
)
from aiortc.mediastreams import MediaStreamError
from av.packet import Packet

ADDRESS = "127.0.0.1"
FPS = 15
WIDTH, HEIGHT = 160, 128


@cache
def clip(shade: int) -> tuple[bytes, ...]:
    """Two seconds of VP8: a field of one shade with a bar that moves, a whole picture twice a second."""
    coder = av.CodecContext.create("libvpx", "w")
    coder.width, coder.height, coder.pix_fmt = WIDTH, HEIGHT, "yuv420p"
    coder.bit_rate, coder.time_base, coder.gop_size = 100_000, fractions.Fraction(1, FPS), 8
    coder.options = {"cpu-used": "-8", "deadline": "realtime", "lag-in-frames": "0"}
    return tuple(b"".join(bytes(each) for each in coder.encode(_picture(shade, i, coder))) for i in range(FPS * 2))


def _picture(shade: int, number: int, coder: Any) -> Any:
    frame = av.VideoFrame(WIDTH, HEIGHT, "yuv420p")
    for plane, value in zip(frame.planes, (shade, 128, 128), strict=True):
        rows = bytearray(bytes([value]) * plane.buffer_size)
        if value == shade:
            rows[: 8 * plane.line_size] = bytes([16 + number * 7]) * (8 * plane.line_size)
        plane.update(bytes(rows))
    frame.pts, frame.time_base = number, coder.time_base
    return frame


class Camera(MediaStreamTrack):
    """Sends the clip of one shade, encoded before."""

    kind = "video"

    def __init__(self, shade: int) -> None:
        super().__init__()
        self._frames, self._sent, self._began = clip(shade), 0, time.monotonic()

    async def recv(self) -> Any:
        await asyncio.sleep(max(0.0, self._began + self._sent / FPS - time.monotonic()))
        packet = Packet(self._frames[self._sent % len(self._frames)])
        packet.pts, packet.time_base = self._sent, fractions.Fraction(1, FPS)
        self._sent += 1
        return packet


class Voice(MediaStreamTrack):
    """A tone; `loudness` from 0 to 1 can change."""

    kind = "audio"

    def __init__(self, loudness: float) -> None:
        super().__init__()
        self.loudness = loudness
        self._sent, self._began = 0, time.monotonic()

    async def recv(self) -> Any:
        await asyncio.sleep(max(0.0, self._began + self._sent * 0.02 - time.monotonic()))
        frame = av.AudioFrame(format="s16", layout="mono", samples=960)
        high = int(self.loudness * 32_000)
        frame.planes[0].update(struct.pack("<960h", *(int(high * math.sin(i / 8)) for i in range(960))))
        frame.sample_rate, frame.pts, frame.time_base = 48_000, self._sent * 960, fractions.Fraction(1, 48_000)
        self._sent += 1
        return frame


class Person:
    """One connection of somebody, who publishes or watches."""

    def __init__(self, relay: RTCIceServer | None = None, address: str = ADDRESS) -> None:
        policy = RTCIceTransportPolicy.RELAY if relay else RTCIceTransportPolicy.ALL
        ice.get_host_addresses = lambda use_ipv4, use_ipv6: [address]
        self.peer = RTCPeerConnection(
            RTCConfiguration(
                iceServers=[relay] if relay else [],
                bundlePolicy=RTCBundlePolicy.MAX_BUNDLE,
                iceTransportPolicy=policy,
            )
        )
        self.shades: dict[str, int] = {}
        self.frames: dict[str, int] = {}
        self.loudness: dict[str, float] = {}
        self.voice: Voice | None = None
        self._tasks: list[asyncio.Task[None]] = []

    async def offer_camera(self, shade: int | None, loudness: float | None = None, codec: str = "video/VP8") -> str:
        """The offer of somebody with a camera of a shade, and a voice of a loudness."""
        if shade is not None:
            self.peer.addTransceiver(Camera(shade), direction="sendonly")
            codecs = RTCRtpSender.getCapabilities("video").codecs
            self.peer.getTransceivers()[0].setCodecPreferences([each for each in codecs if each.mimeType == codec])
        if loudness is not None:
            self.voice = Voice(loudness)
            self.peer.addTransceiver(self.voice, direction="sendonly")
        await self.peer.setLocalDescription()
        return str(self.peer.localDescription.sdp)

    async def offer_slots(self, pictures: int, sounds: int) -> str:
        """The offer of somebody who watches."""
        for kind, count in (("video", pictures), ("audio", sounds)):
            for _ in range(count):
                self.peer.addTransceiver(kind, direction="recvonly")
        self.peer.on("track", self._watch)
        await self.peer.setLocalDescription()
        return str(self.peer.localDescription.sdp)

    async def take_answer(self, sdp: str) -> None:
        """Take the engine's answer."""
        await self.peer.setRemoteDescription(RTCSessionDescription(sdp, "answer"))

    async def answer_offer(self, sdp: str) -> str:
        """Answer the engine's offer."""
        self.peer.on("track", self._watch)
        await self.peer.setRemoteDescription(RTCSessionDescription(sdp, "offer"))
        await self.peer.setLocalDescription()
        return str(self.peer.localDescription.sdp)

    @property
    def mids(self) -> dict[str, list[str]]:
        """The mids of what is watched, by kind."""
        found: dict[str, list[str]] = {"audio": [], "video": []}
        for each in self.peer.getTransceivers():
            found[each.kind].append(each.mid or "")
        return found

    def _watch(self, track: MediaStreamTrack) -> None:
        mid = next(each.mid or "" for each in self.peer.getTransceivers() if each.receiver.track is track)
        self._tasks.append(asyncio.create_task(self._consume(track, mid)))

    async def _consume(self, track: MediaStreamTrack, mid: str) -> None:
        while True:
            try:
                frame: Any = await track.recv()
            except MediaStreamError:
                return
            self.frames[mid] = self.frames.get(mid, 0) + 1
            if track.kind == "video":
                plane = frame.planes[0]
                self.shades[mid] = bytes(plane)[plane.line_size * (HEIGHT // 2) + 20]
            else:
                samples = frame.to_ndarray()
                self.loudness[mid] = float(abs(samples).max()) / 32_000

    def sees(self, shade: int, mid: str | None = None) -> bool:
        """Whether a shade is shown, anywhere or in a slot."""
        shown = [self.shades.get(mid, -99)] if mid is not None else list(self.shades.values())
        return any(abs(each - shade) < 12 for each in shown)

    async def leave(self) -> None:
        """Close the connection."""
        await self.peer.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def vanish(self) -> None:
        """Be cut off: nothing more is sent, and nothing is said."""
        connection = self.peer.getTransceivers()[0].receiver.transport.transport._connection
        for protocol in connection._protocols:
            protocol.transport.sendto = lambda *_: None  # type: ignore[method-assign]
            protocol.datagram_received = lambda *_: None  # type: ignore[method-assign]


async def until(holds: Callable[[], Any], seconds: float = 10) -> float:
    """Wait until something holds; return how long it took."""
    began = time.monotonic()
    while not holds():
        assert time.monotonic() - began < seconds, "it never held"
        await asyncio.sleep(0.02)
    return time.monotonic() - began

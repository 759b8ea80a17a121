"""Publishers and viewers by stock aiortc: what is sent was encoded before, most viewers count packets unread."""

from __future__ import annotations

import asyncio
import fractions
import os
import random
import time
from collections.abc import Callable
from functools import cache
from typing import Any

import av
import numpy as np
from aioice import ice
from aiortc import MediaStreamTrack, RTCBundlePolicy, RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError
from av.packet import Packet

Take = Callable[[Any, Any], None]
Line = Callable[[bytes, Callable[[bytes], None]], None]

WIDTH, HEIGHT = 640, 480
BITS, BLOCK = 12, 32
SECONDS_OF_CLIP = 4
OPUS = bytes([0x78]) + os.urandom(60)
"""A packet of 24 kbit/s."""


@cache
def clip(fps: int, kbps: int) -> tuple[bytes, ...]:
    """A moving, noisy scene in VP8 with a whole picture each second; the number of a frame stands in it as blocks."""
    noise = np.random.default_rng(1)
    down, across = np.mgrid[0:HEIGHT, 0:WIDTH]
    scene = ((np.sin(across / 37) + np.cos(down / 23)) * 40 + 128).astype(np.int16)
    coder: Any = av.CodecContext.create("libvpx", "w")
    coder.width, coder.height, coder.pix_fmt, coder.bit_rate = WIDTH, HEIGHT, "yuv420p", kbps * 1000
    coder.time_base, coder.gop_size = fractions.Fraction(1, fps), fps
    coder.options = {"cpu-used": "-8", "deadline": "realtime", "lag-in-frames": "0", "maxrate": str(kbps * 1000)}
    frames = []
    for number in range(fps * SECONDS_OF_CLIP):
        grey = np.clip(scene + noise.integers(-6, 6, (HEIGHT, WIDTH)), 16, 235).astype(np.uint8)
        for bit in range(BITS):
            grey[:BLOCK, bit * BLOCK : (bit + 1) * BLOCK] = 235 if number >> bit & 1 else 16
        frame = av.VideoFrame(WIDTH, HEIGHT, "yuv420p")
        for plane, value in zip(frame.planes, (grey, None, None), strict=True):
            rows = np.full((plane.height, plane.line_size), 128, np.uint8)
            if value is not None:
                rows[:, :WIDTH] = value
            plane.update(rows.tobytes())
        frame.pts, frame.time_base = number, coder.time_base
        frames.append(b"".join(bytes(each) for each in coder.encode(frame)))
    return tuple(frames)


class Sent(MediaStreamTrack):
    """Packets that were encoded before, in their time; `sent_at` says when each frame of the clip was sent last."""

    def __init__(self, kind: str, packets: tuple[bytes, ...], per_second: int, sent_at: dict[int, float]) -> None:
        super().__init__()
        self.kind = kind
        self._packets, self._rate, self._sent_at = packets, per_second, sent_at
        self._count, self._began = 0, time.monotonic() + random.random() / per_second

    async def recv(self) -> Any:
        """The next packet."""
        await asyncio.sleep(max(0.0, self._began + self._count / self._rate - time.monotonic()))
        number = self._count % len(self._packets)
        packet = Packet(self._packets[number])
        clock = 48_000 if self.kind == "audio" else self._rate
        packet.time_base, packet.pts = fractions.Fraction(1, clock), self._count * clock // self._rate
        self._sent_at[number] = time.monotonic()
        self._count += 1
        return packet


class Person:
    """One connection; `packets` counts what came, `line` may drop or delay it."""

    def __init__(self) -> None:
        ice.get_host_addresses = lambda use_ipv4, use_ipv6: ["127.0.0.1"]
        self.peer = RTCPeerConnection(RTCConfiguration(iceServers=[], bundlePolicy=RTCBundlePolicy.MAX_BUNDLE))
        self.packets = 0
        self.sound = 0
        self.first = 0.0
        self.delays: list[float] = []
        self.connection = ""
        self._tasks: list[asyncio.Task[None]] = []

    async def offer_media(self, fps: int, kbps: int, sent_at: dict[int, float] | None = None) -> str:
        """The offer of a publisher with sound and, if `fps` is not 0, pictures."""
        if fps:
            self.peer.addTransceiver(
                Sent("video", clip(fps, kbps), fps, {} if sent_at is None else sent_at), direction="sendonly"
            )
        self.peer.addTransceiver(Sent("audio", (OPUS,), 50, {}), direction="sendonly")
        return await self._offered()

    async def offer_slots(self, pictures: int, sounds: int) -> str:
        """The offer of a viewer."""
        for kind, count in (("video", pictures), ("audio", sounds)):
            for _ in range(count):
                self.peer.addTransceiver(kind, direction="recvonly")
        return await self._offered()

    async def _offered(self) -> str:
        await self.peer.setLocalDescription()
        return str(self.peer.localDescription.sdp)

    async def connect(self, answer: dict[str, Any]) -> None:
        """Take the answer; return when packets can flow."""
        self.connection = answer["connection"]
        await self.peer.setRemoteDescription(RTCSessionDescription(answer["sdp"], "answer"))
        while self.peer.connectionState != "connected":
            if self.peer.connectionState in ("failed", "closed"):
                raise ConnectionError(self.peer.connectionState)
            await asyncio.sleep(0.005)

    def receive(self, line: Line | None, *, reads: bool) -> None:
        """Count what comes; unread unless it `reads`. `line` is given each packet, and what to do with it."""
        connection = self.peer.getTransceivers()[0].receiver.transport.transport._connection  # noqa: SLF001
        for protocol in connection._protocols:  # noqa: SLF001
            taking = self._taking(protocol.datagram_received, line, reads=reads)
            protocol.datagram_received = taking  # type: ignore[method-assign, assignment]

    def _taking(self, taken: Take, line: Line | None, *, reads: bool) -> Take:
        def come(data: bytes, addr: Any) -> None:
            if not 127 < data[0] < 192:
                taken(data, addr)
            elif line is not None:
                line(data, lambda packet: deliver(packet, addr))
            else:
                deliver(data, addr)

        def deliver(data: bytes, addr: Any) -> None:
            self._count(data)
            if reads:
                taken(data, addr)

        return come

    async def until_first(self) -> float:
        """When the first packet came."""
        while not self.first:  # noqa: ASYNC110 -- a packet's own callback is what is measured: nothing is added to it
            await asyncio.sleep(0.005)
        return self.first

    def _count(self, data: bytes) -> None:
        self.packets += 1
        self.sound += data[1] & 127 == 96
        self.first = self.first or time.monotonic()

    def read_frames(self, sent_at: dict[int, float]) -> None:
        """Decode pictures, and note how old each is."""
        for transceiver in self.peer.getTransceivers():
            if transceiver.kind == "video":
                self._tasks.append(asyncio.create_task(self._read(transceiver.receiver.track, sent_at)))

    async def _read(self, track: MediaStreamTrack, sent_at: dict[int, float]) -> None:
        while True:
            try:
                frame: Any = await track.recv()
            except MediaStreamError:
                return
            now, plane = time.monotonic(), frame.planes[0]
            row = bytes(plane)[plane.line_size * (BLOCK // 2) :][: BITS * BLOCK]
            number = sum((row[bit * BLOCK + BLOCK // 2] > 128) << bit for bit in range(BITS))
            if number in sent_at:
                self.delays.append(now - sent_at[number])

    async def leave(self) -> None:
        """Close."""
        await self.peer.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


def losing(share: float, seed: int = 1) -> Line:
    """A line that loses a share of the packets."""
    chance = random.Random(seed)

    def line(data: bytes, deliver: Callable[[bytes], None]) -> None:
        if chance.random() >= share:
            deliver(data)

    return line


def narrow(kbps: float, most_waiting: float = 0.3) -> Line:
    """A line of so many kbit/s with a queue of so many seconds: what does not fit in is lost."""
    free_at = 0.0

    def line(data: bytes, deliver: Callable[[bytes], None]) -> None:
        nonlocal free_at
        now = time.monotonic()
        if free_at - now > most_waiting:
            return
        free_at = max(free_at, now) + (len(data) + 28) / (kbps * 125)
        asyncio.get_running_loop().call_later(free_at - now, deliver, data)

    return line

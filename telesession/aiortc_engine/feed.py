"""One media that a participant sends: its packets go to everybody who is shown it (the place of RTCRtpReceiver)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any, Protocol

from aiortc import clock
from aiortc.codecs import is_rtx
from aiortc.rate import RemoteBitrateEstimator
from aiortc.rtcdtlstransport import RTCDtlsTransport
from aiortc.rtcrtpparameters import RTCRtpCodecParameters, RTCRtpReceiveParameters
from aiortc.rtcrtpreceiver import StreamStatistics
from aiortc.rtp import (
    RTCP_PSFB_APP,
    RTCP_PSFB_PLI,
    RTCP_RTPFB_NACK,
    RtcpPsfbPacket,
    RtcpReceiverInfo,
    RtcpRrPacket,
    RtcpRtpfbPacket,
    RtcpSrPacket,
    RtpPacket,
    pack_remb_fci,
)

from telesession.aiortc_engine.link import Link
from telesession.aiortc_engine.losses import Losses
from telesession.aiortc_engine.packet import LEVEL, MID, SEND_TIME, Arrived, Ids, begins_keyframe, send_time

HISTORY = 1024
"""Packets kept for who lost one; a power of two."""
SECONDS_BETWEEN_KEYFRAMES = 0.5
MOST_KEYFRAME_TRIES = 8
LEVEL_UNSAID = 40
"""The level of a packet with sound whose sender does not say how loud it is."""
SILENT_BYTES = 8
"""A packet of Opus this short says that there is silence (RFC 6716, 2.1.9)."""


class Sink(Protocol):
    """Is given each packet of a feed."""

    def forward(self, packet: Arrived, codec: RTCRtpCodecParameters, now: bytes) -> None:
        """Take a packet; `now` is the time as abs-send-time has it."""


def header_ids(extensions: list[Any]) -> Ids:
    """The numbers of the header extensions that were agreed."""
    ids = {each.uri: each.id for each in extensions}
    return Ids(ids.get(MID, 0), ids.get(SEND_TIME, 0), ids.get(LEVEL, 0))


class Feed:
    """What comes in on one media. `sr` is its clock: (NTP time, RTP time, when told); `is_muted` stops forwarding."""

    def __init__(self, kind: str, transport: RTCDtlsTransport, link: Link) -> None:
        self.mid = ""
        self.payload_types: frozenset[int] = frozenset()
        self.codec: RTCRtpCodecParameters | None = None
        self.history: list[Arrived | None] = [None] * HISTORY
        self.sinks: list[Sink] = []
        self.sr: tuple[int, int, float] | None = None
        self.is_muted = False
        self.bytes = 0
        self.hear: Callable[[int], None] | None = None
        self.allowed_kbps: Callable[[], float | None] = lambda: None
        self.link = link
        self._track: Any = None
        self._enabled = True
        self._kind = kind
        self._transport = transport
        self._rtcp_ssrc: int | None = None
        self._ssrc: int | None = None
        self._codecs: dict[int, RTCRtpCodecParameters] = {}
        self._repairs: dict[int, int] = {}
        self._statistics: dict[int, StreamStatistics] = {}
        self._last_report: dict[int, tuple[int, float]] = {}
        self._losses = Losses() if kind == "video" else None
        self._estimator = RemoteBitrateEstimator() if kind == "video" else None
        self._estimate: int | None = None
        self._keyframe_asked = 0.0
        self._keyframe_tries = 0
        self._timer: asyncio.TimerHandle | None = None
        self._is_open = False

    # What RTCPeerConnection asks of a receiver.

    @property
    def track(self) -> Any:
        """The track that aiortc makes; nobody reads it."""
        return self._track

    @property
    def transport(self) -> RTCDtlsTransport:
        """The way that packets come."""
        return self._transport

    def setTransport(self, transport: RTCDtlsTransport) -> None:  # noqa: N802 -- aiortc's name
        """Come another way."""
        self._transport = transport

    def _set_rtcp_ssrc(self, ssrc: int) -> None:
        self._rtcp_ssrc = ssrc

    async def receive(self, parameters: RTCRtpReceiveParameters) -> None:
        """Begin to take packets."""
        if self._is_open:
            return
        self._is_open = True
        self.mid = parameters.muxId
        self._codecs = {each.payloadType: each for each in parameters.codecs if each.payloadType is not None}
        self.payload_types = frozenset(self._codecs)
        ssrcs = [each.ssrc for each in parameters.encodings]
        self._repairs = {each.rtx.ssrc: each.ssrc for each in parameters.encodings if each.rtx}
        self.link.listen(self, [*ssrcs, *self._repairs], header_ids(parameters.headerExtensions))

    async def stop(self) -> None:
        """Take nothing more."""
        self._is_open = False
        if self._timer is not None:
            self._timer.cancel()
        self.link.forget(self)
        if self._track is not None:
            self._track.stop()

    # Packets in.

    def arrived(self, packet: Arrived, now: float) -> None:
        """Take a packet, and give it to all who are shown this."""
        codec = self._codecs.get(packet.payload_type)
        if codec is None or not self._enabled:
            return
        self._estimate_line(packet)
        self._count(packet, codec)
        if is_rtx(codec):
            repaired = self._repaired(packet, codec)
            if repaired is None:
                return
            codec = repaired
        self.codec, self._ssrc = codec, packet.ssrc
        self.bytes += len(packet.payload)
        self.history[packet.sequence % HISTORY] = packet
        if self._losses is not None:
            self._mend(packet, codec, now)
        elif self.hear is not None:
            self.hear(self._level(packet))
        if not self.is_muted:
            stamp = send_time(time.time())
            for sink in self.sinks:
                sink.forward(packet, codec, stamp)

    def _estimate_line(self, packet: Arrived) -> None:
        if self._estimator is None or packet.send_time is None:
            return
        size = len(packet.payload)
        found = self._estimator.add(
            abs_send_time=packet.send_time, arrival_time_ms=clock.current_ms(), payload_size=size, ssrc=packet.ssrc
        )
        if found is not None:
            self._estimate = found[0]
            self.tell_rate()

    def _count(self, packet: Arrived, codec: RTCRtpCodecParameters) -> None:
        statistics = self._statistics.get(packet.ssrc)
        if statistics is None:
            statistics = self._statistics[packet.ssrc] = StreamStatistics(codec.clockRate)
        counted = RtpPacket(sequence_number=packet.sequence, timestamp=packet.timestamp)
        statistics.add(counted)

    def _repaired(self, packet: Arrived, codec: RTCRtpCodecParameters) -> RTCRtpCodecParameters | None:
        """Make of a retransmission what it repeats (RFC 4588, 4)."""
        ssrc, payload_type = self._repairs.get(packet.ssrc, self._ssrc), codec.parameters.get("apt")
        if ssrc is None or not isinstance(payload_type, int) or payload_type not in self._codecs:
            return None
        if len(packet.payload) < 2:
            return None
        packet.sequence = int.from_bytes(packet.payload[:2], "big")
        packet.payload, packet.ssrc, packet.payload_type = packet.payload[2:], ssrc, payload_type
        return self._codecs[payload_type]

    def _mend(self, packet: Arrived, codec: RTCRtpCodecParameters, now: float) -> None:
        assert self._losses is not None
        missing = self._losses.add(packet.sequence, now)
        if missing and self._rtcp_ssrc is not None:
            asking = RtcpRtpfbPacket(fmt=RTCP_RTPFB_NACK, ssrc=self._rtcp_ssrc, media_ssrc=packet.ssrc)
            asking.lost = sorted(missing)
            self.link.send_rtcp(bytes(asking))
        if self._keyframe_tries and begins_keyframe(codec.mimeType.lower(), packet.payload):
            self._keyframe_tries = 0

    def _level(self, packet: Arrived) -> int:
        if packet.level is not None:
            return packet.level
        return LEVEL_UNSAID if len(packet.payload) > SILENT_BYTES else 127

    def reported(self, report: RtcpSrPacket, now: float) -> None:
        """Take the sender's clock."""
        info = report.sender_info
        if report.ssrc == self._ssrc:
            self.sr = info.ntp_timestamp, info.rtp_timestamp, now
        self._last_report[report.ssrc] = (info.ntp_timestamp >> 16) & 0xFFFFFFFF, now

    # What is told to the sender.

    def request_keyframe(self) -> None:
        """Somebody cannot go on, or begin, without a whole picture; it is asked for until it comes."""
        if self._kind != "video" or not self._is_open:
            return
        self._keyframe_tries = MOST_KEYFRAME_TRIES
        if self._timer is None:
            self._ask_for_keyframe()

    def _ask_for_keyframe(self) -> None:
        self._timer = None
        if not self._keyframe_tries or not self._is_open:
            return
        loop = asyncio.get_running_loop()
        wait = self._keyframe_asked + SECONDS_BETWEEN_KEYFRAMES - loop.time()
        if wait <= 0:
            self._keyframe_tries -= 1
            self._keyframe_asked, wait = loop.time(), SECONDS_BETWEEN_KEYFRAMES
            if self._ssrc is not None and self._rtcp_ssrc is not None:
                asking = RtcpPsfbPacket(fmt=RTCP_PSFB_PLI, ssrc=self._rtcp_ssrc, media_ssrc=self._ssrc)
                self.link.send_rtcp(bytes(asking))
        self._timer = loop.call_later(wait, self._ask_for_keyframe)

    def tell_rate(self) -> None:
        """Say how much may be sent (draft-alvestrand-rmcat-remb): what the line carries, and who watches can take."""
        rates = [] if self._estimate is None else [float(self._estimate)]
        allowed = self.allowed_kbps()
        if allowed is not None:
            rates.append(allowed * 1000)
        if rates and self._rtcp_ssrc is not None and self._ssrc is not None:
            fci = pack_remb_fci(int(min(rates)), [self._ssrc])
            said = RtcpPsfbPacket(fmt=RTCP_PSFB_APP, ssrc=self._rtcp_ssrc, media_ssrc=0, fci=fci)
            self.link.send_rtcp(bytes(said))

    def report(self, now: float) -> None:
        """Tell what came in (RFC 3550, 6.4.2)."""
        reports = []
        for ssrc, statistics in self._statistics.items():
            lsr, at = self._last_report.get(ssrc, (0, now))
            reports.append(
                RtcpReceiverInfo(
                    ssrc=ssrc,
                    fraction_lost=statistics.fraction_lost,
                    packets_lost=statistics.packets_lost,
                    highest_sequence=statistics.max_seq or 0,
                    jitter=statistics.jitter,
                    lsr=lsr,
                    dlsr=min(int((now - at) * 65_536), 0xFFFFFFFF) if lsr else 0,
                )
            )
        if reports and self._rtcp_ssrc is not None:
            self.link.send_rtcp(bytes(RtcpRrPacket(ssrc=self._rtcp_ssrc, reports=reports[:31])))

    @property
    def lost(self) -> float:
        """The share of packets that never came, repairs not counted."""
        expected = sum(each.packets_expected for each in self._statistics.values())
        lost = sum(each.packets_lost for each in self._statistics.values())
        return max(0.0, lost / expected) if expected else 0.0

"""One stream that goes out to a viewer, whose source changes without a word of SDP (the place of RTCRtpSender)."""

from __future__ import annotations

import time
from random import Random
from typing import Any

from aiortc.codecs import is_rtx
from aiortc.rtcdtlstransport import RTCDtlsTransport
from aiortc.rtcrtpparameters import RTCRtpCodecParameters, RTCRtpSendParameters
from aiortc.rtp import (
    RTCP_PSFB_FIR,
    RTCP_PSFB_PLI,
    RTCP_RTPFB_NACK,
    RtcpPsfbPacket,
    RtcpReceiverInfo,
    RtcpRtpfbPacket,
    RtcpSdesPacket,
    RtcpSenderInfo,
    RtcpSourceInfo,
    RtcpSrPacket,
)

from telesession.aiortc_engine.feed import HISTORY, Feed, header_ids
from telesession.aiortc_engine.link import Link
from telesession.aiortc_engine.packet import HEADER, Arrived, Extensions, Ids, begins_keyframe, follows, send_time

MOST_REPEATS = 400
"""Packets sent again to one viewer between two reports: whoever asks for more asks in vain."""


def codec_key(codec: RTCRtpCodecParameters) -> tuple[str, ...]:
    """What two sides must have in common to understand each other's packets."""
    name = codec.mimeType.lower()
    if name != "video/h264":
        return (name,)
    profile = str(codec.parameters.get("profile-level-id", "42e01f"))[:4].lower()
    return name, str(codec.parameters.get("packetization-mode", "0")), profile


class OutgoingSlot:
    """A stream with its own numbers: whatever it shows, they go on without a gap."""

    def __init__(self, kind: str, transport: RTCDtlsTransport, link: Link, random: Random) -> None:
        self.kind = kind
        self.feed: Feed | None = None
        self.lost = 0.0
        self.round_trip: float | None = None
        self.packets = 0
        self.octets = 0
        self.track: Any = None
        self._link = link
        self._transport = transport
        self._ssrc = random.getrandbits(32)
        self._rtx_ssrc = random.getrandbits(32)
        self._stream_id = f"{random.getrandbits(128):032x}"
        self._track_id = f"{random.getrandbits(128):032x}"
        self._enabled = True
        self._is_open = False
        self._waits_for_picture = False
        self._payload_types: dict[tuple[str, ...], int] = {}
        self._payload_type = 0
        self._known: dict[int, int] = {}
        self._repeating: dict[Any, int] = {}
        self._extensions = Extensions(Ids(), "")
        self._cname = ""
        self._sequence = random.getrandbits(15)
        self._timestamp = random.getrandbits(32)
        self._repeat_sequence = random.getrandbits(15)
        self._sequence_by: int | None = None
        self._timestamp_by = 0
        self._sent_at = 0.0
        self._repeats = 0
        self._reports: dict[int, float] = {}

    # What RTCPeerConnection asks of a sender.

    @property
    def transport(self) -> RTCDtlsTransport:
        """The way that packets go."""
        return self._transport

    def setTransport(self, transport: RTCDtlsTransport) -> None:  # noqa: N802 -- aiortc's name
        """Go another way."""
        self._transport = transport

    async def send(self, parameters: RTCRtpSendParameters) -> None:
        """Begin to send."""
        if self._is_open:
            return
        for codec in parameters.codecs:
            if codec.payloadType is not None and not is_rtx(codec):
                self._payload_types.setdefault(codec_key(codec), codec.payloadType)
        self._repeating = {
            codec.parameters.get("apt"): codec.payloadType
            for codec in parameters.codecs
            if is_rtx(codec) and codec.payloadType is not None
        }
        self._extensions = Extensions(header_ids(parameters.headerExtensions), parameters.muxId)
        self._cname = parameters.rtcp.cname or "nhipcau"
        self._link.answer_for(self)
        self._is_open = True
        if self.feed is not None:
            self.feed.request_keyframe()

    async def stop(self) -> None:
        """Send nothing more."""
        self.show(None)
        self._is_open = False
        self._link.forget(self)

    # What is shown.

    def show(self, feed: Feed | None) -> None:
        """Show another feed, or nothing; the first picture is asked for when the viewer can see it."""
        if feed is self.feed:
            return
        if self.feed is not None and self in self.feed.sinks:
            self.feed.sinks.remove(self)
        self.feed, self._sequence_by = feed, None
        self._known.clear()
        if feed is not None:
            self._waits_for_picture = self.kind == "video"
            feed.sinks.append(self)
            if self._is_open:
                feed.request_keyframe()

    # Packets out.

    def forward(self, packet: Arrived, codec: RTCRtpCodecParameters, now: bytes) -> None:
        """Send a packet of the feed under this stream's own numbers."""
        if not self._is_open:
            return
        payload_type = self._known.get(packet.payload_type)
        if payload_type is None:
            payload_type = self._payload_types.get(codec_key(codec))
            if payload_type is None:
                return  # the viewer does not know this codec
            self._known[packet.payload_type] = payload_type
        if self._waits_for_picture:
            if not begins_keyframe(codec.mimeType.lower(), packet.payload):
                return
            self._waits_for_picture = False
        if self._sequence_by is None:
            self._join(packet, codec.clockRate)
        sequence = (packet.sequence + self._sequence_by) & 0xFFFF  # type: ignore[operator]
        timestamp = (packet.timestamp + self._timestamp_by) & 0xFFFFFFFF
        if follows(sequence, self._sequence):
            self._sequence, self._timestamp, self._sent_at = sequence, timestamp, time.monotonic()
        self._payload_type = payload_type
        self.packets += 1
        self.octets += len(packet.payload)
        head = HEADER.pack(0x90, packet.marker << 7 | payload_type, sequence, timestamp, self._ssrc)
        self._link.send(head + self._extensions.written(now, packet.level) + packet.payload)

    def _join(self, packet: Arrived, rate: int) -> None:
        """Go on with this stream's numbers where they stopped; the time that passed is told."""
        passed = int((time.monotonic() - self._sent_at) * rate) if self._sent_at else 0
        self._sequence_by = (self._sequence + 1 - packet.sequence) & 0xFFFF
        self._timestamp_by = (self._timestamp + max(passed, 1) - packet.timestamp) & 0xFFFFFFFF

    def _repeat(self, sequence: int) -> None:
        """Send a packet again (RFC 4588), if it is still there."""
        if self.feed is None or self._sequence_by is None or self._repeats >= MOST_REPEATS:
            return
        original = (sequence - self._sequence_by) & 0xFFFF
        packet = self.feed.history[original % HISTORY]
        if packet is None or packet.sequence != original:
            return
        self._repeats += 1
        timestamp = (packet.timestamp + self._timestamp_by) & 0xFFFFFFFF
        block = self._extensions.written(send_time(time.time()), None)
        repeating = self._repeating.get(self._payload_type)
        if repeating is None:
            head = HEADER.pack(0x90, packet.marker << 7 | self._payload_type, sequence, timestamp, self._ssrc)
            self._link.send(head + block + packet.payload)
            return
        self._repeat_sequence = (self._repeat_sequence + 1) & 0xFFFF
        head = HEADER.pack(0x90, packet.marker << 7 | repeating, self._repeat_sequence, timestamp, self._rtx_ssrc)
        self._link.send(head + block + sequence.to_bytes(2, "big") + packet.payload)

    # What the viewer says.

    def asked(self, packet: RtcpRtpfbPacket | RtcpPsfbPacket, now: float) -> None:
        """Send again what is missing, or ask for a whole picture."""
        if isinstance(packet, RtcpRtpfbPacket) and packet.fmt == RTCP_RTPFB_NACK:
            for sequence in packet.lost:
                self._repeat(sequence)
        elif packet.fmt in (RTCP_PSFB_PLI, RTCP_PSFB_FIR) and self.feed is not None:
            self.feed.request_keyframe()

    def told(self, report: RtcpReceiverInfo, now: float) -> None:
        """Take the viewer's report: what was lost, and how long the way is (RFC 3550, 6.4.1)."""
        self.lost = 0.5 * self.lost + 0.5 * report.fraction_lost / 256
        sent = self._reports.get(report.lsr)
        if sent is not None:
            self.round_trip = max(0.0, now - sent - report.dlsr / 65_536)

    def report(self, now: float) -> None:
        """Tell the source's own clock, so that sound and picture stay together at the viewer (RFC 3550, 6.4.1)."""
        self._repeats = 0
        feed = self.feed
        if feed is None or feed.sr is None or feed.codec is None or self._sequence_by is None:
            return
        ntp, timestamp, told = feed.sr
        ntp += int((now - told) * 2**32)
        timestamp += int((now - told) * feed.codec.clockRate) + self._timestamp_by
        info = RtcpSenderInfo(
            ntp_timestamp=ntp & 0xFFFFFFFFFFFFFFFF,
            rtp_timestamp=timestamp & 0xFFFFFFFF,
            packet_count=self.packets & 0xFFFFFFFF,
            octet_count=self.octets & 0xFFFFFFFF,
        )
        named = RtcpSdesPacket(chunks=[RtcpSourceInfo(ssrc=self._ssrc, items=[(1, self._cname.encode())])])
        self._reports = dict([*self._reports.items()][-4:])
        self._reports[(ntp >> 16) & 0xFFFFFFFF] = now
        self._link.send_rtcp(bytes(RtcpSrPacket(ssrc=self._ssrc, sender_info=info)) + bytes(named))

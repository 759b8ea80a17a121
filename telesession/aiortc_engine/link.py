"""The encrypted way between one participant and the engine: SRTP from the socket, and to it (RFC 3711, RFC 5761).

RTP and RTCP never pass aiortc's transport task: they are taken in the socket's own callback, which saves two turns of
the event loop for each packet. aiortc does ICE and DTLS.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable
from typing import Any, Protocol

import pylibsrtp
from aiortc.rtcdtlstransport import RTCDtlsTransport, State
from aiortc.rtp import (
    RTCP_PSFB_APP,
    RtcpByePacket,
    RtcpPacket,
    RtcpPsfbPacket,
    RtcpRrPacket,
    RtcpRtpfbPacket,
    RtcpSrPacket,
    unpack_remb_fci,
)

from telesession.aiortc_engine.packet import Arrived, Ids, parse_rtp

MOST_STREAMS = 64
"""SSRCs that one connection may use: others are not listened to."""


SECONDS_OF_ESTIMATE = 5.0
"""How long an estimate counts: whoever is sent no pictures makes none."""


class Incoming(Protocol):
    """Takes the packets of one media that comes in."""

    mid: str
    payload_types: frozenset[int]

    def arrived(self, packet: Arrived, now: float) -> None:
        """Take a packet."""

    def reported(self, report: RtcpSrPacket, now: float) -> None:
        """Take the sender's report."""


class Outgoing(Protocol):
    """Takes what is told about one stream that goes out."""

    _ssrc: int

    def asked(self, packet: RtcpRtpfbPacket | RtcpPsfbPacket, now: float) -> None:
        """Take feedback: packets or a picture that are missing."""

    def told(self, report: Any, now: float) -> None:
        """Take a report of what came in on the other side."""


class Link:
    """One connection's packets; `heard` is when any came last."""

    def __init__(self, dtls: RTCDtlsTransport, clock: Callable[[], float]) -> None:
        self.heard = clock()
        self.received = 0
        self.sent = 0
        self._available = 0, 0.0
        self._clock = clock
        self._dtls = dtls
        self._connection = dtls.transport._connection  # noqa: SLF001 -- aiortc keeps the way to the socket to itself
        self._incoming: list[Incoming] = []
        self._by_ssrc: dict[int, Incoming] = {}
        self._outgoing: dict[int, Outgoing] = {}
        self._ids = Ids()

    @property
    def is_up(self) -> bool:
        """Whether packets can go both ways."""
        return self._dtls._state is State.CONNECTED  # noqa: SLF001 -- the public state is a text made at each look

    @property
    def available(self) -> int | None:
        """What the other side said lately that it can take, in bit/s."""
        rate, at = self._available
        return rate if rate and self._clock() - at < SECONDS_OF_ESTIMATE else None

    def listen(self, incoming: Incoming, ssrcs: Iterable[int], ids: Ids) -> None:
        """Give the packets of some streams, and those of its mid, to a media."""
        self._incoming.append(incoming)
        self._by_ssrc.update(dict.fromkeys(ssrcs, incoming))
        self._ids = Ids(ids.mid or self._ids.mid, ids.send_time or self._ids.send_time, ids.level or self._ids.level)

    def answer_for(self, outgoing: Outgoing) -> None:
        """Give feedback about a stream to who sends it."""
        self._outgoing[outgoing._ssrc] = outgoing  # noqa: SLF001 -- aiortc's name, which it writes into the SDP

    def forget(self, ended: object) -> None:
        """A media or a stream has ended."""
        self._incoming = [each for each in self._incoming if each is not ended]
        self._by_ssrc = {ssrc: each for ssrc, each in self._by_ssrc.items() if each is not ended}
        self._outgoing = {ssrc: each for ssrc, each in self._outgoing.items() if each is not ended}

    async def close(self) -> None:
        """Close the sockets."""
        await self._connection.close()

    def touch(self) -> None:
        """The other side is there: it checks the way (RFC 7675)."""
        self.heard = self._clock()

    def datagram(self, data: bytes) -> None:
        """Take an SRTP or SRTCP packet; what is not authentic, or no packet, is dropped."""
        session: Any = self._dtls._rx_srtp  # noqa: SLF001 -- made by aiortc's DTLS, used here
        if session is None:
            return
        now = self._clock()
        try:
            if 192 <= data[1] <= 223:
                self._rtcp(session.unprotect_rtcp(data), now)
            else:
                self._rtp(session.unprotect(data), now)
        except (pylibsrtp.Error, ValueError, IndexError, struct.error):
            return

    def _rtp(self, data: bytes, now: float) -> None:
        packet = parse_rtp(data, self._ids)
        self.heard = now
        self.received += len(data)
        incoming = self._by_ssrc.get(packet.ssrc) or self._found(packet)
        if incoming is not None:
            incoming.arrived(packet, now)

    def _found(self, packet: Arrived) -> Incoming | None:
        """Whose a new stream is: its mid says so (RFC 8843, 9.2), else its payload type if only one has it."""
        if packet.mid:
            fitting = [each for each in self._incoming if each.mid == packet.mid]
        else:
            fitting = [each for each in self._incoming if packet.payload_type in each.payload_types]
        if len(fitting) != 1 or len(self._by_ssrc) >= MOST_STREAMS:
            return None
        self._by_ssrc[packet.ssrc] = fitting[0]
        return fitting[0]

    def _rtcp(self, data: bytes, now: float) -> None:
        self.heard = now
        for packet in RtcpPacket.parse(data):
            if isinstance(packet, RtcpSrPacket):
                incoming = self._by_ssrc.get(packet.ssrc)
                if incoming is not None:
                    incoming.reported(packet, now)
            if isinstance(packet, RtcpSrPacket | RtcpRrPacket):
                for report in packet.reports:
                    outgoing = self._outgoing.get(report.ssrc)
                    if outgoing is not None:
                        outgoing.told(report, now)
            elif isinstance(packet, RtcpPsfbPacket) and packet.fmt == RTCP_PSFB_APP:
                self._available = unpack_remb_fci(packet.fci)[0], now
            elif isinstance(packet, RtcpRtpfbPacket | RtcpPsfbPacket):
                outgoing = self._outgoing.get(packet.media_ssrc)
                if outgoing is not None:
                    outgoing.asked(packet, now)
            elif isinstance(packet, RtcpByePacket):
                for ssrc in packet.sources:
                    self._by_ssrc.pop(ssrc, None)

    def send(self, data: bytes) -> None:
        """Send an RTP packet, if the connection is up."""
        dtls = self._dtls
        pair = self._connection._nominated.get(1)  # noqa: SLF001 -- the way that ICE chose
        if pair is None or dtls._state is not State.CONNECTED:  # noqa: SLF001
            return
        try:
            sealed = dtls._tx_srtp.protect(data)  # noqa: SLF001
        except pylibsrtp.Error:
            return  # older than what SRTP takes
        self.sent += len(sealed)
        pair.protocol.transport.sendto(sealed, pair.remote_addr)

    def send_rtcp(self, data: bytes) -> None:
        """Send an RTCP packet, if the connection is up."""
        pair = self._connection._nominated.get(1)  # noqa: SLF001
        if pair is not None and self.is_up:
            sealed = self._dtls._tx_srtp.protect_rtcp(data)  # noqa: SLF001
            pair.protocol.transport.sendto(sealed, pair.remote_addr)

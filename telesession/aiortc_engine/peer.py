"""aiortc's peer connection with our way of media in it: no decoder, no encoder, no jitter buffer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any

from aiortc import RTCBundlePolicy, RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.exceptions import OperationError
from aiortc.rtcdtlstransport import RTCCertificate, RTCDtlsTransport
from aiortc.rtcrtptransceiver import RTCRtpTransceiver
from aiortc.sdp import candidate_from_sdp

from fhir_server.errors import Invalid, Unprocessable
from telesession.aiortc_engine.feed import Feed
from telesession.aiortc_engine.gathering import Ports, listen_at
from telesession.aiortc_engine.link import Link
from telesession.aiortc_engine.slot import OutgoingSlot
from telesession.sdp import Fragment, without_names

OPUS = {"minptime": 10, "useinbandfec": 1}
"""Packets carry enough of the one before to replace it (RFC 7587, 6.1): a loss is not heard."""


@dataclass(frozen=True, slots=True)
class Means:
    """What connections are made with."""

    ports: Ports
    certificate: RTCCertificate
    clock: Callable[[], float]
    random: Random


class Peer(RTCPeerConnection):
    """A connection whose media are Feeds and OutgoingSlots.

    The names that start with `_RTCPeerConnection__` are aiortc's own: it makes its senders and receivers in one of
    these methods and its transports in the other. tests/telesession/test_peer.py says when aiortc changes them.
    """

    def __init__(self, means: Means) -> None:
        # iceServers=None would mean a server of others; BALANCED leaves media on closed transports.
        super().__init__(RTCConfiguration(iceServers=[], bundlePolicy=RTCBundlePolicy.MAX_BUNDLE))
        self.means = means
        self.link: Link | None = None
        self._RTCPeerConnection__certificates = [means.certificate]

    def _RTCPeerConnection__createDtlsTransport(self) -> RTCDtlsTransport:  # noqa: N802
        made: RTCDtlsTransport = super()._RTCPeerConnection__createDtlsTransport()  # type: ignore[misc]
        link = Link(made, self.means.clock)
        listen_at(made.transport._connection, link, self.means.ports, self.means.random)  # noqa: SLF001
        self.link = self.link or link
        return made

    def _RTCPeerConnection__createTransceiver(  # noqa: N802
        self, direction: str, kind: str, sender_track: Any = None
    ) -> RTCRtpTransceiver:
        made: RTCRtpTransceiver = super()._RTCPeerConnection__createTransceiver(direction, kind, sender_track)  # type: ignore[misc]
        transport = made.receiver.transport
        assert self.link is not None
        slot = OutgoingSlot(kind, transport, self.link, self.means.random)
        feed = Feed(kind, transport, self.link)
        feed._set_rtcp_ssrc(slot._ssrc)  # noqa: SLF001
        vars(made).update(_RTCRtpTransceiver__sender=slot, _RTCRtpTransceiver__receiver=feed)
        return made

    async def answer(self, offer: str, direction: str) -> str:
        """Return the answer to an offer; raise Invalid or Unprocessable for one that cannot be served whole."""
        try:
            await self._agree(offer, direction)
        except OperationError as failure:
            raise Unprocessable("None of the codecs of a media is known: offer VP8 or H.264, and Opus.") from failure
        except Exception as failure:
            # aiortc's parser fails in many ways, and late, all of them for what the client sent.
            raise Invalid(f"The offer cannot be read: {str(failure)[:200] or type(failure).__name__}") from failure
        return str(self.localDescription.sdp)

    async def _agree(self, offer: str, direction: str) -> None:
        await self.setRemoteDescription(RTCSessionDescription(without_names(offer), "offer"))
        for transceiver in self.getTransceivers():
            transceiver.direction = direction
            for codec in transceiver._codecs:  # noqa: SLF001 -- what was agreed is said nowhere else
                if codec.mimeType.lower() == "audio/opus":
                    codec.parameters = dict(OPUS)
        await self.setLocalDescription()

    async def add_candidates(self, fragment: Fragment) -> None:
        """Take more of the other side's candidates; those whose address is a name are left out."""
        transport = self.getTransceivers()[0].receiver.transport.transport
        for mid, text in fragment.candidates:
            if not without_names(f"a=candidate:{text}"):
                continue
            try:
                candidate = candidate_from_sdp(text)
            except (AssertionError, ValueError, IndexError) as failure:
                raise Invalid(f"This is no candidate: {text[:100]}") from failure
            candidate.sdpMid = mid
            await transport.addRemoteCandidate(candidate)
        if fragment.is_end:
            await transport.addRemoteCandidate(None)

    @property
    def feeds(self) -> dict[str, Feed]:
        """What comes in, by kind."""
        return {each.kind: each.receiver for each in self.getTransceivers()}  # type: ignore[misc]

    @property
    def slots(self) -> dict[str, OutgoingSlot]:
        """What goes out, by mid, in the order of the offer."""
        ordered = sorted(self.getTransceivers(), key=lambda each: each._get_mline_index() or 0)  # noqa: SLF001
        return {each.mid or "": each.sender for each in ordered}  # type: ignore[misc]

    async def end(self) -> None:
        """Close, also what never came to be whole."""
        try:
            await self.close()
        except Exception:  # noqa: BLE001 -- aiortc cannot close what an offer left half made; its sockets can be
            if self.link is not None:
                await self.link.close()

    async def until_up(self, seconds: float) -> bool:
        """Wait until packets can flow; False where they do not within the time."""
        end = asyncio.get_running_loop().time() + seconds
        while self.connectionState in ("new", "connecting"):
            if asyncio.get_running_loop().time() > end:
                return False
            await asyncio.sleep(0.1)
        return self.connectionState == "connected"

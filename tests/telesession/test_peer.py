"""What the forwarding engine stands on in aiortc and aioice, of which no documentation speaks."""

from __future__ import annotations

import asyncio
import inspect

import pytest
from aioice.ice import Connection, StunProtocol
from aiortc import RTCPeerConnection
from aiortc.rtcdtlstransport import RTCDtlsTransport, State
from aiortc.rtcrtpreceiver import StreamStatistics
from aiortc.rtcrtptransceiver import RTCRtpTransceiver

SIGNATURES = {
    (RTCPeerConnection, "_RTCPeerConnection__createTransceiver"): ["self", "direction", "kind", "sender_track"],
    (RTCPeerConnection, "_RTCPeerConnection__createDtlsTransport"): ["self"],
    (Connection, "get_component_candidates"): ["self", "component", "addresses", "timeout"],
    (Connection, "data_received"): ["self", "data", "component"],
    (StunProtocol, "datagram_received"): ["self", "data", "addr"],
    (StunProtocol, "__init__"): ["self", "receiver"],
    (StreamStatistics, "add"): ["self", "packet"],
}


@pytest.mark.parametrize(("owner", "name"), SIGNATURES, ids=lambda each: getattr(each, "__name__", str(each)))
def test_a_method_that_is_replaced_is_still_called_so(owner: type, name: str):
    assert list(inspect.signature(getattr(owner, name)).parameters) == SIGNATURES[owner, name]


def test_what_is_read_is_still_there():
    async def look() -> None:
        peer = RTCPeerConnection()
        transceiver = peer.addTransceiver("video")
        dtls = transceiver.receiver.transport
        assert {"_rx_srtp", "_tx_srtp", "_state", "_transport"} <= vars(dtls).keys()
        assert dtls._state is State.NEW
        assert {"_nominated", "_protocols", "_queue"} <= vars(dtls.transport._connection).keys()
        assert {"_RTCRtpTransceiver__sender", "_RTCRtpTransceiver__receiver", "_codecs"} <= vars(transceiver).keys()
        assert isinstance(transceiver, RTCRtpTransceiver)
        assert isinstance(dtls, RTCDtlsTransport)
        assert "_RTCPeerConnection__certificates" in vars(peer)
        await peer.close()

    asyncio.run(look())

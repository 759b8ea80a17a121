from __future__ import annotations

import struct

import pytest
from aiortc.rtp import HeaderExtensionsMap, RtpPacket
from hypothesis import given, settings
from hypothesis import strategies as st

from telesession.aiortc_engine.losses import MOST_MISSING, MOST_TRIES, Losses
from telesession.aiortc_engine.packet import HEADER, Extensions, Ids, begins_keyframe, follows, parse_rtp, send_time

IDS = Ids(mid=1, send_time=3, level=2)


@settings(deadline=None)
@given(st.binary(max_size=1200), st.integers(0, 65_535), st.integers(0, 127), st.text("abc0", max_size=5))
def test_what_is_written_is_read_again(payload: bytes, sequence: int, level: int, mid: str):
    block = Extensions(IDS, mid).written(send_time(5.5), level)
    data = HEADER.pack(0x90, 0x80 | 96, sequence, 7, 8) + block + payload
    packet = parse_rtp(data, IDS)
    assert (packet.payload, packet.sequence, packet.level) == (payload, sequence, level)
    assert (packet.mid or "") == mid
    assert packet.send_time == int(5.5 * 262_144)
    assert (packet.marker, packet.payload_type, packet.timestamp, packet.ssrc) == (1, 96, 7, 8)
    assert RtpPacket.parse(data, HeaderExtensionsMap()).payload == payload


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(data: bytes):
    try:
        packet = parse_rtp(data, IDS)
    except (ValueError, IndexError, struct.error):
        return
    assert len(packet.payload) <= len(data) - 12


@settings(deadline=None)
@given(st.sampled_from(["video/vp8", "video/h264", "audio/opus"]), st.binary(max_size=40))
def test_any_payload_begins_a_keyframe_or_does_not(codec: str, payload: bytes):
    assert begins_keyframe(codec, payload) in (True, False)


@pytest.mark.parametrize(
    ("codec", "payload", "begins"),
    [
        ("video/vp8", b"\x10\x00", True),
        ("video/vp8", b"\x10\x01", False),
        ("video/vp8", b"\x00\x00", False),
        ("video/vp8", b"\x90\x80\x05\x00", True),
        ("video/vp8", b"\x90\x80\x85\x01\x01", False),
        ("video/h264", b"\x65", True),
        ("video/h264", b"\x41", False),
        ("video/h264", b"\x7c\x85", True),
        ("video/h264", b"\x7c\x05", False),
        ("video/h264", b"\x78\x00\x01\x67", True),
        ("video/vp8", b"", False),
    ],
)
def test_a_keyframe_is_known_by_its_first_packet(codec: str, payload: bytes, begins: bool):  # noqa: FBT001
    assert begins_keyframe(codec, payload) is begins


def test_numbers_go_round():
    assert follows(0, 65_535)
    assert not follows(65_535, 0)
    assert not follows(5, 5)


def test_a_missing_packet_is_asked_for_until_it_comes():
    losses = Losses()
    assert losses.add(65_534, 0.0) == []
    assert losses.add(1, 0.0) == [65_535, 0]
    assert losses.add(2, 0.01) == []
    assert losses.add(0, 0.02) == []
    assert losses.add(3, 0.1) == [65_535]


def test_what_never_comes_is_given_up():
    losses = Losses()
    losses.add(1, 0.0)
    asked = [losses.add(number, number * 1.0) for number in range(3, 20)]
    assert sum(2 in each for each in asked) == MOST_TRIES


def test_a_break_is_not_mended_packet_by_packet():
    losses = Losses()
    losses.add(1, 0.0)
    assert losses.add(MOST_MISSING + 100, 0.0) == []


@settings(deadline=None)
@given(st.lists(st.integers(0, 65_535), max_size=300))
def test_what_is_remembered_has_a_bound(numbers: list[int]):
    losses = Losses()
    for at, number in enumerate(numbers):
        assert len(losses.add(number, at * 0.001)) <= MOST_MISSING
        assert len(losses._missing) <= MOST_MISSING

"""Orders as entries of the worklist, keys that narrow it, and letters that a device has."""

from __future__ import annotations

import time
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as some

from dicom_bridge.dicom_json import text_of
from dicom_bridge.matching_key import matches
from dicom_bridge.worklist import (
    CODECS,
    STEPS,
    Order,
    answers,
    entry_of,
    fitting,
    is_scheduled,
    short_id,
    study_uid,
    written_in,
)

NAMESPACE = str(UUID(int=1))
REQUEST: dict[str, Any] = {"id": "order", "status": "active", "subject": {"reference": "Patient/p"}}


def order(task: dict[str, Any] | None = None, **request: Any) -> Order:
    return Order(REQUEST | request, {}, task, NAMESPACE, ZoneInfo("Asia/Ho_Chi_Minh"))


def test_an_order_that_says_little_is_an_entry_all_the_same():
    entry = entry_of(order())
    assert text_of(entry, "0020000D").startswith("2.25.")
    assert len(text_of(entry, "0020000D")) <= 64
    assert entry["00100010"] == {"vr": "PN"}
    assert text_of(entry[STEPS]["Value"][0], "00400009") == "order"


def test_the_study_of_an_order_is_always_the_same():
    named = {"identifier": [{"system": "urn:dicom:uid", "value": "urn:oid:1.2.3"}]}
    assert study_uid(REQUEST | named, NAMESPACE) == "1.2.3"
    assert study_uid(REQUEST, NAMESPACE) == study_uid(REQUEST, NAMESPACE)
    assert study_uid(REQUEST | {"id": "another"}, NAMESPACE) != study_uid(REQUEST, NAMESPACE)


@pytest.mark.parametrize(
    ("task", "request_state", "is_there"),
    [
        (None, "active", True),
        ({"id": "t", "status": "ready"}, "active", True),
        ({"id": "t", "status": "in-progress"}, "active", False),
        ({"id": "t", "status": "cancelled"}, "active", False),
        (None, "revoked", False),
        ({"id": "t", "status": "ready"}, "on-hold", False),
    ],
)
def test_what_is_to_be_done_is_scheduled(task: dict[str, Any] | None, request_state: str, *, is_there: bool):
    assert is_scheduled(order(task, status=request_state)) is is_there


HELD = {
    "00100010": {"vr": "PN", "Value": [{"Alphabetic": "Nguyễn^Thị Ánh"}]},
    "00100020": {"vr": "LO", "Value": ["VN-1"]},
    "00080050": {"vr": "SH"},
    STEPS: {"vr": "SQ", "Value": [{"00400002": {"vr": "DA", "Value": ["20261124"]}}]},
}


@pytest.mark.parametrize(
    ("tag", "vr", "value", "fits"),
    [
        ("00100010", "PN", {"Alphabetic": "nguyen*"}, True),
        ("00100010", "PN", {"Alphabetic": "NGUYỄN^THỊ ÁNH"}, True),
        ("00100010", "PN", {"Alphabetic": "tran*"}, False),
        ("00100010", "PN", {"Alphabetic": "*"}, True),
        ("00100020", "LO", "VN-?", True),
        ("00100020", "LO", "VN-2", False),
        ("00080050", "SH", "A", False),
        ("00400002", "DA", "20261124", True),
        ("99990001", "LO", "unknown keys narrow nothing", True),
        (STEPS, "SQ", {"00400002": {"vr": "DA", "Value": ["20261101-20261130"]}}, True),
        (STEPS, "SQ", {"00400002": {"vr": "DA", "Value": ["-20261123"]}}, False),
        (STEPS, "SQ", {}, True),
    ],
)
def test_keys_narrow(tag: str, vr: str, value: Any, *, fits: bool):
    assert matches(HELD, {tag: {"vr": vr, "Value": [value]}}) is fits


def test_a_pattern_of_many_wildcards_costs_little():
    held = {"00100020": {"vr": "LO", "Value": ["a" * 64]}}
    begun = time.process_time()
    assert not matches(held, {"00100020": {"vr": "LO", "Value": ["*a" * 60 + "*b"]}})
    assert time.process_time() - begun < 0.5


def test_what_is_asked_for_comes_back_and_no_more():
    asked = {
        "00100020": {"vr": "LO"},
        "00380010": {"vr": "LO"},
        STEPS: {"vr": "SQ", "Value": [{"00400002": {"vr": "DA"}}]},
    }
    (found,) = answers([HELD], asked)
    assert set(found) == set(asked)
    assert found["00380010"] == {"vr": "LO"}


@given(some.text(max_size=70), some.sampled_from(sorted(CODECS)))
def test_every_text_can_be_written_for_every_device(text: str, character_set: str):
    fitting(text, CODECS[character_set]).encode(CODECS[character_set])


def test_a_device_without_letters_gets_base_letters():
    assert fitting("Đặng Thị Ưởng", "ascii") == "Dang Thi Uong"
    assert fitting("Müller", "latin-1") == "Müller"
    assert written_in(HELD, "ISO_IR 6")["00100010"]["Value"] == [{"Alphabetic": "Nguyen^Thi Anh"}]
    assert written_in(HELD, "ISO_IR 192") == HELD


def test_short_ids_are_short_and_differ():
    assert short_id("a") == "a"
    assert len(short_id("x" * 64)) == 16
    assert short_id("x" * 64) != short_id("x" * 63)

"""Recording a session over HTTP: consent of all, or nothing; encrypted; what was sent can be seen again."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import av
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from telesession import sealed
from telesession.frame import Frames
from telesession.media_engine import Heard, Source
from telesession.recording import AGREED, CATEGORY
from tests.access.world import of, to
from tests.serving import outcome
from tests.telesession.janus import own_address
from tests.telesession.test_media_in_rooms import GREY, Connected
from tests.telesession.ward import Reader, Ward, until, ward

NUMBERS = count(1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return Path(tmp_path_factory.mktemp("recorded"))


@pytest.fixture(scope="module")
def place(folder: Path) -> Iterator[Ward]:
    if own_address() is None:
        pytest.skip("needs an address beside the loopback")
    with ward(folder) as made:
        yield made


@pytest.fixture
def session(place: Ward) -> str:
    place.clock.ahead += 60  # what is counted of callers is over
    name = place.encounter(f"recorded-{next(NUMBERS)}")
    place.join("doctor", name, role="host")
    may = place.join("may", name)
    place.decide("doctor", name, may["id"], "admit")
    return name


@pytest.fixture
def people(place: Ward, session: str) -> Iterator[Connected]:
    made = Connected(place, session)
    yield made
    made.leave()


def agree(place: Ward, session: str, who: str, status: str = "active") -> str:
    """Store that somebody agrees, or does so no more."""
    scope = {"system": "http://terminology.hl7.org/CodeSystem/consentscope", "code": "patient-privacy"}
    identity = f"{session}-{who.replace('/', '-')}"
    body = of(
        "Consent", identity, status=status, scope={"coding": [scope]}, patient=to("Patient/may"),
        category=[{"coding": [{"system": CATEGORY, "code": AGREED}]}], policyRule={"text": "local"},
        performer=[to(who)], provision={"data": [{"meaning": "instance", "reference": to(f"Encounter/{session}")}]},
    )  # fmt: skip
    place.put("his", body)
    return identity


def record(place: Ward, session: str, action: str, who: str = "doctor") -> Any:
    return place.call(who, "POST", f"{session}/recording", {"action": action})


def media_of(place: Ward, session: str) -> list[dict[str, Any]]:
    bundle = place.get("doctor", f"Media?encounter=Encounter/{session}").json()
    return [each["resource"] for each in bundle.get("entry", ()) if each["search"]["mode"] == "match"]


def test_nothing_is_recorded_before_everybody_has_agreed(place: Ward, session: str, folder: Path):
    refused = outcome(record(place, session, "start"), 403, "forbidden")
    assert "Bs. doctor" in refused["details"]["text"]
    agree(place, session, "Practitioner/doctor")
    refused = outcome(record(place, session, "start"), 403, "forbidden")
    assert "Bs. doctor" not in refused["details"]["text"]
    agree(place, session, "Patient/may", "inactive")
    outcome(record(place, session, "start"), 403, "forbidden")
    outcome(record(place, session, "start", "may"), 403, "forbidden")
    outcome(record(place, session, "begin"), 400, "value")
    assert place.room("doctor", session)["recording"] is None


def test_what_is_recorded_is_encrypted_and_can_be_seen_again(
    place: Ward, session: str, people: Connected, folder: Path
):
    for who in ("Practitioner/doctor", "Patient/may"):
        agree(place, session, who)
    sender, _ = people.connect("may", "whip")
    people.wait(lambda: sender.peer.connectionState == "connected")
    reader = Reader(place, "may", session)
    assert record(place, session, "start").json() == {"recording": "Bs. doctor"}
    outcome(record(place, session, "start"), 409, "conflict")
    reader.sees("recording", lambda told: told["recording"] == "Bs. doctor")
    place.served.call(lambda: asyncio.sleep(3.0))
    assert record(place, session, "stop").json() == {"recording": None}
    (media,) = media_of(place, session)
    assert media["subject"] == to("Patient/may")
    assert media["duration"] > 2
    assert media["content"]["url"].endswith(f"/telesession/recordings/{media['id']}")
    stored = (folder / "recordings" / media["id"]).read_bytes()
    assert b"webm" not in stored
    assert stored.startswith(sealed.MAGIC)
    url = f"http://node/telesession/recordings/{media['id']}"
    answer = place.served.send("GET", url, headers={"authorization": "Bearer doctor"})
    assert answer.status_code == 200
    assert len(answer.content) == media["content"]["size"]
    frames: dict[str, int] = {}
    opened: Any = av.open(io.BytesIO(answer.content))
    with opened as container:
        for frame in container.decode():
            kind = "video" if isinstance(frame, av.VideoFrame) else "audio"
            frames[kind] = frames.get(kind, 0) + 1
            if isinstance(frame, av.VideoFrame):
                assert abs(bytes(frame.planes[0])[frame.planes[0].line_size * 64 + 20] - GREY) < 12
    assert frames["video"] > 20
    assert frames["audio"] > 80
    refused = place.served.send("GET", url, headers={"authorization": "Bearer stranger"})
    assert refused.status_code in (403, 404)
    refused = place.served.send("GET", url, headers={"authorization": "Bearer nobody-known"})
    assert refused.status_code == 401
    reader.leave()


def test_a_recording_ends_when_somebody_takes_their_consent_back(place: Ward, session: str, people: Connected):
    for who in ("Practitioner/doctor", "Patient/may"):
        agree(place, session, who)
    people.connect("may", "whip")
    assert record(place, session, "start").status_code == 200
    agree(place, session, "Patient/may", "inactive")
    until(lambda: place.room("doctor", session)["recording"] is None)


def test_a_recording_ends_when_somebody_comes_who_has_not_agreed(place: Ward, session: str):
    for who in ("Practitioner/doctor", "Patient/may"):
        agree(place, session, who)
    assert record(place, session, "start").status_code == 200
    place.join("second", session, role="expert")
    until(lambda: place.room("doctor", session)["recording"] is None)


@settings(deadline=None, max_examples=30)
@given(st.lists(st.binary(max_size=70_000), max_size=4), st.data())
def test_a_sealed_file_comes_back_whole_or_not_at_all(tmp_path_factory, pieces: list[bytes], data: st.DataObject):
    path = tmp_path_factory.mktemp("sealed") / "file"
    writer = sealed.SealedWriter(path, b"k" * 32)
    for piece in pieces:
        writer.write(piece)
    writer.close()
    assert b"".join(sealed.opened(path, b"k" * 32)) == b"".join(pieces)
    whole = bytearray(path.read_bytes())
    at = data.draw(st.integers(0, len(whole) - 1))
    changed = whole[:at] if data.draw(st.booleans()) else whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :]
    path.write_bytes(changed)
    with pytest.raises(sealed.Broken):
        list(sealed.opened(path, b"k" * 32))


def heard(sequence: int, payload: bytes, *, is_last: bool = True) -> Heard:
    return Heard(Source("an"), "video", "video/vp8", sequence & 0xFFFF, sequence * 10, is_last, payload)


def test_frames_are_put_in_order_and_begin_with_a_whole_picture():
    frames = Frames()
    packets = [
        heard(65_533, b"\x10\x01late"), heard(65_534, b"\x10\x00ke", is_last=False), heard(0, b"\x10\x01next"),
        heard(65_535, b"\x00y"), heard(65_535, b"\x00y"),
    ]  # fmt: skip
    made = [frame for packet in packets for frame in frames.add(packet)]
    assert [(each.data, each.is_key) for each in made] == [(b"\x00key", True), (b"\x01next", False)]


def test_a_gap_that_stays_is_left_behind_at_the_next_whole_picture():
    frames = Frames()
    made = [*frames.add(heard(0, b"\x10\x00a"))]
    for number in range(2, 200):
        made += frames.add(heard(number, b"\x10\x00k" if number == 150 else b"\x10\x01p"))
    assert [each.data[1:] for each in made[:2]] == [b"a", b"k"]
    assert len(made) == 51

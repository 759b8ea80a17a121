"""Rooms of consultations under abuse (rows 109 to 119 of the catalogue, what is not about packets)."""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import count

import pytest

from telesession.conversation import LARGEST_FILE
from telesession.room import MOST_PARTICIPANTS
from tests.serving import outcome
from tests.telesession.ward import Reader, Ward, until, ward

NUMBERS = count(1)


@pytest.fixture(scope="module")
def place() -> Iterator[Ward]:
    with ward() as made:
        yield made


@pytest.fixture
def session(place: Ward) -> str:
    place.clock.ahead += 3600
    name = place.encounter(f"abused-{next(NUMBERS)}")
    place.join("doctor", name, role="host")
    return name


def answers_well(place: Ward, session: str) -> None:
    """The next good request is answered at once."""
    started = time.monotonic()
    assert place.call("doctor", "GET", session).status_code == 200
    assert time.monotonic() - started < 1


def test_row_109_no_token_or_one_of_another_room(place: Ward, session: str):
    other = place.encounter(f"{session}-other")
    token = place.guest(session)
    outcome(place.call("", "GET", session, authorization="Basic eDp5"), 401, "login")
    outcome(place.call("nhg_" + "x" * 43, "GET", session), 401, "unknown")
    for method, path in (("POST", "/participants"), ("GET", "/events"), ("POST", "/end"), ("GET", "/review")):
        outcome(place.call(token, method, f"{other}{path}", {}), 404, "not-found")
    place.clock.ahead += 7 * 3600
    outcome(place.call(token, "POST", f"{session}/participants", {}), 401, "expired")


def test_row_110_a_guest_before_admission_and_after_the_end(place: Ward, session: str):
    made = place.call("doctor", "POST", f"{session}/invitations", {}).json()
    token = place.call("", "POST", f"{session}/guests", {"code": made["code"]}).json()["token"]
    me = place.join(token, session)
    assert me["state"] == "waiting"
    for path in ("messages", "review", "quality"):
        outcome(place.call(token, "GET", f"{session}/{path}"), 409, "conflict")
    outcome(place.decide(token, session, me["id"], "admit"), 403, "forbidden")
    outcome(place.call("", "POST", f"{session}/guests", {"code": made["code"]}), 410, "expired")
    place.call("doctor", "POST", f"{session}/end")
    outcome(place.call(token, "POST", f"{session}/participants", {}), 410, "deleted")


def test_row_111_guessing_a_guests_code(place: Ward, session: str):
    answers = [
        place.call("", "POST", f"{session}/guests", {"code": f"guess{number:011}"}, x_forwarded_for=f"10.0.0.{number}")
        for number in range(60)
    ]
    assert {each.status_code for each in answers} == {404, 429}
    outcome(answers[-1], 429, "throttled")
    answers_well(place, session)


def test_row_113_nobody_speaks_or_decides_for_others(place: Ward, session: str):
    second = place.join("second", session, role="expert")
    said = place.call("second", "POST", f"{session}/messages", {"text": "x", "sender": "Practitioner/doctor"}).json()
    kept = place.get("worker", f"Communication/{said['id']}").json()
    assert kept["sender"]["reference"] == "Practitioner/second"
    host = place.room("doctor", session)["me"]["id"]
    outcome(place.decide("second", session, host, "mute"), 403, "forbidden")
    outcome(place.call("second", "DELETE", f"{session}/participants/{host}"), 403, "forbidden")
    spoofed = place.call("second", "POST", f"{session}/messages", {"text": "y"}, x_participant=host).json()
    assert spoofed["name"] == "Bs. second"
    assert second["role"] == "expert"


def test_row_115_many_joins_and_a_full_room(place: Ward, session: str):
    codes = [place.join("doctor", session)["id"] for _ in range(5)]
    assert len(set(codes)) == 1
    answers = [place.call("second", "POST", f"{session}/participants", {}) for _ in range(200)]
    assert {each.status_code for each in answers} == {201, 429}
    assert len(place.room("doctor", session)["participants"]) == 2
    assert MOST_PARTICIPANTS <= 100
    readers = [Reader(place, "doctor", session) for _ in range(6)]
    until(lambda: sum(reader.status == 200 for reader in readers) == 4)
    until(lambda: sum(reader.status == 429 for reader in readers) == 2)
    for reader in readers:
        reader.leave()
    answers_well(place, session)


def test_row_117_who_was_removed_comes_again(place: Ward, session: str):
    token = place.guest(session)
    guest = place.join(token, session)
    place.decide("doctor", session, guest["id"], "admit")
    reader = Reader(place, token, session)
    reader.sees("snapshot")
    place.decide("doctor", session, guest["id"], "remove")
    assert reader.sees("ended") == {"reason": "removed"}
    outcome(place.call(token, "POST", f"{session}/participants", {}), 403, "forbidden")
    outcome(place.call(token, "GET", f"{session}/events"), 403, "forbidden")
    outcome(place.call(token, "POST", f"{session}/participants", {"role": "host"}), 403, "forbidden")


def test_row_118_a_reader_who_takes_nothing_in_holds_nobody_up(place: Ward, session: str):
    stuck = Reader(place, "doctor", session, reads=False)
    place.join("worker", session)
    reader = Reader(place, "worker", session)
    reader.sees("snapshot")
    for number in range(15):
        place.call("worker", "POST", f"{session}/messages", {"text": str(number)})
    until(lambda: [each["text"] for each in reader.of("chat")] == [str(number) for number in range(15)])
    answers_well(place, session)
    reader.leave()
    stuck.leave()
    # A consultation that is opened again has one Encounter and one place for each.
    assert len(place.room("doctor", session)["participants"]) == 2


@pytest.mark.parametrize(
    ("kind", "data", "status", "code"),
    [("text/html", b"<img onerror=alert(1)>", 415, "not-supported"), ("application/pdf", b"MZ", 415, "not-supported"),
     ("image/png", bytes(LARGEST_FILE + 1), 413, "too-long")],
)  # fmt: skip
def test_row_119_files_that_harm(place: Ward, session: str, kind: str, data: bytes, status: int, code: str):
    outcome(place.call("doctor", "POST", f"{session}/files", data, content_type=kind), status, code)
    answers_well(place, session)


def test_row_119_a_file_of_two_gigabytes_is_refused_by_its_head(place: Ward, session: str):
    answer = place.call("doctor", "POST", f"{session}/files", b"%PDF-", content_type="application/pdf",
                        content_length="2000000000")  # fmt: skip
    outcome(answer, 413, "too-long")


def test_what_people_do_is_in_the_ledger(place: Ward, session: str):
    token = place.guest(session)
    guest = place.join(token, session)
    place.decide("doctor", session, guest["id"], "admit")
    place.call("doctor", "POST", f"{session}/end")

    def told() -> set[str]:
        bundle = place.get("admin", f"AuditEvent?entity=Encounter/{session}&_count=200").json()
        events = [entry["resource"] for entry in bundle.get("entry", [])]
        return {each["subtype"][0]["code"] for each in events if each["outcome"] == "0"}

    wanted = {"session-join", "session-invite", "session-admit", "session-end"}
    until(lambda: wanted <= told(), str(told()))

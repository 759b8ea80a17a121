"""Rooms over HTTP: several people at one consultation."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

import pytest

from tests.serving import outcome
from tests.telesession.ward import Reader, Ward, until, ward

NUMBERS = count(1)


@pytest.fixture(scope="module")
def place() -> Iterator[Ward]:
    with ward() as made:
        yield made


@pytest.fixture
def session(place: Ward) -> str:
    return place.encounter(f"visit-{next(NUMBERS)}")


def test_a_visit_from_the_waiting_room_to_the_end(place: Ward, session: str):
    may = place.join("may", session)
    assert (may["state"], may["role"], may["position"]) == ("waiting", "patient", 1)
    until(lambda: place.status_of(session) == "arrived")
    host = place.join("doctor", session, role="host")
    assert (host["state"], host["name"]) == ("in-session", "Bs. doctor")
    seen = place.room("doctor", session)
    assert [each["id"] for each in seen["queue"]["waiting"]] == [may["id"]]
    reader = Reader(place, "may", session)
    reader.sees("snapshot", lambda told: told["hostPresent"] and told["participants"] == [])
    assert place.decide("doctor", session, may["id"], "admit").status_code == 200
    reader.sees("roster", lambda told: len(told["participants"]) == 2)
    assert place.room("may", session)["me"]["state"] == "in-session"
    until(lambda: place.status_of(session) == "in-progress")
    assert place.call("doctor", "POST", f"{session}/end").json()["state"] == "ended"
    assert reader.sees("ended") == {"reason": "ended"}
    reader.done.result(10)
    until(lambda: place.status_of(session) == "finished")
    body = place.get("", f"Encounter/{session}").json()
    assert [each["status"] for each in body["statusHistory"]] == ["planned", "arrived", "in-progress"]
    named = [each["individual"] for each in body["participant"]]
    assert {"reference": "Practitioner/doctor", "display": "Bs. doctor"} in named
    assert all("end" in each["period"] for each in body["participant"])
    outcome(place.call("may", "POST", f"{session}/participants", {}), 410, "deleted")


@pytest.mark.parametrize("who", ["stranger", "official", "other"])
@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", ""), ("POST", "/participants"), ("GET", "/events"), ("POST", "/end"), ("GET", "/messages"),
     ("POST", "/invitations"), ("PATCH", "/participants/x")],
)  # fmt: skip
def test_a_session_is_not_there_for_strangers(place: Ward, who: str, method: str, path: str):
    name = place.encounter("closed-door")
    seen, missing = (place.call(who, method, f"{each}{path}", {}) for each in (name, "no-such"))
    assert outcome(seen, 404, "not-found") == outcome(missing, 404, "not-found")


def test_who_says_nothing_or_has_no_scope_is_refused(place: Ward, session: str):
    outcome(place.call("nobody-known", "GET", session), 401, "login")
    answer = place.call("narrow", "GET", session)
    outcome(answer, 403, "forbidden")
    assert "insufficient_scope" in answer.headers["www-authenticate"]
    outcome(place.call("doctor", "GET", f"{session}?access_token=x"), 400, "invalid")


def test_an_encounter_that_is_not_remote_has_no_session(place: Ward):
    ambulatory = {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "AMB"}
    body = {"resourceType": "Encounter", "id": "in-person", "status": "planned", "class": ambulatory,
            "subject": {"reference": "Patient/may"}}  # fmt: skip
    place.put("his", body)
    outcome(place.call("doctor", "GET", "in-person"), 404, "not-found")


def test_several_doctors_share_one_queue_in_its_order(place: Ward, session: str):
    place.join("doctor", session, role="host")
    place.join("second", session, role="expert")
    tokens = [place.guest(session, role=role) for role in ("guest", "relative", "interpreter")]
    ids = [place.join(token, session, display=f"Khách {number}")["id"] for number, token in enumerate(tokens)]
    assert place.room(tokens[2], session)["queue"] == {"length": 3, "position": 3}
    assert place.decide("second", session, ids[1], "admit").status_code == 200
    assert place.room(tokens[2], session)["queue"] == {"length": 2, "position": 2}
    waiting = place.room("doctor", session)["queue"]["waiting"]
    assert [(each["id"], each["position"]) for each in waiting] == [(ids[0], 1), (ids[2], 2)]
    outcome(place.decide("second", session, ids[1], "admit"), 409, "conflict")
    assert place.decide("doctor", session, ids[0], "refuse").json()["state"] == "left"
    outcome(place.call(tokens[0], "POST", f"{session}/participants", {}), 403, "forbidden")


def test_who_may_decide_is_said_by_the_role(place: Ward, session: str):
    place.join("doctor", session, role="host")
    other = place.join("second", session, role="expert")
    may = place.join("may", session)
    outcome(place.decide("may", session, other["id"], "mute"), 409, "conflict")
    outcome(place.decide("second", session, other["id"], "role", role="host"), 403, "forbidden")
    outcome(place.decide("doctor", session, may["id"], "role", role="host"), 403, "forbidden")
    outcome(place.decide("doctor", session, may["id"], "dance"), 400, "invalid")
    outcome(place.decide("doctor", session, "nobody", "mute"), 404, "not-found")
    assert place.decide("doctor", session, other["id"], "role", role="chair").json()["role"] == "chair"
    assert place.decide("doctor", session, other["id"], "mute").json()["isMuted"]
    outcome(place.decide("doctor", session, other["id"], "unmute"), 403, "forbidden")
    outcome(place.call("second", "POST", f"{session}/participants", {"role": "patient"}), 403, "forbidden")


def test_nobody_leaves_for_others(place: Ward, session: str):
    host = place.join("doctor", session, role="host")
    second = place.join("second", session, role="expert")
    outcome(place.call("second", "DELETE", f"{session}/participants/{host['id']}"), 403, "forbidden")
    assert place.call("second", "DELETE", f"{session}/participants/{second['id']}").status_code == 204
    assert place.join("second", session)["state"] == "in-session"


def test_a_client_that_goes_away_keeps_its_place_and_comes_back(place: Ward, session: str):
    place.join("doctor", session, role="host")
    place.join("second", session, role="expert")
    reader = Reader(place, "second", session)
    host = Reader(place, "doctor", session)
    reader.sees("snapshot")
    reader.leave()
    dropped = host.sees("roster", lambda told: any(each["state"] == "dropped" for each in told["participants"]))
    assert {each["role"] for each in dropped["participants"]} == {"host", "expert"}
    until(lambda: place.status_of(session) == "onleave")
    again = Reader(place, "second", session)
    again.sees("snapshot", lambda told: told["me"]["state"] == "in-session")
    until(lambda: place.status_of(session) == "in-progress")
    again.leave()
    host.leave()


def test_a_stream_goes_on_after_the_last_event_that_was_read(place: Ward, session: str):
    place.join("doctor", session, role="host")
    reader = Reader(place, "doctor", session)
    reader.sees("snapshot")
    place.call("doctor", "POST", f"{session}/messages", {"text": "một"})
    reader.sees("chat")
    last = reader.events[-1][0]
    reader.leave()
    place.call("doctor", "POST", f"{session}/messages", {"text": "hai"})
    resumed = Reader(place, "doctor", session, last)
    assert resumed.sees("chat")["text"] == "hai"
    assert not resumed.of("snapshot")
    resumed.leave()
    lost = Reader(place, "doctor", session, "another-9")
    lost.sees("snapshot")
    lost.leave()


def test_a_reader_who_is_removed_or_whose_token_is_revoked_reads_no_more(place: Ward, session: str):
    place.join("doctor", session, role="host")
    second = place.join("second", session, role="expert")
    removed = Reader(place, "second", session)
    removed.sees("snapshot")
    place.decide("doctor", session, second["id"], "remove")
    assert removed.sees("ended") == {"reason": "removed"}
    outcome(place.call("second", "POST", f"{session}/participants", {}), 403, "forbidden")
    outcome(place.call("second", "GET", f"{session}/events"), 403, "forbidden")
    worker = place.join("worker", session)
    assert worker["role"] == "host"
    revoked = Reader(place, "worker", session)
    revoked.sees("snapshot")
    known = place.table.callers.pop("worker")
    try:
        assert revoked.sees("ended") == {"reason": "refused"}
    finally:
        place.table.callers["worker"] = known


def test_a_session_whose_encounter_is_finished_ends(place: Ward, session: str):
    place.join("doctor", session, role="host")
    reader = Reader(place, "doctor", session)
    reader.sees("snapshot")
    body = place.get("his", f"Encounter/{session}").json()
    place.put("his", {**body, "status": "cancelled"})
    assert reader.sees("ended") == {"reason": "closed"}
    assert place.status_of(session) == "cancelled"


def test_a_full_queue_of_joins_is_throttled(place: Ward, session: str):
    answers = [place.call("doctor", "POST", f"{session}/participants", {"role": "host"}) for _ in range(40)]
    assert {each.status_code for each in answers} == {201, 429}
    outcome(answers[-1], 429, "throttled")
    assert len(place.room("doctor", session)["participants"]) == 1


@pytest.mark.parametrize("body", [b"{", b"[]", b'{"role": 3}', b'"x"', b"\xff", b'{"role": "' + b"x" * 70_000 + b'"}'])
def test_a_body_that_cannot_be_read_is_refused(place: Ward, session: str, body: bytes):
    answer = place.call("worker", "POST", f"{session}/participants", body)
    assert answer.status_code in (400, 413)
    assert answer.json()["issue"][0]["details"]["text"]

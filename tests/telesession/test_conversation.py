"""What is said, given, shown and thought in a session, over HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from typing import Any

import pytest

from telesession.conversation import LARGEST_FILE
from tests.serving import outcome
from tests.telesession.ward import UID, Reader, Ward, until, ward

NUMBERS = count(1)
PNG = b"\x89PNG\r\n\x1a\n" + b"x" * 20
SCRIPT = "<img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def place() -> Iterator[Ward]:
    with ward() as made:
        yield made


@pytest.fixture
def session(place: Ward) -> str:
    """A session that a doctor of the hub, a worker of the station and the patient are in."""
    place.clock.ahead += 60  # what is counted of them is over
    name = place.encounter(f"talk-{next(NUMBERS)}")
    place.join("doctor", name, role="host")
    place.join("worker", name, role="presenter")
    may = place.join("may", name)
    assert place.decide("doctor", name, may["id"], "admit").status_code == 200
    return name


def say(place: Ward, who: str, session: str, text: Any) -> Any:
    return place.call(who, "POST", f"{session}/messages", {"text": text})


def test_what_is_said_is_told_and_kept_as_a_communication(place: Ward, session: str):
    reader = Reader(place, "worker", session)
    reader.sees("snapshot")
    said = say(place, "may", session, SCRIPT)
    assert said.status_code == 201
    assert reader.sees("chat")["text"] == SCRIPT
    reader.leave()
    kept = place.get("worker", f"Communication/{said.json()['id']}").json()
    assert kept["payload"] == [{"contentString": SCRIPT}]
    assert kept["sender"]["reference"] == "Patient/may"
    assert kept["encounter"] == {"reference": f"Encounter/{session}"}
    messages = place.call("doctor", "GET", f"{session}/messages").json()["messages"]
    assert [each["text"] for each in messages] == [SCRIPT]
    assert place.get("stranger", f"Communication/{said.json()['id']}").status_code == 404


def test_who_waits_hears_nothing(place: Ward, session: str):
    token = place.guest(session)
    place.join(token, session, display="Khách")
    waiting = Reader(place, token, session)
    waiting.sees("snapshot", lambda told: told["participants"] == [])
    say(place, "doctor", session, "bí mật")
    outcome(say(place, token, session, "tôi đây"), 409, "conflict")
    outcome(place.call(token, "GET", f"{session}/messages"), 409, "conflict")
    outcome(place.call(token, "GET", f"{session}/review"), 409, "conflict")
    place.room(token, session)
    waiting.leave()
    assert "bí mật" not in repr(waiting.events)


@pytest.mark.parametrize("text", ["", "   ", 3, None, "a\x00b", "x" * 4001])
def test_what_is_no_message_is_refused(place: Ward, session: str, text: Any):
    assert say(place, "doctor", session, text).status_code in (400, 413)


def test_chatter_is_throttled(place: Ward, session: str):
    answers = [say(place, "worker", session, f"{number}") for number in range(30)]
    assert {each.status_code for each in answers} == {201, 429}


def test_a_file_is_kept_beside_the_record(place: Ward, session: str):
    reader = Reader(place, "doctor", session)
    reader.sees("snapshot")
    given = place.call("worker", "POST", f"{session}/files?title=Ph%C3%A1t%20ban.png", PNG, content_type="image/png")
    assert given.status_code == 201, given.text
    told = reader.sees("file")
    reader.leave()
    assert told["title"] == "Phát ban.png"
    document = place.get("worker", told["document"]).json()
    attachment = document["content"][0]["attachment"]
    assert (attachment["contentType"], attachment["size"]) == ("image/png", len(PNG))
    assert place.get("worker", attachment["url"], accept="image/png").content == PNG
    assert place.get("stranger", attachment["url"]).status_code == 404
    assert place.get("other", attachment["url"]).status_code == 404


@pytest.mark.parametrize(
    ("kind", "data", "status", "code"),
    [
        ("text/html", b"<script>", 415, "not-supported"),
        ("image/svg+xml", b"<svg>", 415, "not-supported"),
        ("image/png", b"<html>", 415, "not-supported"),
        ("text/plain", b"\xff\xfe", 415, "not-supported"),
        ("image/png", b"", 400, "invalid"),
        ("application/pdf", b"%PDF-" + bytes(LARGEST_FILE), 413, "too-long"),
    ],
)
def test_a_file_that_is_not_taken_is_refused(place: Ward, session: str, kind: str, data: bytes, status: int, code: str):
    outcome(place.call("worker", "POST", f"{session}/files", data, content_type=kind), status, code)


def test_a_poor_line_has_sound_only_until_it_is_good_or_its_owner_wants_pictures(place: Ward, session: str):
    poor = {"lost": 0.3, "availableKbps": 60}
    assert place.call("worker", "POST", f"{session}/quality", poor).status_code == 204
    assert place.room("worker", session)["me"]["soundOnly"] is None
    place.clock.ahead += 4
    place.call("worker", "POST", f"{session}/quality", poor)
    assert "network" in place.room("doctor", session)["participants"][1]["soundOnly"]
    told = place.call("doctor", "GET", f"{session}/quality").json()["quality"]
    assert told[0]["lost"] == 0.3
    me = place.room("worker", session)["me"]["id"]
    assert place.decide("worker", session, me, "video", mode="on").json()["soundOnly"] is None
    outcome(place.decide("doctor", session, me, "video", mode="off"), 403, "forbidden")
    outcome(place.decide("worker", session, me, "video", mode="dim"), 400, "invalid")


@pytest.mark.parametrize("figures", [{}, {"lost": 2}, {"lost": "much"}, {"lost": True}, {"sentKbps": -1}])
def test_figures_that_are_none_are_refused(place: Ward, session: str, figures: dict[str, Any]):
    outcome(place.call("worker", "POST", f"{session}/quality", figures), 400, "invalid")


def test_what_people_thought_is_kept_after_the_end(place: Ward, session: str):
    may = place.room("may", session)["me"]
    place.call("may", "GET", f"{session}/review")
    reader = Reader(place, "may", session)
    reader.sees("snapshot")
    place.call("doctor", "POST", f"{session}/end")
    reader.sees("ended")
    answer = place.call("may", "POST", f"{session}/survey", {"rating": 4, "issues": ["freezes"], "text": "Tốt"})
    assert answer.status_code == 201, answer.text
    kept = place.get("may", f"QuestionnaireResponse/{answer.json()['id']}").json()
    assert [each["linkId"] for each in kept["item"]] == ["rating", "issues", "text"]
    assert kept["encounter"]["reference"] == f"Encounter/{session}"
    outcome(place.call("may", "POST", f"{session}/survey", {"rating": 9}), 400, "invalid")
    outcome(place.call("second", "POST", f"{session}/survey", {"rating": 5}), 403, "forbidden")
    assert may["role"] == "patient"


def gesture(place: Ward, who: str, session: str, **event: Any) -> Any:
    return place.call(who, "POST", f"{session}/review", event)


def test_a_study_is_shown_only_to_whom_it_may_be_and_late_comers_see_what_is_shown(place: Ward, session: str):
    token = place.guest(session, role="interpreter")
    guest = place.join(token, session, display="Phiên dịch")
    place.decide("doctor", session, guest["id"], "admit")
    reader, eavesdropper = Reader(place, "worker", session), Reader(place, token, session)
    reader.sees("snapshot")
    eavesdropper.sees("snapshot", lambda told: told["me"]["state"] == "in-session")
    outcome(gesture(place, "doctor", session, type="open", study=UID), 403, "forbidden")
    assert gesture(place, "doctor", session, type="present").status_code == 200
    outcome(gesture(place, "doctor", session, type="open", study="1.2.3"), 404, "not-found")
    assert gesture(place, "doctor", session, type="open", study=UID).json()["study"] == UID
    assert gesture(place, "doctor", session, type="window", center=40, width=400).status_code == 200
    mark = {"instance": "1.2.3", "shape": "arrow", "points": [[1, 2], [3, 4]], "text": "đây"}
    assert gesture(place, "worker", session, type="annotate", id="m1", **mark).status_code == 200
    assert gesture(place, "doctor", session, type="cursor", instance="1.2.3", x=0.5, y=0.25).status_code == 204
    told = reader.sees("review", lambda each: each["annotations"])
    assert (told["study"], told["window"]) == (UID, {"center": 40, "width": 400})
    assert told["annotations"][0]["name"] == "Bs. worker"
    assert reader.sees("cursor")["name"] == "Bs. doctor"
    eavesdropper.sees("review", lambda each: each.get("hidden"))
    outcome(gesture(place, token, session, type="cursor", instance="1.2.3", x=1, y=1), 404, "not-found")
    reader.leave()
    eavesdropper.leave()
    assert UID not in repr(eavesdropper.events)
    place.join("second", session)
    late = Reader(place, "second", session)
    assert late.sees("snapshot")["review"]["annotations"][0]["text"] == "đây"
    late.leave()
    place.call("doctor", "POST", f"{session}/end")
    query = f"DocumentReference?encounter=Encounter/{session}&type=annotations"
    until(lambda: place.get("worker", query).json()["total"] == 1)
    found = place.get("worker", query).json()["entry"][0]["resource"]
    kept = place.get("worker", found["content"][0]["attachment"]["url"], accept="*/*").json()
    assert kept["annotations"][0]["text"] == "đây"


@pytest.mark.parametrize(
    "event",
    [{}, {"type": "explode"}, {"type": "open", "study": "x"}, {"type": "window", "center": "a", "width": 1},
     {"type": "window", "center": float("1e300"), "width": 1}, {"type": "annotate", "shape": "arrow"},
     {"type": "annotate", "id": "../x", "shape": "arrow", "instance": "1.2", "points": [[1, 2]]},
     {"type": "annotate", "shape": "text", "instance": "1.2", "points": [[1, 2]], "text": "x" * 501},
     {"type": "annotate", "shape": "text", "instance": "1.2", "points": [[1]] * 3},
     {"type": "viewport", "x": [1]}],
)  # fmt: skip
def test_an_event_that_is_none_is_refused(place: Ward, session: str, event: dict[str, Any]):
    gesture(place, "worker", session, type="present")
    gesture(place, "worker", session, type="open", study=UID)
    assert place.call("worker", "POST", f"{session}/review", event).status_code in (400, 404)

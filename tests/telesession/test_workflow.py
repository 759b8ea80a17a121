"""A consultation by its operations: the ordinary course, and what is refused."""

from collections.abc import Iterator
from typing import Any

import pytest

from telesession.consultation import KINDS
from telesession.extension import telesession
from tests.access.world import consent, for_hub, to
from tests.serving import outcome, serving
from tests.telesession.world import END, FACTS, START, Country, at, link, service_request, text


@pytest.fixture(scope="module", params=["sqlite", "mongodb"])
def world(request: pytest.FixtureRequest) -> Iterator[Country]:
    chosen: dict[str, Any] = {}
    if request.param == "mongodb":
        chosen["mongodb"] = request.getfixturevalue("mongodb")
    with serving(organization="node", extensions=[telesession], tele_unsigned=KINDS, **chosen) as served:
        country = Country(served)
        country.people()
        yield country


def test_a_consultation_goes_from_request_to_close(world: Country):
    request = world.request()
    assert world.state(request, "his")["state"] == "draft"
    sent = world.happen("his", request, "submit")
    assert sent["state"] == "requested"
    assert world.get("coordinator", "Patient/may").status_code == 404
    assert world.happen("coordinator", request, "accept")["state"] == "accepted"
    assert world.get("doctor", "Patient/may").status_code == 200
    booked = world.happen("coordinator", request, "book", *FACTS["book"])
    assert booked["state"] == "booked"
    appointment = world.get("his", booked["appointment"]).json()
    assert (appointment["status"], appointment["start"], appointment["end"]) == ("booked", START, END)
    encounter = world.get("his", booked["encounter"]).json()
    assert (encounter["status"], encounter["class"]["code"]) == ("planned", "VR")
    assert encounter["type"][0]["coding"][0]["code"] == "14"
    assert world.happen("doctor", request, "start")["state"] == "in-progress"
    assert world.happen("doctor", request, "finish")["state"] == "finished"
    encounter = world.get("doctor", booked["encounter"]).json()
    assert [each["status"] for each in encounter["statusHistory"]] == ["planned", "in-progress"]
    assert encounter["period"].keys() == {"start", "end"}
    closed = world.happen("coordinator", request, "close")
    assert (closed["state"], closed["allowed"]) == ("closed", [])
    assert world.get("doctor", "Patient/may").status_code == 404
    assert world.get("his", f"ServiceRequest/{request}").json()["status"] == "completed"
    assert world.get("his", booked["appointment"]).json()["status"] == "fulfilled"


def test_what_is_not_allowed_is_refused_with_what_is(world: Country):
    request = world.request()
    told = outcome(world.tell("his", request, "start"), 409, "conflict")
    assert "submit" in told["diagnostics"]
    world.happen("his", request, "submit")
    told = outcome(world.tell("his", request, "accept"), 403, "forbidden")
    assert "cancel" in told["diagnostics"]
    told = outcome(world.tell("coordinator", request, "reject"), 422, "required")
    assert "reason" in told["details"]["text"]
    outcome(world.tell("coordinator", request, "ask", text("query", "?")), 400, "invalid")


def test_who_does_not_see_the_request_finds_none(world: Country):
    request = world.request()
    outcome(world.tell("stranger", request, "accept"), 404, "not-found")
    outcome(world.get("stranger", f"ServiceRequest/{request}/$tele-state"), 404, "not-found")


def test_questions_are_answered(world: Country):
    request = world.request()
    world.through(request, "submit")
    assert world.happen("coordinator", request, "ask", *FACTS["ask"])["state"] == "asked"
    image = world.post("his", {"resourceType": "ImagingStudy", "status": "available", "subject": to("Patient/may")})
    more = link("info", f"ImagingStudy/{image['id']}")
    assert world.happen("his", request, "answer", text("answer", "Đã chụp"), more)["state"] == "requested"
    known = world.get("his", f"ServiceRequest/{request}").json()["supportingInfo"]
    assert [each["reference"] for each in known] == [f"ImagingStudy/{image['id']}"]
    task = world.get("his", world.state(request)["task"]).json()
    assert [note["text"] for note in task["note"]] == ["Xét nghiệm máu?", "Đã chụp"]


def test_another_hub_may_be_asked_after_a_refusal(world: Country):
    request = world.request()
    world.through(request, "submit", "reject")
    world.happen("his", request, "submit", link("owner", "Organization/elsewhere"))
    outcome(world.tell("coordinator", request, "accept"), 404, "not-found")
    assert world.happen("his-elsewhere", request, "accept")["state"] == "accepted"


def test_a_repeated_message_changes_nothing(world: Country):
    request = world.request()
    message = {"name": "message", "valueId": "m-1"}
    world.happen("his", request, "submit", message)
    world.happen("coordinator", request, "ask", *FACTS["ask"], {"name": "message", "valueId": "m-2"})
    world.happen("his", request, "answer", *FACTS["answer"], {"name": "message", "valueId": "m-3"})
    again = world.happen("coordinator", request, "ask", *FACTS["ask"], {"name": "message", "valueId": "m-2"})
    assert (again["state"], again["changed"]) == ("requested", [])
    assert world.happen("his", request, "submit")["changed"] == []


def test_a_booked_session_is_moved_and_cancelled(world: Country):
    request = world.request()
    world.through(request, "submit", "accept", "book")
    other = at("2026-12-03T09:00:00+07:00", "2026-12-03T10:00:00+07:00")
    told = outcome(world.tell("coordinator", request, "book", *other), 409, "conflict")
    assert "reschedule" in told["diagnostics"]
    assert world.happen("coordinator", request, "reschedule", *other)["state"] == "booked"
    cancelled = world.happen("his", request, "cancel", *FACTS["cancel"])
    assert cancelled["state"] == "cancelled"
    found = world.get("his", f"Appointment?based-on=ServiceRequest/{request}").json()["entry"]
    assert [each["resource"]["status"] for each in found] == ["cancelled"]


@pytest.mark.parametrize(
    ("activity", "left_out", "lacking"),
    [
        ("HCTV-KCB", "reasonCode", "question"),
        ("HC-CDHA", "", "images"),
        ("HCTV-KCB", "performer", "Organization"),
        ("DTCG", "", "Group"),
    ],
)
def test_a_request_says_what_its_kind_demands(world: Country, activity: str, left_out: str, lacking: str):
    made = service_request(activity, **{left_out or "id": None})
    request = str(world.post("his", made)["id"])
    answer = world.tell("his", request, "submit")
    assert lacking in outcome(answer, 422, "required")["details"]["text"]


def test_a_further_site_sees_the_record_while_it_takes_part(world: Country):
    provision = for_hub()
    provision["actor"][0]["reference"] = to("Organization/elsewhere")
    patient = str(world.post("his", {"resourceType": "Patient"})["id"])
    world.put("his", consent("sharing-with-site", patient, provision))
    request = world.request(subject=to(f"Patient/{patient}"))
    world.through(request, "submit", "accept")
    assert world.get("stranger", f"Patient/{patient}").status_code == 404
    times = at("2026-12-08T09:00:00Z", "2026-12-08T10:00:00Z")
    booked = world.happen("coordinator", request, "book", *times, link("site", "Organization/elsewhere"))
    assert world.get("stranger", f"Patient/{patient}").status_code == 200
    assert world.get("stranger", booked["encounter"]).json()["status"] == "planned"
    world.through(request, "start", "finish", "close")
    assert world.get("stranger", f"Patient/{patient}").status_code == 404
    assert world.get("stranger", booked["appointment"]).json()["status"] == "fulfilled"

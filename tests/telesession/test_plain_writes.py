"""A consultation by plain FHIR calls: what they imply is completed, what the table does not have is refused."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from fhir_server import extension
from telesession.consultation import KINDS
from telesession.extension import telesession
from tests.access.world import to
from tests.serving import outcome, serving
from tests.telesession.world import END, START, Country, service_request

Json = dict[str, Any]


@pytest.fixture(scope="module")
def world() -> Iterator[Country]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(extension, "SECONDS_BETWEEN_LOOKS", 0.02)
        with serving(organization="node", extensions=[telesession], tele_unsigned=KINDS) as served:
            country = Country(served)
            country.people()
            yield country


def until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.02)


def task(request: str, **more: Any) -> Json:
    made = {
        "resourceType": "Task",
        "status": "requested",
        "intent": "order",
        "focus": to(f"ServiceRequest/{request}"),
        "for": to("Patient/may"),
        "owner": to("Organization/hub"),
        "authoredOn": "2026-11-23T08:00:00+07:00",
    }
    return {**made, **more}


def appointment(request: str, **more: Any) -> Json:
    made = {
        "resourceType": "Appointment",
        "status": "booked",
        "start": START,
        "end": END,
        "basedOn": [to(f"ServiceRequest/{request}")],
        "participant": [{"actor": to("Patient/may"), "status": "accepted"}],
    }
    return {**made, **more}


def change(world: Country, caller: str, path: str, **members: Any) -> Any:
    body = {**world.get(caller, path).json(), **members}
    return world.ask(caller, "PUT", path, body, if_match=f'W/"{body["meta"]["versionId"]}"')


def sent(world: Country) -> tuple[str, str]:
    """A request that is with the hub, and its Task."""
    request = str(world.post("his", service_request(status="active"))["id"])
    return request, f"Task/{world.post('his', task(request))['id']}"


def test_a_consultation_by_plain_calls_alone(world: Country):
    request, its_task = sent(world)
    assert world.state(request)["state"] == "requested"
    assert change(world, "coordinator", its_task, status="accepted").status_code == 200
    booked = world.post("coordinator", appointment(request, start="2026-12-05T09:00:00Z", end="2026-12-05T10:00:00Z"))
    until(lambda: world.get("his", f"Encounter?based-on=ServiceRequest/{request}").json().get("entry") is not None)
    encounter = world.get("his", f"Encounter?based-on=ServiceRequest/{request}").json()["entry"][0]["resource"]
    assert encounter["status"] == "planned"
    assert world.get("his", f"Appointment/{booked['id']}").json()["extension"]
    path = f"Encounter/{encounter['id']}"
    assert change(world, "his", path, status="in-progress").status_code == 200
    until(lambda: world.get("his", its_task).json()["status"] == "in-progress")
    assert change(world, "his", path, status="finished").status_code == 200
    until(lambda: world.get("his", f"Appointment/{booked['id']}").json()["status"] == "fulfilled")
    assert world.get("doctor", "Patient/may").status_code == 200
    assert change(world, "coordinator", its_task, status="completed").status_code == 200
    until(lambda: world.get("his", f"ServiceRequest/{request}").json()["status"] == "completed")
    assert world.get("doctor", "Patient/may").status_code == 404
    assert world.state(request)["state"] == "closed"


def test_a_step_that_the_table_does_not_have_is_refused(world: Country):
    request, its_task = sent(world)
    told = outcome(change(world, "coordinator", its_task, status="completed"), 409, "conflict")
    assert "accept" in told["diagnostics"]
    outcome(change(world, "his", its_task, status="accepted"), 403, "forbidden")
    outcome(change(world, "his", f"ServiceRequest/{request}", status="completed"), 409, "conflict")
    outcome(world.ask("coordinator", "POST", "Appointment", appointment(request)), 409, "conflict")
    encounter = {"resourceType": "Encounter", "status": "in-progress", "basedOn": [to(f"ServiceRequest/{request}")],
                 "class": {"code": "VR"}, "subject": to("Patient/may")}  # fmt: skip
    outcome(world.ask("his", "POST", "Encounter", encounter), 409, "conflict")


def test_a_request_is_with_one_hub(world: Country):
    request, its_task = sent(world)
    outcome(world.ask("his", "POST", "Task", task(request)), 409, "conflict")
    assert change(world, "coordinator", its_task, status="rejected").status_code == 200
    answers = world.served.ask_together([
        ("POST", "Task", task(request), {"authorization": "Bearer his"}) for _ in range(12)
    ])  # fmt: skip
    assert sorted(answer.status_code for answer in answers) == [201] + [409] * 11


def test_what_is_under_way_is_not_deleted(world: Country):
    _, its_task = sent(world)
    assert change(world, "coordinator", its_task, status="accepted").status_code == 200
    outcome(world.ask("his", "DELETE", its_task), 409, "business-rule")


def test_a_request_that_is_taken_back_ends_everything(world: Country):
    request = world.request()
    world.through(request, "submit", "accept")
    booked = world.happen("coordinator", request, "book", *LATER)
    assert change(world, "his", f"ServiceRequest/{request}", status="revoked").status_code == 200
    until(lambda: world.get("his", booked["task"]).json()["status"] == "cancelled")
    assert world.get("his", booked["appointment"]).json()["status"] == "cancelled"
    assert world.get("his", booked["encounter"]).json()["status"] == "cancelled"


LATER = [
    {"name": "start", "valueInstant": "2026-12-07T09:00:00Z"},
    {"name": "end", "valueInstant": "2026-12-07T10:00:00Z"},
]


def test_an_ordinary_task_goes_its_own_way(world: Country):
    plain = {"resourceType": "Task", "status": "requested", "intent": "order"}
    made = world.post("his", plain)
    assert change(world, "his", f"Task/{made['id']}", status="completed").status_code == 200

"""Emergencies ring one after the other who is on call; sessions are announced; held times are given up."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from telesession.extension import telesession
from telesession.on_call import OnCall, next_of, on_call
from telesession.vocabulary import NOTICE, TASK
from telesession.workflow import Workflow
from tests.access.world import of, to
from tests.serving import serving
from tests.telesession.world import Country, at, participant


@dataclass
class Watch:
    """A clock that the tests put forward."""

    ahead: float = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead


@pytest.fixture(scope="module")
def watch() -> Watch:
    return Watch()


@pytest.fixture(scope="module")
def world(watch: Watch) -> Iterator[Country]:
    with serving(organization="node", extensions=[telesession], clock=watch) as served:
        country = Country(served)
        country.people()
        for number, name in enumerate(["doctor", "coordinator"]):
            country.put("", of("PractitionerRole", f"role-{name}", practitioner=to(f"Practitioner/{name}"),
                               organization=to("Organization/hub")))  # fmt: skip
            kind = [{"coding": [{"system": TASK, "code": "on-call"}]}]
            horizon = {"start": f"2026-01-0{number + 1}T00:00:00Z", "end": "2036-01-01T00:00:00Z"}
            country.put("", of("Schedule", f"call-{name}", active=True, serviceType=kind, planningHorizon=horizon,
                               actor=[to(f"PractitionerRole/role-{name}")]))  # fmt: skip
        yield country


def notices(world: Country, request: str, code: str) -> list[dict[str, Any]]:
    asked = f"Communication?category={NOTICE}|{code}"
    entries = world.get("", asked).json().get("entry", [])
    found = [entry["resource"] for entry in entries]
    return [each for each in found if to(f"ServiceRequest/{request}") in each["about"]]


def look(world: Country) -> None:
    async def once() -> None:
        await OnCall(Workflow("http://node/telesession/sessions")).look(world.served.node)

    world.served.call(once)


def rung(world: Country, request: str) -> list[str]:
    return [each["recipient"][0]["reference"] for each in notices(world, request, "ring")]


def test_an_emergency_rings_the_next_on_call_after_five_minutes_until_it_is_accepted(world: Country, watch: Watch):
    request = world.request(priority="stat")
    world.through(request, "submit")
    for _ in range(3):
        look(world)
    assert rung(world, request) == ["PractitionerRole/role-doctor"]
    watch.ahead += 301
    look(world)
    look(world)
    assert sorted(rung(world, request)) == ["PractitionerRole/role-coordinator", "PractitionerRole/role-doctor"]
    world.happen("coordinator", request, "accept")
    watch.ahead += 301
    look(world)
    assert len(rung(world, request)) == 2
    assert world.happen("doctor", request, "start")["state"] == "in-progress"
    assert world.state(request)["encounter"]


def test_what_is_no_emergency_does_not_ring(world: Country):
    request = world.request()
    world.through(request, "submit")
    look(world)
    assert rung(world, request) == []


def test_a_session_is_announced_once(world: Country, watch: Watch):
    request = world.request()
    world.through(request, "submit", "accept")
    start = time.gmtime(watch() + 300)
    times = at(
        time.strftime("%Y-%m-%dT%H:%M:%SZ", start), time.strftime("%Y-%m-%dT23:59:59Z", time.gmtime(watch() + 90000))
    )
    world.happen("coordinator", request, "book", *times, participant("Practitioner/worker", "presenter"))
    for _ in range(3):
        look(world)
    (told,) = notices(world, request, "starting")
    assert {each["reference"] for each in told["recipient"]} >= {
        "Organization/hub",
        "Practitioner/worker",
        "Patient/may",
    }


def test_a_held_time_is_given_up(world: Country, watch: Watch):
    request = world.request(subject=to(f"Patient/{world.post('his', {'resourceType': 'Patient'})['id']}"))
    world.through(request, "submit", "accept")
    time_held = at("2030-01-01T09:00:00Z", "2030-01-01T10:00:00Z")
    person = participant("Practitioner/stranger", "expert")
    assert world.tell("coordinator", request, "hold", *time_held, person).status_code == 200
    other = world.request(subject=to(f"Patient/{world.post('his', {'resourceType': 'Patient'})['id']}"))
    world.through(other, "submit", "accept")
    assert world.tell("coordinator", other, "book", *time_held, person).status_code == 409
    watch.ahead += 601
    assert world.tell("coordinator", other, "book", *time_held, person).status_code == 200
    look(world)
    found = world.get("his", f"Appointment?based-on=ServiceRequest/{request}").json()["entry"]
    assert [each["resource"]["status"] for each in found] == ["cancelled"]


ROLES = [{"id": name} for name in "abc"]


def schedule(name: str, start: str, end: str = "", **more: Any) -> dict[str, Any]:
    kind = [{"coding": [{"system": TASK, "code": "on-call"}]}]
    horizon = {"start": start} | ({"end": end} if end else {})
    return {
        "id": name,
        "serviceType": kind,
        "planningHorizon": horizon,
        "actor": [to(f"PractitionerRole/{name}")],
        **more,
    }


def test_who_is_on_call_is_told_by_schedules():
    schedules = [
        schedule("b", "2026-01-02T00:00:00Z"),
        schedule("a", "2026-01-01T00:00:00Z"),
        schedule("c", "2026-01-01T00:00:00Z", "2026-01-01T01:00:00Z"),
        schedule("c", "2027-01-01T00:00:00Z"),
        schedule("c", "2026-01-01T00:00:00Z", active=False),
        schedule("unknown", "2026-01-01T00:00:00Z"),
        schedule("c", "never"),
    ]
    found = on_call(schedules, ROLES, 1_780_000_000_000)
    assert [each["reference"] for each in found] == ["PractitionerRole/a", "PractitionerRole/b"]


def test_the_first_is_rung_after_the_last():
    people = [{"reference": name} for name in "abc"]
    assert [next_of(people, last) for last in ("", "a", "b", "c", "gone")] == [
        people[0],
        people[1],
        people[2],
        people[0],
        people[0],
    ]
    assert next_of([], "a") is None

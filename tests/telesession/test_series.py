"""Regular sessions: one Appointment each, all or none, and nobody booked twice."""

from collections.abc import Iterator
from typing import Any

import pytest

from fhir_server.definitions.registry import r4
from fhir_server.package import add_installed
from fhir_server.validation.validator import Validator
from telesession.extension import telesession
from telesession.series import WEEK, series, times
from telesession.vocabulary import SERIES
from tests.serving import outcome, serving
from tests.telesession.world import Country, at, participant, text

Json = dict[str, Any]
PROFILE = "urn:nhipcau:StructureDefinition:tele-regular-session"


@pytest.fixture(scope="module")
def world() -> Iterator[Country]:
    with serving(organization="node", extensions=[series, telesession]) as served:
        country = Country(served)
        country.people()
        yield country


def plan(world: Country, day: str, count: int, *items: Json, caller: str = "his-hub") -> Any:
    chair = participant("Practitioner/doctor", "chair")
    number = {"name": "count", "valuePositiveInt": count}
    when = at(f"{day}T09:00:00Z", f"{day}T10:00:00Z")
    body = {"resourceType": "Parameters", "parameter": [*when, number, chair, *items]}
    return world.ask(caller, "POST", "Organization/hub/$tele-series", body)


def sessions(world: Country, answer: Any) -> list[Json]:
    assert answer.status_code == 200, answer.text
    items = answer.json()["parameter"]
    found = world.get("his-hub", f"Appointment?identifier={SERIES}|{items[0]['valueString']}&_sort=date").json()[
        "entry"
    ]
    assert len(found) == len(items) - 1
    return [each["resource"] for each in found]


def test_a_weekly_conference_is_a_session_each_week(world: Country):
    found = sessions(world, plan(world, "2027-03-01", 4, text("title", "Hội chẩn hằng tuần")))
    assert [each["start"][:10] for each in found] == ["2027-03-01", "2027-03-08", "2027-03-15", "2027-03-22"]
    validator = Validator(add_installed(r4().extended()), depth="full")
    for each in found:
        assert [issue.text for issue in validator.validate(each, profiles=[PROFILE]).issues if issue.is_error] == []


def test_all_sessions_are_booked_or_none(world: Country):
    request = world.request()
    world.through(request, "submit", "accept")
    chair = participant("Practitioner/doctor", "chair")
    world.happen("coordinator", request, "book", *at("2027-05-17T09:30:00Z", "2027-05-17T10:00:00Z"), chair)
    outcome(plan(world, "2027-05-03", 4), 409, "conflict")
    assert world.get("", "Appointment?date=2027-05-03").json().get("entry", []) == []
    fortnightly = {"name": "weeks", "valuePositiveInt": 2}
    outcome(plan(world, "2027-05-03", 2, fortnightly), 409, "conflict")
    assert len(sessions(world, plan(world, "2027-05-03", 2, {"name": "weeks", "valuePositiveInt": 3}))) == 2


def test_a_consultation_does_not_take_who_is_in_a_series(world: Country):
    sessions(world, plan(world, "2027-06-07", 2))
    request = world.request()
    world.through(request, "submit", "accept")
    chair = participant("Practitioner/doctor", "chair")
    told = world.tell("coordinator", request, "book", *at("2027-06-14T09:30:00Z", "2027-06-14T10:00:00Z"), chair)
    outcome(told, 409, "conflict")


@pytest.mark.parametrize(
    ("items", "code"),
    [((text("activity", "X"),), "invalid"), (({"name": "weeks", "valuePositiveInt": 53},), "invalid")],
)
def test_what_is_no_series_is_refused(world: Country, items: tuple[Json, ...], code: str):
    answer = plan(world, "2027-07-05", 2, *items)
    assert answer.status_code == 400, answer.text


def test_times_are_weeks_apart():
    assert list(times((0, 5), 2, 3)) == [(0, 5), (2 * WEEK, 2 * WEEK + 5), (4 * WEEK, 4 * WEEK + 5)]

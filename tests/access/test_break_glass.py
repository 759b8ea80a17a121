"""An emergency, from its beginning to its end an hour later, by a clock that the test holds."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from fhir_server.access.grant import MINUTES
from fhir_server.resource.instant import instant
from tests.access.world import CALLERS, World, consent, country, observation

OVER = MINUTES + 1 / 30_000
"""Two milliseconds after its last one."""
NOON = 1_795_000_000.0
EMERGENCY = {
    "resourceType": "Parameters",
    "parameter": [
        {"name": "reason", "valueCode": "ETREAT"},
        {"name": "text", "valueString": "Unconscious after an accident"},
    ],
}


class Hands:
    """A clock that goes on when it is told to."""

    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> float:
        return self.now

    def after(self, minutes: float) -> None:
        """Be so long after noon."""
        self.now = NOON + 60 * minutes


@pytest.fixture
def hands() -> Hands:
    return Hands()


@pytest.fixture
def world(settings: dict[str, Any], hands: Hands) -> Iterator[World]:
    """A country where b1 withholds everything from everybody."""
    with country(clock=hands, **settings) as made:
        made.put("his-b", consent("no", "b1", {"type": "deny"}))
        yield made


def break_glass(world: World, caller: str = "doctor-hub", about: str = "b1") -> Any:
    return world.ask(caller, "POST", f"Patient/{about}/$break-glass", EMERGENCY)


def searched(world: World, caller: str, path: str) -> set[str]:
    return {entry["resource"]["id"] for entry in world.get(caller, path).json().get("entry", ())}


def is_open(world: World, caller: str = "doctor-hub", about: str = "b1") -> bool:
    """Whether a record is open, by every way in alike."""
    ways = (
        f"Patient/{about}",
        f"Observation/o{about}",
        f"Observation/o{about}/_history/1",
        f"Patient/{about}/$everything",
    )
    found = {world.get(caller, way).is_success for way in ways}
    found.add(f"o{about}" in searched(world, caller, "Observation?_count=100"))
    found.add(f"o{about}" in searched(world, caller, "Observation/_history?_count=100"))
    found.add(about in searched(world, caller, f"Observation?_include=Observation:subject&subject=Patient/{about}"))
    (answer,) = found
    return answer


def written(world: World) -> int:
    made = observation("x", "b1")
    del made["id"]
    return int(world.ask("doctor-hub", "POST", "Observation", made).status_code)


def test_a_record_is_open_for_an_hour_and_no_longer(world: World, hands: Hands):
    assert not is_open(world)
    assert break_glass(world).status_code == 201
    for minutes in (0, 1, MINUTES / 2, MINUTES):
        hands.after(minutes)
        assert is_open(world)
    assert written(world) == 201
    for minutes in (OVER, MINUTES + 1, 24 * 60):
        hands.after(minutes)
        assert not is_open(world)
    assert written(world) == 403


def test_a_page_that_follows_after_the_hour_has_nothing_more(world: World, hands: Hands):
    assert break_glass(world).status_code == 201
    first = world.get("doctor-hub", "Observation?subject=Patient/b1&_count=1").json()
    (following,) = [link["url"] for link in first["link"] if link["relation"] == "next"]
    hands.after(OVER)
    answer = world.get("doctor-hub", following.removeprefix("http://node/fhir/"))
    assert answer.status_code == 410 or not answer.json().get("entry")


def test_it_is_open_to_one_person_and_for_one_patient(world: World, hands: Hands):
    assert break_glass(world).status_code == 201
    assert not is_open(world, "doctor-ward")
    assert not is_open(world, "doctor-hub", "a2")
    assert break_glass(world, about="a2").status_code == 403
    assert break_glass(world, "doctor-ward", "a2").status_code == 201
    hands.after(OVER)
    assert break_glass(world, about="a2").status_code == 201
    assert is_open(world, "doctor-hub", "a2")
    assert not is_open(world)


def test_it_is_opened_again_with_a_reason_of_its_own(world: World, hands: Hands):
    first = break_glass(world).json()
    hands.after(MINUTES + 1)
    second = break_glass(world).json()
    assert second["id"] != first["id"]
    hands.after(2 * MINUTES)
    assert is_open(world)
    hands.after(2 * MINUTES + 2)
    assert not is_open(world)


def test_a_review_is_asked_of_who_keeps_the_record(world: World):
    task = break_glass(world).json()
    start, end = instant(int(NOON * 1000)), instant(int((NOON + 60 * MINUTES) * 1000))
    assert task["restriction"]["period"] == {"start": start, "end": end}
    assert task["owner"] == {"reference": "Organization/station-b"}
    assert task["for"] == {"reference": "Patient/b1"}
    assert task["status"] == "requested"
    assert task["requester"]["identifier"]["value"] == CALLERS["doctor-hub"].subject
    assert task["reasonCode"]["text"] == "Unconscious after an accident"
    for caller, expected in (("his-b", True), ("his-a", False), ("doctor-hub", False)):
        assert (task["id"] in searched(world, caller, "Task?_count=100")) == expected


@pytest.mark.parametrize("caller", [each for each in CALLERS if each not in ("nobody", "app-of-a1", "app-of-lab")])
def test_who_may_is_said_by_the_role(world: World, caller: str):
    allowed = "doctor" in CALLERS[caller].roles or "commune-worker" in CALLERS[caller].roles
    assert break_glass(world, caller).status_code == (201 if allowed else 403)


@pytest.mark.parametrize("missing", [0, 1])
def test_there_must_be_a_reason(world: World, missing: int):
    given = [each for number, each in enumerate(EMERGENCY["parameter"]) if number != missing]
    body = {"resourceType": "Parameters", "parameter": given}
    assert world.ask("doctor-hub", "POST", "Patient/b1/$break-glass", body).status_code == 400
    assert not is_open(world)

"""What a Consent shares or withholds in part: by code, by date, by label, by action, alike in reads and searches."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from fhir_server.access.part import CODED, CODED_WITHIN, DATED
from fhir_server.access.resource_class import CLASS_OF
from fhir_server.definitions.registry import r4
from fhir_server.search.parameters import Parameters
from tests.access.world import LOINC, World, consent, country, for_hub, observation

Json = dict[str, Any]
OLD, NEW, OTHER, UNDATED = "oa1", "new", "other", "undated"
EVERYTHING = {OLD, "va1", NEW, OTHER, UNDATED}
HIV = {"coding": [{"system": LOINC, "code": "75622-1"}]}
SINCE = {"dataPeriod": {"start": "2026-11-15"}}
ACTION = "http://terminology.hl7.org/CodeSystem/consentaction"


@pytest.fixture(scope="module")
def world(settings: dict[str, Any]) -> Iterator[World]:
    """A country where a1 has Observations of another day, of another code, and of no day."""
    with country(**settings) as made:
        made.put("his-a", {**observation(NEW, "a1"), "effectiveDateTime": "2026-11-20"})
        made.put("his-a", {**observation(OTHER, "a1"), "code": HIV})
        undated = observation(UNDATED, "a1")
        del undated["effectiveDateTime"]
        made.put("his-a", undated)
        yield made


def shown(world: World, caller: str) -> set[str]:
    """The Observations of a1 that a caller is shown, by searches and by reads alike."""
    found = world.get(caller, "Observation?subject=Patient/a1&_count=100").json().get("entry", ())
    searched = {entry["resource"]["id"] for entry in found} & EVERYTHING
    for way in ("", "/_history/1"):
        assert searched == {each for each in EVERYTHING if world.get(caller, f"Observation/{each}{way}").is_success}
    return searched


def action(code: str) -> Json:
    return {"action": [{"coding": [{"system": ACTION, "code": code}]}]}


@pytest.mark.parametrize(
    ("named", "expected"),
    [
        ({}, EVERYTHING),
        ({"code": [HIV]}, {OTHER}),
        (SINCE, {NEW}),
        ({"dataPeriod": {"start": "2026-11-01", "end": "2026-11-01"}}, {OLD, "va1", OTHER}),
        ({"code": [HIV], **SINCE}, set()),
        ({"code": [{"text": "HIV"}]}, set()),
        ({"class": [{"system": "http://hl7.org/fhir/resource-types", "code": "Observation"}]}, EVERYTHING),
        ({"class": [{"system": "http://hl7.org/fhir/resource-types", "code": "Condition"}]}, set()),
        (action("disclose"), EVERYTHING),
        (action("correct"), set()),
        ({"provision": [{"type": "deny", "code": [HIV]}]}, EVERYTHING - {OTHER}),
        ({"provision": [{"type": "deny", **SINCE}]}, {OLD, "va1", OTHER}),
    ],
)
def test_what_is_permitted_in_part_is_shared_in_part(world: World, named: Json, expected: set[str]):
    world.put("his-a", consent("ca1", "a1", {**for_hub(), **named}))
    assert shown(world, "doctor-hub") == expected
    if not named.get("provision"):
        assert shown(world, "worker-a") == EVERYTHING
    world.put("his-a", consent("ca1", "a1", for_hub()))


@pytest.mark.parametrize(
    ("named", "withheld", "from_keeper"),
    [
        ({"code": [HIV]}, {OTHER}, True),
        (SINCE, {NEW, UNDATED}, True),
        ({"code": [HIV], "dataPeriod": {"end": "2020-01-01"}}, set(), True),
        (action("disclose"), EVERYTHING, False),
        (action("access"), EVERYTHING, True),
        (action("collect"), set(), True),
        ({"code": [{"text": "HIV"}]}, EVERYTHING, True),
    ],
)
def test_what_is_withheld_in_part_is_withheld(world: World, named: Json, withheld: set[str], *, from_keeper: bool):
    world.put("his-a", consent("no", "a1", {"type": "deny", **named}))
    assert shown(world, "doctor-hub") == EVERYTHING - withheld
    assert shown(world, "worker-a") == (EVERYTHING - withheld if from_keeper else EVERYTHING)
    assert shown(world, "a1") == EVERYTHING
    world.put("his-a", consent("no", "a1", {"type": "deny"}, "inactive"))
    assert shown(world, "doctor-hub") == EVERYTHING


@pytest.mark.parametrize(("code", "created", "changed"), [("collect", 403, 200), ("correct", 201, 403)])
def test_writing_is_refused_by_its_action(world: World, code: str, created: int, changed: int):
    world.put("his-a", consent("no", "a1", {"type": "deny", **action(code)}))
    made = observation("x", "a1")
    del made["id"]
    assert world.ask("worker-a", "POST", "Observation", made).status_code == created
    body = {**observation("va1", "a1", "vital-signs"), "note": [{"text": code}]}
    assert world.ask("worker-a", "PUT", "Observation/va1", body).status_code == changed
    world.put("his-a", consent("no", "a1", {"type": "deny"}, "inactive"))


@pytest.mark.parametrize(("table", "kind"), [(CODED, "token"), (CODED_WITHIN, "token"), (DATED, "date")])
def test_the_parameters_that_say_codes_and_dates_are_those_of_their_types(table: dict[str, str], kind: str):
    parameters = Parameters(r4())
    for name, code in table.items():
        assert parameters.of(name)[code].type == kind
        assert CLASS_OF[name] not in ("master", "definition")

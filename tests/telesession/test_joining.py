"""A site's way into the network of a hub: the table, and $tele-join over HTTP."""

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fhir_server.definitions.registry import r4
from fhir_server.errors import FhirError
from fhir_server.package import add_installed
from fhir_server.validation.validator import Validator
from telesession import joining
from telesession.network_of_sites import centres
from telesession.vocabulary import JOINING, SURVEY_OF_SITES, concept
from tests.access.world import of, organization, to
from tests.serving import outcome, serving
from tests.telesession.world import Country, facts, text

Json = dict[str, Any]
FULL = joining.Given("Tốt", ("DocumentReference/thoa-thuan",), has_answers=True)
STEP_BY_STEP = ("request", "survey", "agree", "train", "test", "open")
FIGURES = {"network.sent": 4200.0, "network.received": 9800.0, "network.lost": 0.001, "network.roundTrip": 18.0}


def answers(**more: Any) -> Json:
    items = [{"linkId": name, "answer": [{"valueDecimal": value}]} for name, value in FIGURES.items()]
    body = {"resourceType": "QuestionnaireResponse", "questionnaire": SURVEY_OF_SITES, "status": "completed"}
    return {"name": "answers", "resource": {**body, "item": [{"linkId": "network", "item": items}], **more}}


FACTS: dict[str, tuple[Json, ...]] = {
    "survey": (answers(),),
    "agree": ({"name": "evidence", "valueReference": to("DocumentReference/thoa-thuan")},),
    "test": (text("text", "Hình và tiếng tốt"),),
    "suspend": (text("text", "Sửa phòng"),),
    "withdraw": (text("text", "Sáp nhập trạm"),),
}


@pytest.fixture(scope="module")
def world() -> Iterator[Country]:
    known = add_installed(r4().extended())
    with serving(organization="node", extensions=[centres], definitions=known, validation="profiles") as served:
        country = Country(served)
        country.people()
        country.put("", organization("province"))
        attachment = {"title": "Thỏa thuận", "url": "https://example.org/thoa-thuan.pdf"}
        country.put("", of("DocumentReference", "thoa-thuan", status="current", content=[{"attachment": attachment}]))
        yield country


def join(world: Country, caller: str, site: str, event: str, *items: Json) -> Any:
    named = [{"name": "event", "valueCode": event}, {"name": "hub", "valueReference": to("Organization/hub")}]
    body = {"resourceType": "Parameters", "parameter": [*named, *items]}
    return world.ask(caller, "POST", f"Organization/{site}/$tele-join", body)


def station(world: Country, name: str) -> str:
    world.put("", {**organization(name), "partOf": to("Organization/province")})
    return name


def test_a_site_goes_from_request_to_service_and_is_listed(world: Country):
    site = station(world, "na-hang")
    for event in STEP_BY_STEP:
        answer = join(world, "", site, event, *FACTS.get(event, ()))
        assert answer.status_code == 200, answer.text
    told = facts(answer)
    assert (told["state"], told["allowed"]) == ("in-service", ["suspend", "withdraw"])
    body = world.get("", told["affiliation"]).json()
    assert body["active"] is True
    assert [state for state, _ in joining.steps_in(body)] == [
        "requested", "surveyed", "agreed", "trained", "tested", "in-service",
    ]  # fmt: skip
    profile = ["urn:nhipcau:StructureDefinition:tele-hub-relation"]
    found = Validator(add_installed(r4().extended()), depth="full").validate(body, profiles=profile).issues
    assert [issue.text for issue in found if issue.is_error] == []
    other = station(world, "son-duong")
    join(world, "", other, "request")
    by_hub = "OrganizationAffiliation?primary-organization=Organization/hub&role=urn:nhipcau:CodeSystem:joining-state|"
    assert [each["resource"]["id"] for each in world.get("coordinator", f"{by_hub}in-service").json()["entry"]] == [
        body["id"]
    ]
    by_province = f"{by_hub}requested&participating-organization:Organization.partof=Organization/province"
    found = world.get("coordinator", by_province).json()["entry"]
    assert [each["resource"]["participatingOrganization"] for each in found] == [to(f"Organization/{other}")]


def test_both_sides_see_the_survey_with_its_figures(world: Country):
    assert join(world, "his", "station", "request").status_code == 200
    told = facts(join(world, "his", "station", "survey", *FACTS["survey"]))
    body = world.get("coordinator", told["affiliation"]).json()
    path = next(
        part["valueReference"]["reference"] for part in body["extension"][-1]["extension"] if part["url"] == "evidence"
    )
    for caller, status in (("his", 200), ("his-hub", 200), ("his-elsewhere", 404)):
        answer = world.get(caller, path)
        assert answer.status_code == status
    outcome(join(world, "his", "station", "agree", *FACTS["agree"]), 403, "forbidden")
    outcome(join(world, "stranger", "station", "survey", *FACTS["survey"]), 403, "forbidden")
    assert facts(join(world, "coordinator", "station", "agree", *FACTS["agree"]))["state"] == "agreed"


@pytest.mark.parametrize(
    ("event", "items", "status", "code"),
    [
        ("open", (), 409, "conflict"),
        ("leave", (), 422, "value"),
        ("survey", (), 422, "required"),
        ("survey", (answers(status="in-progress"),), 422, "value"),
        ("survey", (answers(questionnaire="urn:other"),), 422, "value"),
        ("withdraw", (), 422, "required"),
    ],
)
def test_what_is_not_the_next_step_is_refused(
    world: Country, event: str, items: tuple[Json, ...], status: int, code: str
):
    site = station(world, "chiem-hoa")
    join(world, "", site, "request")
    outcome(join(world, "", site, event, *items), status, code)


def test_a_plain_write_takes_the_same_steps_alone(world: Country):
    site = station(world, "ham-yen")
    path = facts(join(world, "", site, "request"))["affiliation"]
    body = world.get("", path).json()
    ahead = {**body, "active": True, "code": [concept(JOINING, "in-service")]}
    told = outcome(world.ask("", "PUT", path, ahead), 409, "conflict")
    assert "survey" in told["diagnostics"]
    outcome(world.ask("", "PUT", path, {**body, "organization": to("Organization/elsewhere")}), 409, "conflict")
    assert world.ask("", "PUT", path, {**body, "telecom": [{"system": "phone", "value": "1"}]}).status_code == 200


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(joining.EVENTS), st.sampled_from([joining.HUB, joining.BOTH]))))
def test_no_events_lead_to_an_unnamed_state(events: list[tuple[joining.Event, frozenset[joining.Side]]]):
    body: Json | None = None
    for event, sides in events:
        before = joining.state_of(body)
        try:
            step = joining.step_of(before, event, sides, FULL)
        except FhirError:
            assert event not in joining.allowed(before, sides)
            continue
        assert event in joining.allowed(before, sides)
        made = joining.stepped(body, "Organization/hub", "Organization/site", step, FULL, "2026-12-01T00:00:00Z")
        assert joining.fault_of(body, made, sides) is None
        body = made
        assert joining.state_of(body) in joining.STATES
        assert body["active"] is (joining.state_of(body) == "in-service")

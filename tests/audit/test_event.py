"""Each kind of event has its own pattern of IHE BALP, and is sound at the validator's full depth."""

from collections.abc import Iterator
from typing import Any

import orjson
import pytest

from fhir_server.audit.account import Account
from fhir_server.audit.event import audit_event
from fhir_server.auth.event import Event
from tests.access.world import CALLERS, World, consent, country

DCM = "http://dicom.nema.org/resources/ontology/DCM"
BALP = "https://profiles.ihe.net/ITI/BALP"


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with country() as made:
        yield made


def events(world: World, query: str, caller: str = "admin-a") -> list[dict[str, Any]]:
    answer = world.get(caller, f"AuditEvent?{query}")
    assert answer.status_code == 200, answer.text
    return [entry["resource"] for entry in answer.json().get("entry", ())]


def sound(world: World, event: dict[str, Any]) -> None:
    answer = world.ask("", "POST", "AuditEvent/$validate", event).json()
    assert [issue for issue in answer["issue"] if issue["severity"] in ("error", "fatal")] == []


def codes(event: dict[str, Any]) -> set[tuple[str, str]]:
    return {(each["system"], each["code"]) for each in (event["type"], *event["subtype"])}


def roles(event: dict[str, Any]) -> list[str]:
    return [agent["type"]["coding"][0]["code"] for agent in event["agent"]]


def the_last(world: World) -> dict[str, Any]:
    """The last record as an AuditEvent, though no caller may see it."""
    node = world.served.node

    async def last() -> dict[str, Any]:
        store = node.repository._store
        entry = (await store.ledger(0, 100_000)).entries[-1]
        return audit_event(entry.number, orjson.loads(entry.text), "http://node/fhir")

    return world.served.call(last)


def test_a_decision_by_consent_is_told_once_for_each_change_of_it(world):
    before = len(events(world, "subtype=AuthZ-Consent&patient=Patient/a1&_count=100"))
    body = consent("decided", "a1", {"type": "permit"})
    world.put("his-a", body)
    world.put("his-a", {**body, "language": "vi"})
    world.put("his-a", {**body, "provision": {"type": "deny"}})
    world.put("his-a", {**body, "provision": {"type": "deny"}, "status": "inactive"})
    found = events(world, "subtype=AuthZ-Consent&patient=Patient/a1&_count=100")
    told = [event["outcomeDesc"] for event in found[: len(found) - before]]
    assert told == ["active deny -> inactive deny", "active permit -> active deny", "none -> active permit"]
    event = found[0]
    assert codes(event) == {(DCM, "110113"), (f"{BALP}/CodeSystem/AuthZsubType", "AuthZ-Consent")}
    assert event["meta"]["profile"] == [f"{BALP}/StructureDefinition/IHE.BasicAudit.AuthZconsent"]
    assert sorted(roles(event)) == ["110150", "IRCP", "PROV", "authserver"]
    kinds = {entity["type"]["code"]: entity["what"]["reference"] for entity in event["entity"]}
    assert kinds == {"1": "Patient/a1", "Consent": "Consent/decided/_history/4"}
    assert event["agent"][-1]["who"] == event["source"]["observer"]
    sound(world, event)


def test_the_write_of_a_consent_is_told_too(world):
    world.put("his-a", consent("written", "a2", {"type": "deny"}))
    (write, *_) = events(world, "action=C&entity=Consent/written")
    assert write["meta"]["profile"] == [f"{BALP}/StructureDefinition/IHE.BasicAudit.PatientCreate"]


def test_a_refused_decision_is_none(world):
    before = len(events(world, "subtype=AuthZ-Consent&_count=100"))
    assert world.ask("his-b", "PUT", "Consent/stolen", consent("stolen", "a1", {"type": "permit"})).status_code >= 400
    assert len(events(world, "subtype=AuthZ-Consent&_count=100")) == before


@pytest.mark.parametrize(
    ("kind", "succeeded", "subtypes"),
    [
        ("login", True, {(DCM, "110122"), ("urn:nhipcau:authentication", "login")}),
        ("login-failed", False, {(DCM, "110122"), ("urn:nhipcau:authentication", "login-failed")}),
        ("logout", True, {(DCM, "110123"), ("urn:nhipcau:authentication", "logout")}),
        ("locked", False, {("urn:nhipcau:authentication", "locked")}),
        ("token", True, {("urn:nhipcau:authentication", "token")}),
    ],
)
def test_what_authentication_tells_is_user_authentication(world, kind, succeeded, subtypes):
    told = Event(kind, "worker-a", "app", "10.1.2.3", 4321, succeeded=succeeded)
    world.served.call(lambda: world.served.service.tell(told))
    event = the_last(world)
    assert codes(event) == {(DCM, "110114")} | subtypes
    assert event["outcome"] == ("0" if succeeded else "4")
    assert event["agent"][0]["who"]["identifier"]["value"] == "worker-a"
    assert event["agent"][1]["network"]["address"] == "10.1.2.3"
    sound(world, event)


def test_an_export_is_a_disclosure(world):
    account = Account(CALLERS["his-a"], "request", ("10.1.2.3", 4321))
    account.touch(("station-a",), ())
    account.shown(1, "E", "export", {"s": "$export?_type=Patient"})
    world.served.call(lambda: world.served.service.fhir.auditing.settle(account))
    event = the_last(world)
    assert codes(event) == {(DCM, "110106"), ("http://terminology.hl7.org/CodeSystem/iso-21089-lifecycle", "disclose")}
    assert event["action"] == "R"
    assert roles(event) == ["IRCP", "110152", "110153"]
    sound(world, event)


def test_an_emergency_is_a_security_alert_for_its_purpose(world):
    body = {
        "resourceType": "Parameters",
        "parameter": [{"name": "reason", "valueCode": "ETREAT"}, {"name": "text", "valueString": "unconscious"}],
    }
    world.ask("doctor-ward", "POST", "Patient/a1/$break-glass", body)
    (event, *_) = events(world, "subtype=110127")
    assert codes(event) == {(DCM, "110113"), (DCM, "110127")}
    assert event["purposeOfEvent"][0]["coding"][0]["code"] == "BTG"
    sound(world, event)

import pytest

from fhir_server.definitions.structure import TYPE_URL
from tests.validation.profiled import BASE, Checked, element, profile, resource


def holds(expression, body, *definitions, at="Observation"):
    rule = {"key": "k-1", "severity": "error", "human": "h", "expression": expression}
    body_profile = profile("p", body["resourceType"], element(at, constraint=[rule]))
    if at == body["resourceType"]:
        del body_profile["differential"]["element"][0]
    return not any(i.rule == "k-1" for i in Checked(body_profile, *definitions).issues(body))


@pytest.mark.parametrize(("name", "met"), [("Observation", True), ("DomainResource", True), ("Patient", False)])
def test_conformance_to_a_type_is_known(name, met):
    assert holds(f"conformsTo('{TYPE_URL}{name}')", resource("Observation")) is met


def test_a_resource_with_errors_does_not_conform_to_its_type():
    body = resource("Observation") | {"status": "sleeping"}
    assert not holds(f"conformsTo('{TYPE_URL}Observation')", body)


@pytest.mark.parametrize("met", [True, False])
def test_conformance_to_a_profile_is_known(met):
    other = profile("other", "Observation", element("Observation.subject", min=1))
    body = resource("Observation", **({"subject": {"display": "a"}} if met else {}))
    assert holds(f"conformsTo('{BASE}other')", body, other) is met


def test_membership_of_a_value_set_is_known():
    value_set = "http://hl7.org/fhir/ValueSet/observation-status"
    assert holds(f"status.memberOf('{value_set}')", resource("Observation"))
    assert not holds("status.memberOf('http://hl7.org/fhir/ValueSet/administrative-gender')", resource("Observation"))


def test_references_within_a_resource_are_resolved():
    inside = {"resourceType": "Patient", "id": "p", "active": True}
    body = resource("Observation", contained=[inside], subject={"reference": "#p"})
    assert holds("subject.resolve() is Patient", body)
    assert not holds("subject.resolve() is Device", body)


def test_references_between_entries_are_resolved():
    observation = resource("Observation", id="o", subject={"reference": "Patient/p"})
    entries = [
        {"fullUrl": "https://example.org/fhir/Observation/o", "resource": observation},
        {"fullUrl": "https://example.org/fhir/Patient/p", "resource": {"resourceType": "Patient", "id": "p"}},
    ]
    body = resource("Bundle", entry=entries)
    at = "Bundle.entry.resource"
    expression = "$this is Observation implies Observation.subject.resolve() is Patient"
    assert holds(expression, body, at=at)
    observation["subject"] = {"reference": "Patient/q"}
    assert not holds("$this is Observation implies Observation.subject.resolve().exists()", body, at=at)


def test_a_contained_resource_is_seen_from_its_container():
    inside = {"resourceType": "Patient", "id": "p", "name": [{"text": "a"}]}
    body = resource("Observation", contained=[inside], subject={"reference": "#p"})
    kind = {"type": [{"code": "Patient"}]}
    rules = [
        element("Observation.contained", **kind, constraint=[rule("c-1", "%resource is Observation")]),
        element("Observation.contained.name", constraint=[rule("c-2", "%resource is Patient")]),
        element("Observation.contained.name.text", constraint=[rule("c-3", "%rootResource is Observation")]),
    ]
    assert Checked(profile("p", "Observation", *rules)).texts(body) == []


def rule(key, expression):
    return {"key": key, "severity": "error", "human": "h", "expression": expression}

import pytest

from fhir_server.validation.validator import Validator
from tests.validation.profiled import BASE, Checked, element, profile, resource

NAMED = profile("named", "Patient", element("Patient.name", min=1), version="2.1.0")


def claiming(*profiles):
    return resource("Patient", meta={"profile": [BASE + p for p in profiles]})


def issues(body, *definitions, **options):
    known = Checked(*definitions).definitions
    return Validator(known, **options).validate(body).issues


@pytest.mark.parametrize(
    ("options", "applied"),
    [
        ({}, False),
        ({"claimed_profiles": True}, True),
        ({"depth": "full"}, True),
        ({"depth": "full", "claimed_profiles": False}, False),
    ],
)
def test_claims_are_applied_where_asked(options, applied):
    assert any(i.profile == BASE + "named" for i in issues(claiming("named"), NAMED, **options)) is applied


@pytest.mark.parametrize(("version", "known"), [("2.1.0", True), ("2.1", True), ("2", True), ("2.2.0", False)])
def test_a_claim_may_name_a_version(version, known):
    found = issues(claiming(f"named|{version}"), NAMED, claimed_profiles=True)
    assert any(i.code == "required" for i in found) is known


def test_a_claim_that_is_not_known_is_a_warning():
    [warning] = [i for i in issues(claiming("nowhere"), depth="full") if i.code == "not-found"]
    assert (warning.severity, warning.expression) == ("warning", ("Patient.meta.profile[0]",))


def test_claims_within_a_resource_are_applied():
    inside = claiming("named") | {"id": "p"}
    body = resource("Observation", contained=[inside], subject={"reference": "#p"})
    [issue] = issues(body, NAMED, claimed_profiles=True)
    assert issue.expression == ("Observation.contained[0]",)


def test_a_guide_may_ask_a_profile_of_every_resource():
    guide = {
        "resourceType": "ImplementationGuide",
        "url": "https://example.org/guide",
        "global": [{"type": "Patient", "profile": BASE + "named"}],
    }
    [issue] = issues(resource("Patient", active=True), NAMED, guide, claimed_profiles=True)
    assert issue.code == "required"
    assert issues(resource("Device"), NAMED, guide, claimed_profiles=True) == ()


@pytest.mark.parametrize("claims", ["text", [5], [None], {"a": 1}, []])
def test_claims_of_any_shape_are_looked_at(claims):
    issues(resource("Patient", meta={"profile": claims}), claimed_profiles=True)

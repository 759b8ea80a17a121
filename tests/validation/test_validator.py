"""The door: depths, and warnings beside a write."""

import pytest

from fhir_server.definitions.registry import r4
from fhir_server.validation.validator import Validator
from tests.validation.profiled import resource

WRONG_DISPLAY = {"system": "http://hl7.org/fhir/administrative-gender", "code": "male", "display": "Manly"}
VITAL = "http://hl7.org/fhir/StructureDefinition/vitalsigns"


def severities(verdict):
    return {issue.severity for issue in verdict.issues}


def test_what_only_full_depth_calls_wrong_is_silent_at_write_depth_unless_asked():
    body = resource("Observation", code={"coding": [WRONG_DISPLAY]})
    validator = Validator(r4())
    assert validator.validate(body).issues == ()
    told = validator.validate(body, warnings=True)
    assert told.is_valid
    assert any("Manly" in issue.text for issue in told.issues)
    assert severities(Validator(r4(), depth="full").validate(body)) == {"error", "warning"}


def test_what_write_depth_refuses_stays_an_error_beside_the_warnings():
    body = resource("Observation", code={"coding": [WRONG_DISPLAY]}, status="unheard-of")
    verdict = Validator(r4()).validate(body, warnings=True)
    assert [issue.expression for issue in verdict.issues if issue.is_error] == [("Observation.status",)]


@pytest.mark.parametrize(("applied", "severity"), [(False, "warning"), (True, "error")])
def test_a_claimed_profile_is_refused_where_claims_are_applied(applied, severity):
    body = resource("Observation", meta={"profile": [VITAL]})
    validator = Validator(r4(), claimed_profiles=applied)
    verdict = validator.validate(body, warnings=True)
    assert severity in {i.severity for i in verdict.issues if i.profile == VITAL}
    assert verdict.is_valid is not applied
    assert validator.validate(body).is_valid is not applied


def test_a_profile_that_is_asked_for_is_an_error_at_either_depth():
    body = resource("Observation")
    for depth in ("write", "full"):
        assert not Validator(r4(), depth=depth).validate(body, profiles=[VITAL]).is_valid
    assert not Validator(r4()).validate(body, profiles=[VITAL], warnings=True).is_valid


def test_the_number_of_members_is_the_same_with_warnings():
    body = resource("Patient", name=[{"family": "A", "given": ["B"]}], text={
        "status": "generated", "div": '<div xmlns="http://www.w3.org/1999/xhtml">a</div>'})  # fmt: skip
    validator = Validator(r4())
    assert validator.validate(body).members == validator.validate(body, warnings=True).members == 7

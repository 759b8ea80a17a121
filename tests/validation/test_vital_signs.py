"""Observations with codes of vital signs must meet their profile."""

import pytest

from fhir_server.validation.vital_signs import LOINC, PROFILES, SNOMED_CT, implied_profile
from tests.validation.profiled import resource
from tests.validation.verdict import errors, only_full

CATEGORY = "http://terminology.hl7.org/CodeSystem/observation-category"


def measured(code, unit="kg", system=LOINC, **members):
    """A sound Observation of a vital sign, but for what is given."""
    return resource(
        "Observation",
        code={"coding": [{"system": system, "code": code}]},
        category=[{"coding": [{"system": CATEGORY, "code": "vital-signs"}]}],
        subject={"reference": "Patient/1"},
        effectiveDateTime="2024-01-01",
        valueQuantity={"value": 1, "unit": unit, "system": "http://unitsofmeasure.org", "code": unit},
        **members,
    )


@pytest.mark.parametrize(("code", "profile"), [
    ("85353-1", "vitalspanel"),
    ("9279-1", "resprate"),
    ("8867-4", "heartrate"),
    ("2708-6", "oxygensat"),
    ("59408-5", "oxygensat"),
    ("8310-5", "bodytemp"),
    ("8302-2", "bodyheight"),
    ("9843-4", "headcircum"),
    ("29463-7", "bodyweight"),
    ("39156-5", "bmi"),
    ("85354-9", "bp"),
    ("8480-6", "bp"),
    ("8462-4", None),
    ("718-7", None),
])  # fmt: skip
def test_a_loinc_code_implies_a_profile(code, profile):
    found = implied_profile(measured(code))
    assert (found and found.rpartition("/")[2]) == profile


def test_of_several_codes_the_first_profile_of_the_table_counts():
    codings = [{"system": SNOMED_CT, "code": "27113001"}, {"system": LOINC, "code": "39156-5"}]
    codings.append({"system": LOINC, "code": "29463-7"})
    observation = resource("Observation", code={"coding": codings})
    assert str(implied_profile(observation)).endswith("/bodyweight")


def test_the_same_code_of_another_system_implies_nothing():
    assert implied_profile(measured("29463-7", system="https://example.org/codes")) is None


def test_all_profiles_are_known():
    assert {url.rpartition("/")[2] for _, url in PROFILES.values()} == {
        "vitalspanel", "resprate", "heartrate", "oxygensat", "bodytemp", "bodyheight", "headcircum", "bodyweight",
        "bmi", "bp",
    }  # fmt: skip


def test_a_vital_sign_that_meets_its_profile_is_right():
    assert errors(measured("29463-7")) == []


@pytest.mark.parametrize("missing", ["category", "subject", "effectiveDateTime"])
def test_what_the_profile_requires_is_missed_at_full_depth_alone(missing):
    body = measured("29463-7")
    del body[missing]
    assert len(only_full(body)) >= 1


def test_a_unit_outside_the_profile_is_an_error_at_full_depth_alone():
    assert len(only_full(measured("29463-7", unit="cm"))) >= 1


def test_a_period_is_as_good_as_a_day():
    body = measured("29463-7")
    del body["effectiveDateTime"]
    assert errors(body | {"effectivePeriod": {"start": "2024-01-01"}}) == []

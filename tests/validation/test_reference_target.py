"""References at full depth: their form, and the type that they state."""

import pytest

from tests.validation.profiled import resource
from tests.validation.verdict import errors, only_full


def observed(**reference):
    return resource("Observation", subject=reference)


@pytest.mark.parametrize(
    "reference",
    [
        {"reference": "Patient/1"},
        {"reference": "Patient/1", "type": "Patient"},
        {"reference": "https://example.org/fhir/Patient/1/_history/2", "type": "Patient"},
        {"reference": "https://example.org/anything", "type": "Patient"},
        {"type": "Organization", "display": "no literal to compare with"},
        {"identifier": {"value": "1"}},
    ],
)
def test_right(reference):
    assert errors(observed(**reference)) == []


@pytest.mark.parametrize(
    "reference",
    [
        {"reference": "Patient/1 "},
        {"reference": "Patient/a b"},
        {"reference": "#"},
        {"reference": "Patient/1", "type": "Group"},
        {"reference": "https://example.org/anything", "type": "Organization"},
        {"reference": "https://example.org/fhir/Patient/1/_history/2", "type": "Device"},
        {"reference": "Patient/1", "type": "http://hl7.org/fhir/StructureDefinition/Patient"},
    ],
)
def test_wrong(reference):
    assert len(only_full(observed(**reference))) == 1


def test_a_contained_resource_may_refer_to_its_container():
    inner = resource("Provenance", id="p", target=[{"reference": "#"}], recorded="2024-01-01T00:00:00Z")
    inner["agent"] = [{"who": {"display": "A"}}]
    assert errors(resource("Patient", contained=[inner])) == []


def test_the_stated_type_is_that_of_the_contained_resource():
    contained = [resource("Patient", id="p")]
    assert errors(resource("Observation", contained=contained, subject={"reference": "#p", "type": "Patient"})) == []
    assert errors(resource("Observation", contained=contained, subject={"reference": "#p", "type": "Group"})) != []

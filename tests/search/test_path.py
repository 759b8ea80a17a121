import pytest

from fhir_server.definitions.registry import r4
from fhir_server.fhirpath.parser import parse
from fhir_server.search.path import Filter, paths


def found_paths(expression, start):
    found = paths(parse(expression), start, r4())
    assert found is not None
    return found


def keys(expression, start):
    return [".".join(step.member.key for step in path.steps) for path in found_paths(expression, start)]


@pytest.mark.parametrize(
    ("expression", "start", "found"),
    [
        ("Patient.name.given", "Patient", ["name.given"]),
        ("name | alias", "Organization", ["name", "alias"]),
        ("Resource.meta.tag", "Patient", ["meta.tag"]),
        ("(Observation.value as Quantity)", "Observation", ["valueQuantity"]),
        (
            "Observation.value.ofType(Quantity) | Observation.value.as(string)",
            "Observation",
            ["valueQuantity", "valueString"],
        ),
        ("value.ofType(DateTime)", "Observation", ["valueDateTime"]),
        ("Condition.onset.ofType(Quantity)", "Condition", ["onsetAge"]),
        ("ConceptMap.source.ofType(uri)", "ConceptMap", ["sourceUri"]),
        ("$this.code", "Observation.component", ["code"]),
        ("Patient.nothing", "Patient", []),
    ],
)
def test_paths_follow_members_choices_and_casts(expression, start, found):
    assert keys(expression, start) == found


def test_a_comparison_becomes_a_filter():
    (path,) = found_paths("Patient.telecom.where(system = 'phone').value", "Patient")
    assert path.steps[0].filters == (Filter("system", "phone"),)


def test_a_test_of_what_a_reference_resolves_to_becomes_a_limit():
    (path,) = found_paths("Observation.subject.where(resolve() is Patient)", "Observation")
    assert (path.type, path.only) == ("Reference", "Patient")


def test_an_extension_stands_for_its_value():
    found = found_paths("Patient.extension('http://a')", "Patient")
    assert {path.steps[0].filters for path in found} == {(Filter("url", "http://a"),)}
    assert {"valueString", "valueCodeableConcept"} <= {path.steps[1].member.key for path in found}


@pytest.mark.parametrize(
    "expression",
    ["Bundle.entry[0].resource", "Patient.name.first()", "Patient.deceased.exists()", "%resource.id", "Group.member",
     "Patient.name.where(given.exists())", "Patient.name.where(given = 'An')", "Bundle.entry.resource.id"],
)  # fmt: skip
def test_what_is_more_than_paths_is_left_to_the_engine(expression):
    start = "Bundle" if expression.startswith("Bundle") else "Patient"
    assert paths(parse(expression), start, r4()) is None

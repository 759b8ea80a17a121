"""Codes and displays by their code systems, under any binding and none."""

import pytest

from tests.validation.profiled import Checked, resource
from tests.validation.verdict import errors, is_refused, only_full, warnings

GENDER = "http://hl7.org/fhir/administrative-gender"
SNOMED = "http://snomed.info/sct"
ACT = "http://terminology.hl7.org/CodeSystem/v3-ActCode"


def observed(**coding):
    """An Observation whose code, under an example binding, has one coding."""
    return resource("Observation", code={"coding": [coding]})


def tagged(**tag):
    """A Patient with a tag: a Coding that stands alone, under an example binding."""
    return resource("Patient", meta={"tag": [tag]})


@pytest.mark.parametrize(
    "coding",
    [
        {"system": GENDER, "code": "male"},
        {"system": GENDER, "code": "male", "display": "Male"},
        {"system": GENDER, "code": "male", "display": "MALE"},
        {"system": "https://example.org/codes", "code": "whatever", "display": "Whatever"},
        {"system": SNOMED, "code": "22298006", "display": "Anything"},
        {"code": "without system"},
        {"display": "without code", "system": GENDER},
    ],
)
def test_a_code_that_its_system_has_or_that_cannot_be_told_is_right(coding):
    assert errors(observed(**coding)) == []


def test_a_code_that_a_complete_system_lacks_is_wrong_under_any_binding():
    found = only_full(observed(system=GENDER, code="man"))
    assert found == [f"Observation.code.coding[0].code: 'man' is not a code of {GENDER}."]


def test_a_wrong_display_is_told_with_the_right_one():
    found = only_full(observed(system=GENDER, code="male", display="Man"))
    assert found == [f"Observation.code.coding[0].display: Wrong display 'Man' for {GENDER}|male: it is 'Male'."]


@pytest.mark.parametrize(("language", "display", "right"), [
    ("nl", "Kind", False),
    ("vi", "Male", True),
    ("vi", "Nam", False),
    ("en-GB", "male", True),
])  # fmt: skip
def test_where_a_language_has_no_displays_those_of_the_system_hold(language, display, right):
    body = observed(system=GENDER, code="male", display=display) | {"language": language}
    assert (errors(body) == []) is right


def test_a_code_is_left_alone_where_its_version_of_the_system_is_not_known():
    body = observed(system=GENDER, code="man", version="1.0")
    assert errors(body) == []
    assert warnings(body) == [f"Observation.code.coding[0].version: Version '1.0' of {GENDER} is not known here."]


def test_an_unknown_version_under_a_required_binding_is_an_error():
    system = "http://terminology.hl7.org/CodeSystem/allergyintolerance-clinical"
    status = {"coding": [{"system": system, "code": "active", "version": "9"}]}
    body = resource("AllergyIntolerance", patient={"display": "P"}, clinicalStatus=status)
    assert errors(body) == [
        f"AllergyIntolerance.clinicalStatus.coding[0].version: Version '9' of {system} is not known here."
    ]


def test_a_concept_with_a_coding_of_a_remote_system_is_left_to_a_terminology_server():
    codings = [{"system": SNOMED, "code": "248153007"}, {"system": GENDER, "code": "man"}]
    body = resource("Observation", code={"coding": codings})
    assert errors(body) == []
    assert warnings(body) == [f"Observation.code.coding[1].code: 'man' is not a code of {GENDER}."]


def test_a_code_judged_by_its_form_alone_is_a_warning():
    value = {"value": 1, "system": "http://unitsofmeasure.org", "code": "furlongs"}
    body = resource("Observation", valueQuantity=value)
    assert errors(body) == []
    assert len(warnings(body)) == 1


def test_a_quantity_is_judged_by_its_system():
    system = "http://terminology.hl7.org/CodeSystem/v3-orderableDrugForm"
    body = resource("Observation", valueQuantity={"value": 1, "system": system, "code": "Tab"})
    assert only_full(body) == [f"Observation.value.ofType(Quantity).code: 'Tab' is not a code of {system}."]


@pytest.mark.parametrize(
    "system",
    [
        "tags",
        "http://hl7.org/fhir/ValueSet/administrative-gender",
        "http://hl7.org/fhir/no-such-system",
        "http://build.fhir.org/codesystem-x",
        "https://snomed.info/sct",
        "http://loinc.org/",
        f"https{GENDER[4:]}",
    ],
)
def test_a_coding_that_stands_alone_needs_a_system_that_can_be_one(system):
    assert len(only_full(tagged(system=system, code="x"))) == 1


@pytest.mark.parametrize(
    "system",
    ["https://example.org/tags", "urn:oid:1.2.3.4", "urn:ietf:rfc:3986", SNOMED, "http://hl7.org/fhir/sid/ndc"],
)
def test_a_coding_that_stands_alone_may_be_of_a_system_unknown_here(system):
    assert errors(tagged(system=system, code="x")) == []


def test_a_concept_may_name_a_structure_as_the_system_of_its_elements():
    patient = "http://hl7.org/fhir/StructureDefinition/Patient"
    assert errors(observed(system=patient, code="Patient.name")) == []
    assert len(only_full(observed(system=patient, code="Patient.nothing"))) == 1


def test_a_code_outside_an_extensible_value_set_is_a_warning():
    body = resource("Patient", maritalStatus={"coding": [{"system": "https://example.org/m", "code": "x"}]})
    assert errors(body) == []
    assert "should come where one fits" in warnings(body)[0]


def test_text_in_place_of_an_extensible_code_is_a_warning():
    assert len(warnings(resource("Patient", maritalStatus={"text": "promised"}))) == 1


def test_a_code_outside_a_required_value_set_is_refused():
    assert is_refused(resource("Patient", gender="man"))


def test_a_required_code_must_be_there_even_if_an_extension_says_why_not():
    absent = {"url": "http://hl7.org/fhir/StructureDefinition/data-absent-reason", "valueCode": "unknown"}
    body = resource("Patient", _gender={"extension": [absent]})
    assert len(only_full(body)) == 1


def test_definitions_that_come_later_are_seen():
    checked = Checked(depth="full")
    body = tagged(system="https://example.org/tags", code="b")
    assert checked.issues(body) == []
    checked.definitions.add(
        {
            "resourceType": "CodeSystem",
            "url": "https://example.org/tags",
            "content": "complete",
            "concept": [{"code": "a"}],
        }
    )
    assert len(checked.issues(body)) == 1


def test_a_code_is_abstract_or_not_and_right_all_the_same():
    assert errors(observed(system=ACT, code="_ActAccountCode")) == []

import pytest

from fhir_server.search.row import Token, joined

LOINC = "http://loinc.org"
UCUM = "http://unitsofmeasure.org"
CODE, FOLDED, TEXT, OF_TYPE, SYSTEM = Token


def test_a_concept_gives_each_coding_its_systems_and_its_texts(cells):
    concept = {
        "coding": [{"system": LOINC, "code": "LA1", "display": "Huyết áp"}, {"system": UCUM, "code": "mm[Hg]"}],
        "text": "Đo huyết áp",
    }
    assert cells({"resourceType": "Observation", "code": concept}, "code") == {
        (FOLDED, "la1", LOINC),
        (CODE, "mm[Hg]", UCUM),
        (TEXT, "huyet ap", ""),
        (TEXT, "do huyet ap", ""),
    }


def test_the_code_of_a_component_is_not_the_code_of_the_observation(cells):
    systolic = {"coding": [{"system": LOINC, "code": "8480-6"}]}
    panel = {"coding": [{"system": LOINC, "code": "85354-9"}]}
    observation = {"resourceType": "Observation", "code": panel, "component": [{"code": systolic}]}
    assert (FOLDED, "8480-6", LOINC) not in cells(observation, "code")
    assert (FOLDED, "8480-6", LOINC) in cells(observation, "component-code")
    assert {(FOLDED, "8480-6", LOINC), (FOLDED, "85354-9", LOINC)} <= cells(observation, "combo-code")


def test_a_coding_has_a_row_of_its_system_only_where_it_has_no_code(cells):
    meta = {"tag": [{"code": "a"}, {"system": "urn:s"}]}
    assert cells({"resourceType": "Patient", "meta": meta}, "_tag") == {(FOLDED, "a", ""), (SYSTEM, "urn:s", "")}


def test_a_bound_code_has_the_system_of_its_value_set(cells):
    system = "http://hl7.org/fhir/administrative-gender"
    patient = {"resourceType": "Patient", "gender": "male"}
    assert cells(patient, "gender") == {(CODE, "male", system)}


def test_an_identifier_is_found_by_value_system_and_type(cells):
    kind = {"coding": [{"system": "urn:types", "code": "MR"}], "text": "Số bệnh án"}
    patient = {"resourceType": "Patient", "identifier": [{"system": "urn:s", "value": "Ab1", "type": kind}]}
    assert cells(patient, "identifier") == {
        (CODE, "Ab1", "urn:s"),
        (SYSTEM, "urn:s", ""),
        (OF_TYPE, "Ab1", joined("urn:types", "MR")),
        (TEXT, "so benh an", ""),
    }


def test_the_type_of_a_contact_point_decides_its_parameters(cells):
    telecom = [{"system": "phone", "value": "+84 (24) 3.12-3"}, {"system": "email", "value": "An@b.vn"}]
    patient = {"resourceType": "Patient", "telecom": telecom}
    assert cells(patient, "phone") == {(CODE, "+84 (24) 3.12-3", ""), (CODE, "+84243123", "")}
    assert cells(patient, "email") == {(CODE, "An@b.vn", ""), (CODE, "an@b.vn", "")}
    assert cells(patient, "telecom") == cells(patient, "phone") | cells(patient, "email")


@pytest.mark.parametrize(
    ("deceased", "found"),
    [({}, "false"), ({"deceasedBoolean": False}, "false"), ({"deceasedBoolean": True}, "true"),
     ({"deceasedDateTime": "2020"}, "true")],
)  # fmt: skip
def test_deceased_has_a_row_for_every_patient(cells, deceased, found):
    assert cells({"resourceType": "Patient", **deceased}, "deceased") == {(CODE, found, "")}


def test_a_boolean_is_true_or_false(cells):
    assert cells({"resourceType": "Patient", "active": False}, "active") == {(CODE, "false", "")}


def test_a_string_ignores_case_and_an_id_does_not(cells):
    definition = {"resourceType": "ActivityDefinition", "id": "Ab", "version": "1.0-RC"}
    assert cells(definition, "version") == {(FOLDED, "1.0-rc", "")}
    assert cells(definition, "_id") == {(CODE, "Ab", "")}

"""Places of faults as FHIRPath."""

from typing import Any

from fhir_server.definitions.registry import r4
from fhir_server.validation.location import located
from fhir_server.validation.run import Fault

PATIENT: dict[str, Any] = {
    "resourceType": "Patient",
    "name": [{"given": ["A"]}, {"given": ["B"]}],
    "deceasedDateTime": "2020",
    "_birthDate": {"extension": [{"url": "https://a.test", "valueCoding": {"code": "x"}}]},
    "contained": [{"resourceType": "Observation", "valueQuantity": {"value": 1}}],
}


def place(holder, key=None, index=None):
    """The path of a fault."""
    return located(r4(), PATIENT, [Fault(holder, key, index, "error", "invalid", "x")])[0].expression[0]


def test_the_resource_itself():
    assert place(PATIENT) == "Patient"
    assert place(PATIENT, "active") == "Patient.active"


def test_items_of_arrays():
    assert place(PATIENT["name"][1]) == "Patient.name[1]"
    assert place(PATIENT["name"][1], "given", 0) == "Patient.name[1].given[0]"


def test_a_choice_names_its_type():
    assert place(PATIENT, "deceasedDateTime") == "Patient.deceased.ofType(dateTime)"
    quantity = PATIENT["contained"][0]["valueQuantity"]
    assert place(quantity, "value") == "Patient.contained[0].value.ofType(Quantity).value"


def test_what_stands_beside_a_primitive_is_a_part_of_it():
    extension = PATIENT["_birthDate"]["extension"][0]
    assert place(extension) == "Patient.birthDate.extension[0]"
    assert place(extension["valueCoding"], "code") == "Patient.birthDate.extension[0].value.ofType(Coding).code"


def test_many_faults_are_found_in_one_walk_and_equal_ones_told_once():
    holders = [PATIENT["name"][1], PATIENT, PATIENT["name"][0], PATIENT["name"][1]]
    faults = [Fault(holder, None, None, "error", "invalid", "x") for holder in holders]
    assert [i.expression[0] for i in located(r4(), PATIENT, faults)] == [
        "Patient.name[1]",
        "Patient",
        "Patient.name[0]",
    ]


def test_what_is_not_in_the_resource_has_no_place():
    assert place({}, None) == ""

import copy
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_server.definitions.registry import r4
from fhir_server.errors import FhirError, Invalid, TooCostly, TooLarge, Unprocessable
from fhir_server.patch.fhirpath_patch import apply_fhirpath_patch, read_fhirpath_patch
from fhir_server.resource.exact import dump_exact, parse_exact
from tests.patch.patients import JSON, operation, parameters, part, patients

PATIENT: dict[str, Any] = {
    "resourceType": "Patient",
    "id": "p",
    "name": [{"given": ["A", "B"], "_given": [None, {"id": "g"}]}, {"family": "C"}],
    "birthDate": "1980",
    "_birthDate": {"extension": [{"url": "http://x", "valueCode": "y"}]},
    "deceasedBoolean": False,
    "contained": [{"resourceType": "Organization", "id": "o"}],
}
FIRST = PATIENT["name"][0]
OBSERVATION = {"resourceType": "Observation", "status": "final", "valueString": "a", "_valueString": {"id": "1"}}


def patched(*operations: dict[str, Any], resource: dict[str, Any] = PATIENT) -> dict[str, Any]:
    return apply_fhirpath_patch(resource, parameters(*operations), r4())


def add(path: str, name: str, **value: Any) -> dict[str, Any]:
    return operation("add", path, part("name", valueString=name), part("value", **value))


def replace(path: str, **value: Any) -> dict[str, Any]:
    return operation("replace", path, part("value", **value))


def insert(path: str, index: Any, **value: Any) -> dict[str, Any]:
    return operation("insert", path, part("index", valueInteger=index), part("value", **value))


def move(path: str, source: int, destination: int) -> dict[str, Any]:
    return operation("move", path, part("source", valueInteger=source), part("destination", valueInteger=destination))


def delete(path: str) -> dict[str, Any]:
    return operation("delete", path)


@pytest.mark.parametrize(
    ("change", "key", "value"),
    [
        (add("Patient", "gender", valueCode="male"), "gender", "male"),
        (add("Patient", "gender", valueString="male"), "gender", "male"),
        (add("Patient.name[1]", "given", valueString="D"), "name", [FIRST, {"family": "C", "given": ["D"]}]),
        (add("Patient.name[0].given[0]", "id", valueString="h"), "_given", [{"id": "h"}, {"id": "g"}]),
        (add("name[0]", "given", _valueString={"id": "h"}), "_given", [None, {"id": "g"}, {"id": "h"}]),
        (add("Patient", "multipleBirth", valueInteger=2), "multipleBirthInteger", 2),
        (add("Patient", "multipleBirth[x]", valueBoolean=True), "multipleBirthBoolean", True),
        (add("Patient", "multipleBirthInteger", valueInteger=2), "multipleBirthInteger", 2),
        (add("Patient", "contained", resource={"resourceType": "Group"}), "contained",
         [{"resourceType": "Organization", "id": "o"}, {"resourceType": "Group"}]),
        (add("Patient.contained[0]", "name", valueString="a"), "contained",
         [{"resourceType": "Organization", "id": "o", "name": "a"}]),
        (add("Patient", "extension", part=[part("url", valueUri="u"), part("value", valueCode="c")]), "extension",
         [{"url": "u", "valueCode": "c"}]),
        (add("Patient", "text", part=[part("status", valueCode="empty"), part("div", valueString="<div/>")]), "text",
         {"status": "empty", "div": "<div/>"}),
        (add("Patient", "contact", part=[part("relationship", valueCodeableConcept={"text": "a"}),
                                         part("relationship", valueCodeableConcept={"text": "b"}),
                                         part("gender", valueCode="male")]), "contact",
         [{"relationship": [{"text": "a"}, {"text": "b"}], "gender": "male"}]),
        (insert("Patient.telecom", 0, valueContactPoint={"value": "1"}), "telecom", [{"value": "1"}]),
        (insert("Patient.name[0].given", 1, valueString="D"), "_given", [None, None, {"id": "g"}]),
        (insert("Patient.name[0].given", 1, valueString="D"), "given", ["A", "D", "B"]),
        (move("Patient.name[0].given", 1, 0), "given", ["B", "A"]),
        (move("Patient.name[0].given", 1, 0), "_given", [{"id": "g"}, None]),
        (delete("Patient.name[0].given[1]"), "given", ["A"]),
        (delete("Patient.name[0].given[1]"), "_given", None),
        (delete("Patient.name[0].given[1].id"), "_given", None),
        (delete("Patient.name[1].family"), "name", [FIRST]),
        (delete("Patient.name.where(family = 'C')"), "name", [FIRST]),
        (delete("Patient.birthDate.extension"), "_birthDate", None),
        (delete("Patient.birthDate"), "_birthDate", None),
        (delete("Patient.gender"), "gender", None),
        (replace("Patient.birthDate", valueDate="1990"), "_birthDate", None),
        (replace("Patient.deceased", valueDateTime="2020"), "deceasedDateTime", "2020"),
        (replace("Patient.deceased", valueDateTime="2020"), "deceasedBoolean", None),
        (replace("Patient.name[0].given[1]", valueString="D"), "given", ["A", "D"]),
        (replace("Patient.name[0].given[1]", valueString="D"), "_given", None),
        (replace("Patient.contained[0]", resource={"resourceType": "Group"}), "contained", [{"resourceType": "Group"}]),
        (replace("Patient.name[1]", part=[part("family", valueString="D")]), "name", [FIRST, {"family": "D"}]),
    ],
)  # fmt: skip
def test_an_operation_changes_its_element_and_no_other(change, key, value):
    found = patched(change)
    holder = found["name"][0] if key in ("given", "_given") else found
    assert holder.get(key) == value
    if key not in ("name", "given", "_given"):
        touched = {key, "_birthDate", "birthDate", "deceasedBoolean", "deceasedDateTime"}
        assert {k: v for k, v in found.items() if k not in touched} == {
            k: v for k, v in PATIENT.items() if k not in touched
        }


def test_a_value_keeps_its_place_when_its_type_changes():
    found = patched(
        replace("Observation.value", valueQuantity={"value": 1}), resource={**OBSERVATION, "note": [{"text": "a"}]}
    )
    assert list(found) == ["resourceType", "status", "valueQuantity", "note"]


def test_deleting_the_last_of_a_list_leaves_no_list_and_no_empty_object():
    found = patched(delete("Patient.name[1]"), delete("Patient.name[0].given[1]"), delete("Patient.name[0].given[0]"))
    assert "name" not in found


def test_decimals_and_order_stay_as_they_were():
    resource = parse_exact(
        rb'{"valueQuantity":{"unit":"\u0041","value":1.10},"resourceType":"Observation","status":"a"}'
    )
    patch = b'{"resourceType":"Parameters","parameter":[%s]}' % dump_exact(
        add("Observation", "referenceRange", part=[part("low", valueQuantity={"value": 0})])
    ).replace(b'"value":0', b'"value":2.50')
    found = apply_fhirpath_patch(resource, read_fhirpath_patch(patch, r4()), r4())
    assert dump_exact(found) == dump_exact(resource)[:-1] + b',"referenceRange":[{"low":{"value":2.50}}]}'


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (add("Patient.name", "use", valueCode="usual"), "the path selects 2 elements"),
        (add("Patient.telecom", "use", valueCode="home"), "there is nothing at Patient.telecom"),
        (add("Patient", "birthDate", valueDate="1990"), "there already is one birthDate, and it cannot repeat"),
        (add("Patient", "deceased", valueDateTime="2020"), "there already is one deceasedBoolean"),
        (add("Patient", "gendre", valueCode="male"), "Patient has no element 'gendre'"),
        (add("Patient", "gender", valueHumanName={}), "Patient.gender takes code, not a value of type HumanName"),
        (add("Patient", "multipleBirth", valueDecimal=1), "takes boolean or integer, not a value of type decimal"),
        (add("Patient", "contact", valueHumanName={}), "takes Patient.contact, not a value of type HumanName"),
        (add("Patient", "contact", part=[part("gendre", valueCode="a")]), "Patient.contact has no element 'gendre'"),
        (add("Patient", "gender", part=[part("a", valueCode="a")]), "not an object by parts"),
        (add("Patient.birthDate", "value", valueString="a"), "date has no element 'value'"),
        (add("Patient.name.count()", "a", valueString="a"), "a value that is computed"),
        (insert("Patient.name", 3, valueHumanName={}), "index is 3, and must be from 0 to 2"),
        (insert("Patient.birthDate", 0, valueDate="1990"), "Patient.birthDate is no list"),
        (move("Patient.name", 0, 2), "destination is 2, and must be from 0 to 1"),
        (move("Patient.telecom", 0, 0), "the list is empty"),
        (delete("Patient.name"), "the path selects 2 elements"),
        (delete("Patient"), "the path selects a whole resource"),
        (replace("Patient", resource=PATIENT), "the path selects a whole resource"),
        (replace("Patient.gender", valueCode="male"), "there is nothing at Patient.gender"),
        (replace("Patient.birthDate", valueBoolean=True), "Patient.birthDate takes date, not a value of type boolean"),
    ],
)
def test_what_the_resource_does_not_allow_is_unprocessable(change, text):
    with pytest.raises(Unprocessable) as failure:
        patched(delete("Patient.gender"), change)
    (issue,) = failure.value.issues
    assert issue.text.startswith("Operation [1] (")
    assert text in issue.text
    assert issue.expression == ("Parameters.parameter[1]",)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({}, "each parameter must be named 'operation'"),
        ({"name": "operation", "part": {}}, "part must be an array of objects"),
        ({"name": "operation"}, "it has no part 'type'"),
        (operation("swap", "Patient"), "type must be one of add, insert, delete, replace, move, and is 'swap'"),
        (operation("add", "Patient"), "it has no part 'name', which add needs"),
        (operation("delete", "Patient", part("value", valueCode="a")), "delete takes no part 'value'"),
        (operation("delete", "Patient", part("path", valueString="a")), "the part 'path' appears more than once"),
        (operation("delete", "Patient", part("pth", valueString="a")), "there is no part 'pth'"),
        (operation("delete", "Patient.("), "column"),
        (operation("delete", "Patient.nam"), "nam"),
        (insert("Patient.name[0]", 0, valueHumanName={}), "must end in the name of a list"),
        (insert("Patient.name", True, valueHumanName={}), "index must be an integer, and is true"),
        (insert("Patient.name", 0), "value must have one of value[x], resource or part, and has none"),
        (insert("Patient.name", 0, valueCode="a", valueUri="b"), "has several: valueCode, valueUri"),
        (insert("Patient.name", 0, valueHumanname={}), "has valueHumanname, which Parameters does not know"),
        (add("Patient", "contained", resource={"resourceType": "X"}), "must be a resource of FHIR R4"),
    ],
)
def test_what_is_no_operation_is_invalid(change, text):
    with pytest.raises(Invalid) as failure:
        patched(change)
    assert text in failure.value.issues[0].text
    assert failure.value.issues[0].expression == ("Parameters.parameter[0]",)


def test_other_bodies_are_no_patch():
    with pytest.raises(Invalid, match="a FHIRPath Patch is a Parameters resource") as failure:
        apply_fhirpath_patch(PATIENT, PATIENT, r4())
    assert '"operation"' in (failure.value.issues[0].fix or "")
    with pytest.raises(Invalid, match="more than once"):
        read_fhirpath_patch(b'{"resourceType":"Parameters","id":"a","id":"b"}', r4())
    with pytest.raises(Invalid, match="there is no element x"):
        read_fhirpath_patch(b'<Parameters xmlns="http://hl7.org/fhir"><x/></Parameters>', r4())


def test_what_paths_visit_is_bounded_for_the_whole_patch():
    names = [{"family": str(number)} for number in range(400)]
    resource = {"resourceType": "Patient", "name": names}
    slow = delete("Patient.name.where(%resource.name.where(family = 'x').exists()).where(false)")
    with pytest.raises(TooCostly, match="visits more than"):
        patched(*[slow] * 1000, resource=resource)
    with pytest.raises(TooCostly, match="visits more than one patch may visit"):
        patched(
            *[delete("(Patient.name | Patient.name).where(false)")] * 1000, resource={**resource, "name": names * 5}
        )
    with pytest.raises(TooLarge, match="at most 1000"):
        patched(*[delete("Patient.gender")] * 1001)


SIMPLE = {"extension": "Extension", "identifier": "Identifier", "active": "Boolean", "name": "HumanName",
          "birthDate": "Date", "maritalStatus": "CodeableConcept", "deceasedBoolean": "Boolean",
          "deceasedDateTime": "DateTime"}  # fmt: skip


def difference(source: dict[str, Any], target: dict[str, Any]) -> list[dict[str, Any]]:
    """Operations that make one patient of another: all goes, all comes."""
    found = []
    for key, value in source.items():
        name = "deceased" if key.startswith("deceased") else key
        if isinstance(value, list):
            found += [delete(f"Patient.{name}[{index}]") for index in reversed(range(len(value)))]
        elif key not in ("resourceType", "id"):
            found.append(delete(f"Patient.{name.removeprefix('_')}"))
    for key, value in target.items():
        for item in value if isinstance(value, list) else [value]:
            if key == "contact":
                found.append(add("Patient", key, part=[*contact_parts(item)]))
            elif key in SIMPLE and key != "extension":
                extra = {"_valueDate": target["_birthDate"]} if key == "birthDate" and "_birthDate" in target else {}
                name = "deceased" if key.startswith("deceased") else key
                found.append(add("Patient", name, **{f"value{SIMPLE[key]}": item}, **extra))
            elif key == "extension":
                parts = [part("url", valueUri=item["url"]), part("value", valueString=item["valueString"])]
                found.append(add("Patient", key, part=parts))
            elif key == "_birthDate" and "birthDate" not in target:
                found.append(add("Patient", "birthDate", _valueDate=item))
    return found


def contact_parts(contact: dict[str, Any]) -> list[dict[str, Any]]:
    parts = [part("name", valueHumanName=contact["name"])] if "name" in contact else []
    parts += [part("gender", valueCode=contact["gender"])] if "gender" in contact else []
    return parts + [part("relationship", valueCodeableConcept=each) for each in contact.get("relationship", ())]


@given(patients(), patients())
def test_a_difference_applied_gives_the_target(source, target):
    before = copy.deepcopy((source, target))
    assert patched(*difference(source, target), resource=source) == target
    assert (source, target) == before


PATHS = st.sampled_from(
    ["Patient", "Patient.name", "Patient.name[0]", "Patient.name.given", "Patient.name[0].given[1]", "name",
     "Patient.birthDate", "Patient.id", "Patient.birthDate.extension", "Patient.deceased", "Patient.contained[0]",
     "Patient.contact[0]",
     "Patient.name[0].period", "Patient.descendants()", "%resource", "'a'", "Patient.name.first().given.last()",
     "$this",
     "Patient.contained[0].name", "Patient.name.resolve()", "Patient | Patient.name", "{}", "1 +", "Patient.text.div",
     "Patient.extension[0].value", "Patient.where(true)", "Patient.identifier[0].period.start", "Organization"]
)  # fmt: skip
KEYS = st.sampled_from(
    ["valueString", "valueHumanName", "valueCode", "valueInteger", "valueDate", "_valueString", "valueBoolean",
     "valueExtension", "valueIdentifier", "valuePeriod", "resource", "part", "value", "valueX", "id"]
)  # fmt: skip
ELEMENTS = st.sampled_from(
    ["name", "given", "id", "extension", "gender", "deceased", "contact", "contained", "value", "birthDate", "text",
     "x", "resourceType", "deceasedBoolean", "period", "div", "url"]
)  # fmt: skip
VALUES = st.recursive(
    JSON | st.just({"resourceType": "Organization"}) | st.just({"given": ["a"]}),
    lambda inner: st.lists(st.fixed_dictionaries({"name": ELEMENTS}, optional={"valueString": JSON, "part": inner})),
    max_leaves=3,
)
PARTS = st.fixed_dictionaries({}, optional={"name": ELEMENTS}) | st.dictionaries(KEYS, VALUES, max_size=2)
OPERATIONS = st.one_of(
    st.builds(
        lambda path, name, value: add(path, name, **value), PATHS, ELEMENTS, st.dictionaries(KEYS, VALUES, max_size=2)
    ),
    st.builds(lambda path, value: replace(path, **value), PATHS, st.dictionaries(KEYS, VALUES, max_size=2)),
    st.builds(
        lambda path, at, value: insert(path, at, **value), PATHS, st.integers(-1, 3), st.dictionaries(KEYS, VALUES)
    ),
    st.builds(move, PATHS, st.integers(-1, 3), st.integers(-1, 3)),
    st.builds(delete, PATHS),
    st.builds(lambda parts: {"name": "operation", "part": parts}, st.lists(PARTS) | JSON),
    JSON,
)


@given(
    patients()
    | st.just(PATIENT)
    | st.dictionaries(ELEMENTS, VALUES).map(lambda body: body | {"resourceType": "Patient"}),
    st.lists(OPERATIONS, max_size=5),
)
def test_any_patch_is_applied_or_refused_and_leaves_its_input_alone(resource, operations):
    before = copy.deepcopy((resource, operations))
    with suppress(FhirError):
        apply_fhirpath_patch(resource, parameters(*operations), r4())
    assert (resource, operations) == before

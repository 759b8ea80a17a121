"""Slices in the snapshot of a StructureDefinition."""

from tests.validation.verdict import errors

DIVIDED = {"slicing": {"discriminator": [{"type": "value", "path": "system"}], "rules": "open"}}


def told(*elements):
    """What is wrong with the slices of a snapshot with these elements."""
    base = {"definition": "d", "min": 0, "max": "*", "base": {"path": "Patient", "min": 0, "max": "*"}}
    snapshot = [{"id": element.get("id", element["path"])} | base | element for element in elements]
    body = {"resourceType": "StructureDefinition"} | {
        "url": "https://example.org/p",
        "name": "P",
        "status": "active",
        "kind": "resource",
        "abstract": False,
        "type": "Patient",
        "baseDefinition": "http://hl7.org/fhir/StructureDefinition/Patient",
        "derivation": "constraint",
        "snapshot": {"element": [{"path": "Patient", "id": "Patient"} | base, *snapshot]},
    }
    return [text.partition(": ")[2] for text in errors(body) if "lice" in text]


def part(name, path="Patient.identifier"):
    return {"path": path, "id": f"{path}:{name}", "sliceName": name}


def test_a_slice_follows_the_element_that_is_divided():
    assert told({"path": "Patient.identifier"} | DIVIDED, part("a"), part("b")) == []


def test_a_slice_without_slicing_is_wrong():
    assert told({"path": "Patient.identifier"}, part("a")) == [
        "The slice 'a' stands before any slicing of Patient.identifier."
    ]


def test_a_slicing_ends_with_its_element():
    elements = {"path": "Patient.identifier"} | DIVIDED, part("a"), {"path": "Patient.active"}, part("b")
    assert len(told(*elements)) == 1


def test_a_slice_name_is_there_once():
    assert told({"path": "Patient.identifier"} | DIVIDED, part("a"), part("a")) == [
        "The slice name 'a' is there twice."
    ]


def test_a_choice_may_be_sliced_by_type_without_saying_so():
    assert told({"path": "Patient.deceased[x]"}, part("deceasedBoolean", "Patient.deceased[x]")) == []

import copy
import json
from typing import Any

import pytest

from fhir_server.definitions.registry import r4
from fhir_server.errors import Invalid, TooLarge, Unprocessable
from fhir_server.patch.apply import KINDS, apply_patch
from fhir_server.resource.exact import dump_exact, parse_exact
from fhir_server.resource.parsing import Limits
from tests.patch.patients import operation, parameters, part, raw

PATIENT = parse_exact(
    b'{"id":"p","resourceType":"Patient","birthDate":"1980","name":[{"given":["A"]}],'
    b'"extension":[{"valueDecimal":1.10,"url":"http://a"}]}'
)
HEAD = '<diff xmlns="http://hl7.org/fhir">'
PARAMETERS = '<Parameters xmlns="http://hl7.org/fhir"><parameter><name value="operation"/>'


def by_path(path: str, **value: Any) -> bytes:
    return raw(parameters(operation("replace", path, part("value", **value))))


BIRTH_DATES: list[tuple[Any, bytes | dict[str, Any]]] = [
    ("json", b'[{"op":"replace","path":"/birthDate","value":"1990"}]'),
    ("xml", f'{HEAD}<replace sel="Patient/birthDate/@value">1990</replace></diff>'.encode()),
    ("fhirpath", by_path("Patient.birthDate", valueDate="1990")),
    ("fhirpath", json.loads(by_path("Patient.birthDate", valueDate="1990"))),
    (
        "fhirpath",
        f'{PARAMETERS}<part><name value="type"/><valueCode value="replace"/></part><part><name value="path"/>'
        '<valueString value="birthDate"/></part><part><name value="value"/><valueDate value="1990"/></part>'
        "</parameter></Parameters>".encode(),
    ),
]


@pytest.mark.parametrize(("kind", "patch"), BIRTH_DATES)
def test_every_kind_changes_what_it_names_and_nothing_else(kind, patch):
    before = copy.deepcopy((PATIENT, patch))
    patched = apply_patch(kind, patch, PATIENT, r4())
    assert dump_exact(patched) == dump_exact(PATIENT).replace(b'"1980"', b'"1990"')
    patched["name"][0]["given"].append("B")
    assert (PATIENT, patch) == before


@pytest.mark.parametrize(
    ("kind", "patch"),
    [
        ("json", b'[{"op":"replace","path":"/id","value":"q"}]'),
        ("json", b'[{"op":"remove","path":"/id"}]'),
        ("json", b'[{"op":"replace","path":"","value":{"resourceType":"Patient","id":"q"}}]'),
        ("xml", f'{HEAD}<replace sel="Patient/id/@value">q</replace></diff>'.encode()),
        ("fhirpath", by_path("Patient.id", valueId="q")),
        ("fhirpath", raw(parameters(operation("delete", "Patient.id")))),
    ],
)
def test_the_id_stays(kind, patch):
    with pytest.raises(Unprocessable, match=r"changes id from p to (q|null)") as failure:
        apply_patch(kind, patch, PATIENT, r4())
    assert failure.value.issues[0].expression == ("Patient.id",)


def test_the_type_stays():
    with pytest.raises(Unprocessable, match="changes resourceType from Patient to Group"):
        apply_patch("json", b'[{"op":"replace","path":"/resourceType","value":"Group"}]', PATIENT, r4())
    with pytest.raises(Unprocessable, match="leaves no resource"):
        apply_patch("json", b'[{"op":"replace","path":"","value":7}]', PATIENT, r4())


def test_a_list_that_loses_its_last_item_goes():
    assert "name" not in apply_patch("json", b'[{"op":"remove","path":"/name/0"}]', PATIENT, r4())


@pytest.mark.parametrize(
    ("kind", "patch"),
    [
        ("json", b"{}"),
        ("json", {"resourceType": "Parameters"}),
        ("xml", {"resourceType": "Parameters"}),
        ("xml", b"[]"),
        ("fhirpath", b"[]"),
        ("fhirpath", b"<diff/>"),
        ("fhirpath", {"resourceType": "Patient"}),
        ("fhirpath", {"resourceType": "Parameters", "parameter": 1}),
    ],
)
def test_what_is_no_patch_of_its_kind_is_invalid(kind, patch):
    with pytest.raises(Invalid):
        apply_patch(kind, patch, PATIENT, r4())


def test_the_result_must_keep_the_limits():
    nested = part("value", part=[part("extension", part=[part("url", valueUri="a"), part("value", valueCode="c")])])
    add = operation("add", "Patient.extension[0]", part("name", valueString="extension"), nested)
    for limits in (Limits(depth=6), Limits(keys=11)):
        with pytest.raises(TooLarge):
            apply_patch("fhirpath", parameters(add), PATIENT, r4(), limits)
    one = part("value", part=[part("url", valueUri="a")])
    deeper = [
        operation("add", "Patient" + ".extension" * depth, part("name", valueString="extension"), one)
        for depth in range(70)
    ]
    with pytest.raises(TooLarge, match="nested more than 64 levels"):
        apply_patch("fhirpath", parameters(*deeper), {"resourceType": "Patient"}, r4())


def test_every_media_type_has_its_kind():
    assert set(KINDS.values()) == {"json", "xml", "fhirpath"}


def test_an_xml_patch_gives_examples_back_as_they_were(r4_examples):
    for name in sorted(r4_examples)[::40]:
        resource = parse_exact(r4_examples[name])
        if "id" not in resource or "implicitRules" in resource:
            continue
        last = "meta" if "meta" in resource else "id"
        patch = (
            f'{HEAD}<add sel="{resource["resourceType"]}/{last}" pos="after"><implicitRules value="a"/></add></diff>'
        )
        patched = apply_patch("xml", patch.encode(), resource, r4())
        assert patched.pop("implicitRules") == "a"
        assert dump_exact(patched) == dump_exact(resource)

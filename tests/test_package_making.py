"""Packages that are made: others can load them, and the same folder gives the same bytes."""

import io
import json
import re
import tarfile
from pathlib import Path
from typing import Any

import pytest

from fhir_server.definitions.registry import r4
from fhir_server.errors import Invalid
from fhir_server.package import load_package
from fhir_server.package_making import make_package
from fhir_server.validation.validator import Validator

TELEHEALTH = Path(__file__).resolve().parents[1] / "profiles" / "telehealth"
PACKAGE_NAME = re.compile(r"[a-z][a-z0-9-]*(\.[a-z0-9-]+)+")
FHIR_ID = re.compile(r"[A-Za-z0-9.-]{1,64}")
Json = dict[str, Any]


@pytest.fixture(scope="module")
def packed() -> bytes:
    return make_package(r4().extended(), TELEHEALTH)


@pytest.fixture(scope="module")
def files(packed: bytes) -> dict[str, Json]:
    with tarfile.open(fileobj=io.BytesIO(packed)) as tar:
        return {each.name: json.load(tar.extractfile(each) or io.BytesIO()) for each in tar.getmembers()}


@pytest.fixture(scope="module")
def loaded(packed: bytes, tmp_path_factory):
    file = tmp_path_factory.mktemp("package") / "telehealth.tgz"
    file.write_bytes(packed)
    definitions = r4().extended()
    return definitions, load_package(definitions, file)


def test_the_same_folder_gives_the_same_bytes(packed: bytes):
    assert make_package(r4().extended(), TELEHEALTH) == packed


def test_who_loads_it_has_all_of_it(loaded, files: dict[str, Json]):
    definitions, told = loaded
    assert (told.name, told.version) == ("nhipcau.telehealth", "0.1.0")
    assert [issue for issue in told.issues if issue.is_error] == []
    for body in files.values():
        if body.get("resourceType") == "StructureDefinition":
            stated = definitions.stated_structure(body["url"])
            assert stated.elements
            assert stated.elements == definitions.snapshots.make(stated).elements


def test_all_of_it_is_valid_by_itself(loaded, files: dict[str, Json]):
    """Also by the rules of StructureDefinitions: sdf-3, sdf-8b, eld-18 and the others."""
    validator = Validator(loaded[0], depth="full")
    wrong = {
        name: [issue.text for issue in validator.validate(body).issues if issue.is_error]
        for name, body in files.items()
        if "resourceType" in body
    }
    assert {name: texts for name, texts in wrong.items() if texts} == {}
    assert sum("/example/" in name for name in files) > 6


def test_it_keeps_the_rules_of_packages(files: dict[str, Json]):
    manifest = files["package/package.json"]
    assert PACKAGE_NAME.fullmatch(manifest["name"])
    assert manifest["dependencies"] == {"hl7.fhir.r4.core": "4.0.1"}
    assert manifest["fhirVersions"] == ["4.0.1"]
    assert next(iter(files)) == "package/package.json"
    for name, body in files.items():
        if name.startswith("package/") and "resourceType" in body:
            assert name.endswith(f"/{body['resourceType']}-{body['id']}.json")
            assert FHIR_ID.fullmatch(body["id"])
            if "/example/" not in name:
                assert body["url"] == f"{manifest['canonical']}:{body['resourceType']}:{body['id']}"
                assert body["version"] == manifest["version"]


def test_the_index_and_the_guide_list_what_is_there(files: dict[str, Json]):
    for folder in ("package", "package/example"):
        index = {each["filename"]: each for each in files[f"{folder}/.index.json"]["files"]}
        there = {name.rpartition("/")[2]: body for name, body in files.items() if name.rpartition("/")[0] == folder}
        assert set(index) == {name for name, body in there.items() if "resourceType" in body}
        for name, entry in index.items():
            assert entry["id"] == there[name]["id"]
    guide = files["package/ImplementationGuide-nhipcau.telehealth.json"]
    listed = {each["reference"]["reference"] for each in guide["definition"]["resource"]}
    bodies = [each for each in files.values() if each.get("resourceType") not in (None, "ImplementationGuide")]
    assert listed == {f"{each['resourceType']}/{each['id']}" for each in bodies}


def test_inherited_elements_name_where_fhir_defines_them(files: dict[str, Json]):
    elements = files["package/StructureDefinition-tele-appointment.json"]["snapshot"]["element"]
    bases = {each["id"]: each["base"]["path"] for each in elements}
    assert bases["Appointment.id"] == "Resource.id"
    assert bases["Appointment.text"] == "DomainResource.text"
    assert bases["Appointment.participant.id"] == "Element.id"
    assert bases["Appointment.participant.type.coding:role.system"] == "Coding.system"
    assert bases["Appointment.extension:heldUntil"] == "DomainResource.extension"
    elements = files["package/StructureDefinition-tele-minutes.json"]["snapshot"]["element"]
    bases = {each["id"]: each["base"]["path"] for each in elements}
    assert bases["Composition.section:conclusions.section.title"] == "Composition.section.title"


@pytest.mark.parametrize(
    ("manifest", "body", "text"),
    [
        (None, None, "cannot be read"),
        ({"name": "a.b"}, None, "must say: version"),
        ({}, {"resourceType": "CodeSystem", "url": "urn:a"}, "id of its own"),
        ({}, {"resourceType": "StructureDefinition", "id": "a", "url": "urn:a", "version": "1", "title": "A",
              "type": "Patient", "kind": "resource", "abstract": False, "derivation": "constraint",
              "baseDefinition": "http://hl7.org/fhir/StructureDefinition/Patient",
              "differential": {"element": [{"id": "Patient.none", "path": "Patient.none"}]}}, "Patient.none"),
    ],
)  # fmt: skip
def test_what_cannot_be_made_is_said(tmp_path: Path, manifest, body, text: str):
    if manifest is not None:
        whole = json.loads((TELEHEALTH / "package.json").read_text())
        (tmp_path / "package.json").write_text(json.dumps(manifest or whole))
    if body is not None:
        (tmp_path / "a.json").write_text(json.dumps(body))
    with pytest.raises(Invalid, match=text):
        make_package(r4().extended(), tmp_path)

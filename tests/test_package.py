import gzip
import io
import json
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest

from fhir_server.definitions.registry import Definitions, r4
from fhir_server.definitions.structure import TYPE_URL
from fhir_server.errors import Invalid, TooLarge
from fhir_server.package import PackageLimits, load_package, read_package
from fhir_server.terminology.local import LocalTerminology
from tests.definitions.profiles import at, profile

HL7_VIET_NAM = "http://fhir.hl7.org.vn/core"
MINISTRY = "http://fhir.ehealth.gov.vn/core"
MANIFEST = {"name": "hl7.fhir.vn.core", "version": "0.6.0", "fhirVersions": ["4.0.1"], "canonical": HL7_VIET_NAM}
ETHNICITY, IN_ETHNICITIES = f"{HL7_VIET_NAM}/CodeSystem/vn-ethnicity-cs", f"{HL7_VIET_NAM}/ValueSet/vn-ethnicity-vs"
ETHNICITIES = {
    "resourceType": "CodeSystem",
    "url": ETHNICITY,
    "version": "0.6.0",
    "content": "complete",
    "caseSensitive": True,
    "concept": [{"code": "01", "display": "Kinh"}, {"code": "02", "display": "Tày"}],
}
ETHNICITY_SET = {
    "resourceType": "ValueSet",
    "url": IN_ETHNICITIES,
    "version": "0.6.0",
    "compose": {"include": [{"system": ETHNICITY}]},
}
PATIENT = profile("ignored", "Patient", at("Patient.identifier", min=1)) | {
    "url": f"{HL7_VIET_NAM}/StructureDefinition/vn-core-patient",
    "version": "0.6.0",
}
GUIDE = {
    "package/package.json": MANIFEST,
    "package/CodeSystem-ethnicity.json": ETHNICITIES,
    "package/ValueSet-ethnicity.json": ETHNICITY_SET,
    "package/StructureDefinition-patient.json": PATIENT,
    "package/example/Patient-a.json": {"resourceType": "Patient", "url": "http://example.org/not-read"},
}


def encoded(content: Any) -> bytes:
    return content if isinstance(content, bytes) else json.dumps(content).encode()


def tar(files: dict[str, Any]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(encoded(content))
            archive.addfile(member, io.BytesIO(encoded(content)))
    return buffer.getvalue()


def zipped(files: dict[str, Any]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, encoded(content))
    return buffer.getvalue()


def folder(files: dict[str, Any], place: Path) -> Path:
    for name, content in files.items():
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_bytes(encoded(content))
    return place


@pytest.fixture
def definitions() -> Definitions:
    return r4().extended()


@pytest.fixture
def package(tmp_path: Path):
    """Writes a package of these files to disk and gives its path."""

    def written(files: dict[str, Any], name: str = "guide.tgz") -> Path:
        path: Path = tmp_path / name
        path.write_bytes(tar(files))
        return path

    return written


@pytest.fixture(params=["tgz", "plain tar", "folder", "zip", "zip of a guide"])
def guide(request, tmp_path: Path):
    if request.param == "folder":
        return folder(GUIDE, tmp_path)
    contents = {
        "tgz": lambda: tar(GUIDE),
        "plain tar": lambda: gzip.decompress(tar(GUIDE)),
        "zip": lambda: zipped(GUIDE),
        "zip of a guide": lambda: zipped({"site/qa.json": {}, "site/index.html": b"", "site/package.tgz": tar(GUIDE)}),
    }
    path = tmp_path / "guide.bin"
    path.write_bytes(contents[request.param]())
    return path


def test_a_package_is_read_whatever_it_is_wrapped_in(guide, definitions):
    loaded = load_package(definitions, guide)
    assert loaded.counts == {"CodeSystem": 1, "StructureDefinition": 1, "ValueSet": 1}
    assert (loaded.name, loaded.version, loaded.issues) == ("hl7.fhir.vn.core", "0.6.0", ())
    assert f"{PATIENT['url']}|0.6.0" in loaded.canonicals
    assert LocalTerminology(definitions).contains(IN_ETHNICITIES, ETHNICITY, "02") is True


def test_snapshots_are_made_whatever_the_order(package, definitions):
    chain = [
        profile(str(i), "Patient", at("Patient.active", min=1), base=f"http://example.org/{i + 1}") for i in range(5)
    ]
    files = {f"{i}.json": body for i, body in enumerate(chain)} | {"5.json": profile("5", "Patient", at("Patient"))}
    loaded = load_package(definitions, package(files))
    assert loaded.issues == ()
    assert len(definitions.structure("http://example.org/0").elements) == 45


def test_a_single_file_or_a_bundle_of_resources_is_a_package_too(tmp_path, definitions):
    single, bundle = tmp_path / "one.json", tmp_path / "definitions.json"
    single.write_bytes(encoded(ETHNICITIES))
    bundle.write_bytes(
        encoded({"resourceType": "Bundle", "entry": [{"resource": ETHNICITY_SET}, {"resource": PATIENT}]})
    )
    assert load_package(definitions, single).counts == {"CodeSystem": 1}
    assert load_package(definitions, bundle).counts == {"StructureDefinition": 1, "ValueSet": 1}


def test_a_resource_in_json_and_in_xml_is_taken_once(package, definitions):
    xml = b'<ValueSet xmlns="http://hl7.org/fhir"><url value="http://example.org/v"/><status value="draft"/></ValueSet>'
    files = {"v.json": {"resourceType": "ValueSet", "url": "http://example.org/v", "name": "j"}, "v.xml": xml}
    loaded = load_package(definitions, package(files))
    assert (loaded.counts, loaded.issues) == ({"ValueSet": 1}, ())
    assert definitions.value_set("http://example.org/v").name == "j"


def test_a_fault_in_one_file_takes_nothing_from_the_others(package, definitions):
    broken = {
        "a.json": b"{",
        "b.xml": b'<ValueSet xmlns="http://hl7.org/fhir">',
        "c.json": {
            "resourceType": "ValueSet",
            "url": "http://example.org/c",
            "compose": {"include": [{"concept": [{}]}]},
        },
        "d.json": {"resourceType": "StructureDefinition", "url": "http://example.org/d", "snapshot": {"element": [1]}},
        "e.json": {"resourceType": "SearchParameter", "url": "http://example.org/e"},
        "f.json": [],
        "g.json": {"resourceType": "CodeSystem", "url": 7},
    }
    loaded = load_package(definitions, package(GUIDE | broken))
    assert sum(loaded.counts.values()) == 3
    assert [issue.text.partition(":")[0] for issue in loaded.issues] == [
        "a.json",
        "c.json",
        "d.json",
        "e.json",
        "b.xml",
    ]
    assert {issue.severity for issue in loaded.issues} == {"error"}
    assert "'code' is missing" in loaded.issues[1].text
    assert definitions.structure(PATIENT["url"]).elements


def test_a_base_that_is_not_there_is_named(package, definitions):
    body = profile("p", "Patient", at("Patient.active", min=1), base="http://hl7.org/fhir/uv/ips/Patient-uv-ips")
    issue = load_package(definitions, package({"p.json": body})).issues[0]
    assert (issue.severity, issue.code, issue.profile) == ("warning", "not-found", "http://example.org/p")
    assert issue.text.startswith("p.json: The base http://hl7.org/fhir/uv/ips/Patient-uv-ips of http://example.org/p")


def test_a_type_of_the_core_is_not_replaced(package, definitions):
    body = profile("p", "Patient", at("Patient")) | {"url": f"{TYPE_URL}Patient", "version": "5.0.0"}
    loaded = load_package(definitions, package({"p.json": body}))
    assert [issue.code for issue in loaded.issues] == ["business-rule"]
    assert definitions.structure(f"{TYPE_URL}Patient") is r4().structure(f"{TYPE_URL}Patient")


def test_two_versions_of_a_package_stand_side_by_side(package, definitions):
    for version in ("0.10.0", "0.6.0"):
        load_package(definitions, package({"p.json": PATIENT | {"version": version}}, f"{version}.tgz"))
    assert definitions.structure(PATIENT["url"]).version == "0.10.0"
    assert definitions.structure(f"{PATIENT['url']}|0.6.0").version == "0.6.0"


def test_one_canonical_twice_in_a_package_is_told(package, definitions):
    loaded = load_package(definitions, package({"a.json": ETHNICITY_SET, "b.json": ETHNICITY_SET}))
    assert [(issue.code, issue.text.partition(":")[0]) for issue in loaded.issues] == [("duplicate", "b.json")]


@pytest.mark.shared
def test_both_vietnamese_core_guides_can_be_loaded_at_once(shared, package, definitions):
    """They share the package id hl7.fhir.vn.core; the ministry's derives in part from a guide that is not here."""
    ministry = load_package(definitions, shared / "data" / "vietnam" / "moh-legacy-ig")
    community = load_package(definitions, package(GUIDE))
    assert ministry.counts == {"CodeSystem": 9, "StructureDefinition": 65, "ValueSet": 15}
    assert community.issues == ()
    theirs = definitions.structure(f"{MINISTRY}/StructureDefinition/vn-core-patient")
    ours = definitions.structure(f"{HL7_VIET_NAM}/StructureDefinition/vn-core-patient")
    assert theirs.elements != ours.elements

    structures = [definitions.structure(url) for url in ministry.canonicals if "/StructureDefinition/" in url]
    assert all(structure.elements for structure in structures)
    missing = [issue for issue in ministry.issues if issue.code == "not-found"]
    assert len(missing) == 19
    assert all("http://hl7.org/fhir/uv/ips/StructureDefinition/" in issue.text for issue in missing)
    assert {issue.severity for issue in ministry.issues} == {"warning"}

    known = LocalTerminology(definitions)
    races = known.expand(f"{MINISTRY}/ValueSet/vn-core-race")
    assert races is not None
    assert races.complete
    assert len(races.entries) == 56
    assert known.contains(IN_ETHNICITIES, ETHNICITY, "01") is True


@pytest.mark.shared
def test_the_core_package_reads_as_its_files(r4_core):
    assert sum(body["resourceType"] == "StructureDefinition" for body in read_package(r4_core)) == 658


def test_names_that_climb_out_are_only_names(package, definitions, tmp_path):
    loaded = load_package(definitions, package({"../../../evil.json": ETHNICITIES, "/abs/b.json": ETHNICITY_SET}))
    assert sum(loaded.counts.values()) == 2
    assert sorted(file.name for file in tmp_path.rglob("*")) == ["guide.tgz"]


def test_links_are_not_followed(tmp_path, definitions):
    outside = tmp_path / "outside.json"
    outside.write_bytes(encoded(ETHNICITIES))
    inside = tmp_path / "inside"
    inside.mkdir()
    (inside / "link.json").symlink_to(outside)
    (inside / "loop").symlink_to(inside)
    assert load_package(definitions, inside).counts == {}

    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for kind, name in (
            (tarfile.SYMTYPE, "soft.json"),
            (tarfile.LNKTYPE, "hard.json"),
            (tarfile.FIFOTYPE, "pipe.json"),
        ):
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, str(outside)
            archive.addfile(member)
    path = tmp_path / "links.tgz"
    path.write_bytes(buffer.getvalue())
    assert load_package(definitions, path).counts == {}


@pytest.mark.parametrize(
    "limits", [PackageLimits(files=2), PackageLimits(file_bytes=100), PackageLimits(total_bytes=900)]
)
def test_a_package_beyond_the_limits_is_refused(guide, definitions, limits):
    with pytest.raises(TooLarge):
        load_package(definitions, guide, limits)


def test_what_unpacks_without_end_is_stopped(tmp_path, definitions):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        member = tarfile.TarInfo("zeros.bin")
        member.size = 50 * 2**20
        archive.addfile(member, io.BytesIO(bytes(member.size)))
    path = tmp_path / "bomb.tgz"
    path.write_bytes(buffer.getvalue())
    with pytest.raises(TooLarge):
        load_package(definitions, path, PackageLimits(total_bytes=2**20))


@pytest.mark.parametrize("raw", [b"", b"no archive", b"\x1f\x8b\x08broken", b"PK\x03\x04broken", tar(GUIDE)[:300]])
def test_what_is_no_archive_is_refused(tmp_path, definitions, raw):
    path = tmp_path / "guide.tgz"
    path.write_bytes(raw)
    with pytest.raises(Invalid):
        load_package(definitions, path)

"""DICOMweb as clients meet it: statuses, media types, limits, and who sees what."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

from dicom_bridge.dicomweb import HEADERS, DicomWeb, rows
from dicom_bridge.extension import images
from dicom_bridge.multipart import MultipartReader, MultipartWriter, PartBegun, Piece, boundary_of, media_type_of
from dicom_bridge.reception import MOST_PARTS
from dicom_bridge.study_note import StudyNote, StudyNotes
from dicom_bridge.visibility import Visibility
from fhir_server.access.caller import Caller
from fhir_server.access.scope import parse_scopes
from tests.dicom_bridge.samples import file, slice_of, written
from tests.serving import Served, outcome, serving

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")

WEB = "http://node/dicom-web"
INSTANCE = "studies/1.2.3/series/1.2.3.1/instances/1.2.3.1.1"
DICOM = 'multipart/related; type="application/dicom"'


@pytest.fixture(scope="module")
def contents(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Files by what they are."""
    folder = tmp_path_factory.mktemp("files")

    def content(**elements: Any) -> bytes:
        return written(slice_of(**elements), folder / "a").read_bytes()

    return {
        "first": content(NumberOfFrames=3),
        "second": content(number=2),
        "other series": content(series=2),
        "other study": content(study="1.2.4", PatientName="Đặng^Hồng", PatientID="VN-2"),
        "changed": content(StudyDescription="changed"),
        "stranger": content(number=9, PatientID="stranger"),
        "compressed": file("examples_ybr_color.dcm").read_bytes(),
    }


def message(*parts: bytes, boundary: str = "cut", part_type: str = "application/dicom") -> tuple[bytes, str]:
    writer = MultipartWriter(boundary, "application/dicom")
    body = b"".join([*(writer.begin({"Content-Type": part_type}) + part for part in parts), writer.end()])
    return body, writer.media_type


def store(server: Served, *parts: bytes, study: str = "", **headers: str) -> httpx.Response:
    body, media_type = message(*parts)
    where = f"{WEB}/studies/{study}".rstrip("/")
    return server.send("POST", where, content=body, headers={"content-type": media_type, **headers})


def get(server: Served, path: str, accept: str = "*/*", **headers: str) -> httpx.Response:
    return server.send("GET", f"{WEB}/{path}", headers={"accept": accept, **headers})


def parts_of(answer: httpx.Response) -> list[tuple[dict[str, str], bytes]]:
    reader = MultipartReader(boundary_of(media_type_of(answer.headers["content-type"])))
    parts: list[tuple[dict[str, str], bytes]] = []
    for event in reader.feed(answer.content):
        match event:
            case PartBegun(headers):
                parts.append((dict(headers), b""))
            case Piece(data):
                parts[-1] = parts[-1][0], parts[-1][1] + data
    reader.close()
    return parts


@pytest.fixture
def empty() -> Iterator[Served]:
    with serving(extensions=[images]) as server:
        yield server


@pytest.fixture(scope="module")
def server(contents: dict[str, bytes]) -> Iterator[Served]:
    with serving(extensions=[images]) as server:
        names = ("first", "second", "other series", "other study", "compressed")
        assert store(server, *(contents[name] for name in names)).status_code == 200
        yield server


def test_each_instance_is_told_by_itself(empty: Served, contents: dict[str, bytes]):
    answer = store(empty, contents["first"], b"no DICOM", contents["second"])
    assert answer.status_code == 202
    assert answer.headers["content-type"] == "application/dicom+json"
    told = answer.json()
    stored = [each["00081155"]["Value"][0] for each in told["00081199"]["Value"]]
    assert stored == ["1.2.3.1.1", "1.2.3.1.2"]
    assert told["00081199"]["Value"][0]["00081190"]["Value"] == [f"{WEB}/{INSTANCE}"]
    (failed,) = told["0008119A"]["Value"]
    assert failed["00081197"]["Value"] == [0xC000]
    assert failed["00000902"]["Value"][0].startswith("Part 2: It is no DICOM file")
    assert "Value" not in told["00081198"]


def test_all_stored_is_200_and_none_is_409(empty: Served, contents: dict[str, bytes]):
    assert store(empty, contents["first"]).status_code == 200
    assert store(empty, contents["first"]).status_code == 200
    refused = store(empty, contents["changed"], contents["stranger"])
    assert refused.status_code == 409
    reasons = [each["00081197"]["Value"][0] for each in refused.json()["00081198"]["Value"]]
    assert reasons == [0x0111, 0x0110]


def test_one_instance_may_come_without_parts(empty: Served, contents: dict[str, bytes]):
    headers = {"content-type": "application/dicom"}
    assert empty.send("POST", f"{WEB}/studies", content=contents["first"], headers=headers).status_code == 200


def test_an_instance_of_another_study_is_refused(empty: Served, contents: dict[str, bytes]):
    answer = store(empty, contents["first"], contents["other study"], study="1.2.3")
    assert answer.status_code == 202
    (failed,) = answer.json()["00081198"]["Value"]
    assert failed["00081155"]["Value"] == ["1.2.4.1.1"]


@pytest.mark.parametrize(
    ("content_type", "body", "status", "code"),
    [
        ("multipart/related; type=application/dicom", b"--cut--", 400, "structure"),
        ("multipart/related; type=application/dicom; boundary=other", b"--cut\r\n\r\nx\r\n--cut--", 400, "structure"),
        ("multipart/related; type=application/dicom; boundary=cut", b"--cut\r\n\r\nx", 400, "structure"),
        ("multipart/related; type=application/dicom; boundary=cut", b"--cut--", 400, "invalid"),
        ("multipart/related; type=application/dicom; boundary=cut", b"", 400, "structure"),
        ("multipart/related; type=application/dicom+xml; boundary=cut", b"--cut--", 415, "not-supported"),
        ("application/json", b"{}", 415, "not-supported"),
        ("", b"", 415, "not-supported"),
    ],
)
def test_what_is_no_message_is_refused(empty: Served, content_type: str, body: bytes, status: int, code: str):
    outcome(empty.send("POST", f"{WEB}/studies", content=body, headers={"content-type": content_type}), status, code)


def test_a_hundred_thousand_parts_are_too_many(empty: Served):
    body, media_type = message(*([b"x"] * (MOST_PARTS + 1)), part_type="text/plain")
    answer = empty.send("POST", f"{WEB}/studies", content=body, headers={"content-type": media_type})
    outcome(answer, 413, "too-long")


def test_a_body_that_does_not_come_is_given_up():
    async def silence() -> Any:
        yield b"--cut\r\n\r\n"
        await asyncio.sleep(30)

    with serving(extensions=[images], body_seconds=0.2) as server:
        headers = {"content-type": "multipart/related; boundary=cut", "content-length": "4000000000"}
        began = time.monotonic()
        answer = server.send("POST", f"{WEB}/studies", content=silence(), headers=headers)
        outcome(answer, 408, "timeout")
        assert time.monotonic() - began < 20


def test_an_instance_that_is_too_long_is_refused_alone(contents: dict[str, bytes]):
    with serving(extensions=[images], image_bytes=3_000) as server:
        answer = store(server, contents["second"], contents["second"] + bytes(5_000))
    assert answer.status_code == 202
    assert answer.json()["0008119A"]["Value"][0]["00081197"]["Value"] == [0xA700]


@pytest.mark.parametrize(
    ("path", "uids"),
    [
        ("studies?PatientName=dang*", ["1.2.4"]),
        ("studies?PatientName=%C4%90%E1%BA%B7ng%2A", ["1.2.4"]),
        ("studies?00100020=VN-1&includefield=all", ["1.2.3"]),
        ("studies?StudyInstanceUID=1.2.3%2C1.2.4&limit=1", ["1.2.4"]),
        ("studies?StudyDate=20261101-&offset=1&StudyInstanceUID=1.2.3,1.2.4", ["1.2.3"]),
        ("studies/1.2.3/series", ["1.2.3.1", "1.2.3.2"]),
        ("series?StudyInstanceUID=1.2.4", ["1.2.4.1"]),
        ("studies/1.2.3/instances?InstanceNumber=2", ["1.2.3.1.2"]),
        ("studies/1.2.3/series/1.2.3.2/instances", ["1.2.3.2.1"]),
        ("instances?PatientID=VN-2", ["1.2.4.1.1"]),
        ("studies?PatientID=nobody", []),
    ],
)
def test_a_search_finds(server: Served, path: str, uids: list[str]):
    answer = get(server, path, "application/dicom+json")
    assert answer.status_code == 200
    last = path.partition("?")[0].rpartition("/")[2]
    tag = {"studies": "0020000D", "series": "0020000E", "instances": "00080018"}[last]
    assert [each[tag]["Value"][0] for each in answer.json()] == uids


def test_answers_of_a_search_say_where_to_retrieve(server: Served):
    (answer,) = get(server, "studies/1.2.3/instances?InstanceNumber=2").json()
    assert answer["00081190"]["Value"] == [f"{WEB}/studies/1.2.3/series/1.2.3.1/instances/1.2.3.1.2"]
    assert answer["00100010"]["Value"] == [{"Alphabetic": "Nguyễn^Thị Ánh"}]


def test_more_answers_and_a_lowered_limit_are_said(server: Served):
    assert "go on with offset" in get(server, "studies?limit=1").headers["warning"]
    assert get(server, "studies?limit=1000000000").headers["warning"].startswith('299 - "There are 1,000 answers')
    assert "warning" not in get(server, "studies").headers


@pytest.mark.parametrize(
    ("path", "says"),
    [("studies?PatientNmae=x", "PatientName"), ("studies?StudyDate=now", "YYYYMMDD"), ("series?Rows=1", "series")],
)
def test_an_unknown_key_is_refused(server: Served, path: str, says: str):
    assert says in outcome(get(server, path), 400, "value" if "Date" in path else "invalid")["details"]["text"]


@pytest.mark.parametrize(
    ("path", "names"),
    [
        ("studies/1.2.3", ["first", "second", "other series"]),
        ("studies/1.2.3/series/1.2.3.1", ["first", "second"]),
        (INSTANCE, ["first"]),
    ],
)
def test_files_come_back_as_they_were_sent(server: Served, contents: dict[str, bytes], path: str, names: list[str]):
    answer = get(server, path, f"{DICOM}; transfer-syntax=*")
    assert answer.headers["x-content-type-options"] == "nosniff"
    parts = parts_of(answer)
    assert [content for _, content in parts] == [contents[name] for name in names]
    assert parts[0][0]["content-type"] == "application/dicom; transfer-syntax=1.2.840.10008.1.2.1"
    assert parts[0][0]["content-location"] == f"{WEB}/{INSTANCE}"


def test_one_file_may_come_without_parts(server: Served, contents: dict[str, bytes]):
    answer = get(server, INSTANCE, "application/dicom")
    assert answer.content == contents["first"]
    assert answer.headers["content-length"] == str(len(contents["first"]))
    assert answer.headers["content-type"].startswith("application/dicom;")


def test_metadata_has_addresses_for_the_bulk_of_data(server: Served):
    metadata = get(server, "studies/1.2.3/metadata", "application/json").json()
    assert [each["00080018"]["Value"][0] for each in metadata] == ["1.2.3.1.1", "1.2.3.1.2", "1.2.3.2.1"]
    uri = metadata[0]["7FE00010"]["BulkDataURI"]
    assert uri == f"{WEB}/{INSTANCE}/bulkdata/7FE00010"
    answer = server.send("GET", uri, headers={"accept": "application/octet-stream"})
    assert answer.content == slice_of(NumberOfFrames=3).PixelData
    ((_, content),) = parts_of(server.send("GET", uri))
    assert content == answer.content


def test_frames_come_in_the_order_asked_for(server: Served):
    answer = get(server, f"{INSTANCE}/frames/3,1", 'multipart/related; type="application/octet-stream"')
    pixels = slice_of(NumberOfFrames=3).PixelData
    assert [content for _, content in parts_of(answer)] == [pixels[64:96], pixels[:32]]
    assert get(server, f"{INSTANCE}/frames/2", "application/octet-stream").content == pixels[32:64]


@pytest.fixture(scope="module")
def compressed(server: Served) -> str:
    (found,) = get(server, "instances?NumberOfFrames=30").json()
    return str(found["00081190"]["Value"][0]).removeprefix(f"{WEB}/")


@pytest.mark.parametrize(
    ("accept", "status"),
    [
        ("*/*", 200),
        ("image/jpeg", 200),
        ("image/*", 200),
        ('multipart/related; type="image/jpeg"', 200),
        ('multipart/related; type="image/jpeg"; transfer-syntax=1.2.840.10008.1.2.4.50', 200),
        ("multipart/related; type=application/octet-stream; transfer-syntax=*", 200),
        ('multipart/related; type="image/jp2", multipart/related; type="image/jpeg"', 200),
        ("multipart/related; type=application/dicom+xml", 406),
        ('multipart/related; type="image/jpeg"; transfer-syntax=1.2.840.10008.1.2.4.51', 406),
        ("application/octet-stream; transfer-syntax=1.2.840.10008.1.2.4.91", 406),
        ("text/html", 406),
    ],
)
def test_compressed_frames_are_sent_as_stored_where_asked(server: Served, compressed: str, accept: str, status: int):
    answer = get(server, f"{compressed}/frames/1", accept)
    assert answer.status_code == status, answer.text
    if status == 406:
        text = outcome(answer, 406, "not-supported")["details"]["text"]
        assert "stored as image/jpeg; transfer-syntax=1.2.840.10008.1.2.4.50" in text
    elif accept in ("image/jpeg", "image/*"):
        assert answer.content.startswith(b"\xff\xd8")
    else:
        ((headers, content),) = parts_of(answer)
        assert content.startswith(b"\xff\xd8")
        assert headers["content-type"] == "image/jpeg; transfer-syntax=1.2.840.10008.1.2.4.50"


def test_no_study_is_sent_in_part(server: Served, compressed: str):
    study = compressed.partition("/series")[0]
    assert get(server, study, f"{DICOM}; transfer-syntax=1.2.840.10008.1.2.4.100").status_code == 406
    assert get(server, "studies/1.2.3", "application/dicom").status_code == 406


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("studies/9.9.9", 404),
        ("studies/9.9.9/metadata", 404),
        ("studies/1.2.4/series/1.2.3.1", 404),
        ("studies/1.2.4/series/1.2.3.1/instances/1.2.3.1.1", 404),
        ("studies/1.2.4/series/1.2.3.1/instances/1.2.3.1.1/metadata", 404),
        ("studies/1.2.4/series/1.2.3.1/instances/1.2.3.1.1/frames/1", 404),
        ("studies/1.2.4/series/1.2.3.1/instances/1.2.3.1.1/bulkdata/7FE00010", 404),
        ("studies/1.2.4/series/1.2.3.1/instances/1.2.3.1.1/rendered", 404),
        (f"{INSTANCE}/frames/4", 404),
        (f"{INSTANCE}/frames/0", 400),
        (f"{INSTANCE}/frames/one", 400),
        (f"{INSTANCE}/frames/{','.join(['1'] * 101)}", 400),
        (f"{INSTANCE}/bulkdata/00091010", 404),
        (f"{INSTANCE}/bulkdata/00100010", 404),
        (f"{INSTANCE}/bulkdata/00100010/0", 400),
        (f"{INSTANCE}/bulkdata/..%2F..%2Fetc", 400),
        ("studies/..%2F1", 404),
        ("studies/1.2.a/metadata", 400),
        ("patients", 404),
    ],
)
def test_what_is_not_there_is_said(server: Served, path: str, status: int):
    answer = get(server, path)
    assert answer.status_code == status, answer.text
    assert answer.json()["resourceType"] == "OperationOutcome"


@pytest.mark.parametrize("path", ["studies", "studies/1.2.3/metadata"])
def test_json_is_the_only_form_of_metadata(server: Served, path: str):
    outcome(get(server, path, 'multipart/related; type="application/dicom+xml"'), 406, "not-supported")


def test_what_is_deleted_is_gone(empty: Served, contents: dict[str, bytes]):
    store(empty, contents["first"], contents["second"])
    assert empty.send("DELETE", f"{WEB}/{INSTANCE}").status_code == 204
    outcome(empty.send("DELETE", f"{WEB}/{INSTANCE}"), 404, "not-found")
    assert len(get(empty, "instances").json()) == 1
    assert empty.send("DELETE", f"{WEB}/studies/1.2.3").status_code == 204
    assert get(empty, "studies").json() == []


def test_addresses_are_those_that_the_operator_names(contents: dict[str, bytes]):
    with serving(extensions=[images], base_url="https://pacs.example.vn/fhir") as server:
        answer = store(server, contents["first"], host='evil".example')
    (stored,) = answer.json()["00081199"]["Value"]
    assert stored["00081190"]["Value"] == [f"https://pacs.example.vn/dicom-web/{INSTANCE}"]


class Known:
    """Lets in one person, who may ask for images and studies of images."""

    def __init__(self, scopes: str, *facilities: str, role: str = "doctor") -> None:
        roles = frozenset({role})
        self.caller = Caller("person", "lan", parse_scopes(scopes), roles, organizations=facilities, assurance=2)

    async def authenticate(self, header: str | None) -> Caller:
        return self.caller


@pytest.mark.parametrize(
    ("method", "path", "scopes"),
    [
        ("GET", "studies", "user/ImagingStudy.r"),
        ("GET", "studies/1.2.3", "user/ImagingStudy.s"),
        ("GET", f"{INSTANCE}/frames/1", "user/Patient.rs"),
        ("POST", "studies", "user/ImagingStudy.rs"),
        ("DELETE", "studies/1.2.3", "user/ImagingStudy.cru"),
    ],
)
def test_each_request_needs_its_scope(empty: Served, method: str, path: str, scopes: str):
    empty.service.fhir.authenticator = Known(scopes)
    outcome(empty.send(method, f"{WEB}/{path}"), 403, "forbidden")


@pytest.mark.parametrize(
    ("role", "stores", "deletes"),
    [("doctor", True, False), ("his", True, True), ("patient", False, False), ("ministry", False, False)],
)
def test_roles_store_and_delete(empty: Served, contents: dict[str, bytes], role: str, stores: bool, deletes: bool):  # noqa: FBT001
    empty.service.fhir.authenticator = Known("user/*.cruds", "district", role=role)
    assert (store(empty, contents["first"]).status_code == 200) == stores
    # What may be deleted and is not seen is not there.
    assert (empty.send("DELETE", f"{WEB}/studies/1.2.3").status_code == 404) == deletes


PATHS = (
    "studies/{}", "studies/{}/series", "studies/{}/instances", "studies/{}/metadata", "studies/{}/rendered",
    "studies/{}/series/{}.1", "studies/{}/series/{}.1/instances", "studies/{}/series/{}.1/metadata",
    "studies/{}/series/{}.1/instances/{}.1.1", "studies/{}/series/{}.1/instances/{}.1.1/metadata",
    "studies/{}/series/{}.1/instances/{}.1.1/frames/1", "studies/{}/series/{}.1/instances/{}.1.1/bulkdata/7FE00010",
    "studies/{}/series/{}.1/instances/{}.1.1/thumbnail",
)  # fmt: skip


def tie(server: Served, study: str, imaging: str, facility: str) -> None:
    """Let an ImagingStudy show a study, as the bridge does for what it has tied to a patient."""
    notes = StudyNotes()
    notes.notes = server.node.notes
    server.call(lambda: notes.change(study, lambda _: StudyNote(facility, imaging=imaging)))


def test_who_acts_for_no_facility_stores_nothing(empty: Served, contents: dict[str, bytes]):
    empty.service.fhir.authenticator = Known("user/*.cruds")
    outcome(store(empty, contents["first"]), 403, "forbidden")


def test_a_study_that_came_from_a_facility_is_added_to_by_no_other(empty: Served, contents: dict[str, bytes]):
    for facility, content, status in (
        ("district", "first", 200),
        ("elsewhere", "second", 409),
        ("elsewhere", "first", 409),
        ("district", "second", 200),
        ("elsewhere", "other study", 200),
    ):
        empty.service.fhir.authenticator = Known("user/*.cruds", facility)
        answer = store(empty, contents[content])
        assert answer.status_code == status, answer.text
        if status == 409:
            (failed,) = answer.json()["0008119A"]["Value"]
            assert failed["00081197"]["Value"] == [0x0110]


def test_a_study_that_nobody_was_asked_about_is_the_servers_own(contents: dict[str, bytes]):
    with serving(extensions=[images], organization="district") as server:
        store(server, contents["first"])
        server.service.fhir.authenticator = Known("user/*.cruds", "elsewhere")
        assert store(server, contents["second"]).status_code == 409
        server.service.fhir.authenticator = Known("user/*.cruds", "district")
        assert store(server, contents["second"]).status_code == 200


def test_a_study_is_open_on_all_paths_or_on_none(contents: dict[str, bytes]):
    with serving(extensions=[images], organization="district") as server:
        store(server, contents["first"], contents["other study"])
        for name in ("district", "elsewhere"):
            server.put({"resourceType": "Organization", "id": name, "name": name})
        server.put(
            {"resourceType": "Patient", "id": "anh", "managingOrganization": {"reference": "Organization/district"}}
        )
        imaging = {
            "resourceType": "ImagingStudy",
            "status": "available",
            "identifier": [{"system": "urn:dicom:uid", "value": "urn:oid:1.2.3"}],
            "subject": {"reference": "Patient/anh"},
        }
        tie(server, "1.2.3", server.create(imaging)["id"], "district")
        statuses: dict[str, dict[str, set[int]]] = {}
        for facility in ("district", "elsewhere"):
            server.service.fhir.authenticator = Known("user/*.cruds", facility)
            statuses[facility] = {
                study: {get(server, path.replace("{}", study)).status_code for path in PATHS}
                for study in ("1.2.3", "1.2.4")
            }
            listed = [each["0020000D"]["Value"][0] for each in get(server, "studies").json()]
            assert listed == (["1.2.3"] if facility == "district" else [])
            server.service.fhir.authenticator = Known("user/*.cruds", facility, role="his")
            assert server.send("DELETE", f"{WEB}/studies/1.2.4").status_code == 404
    assert statuses == {
        "district": {"1.2.3": {200}, "1.2.4": {404}},
        "elsewhere": {"1.2.3": {404}, "1.2.4": {404}},
    }


def test_every_route_is_documented():
    page = (Path(__file__).resolve().parents[2] / "docs" / "reference" / "dicomweb.md").read_text()
    web = DicomWeb(Visibility(time.time, StudyNotes(), ""), "", 1)
    told = {f"{row.method} /dicom-web{row.path}".replace("{place:path}", "{place}") for row in rows(web)}
    assert {each for each in told if f"`{each}`" not in page} == set()


def test_answers_are_kept_by_nobody(server: Served):
    for path in ("studies", "studies/1.2.3", INSTANCE, f"{INSTANCE}/frames/1", f"{INSTANCE}/metadata"):
        headers = get(server, path).headers
        assert {name: headers[name] for name in HEADERS} == HEADERS


def test_json_of_many_letters_is_utf_8(server: Served):
    assert "Đặng" in get(server, "studies?PatientName=dang*").content.decode()
    assert orjson.loads(get(server, "studies").content)

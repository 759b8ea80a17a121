"""Images that are broken, too large, or dangerous (rows 121 to 132 of the catalogue), against both archives."""

from __future__ import annotations

import socket
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from dicom_bridge.extension import images
from dicom_bridge.reception import MOST_PARTS
from tests.dicom_bridge.samples import file, slice_of, written
from tests.processes import Program
from tests.serving import Served, serving

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")

WEB = "http://node/dicom-web"
TYPE = 'multipart/related; type="application/dicom"'
META = 144
"""Where the file's meta information begins, behind the element that tells its length."""


@pytest.fixture(scope="module", params=["local", "orthanc"])
def server(request: pytest.FixtureRequest) -> Iterator[Served]:
    chosen: dict[str, Any] = {"image_bytes": 20_000_000}
    if request.param == "orthanc":
        orthanc = request.getfixturevalue("orthanc")
        orthanc.empty()
        chosen["archive"] = f"orthanc={orthanc.address}"
    with serving(extensions=[images], **chosen) as running:
        yield running


def sent(server: Served, *parts: bytes, kind: str = f"{TYPE}; boundary=cut") -> httpx.Response:
    framed = [b"--cut\r\nContent-Type: application/dicom\r\n\r\n%s\r\n" % part for part in parts]
    body = b"".join([*framed, b"--cut--\r\n"])
    return server.send("POST", f"{WEB}/studies", content=body, headers={"content-type": kind})


def content(folder: Path, study: str = "1.2.9", **elements: Any) -> bytes:
    return written(slice_of(study, **elements), folder / "a").read_bytes()


def meta_end(whole: bytes) -> int:
    return META + int(struct.unpack("<I", whole[140:144])[0])


def refused(answer: httpx.Response) -> str:
    """Why the one instance of a message is not stored."""
    assert answer.status_code == 409, answer.text
    found = answer.json()
    items: list[dict[str, Any]] = [item for tag in ("00081198", "0008119A") for item in found[tag].get("Value", ())]
    (item,) = items
    return str(item["00000902"]["Value"][0])


def is_there(server: Served, study: str) -> bool:
    return bool(server.send("GET", f"{WEB}/studies", params={"StudyInstanceUID": study}).json())


@pytest.mark.parametrize(
    ("kind", "status"), [(TYPE, 400), (f"{TYPE}; boundary=another", 400), (f"{TYPE}; boundary=", 400)]
)
def test_121_a_message_without_its_boundary_is_refused(server: Served, tmp_path: Path, kind: str, status: int):
    assert sent(server, content(tmp_path), kind=kind).status_code == status
    assert not is_there(server, "1.2.9")


def test_121_very_many_parts_are_refused(server: Served):
    assert sent(server, *[b""] * (MOST_PARTS + 1)).status_code == 413


def test_123_what_inflates_without_end_is_refused(server: Served, tmp_path: Path):
    syntax = "1.2.840.10008.1.2.1.99"
    whole = written(slice_of("1.2.9"), tmp_path / "a", syntax).read_bytes()
    packing = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    bomb = b"".join([*(packing.compress(bytes(10_000_000)) for _ in range(60)), packing.flush()])
    assert "inflates to more" in refused(sent(server, whole[: meta_end(whole)] + bomb))


def test_123_more_pixels_than_there_are_is_refused(server: Served, tmp_path: Path):
    dataset = slice_of("1.2.9", Rows=65535, Columns=65535)
    dataset.NumberOfFrames = 1_000_000
    dataset.PixelData = bytes(64)
    assert "pixel data has" in refused(sent(server, written(dataset, tmp_path / "a").read_bytes()))


@pytest.mark.parametrize("uid", ["../../etc/passwd", "1." + "2" * 64, "1.2.x", "1.2/3", "1.2.3\\1.2.4"])
def test_124_uids_that_are_none_are_refused(server: Served, tmp_path: Path, uid: str):
    whole = content(tmp_path, "1.2.9")
    element = b"\x20\x00\x0d\x00UI"
    at = whole.index(element)
    (length,) = struct.unpack("<H", whole[at + 6 : at + 8])
    value = uid.encode() + b"\0" * (len(uid) % 2)
    changed = whole[: at + 6] + struct.pack("<H", len(value)) + value + whole[at + 8 + length :]
    assert refused(sent(server, changed))


def test_125_a_directory_of_files_is_refused(server: Served):
    assert "DICOMDIR" in refused(sent(server, file("DICOMDIR").read_bytes()))


def test_126_sequences_without_end_are_refused(server: Served, tmp_path: Path):
    whole = content(tmp_path)
    at = whole.index(b"\xe0\x7f\x10\x00")
    opened = b"\x40\x00\x75\x02SQ\0\0\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff"
    start = whole.index(b"\x28\x00\x02\x00")
    assert refused(sent(server, whole[:start] + opened * 10_000 + whole[at:]))


def test_126_a_length_beyond_the_file_is_refused(server: Served, tmp_path: Path):
    whole = content(tmp_path)
    start = whole.index(b"\x28\x00\x02\x00")
    assert refused(sent(server, whole[:start] + b"\x28\x00\x00\x20OB\0\0\xfe\xff\xff\xff" + whole[start:]))


def test_127_the_same_uid_with_other_bytes_or_another_patient_is_refused(server: Served, tmp_path: Path):
    first = content(tmp_path, "1.2.10")
    assert sent(server, first).status_code == 200
    assert "Another instance has this" in refused(sent(server, content(tmp_path, "1.2.10", StudyDescription="other")))
    assert refused(sent(server, content(tmp_path, "1.2.10", PatientID="VN-2")))
    assert "another patient" in refused(sent(server, content(tmp_path, "1.2.10", number=2, PatientID="VN-2")))
    path = f"{WEB}/studies/1.2.10/series/1.2.10.1/instances/1.2.10.1.1"
    assert server.send("GET", path, headers={"accept": "application/dicom"}).content == first


@pytest.mark.parametrize("program", [b"\x7fELF", b"MZ\x90\x00", b"<html><script>"], ids=["elf", "pe", "html"])
def test_129_a_program_before_an_image_is_taken_away(server: Served, tmp_path: Path, program: bytes):
    study = f"1.2.11.{program[0]}"
    whole = content(tmp_path, study)
    assert sent(server, program.ljust(128, b"\x90") + whole[128:]).status_code == 200
    path = f"{WEB}/studies/{study}/series/{study}.1/instances/{study}.1.1"
    answer = server.send("GET", path, headers={"accept": "application/dicom"})
    assert answer.content == whole
    assert answer.headers["content-type"].startswith("application/dicom")
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_130_a_search_for_everything_is_cut(server: Served, tmp_path: Path):
    sent(server, content(tmp_path, "1.2.12"))
    answer = server.send("GET", f"{WEB}/studies", params={"limit": "1000000000", "PatientName": "*"})
    assert answer.status_code == 200
    assert answer.headers["warning"].startswith("299")


def test_132_private_data_without_end_is_refused(server: Served, tmp_path: Path):
    dataset = slice_of("1.2.9")
    dataset.add_new(0x00090010, "LO", "TEST")
    dataset.add_new(0x00091001, "OB", bytes(25_000_000))
    answer = sent(server, written(dataset, tmp_path / "a").read_bytes())
    assert "longer than" in refused(answer)


@pytest.mark.server
def test_122_a_body_that_is_announced_and_does_not_come_is_not_waited_for(tmp_path: Path):
    server = Program(tmp_path, body_seconds=1)
    try:
        with socket.create_connection(("127.0.0.1", server.port), timeout=20) as connection:
            head = f"POST /dicom-web/studies HTTP/1.1\r\nHost: x\r\nContent-Type: {TYPE}; boundary=cut\r\n"
            connection.sendall(f"{head}Content-Length: 4000000000\r\n\r\n--cut\r\n".encode())
            assert connection.recv(12) == b"HTTP/1.1 408"
    finally:
        server.stop()

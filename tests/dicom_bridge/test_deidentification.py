"""Studies without whose they are: nothing that was planted is left, and pixels that may show people need a mask."""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from dicom_bridge.confidentiality import BASIC, OPTIONS, action_for, may_show_people, table
from dicom_bridge.extension import images
from dicom_bridge.multipart import MultipartReader, PartBegun, Piece, boundary_of, media_type_of
from tests.dicom_bridge.samples import file, slice_of, written
from tests.serving import Served, outcome, serving

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")

WEB = "http://node/dicom-web"
PLANTED: dict[str, Any] = {
    "PatientName": "Nguyễn^Thị Ánh", "PatientID": "VN-20770", "PatientBirthDate": "19870412",
    "AccessionNumber": "ACC-5512",
    "InstitutionName": "Bệnh viện Bạch Mai", "StationName": "CT-PHONG-3", "ReferringPhysicianName": "Trần^Văn Bình",
    "StudyDescription": "CT sọ não chị Ánh", "SeriesDescription": "gọi 0912345678", "PatientAddress": "78 Giải Phóng",
    "PatientComments": "hàng xóm của Lan", "ProtocolName": "giao thức Hồng", "DeviceSerialNumber": "SN-998877",
    "EthnicGroup": "Kinh", "OtherPatientIDs": "079187001234", "OperatorsName": "Lê^Hoa",
}  # fmt: skip
"""With one in a sequence, and one in a private attribute, these are eighteen."""
NESTED, PRIVATE = "yêu cầu của bác sĩ Vinh", "Phạm Quốc Cường"


def planted(**elements: Any) -> Dataset:
    dataset = slice_of(**{**PLANTED, **elements})
    item = Dataset()
    item.RequestedProcedureDescription = NESTED
    item.ReferencedSOPInstanceUID = dataset.SOPInstanceUID
    dataset.RequestAttributesSequence = Sequence([item])
    # Not named by the profile, and written by hand.
    dataset.DerivationDescription = "lát cắt của chị Ánh, mã VN-20770"
    dataset.private_block(0x0099, "HANG X", create=True).add_new(1, "LO", PRIVATE)
    return dataset


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("files")
    ultrasound = slice_of("1.2.5", PatientID="VN-5", Modality="US", BurnedInAnnotation="NO", Rows=8, Columns=8)
    ultrasound.PixelData = np.full((8, 8), 700, np.uint16).tobytes()
    report = slice_of("1.2.6")
    del report.PixelData
    with serving(extensions=[images]) as server:
        for dataset in (planted(), planted(number=2), planted(series=2), ultrasound, report):
            content = written(dataset, folder / "file").read_bytes()
            headers = {"content-type": "application/dicom"}
            assert server.send("POST", f"{WEB}/studies", content=content, headers=headers).status_code == 200
        yield server


def released(server: Served, study: str, **asked: Any) -> httpx.Response:
    return server.send("POST", f"{WEB}/studies/{study}/deidentified", json=asked)


def contents(answer: httpx.Response) -> list[bytes]:
    assert answer.status_code == 200, answer.text
    found: list[bytes] = []
    for event in MultipartReader(boundary_of(media_type_of(answer.headers["content-type"]))).feed(answer.content):
        match event:
            case PartBegun():
                found.append(b"")
            case Piece(data):
                found[-1] += data
    return found


def data_sets(answer: httpx.Response) -> list[Dataset]:
    return [dcmread(BytesIO(content)) for content in contents(answer)]


def test_nothing_that_was_planted_is_left(server: Served):
    for content in contents(released(server, "1.2.3")):
        for value in (*PLANTED.values(), NESTED, PRIVATE, "1.2.3.1.1", "VN-20770", "Ánh", "HANG X", "20261103"):
            assert str(value).encode() not in content
        dataset = dcmread(BytesIO(content))
        assert dataset.PatientIdentityRemoved == "YES"
        assert [code.CodeValue for code in dataset.DeidentificationMethodCodeSequence] == ["113100"]
        assert dataset.LongitudinalTemporalInformationModified == "REMOVED"
        assert not any(element.tag.is_private for element in dataset.iterall())
        assert (dataset.Rows, dataset.Columns, dataset.Modality) == (4, 4, "CT")


def test_what_belongs_together_stays_together(server: Served):
    first, second, other = data_sets(released(server, "1.2.3"))
    assert first.StudyInstanceUID == second.StudyInstanceUID == other.StudyInstanceUID != "1.2.3"
    assert first.SeriesInstanceUID == second.SeriesInstanceUID != other.SeriesInstanceUID
    assert first.PatientID == second.PatientID == other.PatientID
    assert first.file_meta.MediaStorageSOPInstanceUID == first.SOPInstanceUID != second.SOPInstanceUID
    again = data_sets(released(server, "1.2.3"))[0]
    assert (again.SOPInstanceUID, again.PatientID) == (first.SOPInstanceUID, first.PatientID)


def test_two_recipients_cannot_put_together_what_they_have(server: Served):
    one, other = (data_sets(released(server, "1.2.3", recipient=name))[0] for name in ("A", "B"))
    assert one.PatientID != other.PatientID
    assert one.SOPInstanceUID != other.SOPInstanceUID


def test_options_keep_what_they_name_and_no_more(server: Served):
    (kept, *_) = data_sets(released(server, "1.2.3", options=["retain-dates", "retain-institution"]))
    assert (kept.StudyDate, kept.InstitutionName) == ("20261103", "Bệnh viện Bạch Mai")
    assert kept.LongitudinalTemporalInformationModified == "UNMODIFIED"
    assert kept.DeviceSerialNumber == "REMOVED"
    shifted = data_sets(released(server, "1.2.3", options=["shift-dates"]))
    assert len({each.StudyDate for each in shifted}) == 1
    assert shifted[0].StudyDate < "20261103"
    assert shifted[0].LongitudinalTemporalInformationModified == "MODIFIED"
    (series,) = data_sets(released(server, "1.2.3", series=["1.2.3.2"]))
    assert series.SeriesNumber == 2


def test_pixels_that_may_show_people_take_a_mask_drawn_by_a_person(server: Served):
    issue = outcome(released(server, "1.2.5"), 422, "processing")
    assert "a person must look at them" in issue["details"]["text"]
    outcome(released(server, "1.2.5", masks={"1.2.5.1": []}), 400, "value")
    (masked,) = data_sets(released(server, "1.2.5", masks={"1.2.5.1": [[0, 0, 8, 2], [6, 6, 100, 100]]}))
    expected = np.full((8, 8), 700)
    expected[:2] = expected[6:, 6:] = 0
    assert np.array_equal(masked.pixel_array, expected)
    assert [code.CodeValue for code in masked.DeidentificationMethodCodeSequence] == ["113100", "113101"]


@pytest.mark.parametrize(
    "name", ["examples_ybr_color.dcm", "SC_rgb_rle_2frame.dcm", "SC_ybr_full_422_uncompressed.dcm"]
)
def test_every_frame_is_masked_whatever_its_form(server: Served, name: str):
    content = file(name).read_bytes()
    dataset = dcmread(file(name), stop_before_pixels=True)
    server.send("POST", f"{WEB}/studies", content=content, headers={"content-type": "application/dicom"})
    masks = {str(dataset.SeriesInstanceUID): [[0, 0, 20, 10]]}
    answer = released(server, str(dataset.StudyInstanceUID), masks=masks, series=list(masks))
    for masked in data_sets(answer):
        values = masked.pixel_array
        frames = values if values.ndim == 4 else values[None]
        assert len(frames) == int(masked.get("NumberOfFrames") or 1)
        assert frames[:, :10, :20].max() <= 1
        assert frames[:, 10:].max() > 100


def test_a_study_is_released_whole_or_not_at_all(server: Served):
    assert "It is no image" in outcome(released(server, "1.2.6"), 422, "processing")["details"]["text"]
    assert released(server, "9.9.9").status_code == 404


@pytest.mark.parametrize(
    "asked",
    [
        {"option": []}, {"options": ["all"]}, {"options": ["retain-dates", "shift-dates"]}, {"series": ["1.2.9"]},
        {"series": "1.2.3.1"}, {"masks": {"1.2.3.1": [[0, 0, 0, 5]]}}, {"masks": {"x": [[0, 0, 5, 5]]}},
        {"masks": []}, {"masks": {"1.2.3.1": [[0, 0, 5]]}}, {"recipient": 7}, {"recipient": "x" * 201},
        {"options": [{}]}, {"series": [7]},
    ],
)  # fmt: skip
def test_what_is_no_request_is_refused(server: Served, asked: dict[str, Any]):
    assert released(server, "1.2.3", **asked).status_code == 400


def test_bodies_that_are_none_are_refused(server: Served):
    url = f"{WEB}/studies/1.2.3/deidentified"
    assert server.send("POST", url, content=b"{").status_code == 400
    assert server.send("POST", url, content=b"[1]").status_code == 400
    assert server.send("POST", url, content=b" " * 200_000).status_code == 413


def test_the_table_is_the_whole_of_the_standards():
    assert len(table()) == 621
    assert {basic for basic, _ in table().values()} == set(BASIC)
    assert action_for(0x00100010, ()) == "empty"
    assert action_for(0x60023000, ()) == "remove"
    assert action_for(0x00091001, OPTIONS) == "remove"
    assert action_for(0x00280010, ()) is None


@pytest.mark.parametrize(
    ("modality", "sop_class", "image_type", "burned_in", "expected"),
    [
        ("CT", "1.2.840.10008.5.1.4.1.1.2", ["ORIGINAL", "PRIMARY"], "", False),
        ("CT", "1.2.840.10008.5.1.4.1.1.2", ["DERIVED", "SECONDARY", "SCREEN SAVE"], "", True),
        ("CT", "1.2.840.10008.5.1.4.1.1.7", ["ORIGINAL", "PRIMARY"], "NO", True),
        ("MR", "1.2.840.10008.5.1.4.1.1.4", ["ORIGINAL"], "YES", True),
        *((modality, "1.2", [], "NO", True) for modality in ("US", "SC", "XC", "ES", "OT", "XA", "RF", "")),
    ],
)
def test_what_may_show_people(modality: str, sop_class: str, image_type: list[str], burned_in: str, expected: bool):  # noqa: FBT001
    assert may_show_people(modality, sop_class, image_type, burned_in) == expected


def test_the_key_is_for_its_owner_alone(tmp_path: Path):
    with serving(tmp_path, extensions=[images]) as server:
        content = written(planted(), tmp_path / "file").read_bytes()
        headers = {"content-type": "application/dicom"}
        assert server.send("POST", f"{WEB}/studies", content=content, headers=headers).status_code == 200
        before = data_sets(released(server, "1.2.3"))[0]
    assert (tmp_path / "deidentification.key").stat().st_mode & 0o777 == 0o600
    assert [each.name for each in tmp_path.glob("release-*")] == []
    with serving(tmp_path, extensions=[images]) as server:
        assert data_sets(released(server, "1.2.3"))[0].PatientID == before.PatientID

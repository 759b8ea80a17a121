"""DICOM JSON says what the data set says, as pydicom's own conversion does where that is right."""

from __future__ import annotations

import math
from base64 import b64decode
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from dicom_bridge.data_set import DEPTH, INLINE_BYTES, TooDeep, json_of, raw_json
from dicom_bridge.dicom_json import text_of
from tests.dicom_bridge.samples import PART_10, slice_of, written

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")

PADDED = "pydicom keeps the blank that pads the first of several codes"
TURNED_AWAY = "pydicom leaves out what holds a UID of more than 64 characters"
RT_DOSES = "rtdose rtdose_1frame rtdose_expb rtdose_expb_1frame rtdose_rle rtdose_rle_1frame".split()
DIFFERENT = {
    ("693_J2KI.dcm", "00080008"): PADDED,
    ("SC_rgb_gdcm_KY.dcm", "00080008"): PADDED,
    ("SC_rgb_jpeg_lossy_gdcm.dcm", "00080008"): PADDED,
    ("J2K_pixelrep_mismatch.dcm", "00091100"): "short enough to be told, before base64",
    ("badVR.dcm", "00280008"): "pydicom leaves out a number that is none",
    ("badVR.dcm", "300C0002"): TURNED_AWAY,
    **{(f"{name}.dcm", "300C0002"): TURNED_AWAY for name in RT_DOSES},
}


def canonical(value: Any) -> Any:
    """What both conversions must agree on: what is empty has no value, and the letters are in UTF-8."""
    if isinstance(value, list):
        return [canonical(each) for each in value]
    if not isinstance(value, dict):
        return None if value == "" else value
    if "BulkDataURI" in value:
        return {"vr": value["vr"], "BulkDataURI": ""}
    found = {key: canonical(each) for key, each in value.items() if not key.endswith("0000") and key != "00080005"}
    return {key: each for key, each in found.items() if key != "Value" or any(item is not None for item in each)}


@pytest.mark.parametrize("path", PART_10, ids=lambda path: path.name)
def test_a_file_is_told_as_pydicom_tells_it(path: Path):
    ours, again = dcmread(path, stop_before_pixels=True), dcmread(path, stop_before_pixels=True)
    theirs = again.to_json_dict(INLINE_BYTES + 1, lambda _element: "elsewhere", suppress_invalid_tags=True)
    found = json_of(ours)
    ours_and_theirs = canonical(found), canonical(theirs)
    different = {key for key in {*found, *theirs} if ours_and_theirs[0].get(key) != ours_and_theirs[1].get(key)}
    assert different == {key for name, key in DIFFERENT if name == path.name}
    assert orjson.dumps(found)


def test_vietnamese_letters_come_back(tmp_path: Path):
    path = written(slice_of(PatientName="Đặng^Thị Hồng^^=鄧=", StudyDescription="Chụp CT sọ não"), tmp_path / "a")
    found = json_of(dcmread(path))
    assert found["00100010"]["Value"] == [{"Alphabetic": "Đặng^Thị Hồng^^", "Ideographic": "鄧"}]
    assert text_of(found, "00081030") == "Chụp CT sọ não"
    assert found["00080005"] == {"vr": "CS", "Value": ["ISO_IR 192"]}


@pytest.mark.parametrize(
    ("character_set", "encoding", "name"),
    [
        ("ISO_IR 192", "utf-8", "Phạm^Văn Đồng"),
        ("GB18030", "gb18030", "Phạm^Văn Đồng"),
        ("ISO_IR 100", "latin-1", "Ngô^Bảo".replace("ả", "à")),
    ],
)
def test_each_character_set_is_read(character_set: str, encoding: str, name: str):
    found = raw_json("PN", name.encode(encoding), [encoding], "<", ("00100010",))
    assert found["Value"] == [{"Alphabetic": name}]


def test_letters_that_are_none_of_the_character_set_are_marked(tmp_path: Path):
    path = written(slice_of(PatientName="Xxxx"), tmp_path / "a")
    path.write_bytes(path.read_bytes().replace(b"Xxxx", b"X\xff\xffx"))
    assert text_of(json_of(dcmread(path)), "00100010") == "X��x"


def test_pixels_and_long_values_are_elsewhere(tmp_path: Path):
    dataset = slice_of()
    dataset.add_new(0x00280000 + 0x2000, "OB", bytes(INLINE_BYTES + 2))
    dataset.IconImageSequence = Sequence([slice_of()])
    found = json_of(dcmread(written(dataset, tmp_path / "a")))
    assert found["7FE00010"] == {"vr": "OW", "BulkDataURI": "bulk:7FE00010"}
    assert found["00282000"]["BulkDataURI"] == "bulk:00282000"
    assert found["00880200"]["Value"][0]["7FE00010"]["BulkDataURI"] == "bulk:00880200/0/7FE00010"


def test_nesting_has_an_end(tmp_path: Path):
    dataset = inner = slice_of()
    for _ in range(DEPTH + 2):
        inner.ReferencedStudySequence = Sequence([Dataset()])
        inner = inner.ReferencedStudySequence[0]
    inner.PatientID = "deep"
    with pytest.raises(TooDeep):
        json_of(dataset)


@pytest.mark.parametrize(
    ("vr", "value", "told"),
    [
        ("DS", b"1.50\\-2e3\\\\x ", [1.5, -2000.0, None, "x"]),
        ("IS", b"12\\-7 \\1.0\\99999999999999999999", [12, -7, 1.0, 1e20]),
        ("FD", b"\0\0\0\0\0\0\xf8\x7f", ["NaN"]),
        ("AT", b"\x10\x00\x20\x00", ["00100020"]),
        ("LT", b" a\\b ", [" a\\b"]),
        ("UI", b"1.2.3\0", ["1.2.3"]),
        ("US", b"\x01\x00\x02", [1]),
    ],
)
def test_values_are_told_by_their_representation(vr: str, value: bytes, told: list[Any]):
    assert raw_json(vr, value, ["iso8859"], "<", ("00000000",)) == {"vr": vr, "Value": told}


@given(st.sampled_from(["DS", "IS", "PN", "LO", "LT", "FD", "FL", "US", "AT", "UI", "DA", "OB", "UR"]), st.binary())
def test_any_bytes_have_a_json(vr: str, value: bytes):
    found = raw_json(vr, value, ["utf8"], "<", ("00091010",))
    assert orjson.loads(orjson.dumps(found)) == found
    if "InlineBinary" in found:
        assert b64decode(found["InlineBinary"]) == value
    assert not any(isinstance(each, float) and math.isnan(each) for each in found.get("Value", ()))

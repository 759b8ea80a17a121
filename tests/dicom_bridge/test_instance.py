"""What is understood of a file, and what is refused: broken files, bombs, names that would be paths."""

from __future__ import annotations

import re
import zlib
from contextlib import suppress
from pathlib import Path
from struct import pack
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence
from pydicom.uid import DeflatedExplicitVRLittleEndian, JPEGBaseline8Bit

from dicom_bridge.archive import Refused
from dicom_bridge.instance import Instance, read_instance
from tests.dicom_bridge.samples import FILES, file, slice_of, written

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")

NO_STUDY = "StudyInstanceUID is missing"
NO_DICOM = "no DICOM file"
DIRECTORY = "DICOMDIR"
REFUSED = {
    "DICOMDIR": DIRECTORY,
    "DICOMDIR-bigEnd": DIRECTORY,
    "DICOMDIR-empty.dcm": DIRECTORY,
    "DICOMDIR-implicit": DIRECTORY,
    "DICOMDIR-nooffset": DIRECTORY,
    "DICOMDIR-nopatient": DIRECTORY,
    "DICOMDIR-reordered": DIRECTORY,
    "ExplVR_BigEndNoMeta.dcm": NO_DICOM,
    "ExplVR_LitEndNoMeta.dcm": NO_DICOM,
    "JPEGLSNearLossless_08.dcm": NO_STUDY,
    "JPEGLSNearLossless_16.dcm": NO_STUDY,
    "MR_truncated.dcm": "8,130 bytes, and 1 frames of its rows and columns take 8,192",
    "rtplan_truncated.dcm": "It ends within an element",
    "README": NO_DICOM,
    "SC_rgb_jls_lossy_line.dcm": NO_STUDY,
    "SC_rgb_jls_lossy_sample.dcm": NO_STUDY,
    "UN_sequence.dcm": NO_STUDY,
    "badVR.dcm": "NumberOfFrames is '1A'",
    "chrSQEncoding.dcm": NO_STUDY,
    "chrSQEncoding1.dcm": NO_STUDY,
    "crayons.icc": NO_DICOM,
    "empty_charset_LEI.dcm": NO_STUDY,
    "fall.dcm": NO_STUDY,
    "hotiron.dcm": NO_STUDY,
    "hotmetalblue.dcm": NO_STUDY,
    "meta_missing_tsyntax.dcm": "does not say its transfer syntax",
    "nested_priv_SQ.dcm": NO_STUDY,
    "no_meta.dcm": NO_DICOM,
    "no_meta_group_length.dcm": NO_STUDY,
    "pet.dcm": NO_STUDY,
    "pet20step.dcm": NO_STUDY,
    "priv_SQ.dcm": NO_STUDY,
    "rtplan.dump": NO_DICOM,
    "rtstruct.dcm": NO_DICOM,
    "rtstruct.dump": NO_DICOM,
    "spring.dcm": NO_STUDY,
    "summer.dcm": NO_STUDY,
    "winter.dcm": NO_STUDY,
    "zipMR.gz": NO_DICOM,
}
"""Which of pydicom's files no archive can take, and why; its colour palettes, for one, are of no study."""


def read(path: Path) -> Instance:
    return read_instance(path, path.with_name("inflated"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_file_is_understood_or_refused_for_a_reason(path: Path, tmp_path: Path):
    if path.name in REFUSED:
        with pytest.raises(Refused, match=re.escape(REFUSED[path.name])):
            read_instance(path, tmp_path / "inflated")
        return
    found = read_instance(path, tmp_path / "inflated")
    assert ("7FE00010" in found.json) <= bool(found.frames.of(1))


def with_bytes(path: Path, old: bytes, new: bytes) -> Path:
    content = path.read_bytes()
    assert old in content
    path.write_bytes(content.replace(old, new))
    return path


@pytest.mark.parametrize("uid", ["../../../etc/x", "1.2.3" + ".1" * 31, "1.2.a", "1..2", "", "1.2/3"])
@pytest.mark.parametrize("keyword", ["StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"])
def test_a_name_that_is_no_uid_is_refused(tmp_path: Path, uid: str, keyword: str):
    path = written(slice_of(), tmp_path / "a")
    sent = {"StudyInstanceUID": "1.2.3", "SeriesInstanceUID": "1.2.3.1", "SOPInstanceUID": "1.2.3.1.1"}[keyword]
    tag = {"StudyInstanceUID": 0x0D, "SeriesInstanceUID": 0x0E, "SOPInstanceUID": 0x18}[keyword]
    group = 0x08 if tag == 0x18 else 0x20
    old, new = sent.encode() + b"\0" * (len(sent) % 2), uid.encode() + b"\0" * (len(uid) % 2)
    head = pack("<HH2s", group, tag, b"UI")
    with_bytes(path, head + pack("<H", len(old)) + old, head + pack("<H", len(new)) + new)
    with pytest.raises(Refused, match=keyword):
        read(path)


def deflated(tmp_path: Path, content: bytes) -> Path:
    path = written(slice_of(), tmp_path / "a", DeflatedExplicitVRLittleEndian)
    head = path.read_bytes()
    start = head.index(b"1.2.840.10008.1.2.1.99") + 22
    # The meta information ends behind the elements of group 2.
    while head[start : start + 2] == b"\x02\x00":
        start += 8 + int.from_bytes(head[start + 6 : start + 8], "little")
    packing = zlib.compressobj(9, wbits=-zlib.MAX_WBITS)
    path.write_bytes(head[:start] + packing.compress(content) + packing.flush())
    return path


def test_a_deflated_file_is_inflated_beside_it(tmp_path: Path):
    path = written(slice_of(), tmp_path / "a", DeflatedExplicitVRLittleEndian)
    ((start, length),) = read_instance(path, tmp_path / "inflated").frames.of(1)
    assert (tmp_path / "inflated").read_bytes()[start : start + length] == slice_of().PixelData


def test_a_deflated_bomb_is_refused(tmp_path: Path):
    bomb = deflated(tmp_path, pack("<HH2sHI", 0x09, 0x1010, b"OB", 0, 400_000_000) + bytes(100_000_000))
    assert bomb.stat().st_size < 200_000
    with pytest.raises(Refused, match="inflates to more"):
        read(bomb)
    assert (tmp_path / "inflated").stat().st_size < 50_000_000


@pytest.mark.parametrize(
    "elements", [{"Rows": 65_535, "Columns": 65_535}, {"Rows": 4, "Columns": 4, "SamplesPerPixel": 65_535}]
)
def test_pixels_that_are_not_there_are_refused(tmp_path: Path, elements: dict[str, Any]):
    with pytest.raises(Refused, match=r"pixel data has 32 bytes") as refused:
        read(written(slice_of(**elements), tmp_path / "a"))
    assert refused.value.uid == "1.2.3.1.1"


def test_a_million_frames_that_are_not_there_are_refused(tmp_path: Path):
    dataset = slice_of()
    dataset.NumberOfFrames = 1_000_000
    with pytest.raises(Refused, match="1000000 frames"):
        read(written(dataset, tmp_path / "a"))


def test_ten_thousand_sequences_within_each_other_are_refused(tmp_path: Path):
    path = written(slice_of(), tmp_path / "a")
    opening = pack("<HH2sHI", 0x0008, 0x1110, b"SQ", 0, 0xFFFFFFFF) + pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF)
    place = pack("<HH2s", 0x0010, 0x0010, b"PN")
    with_bytes(path, place, opening * 10_000 + place)
    with pytest.raises(Refused, match=r"nested too deeply|cannot be read"):
        read(path)


def test_an_element_that_never_ends_is_refused(tmp_path: Path):
    path = written(slice_of(), tmp_path / "a")
    place = pack("<HH2s", 0x0010, 0x0010, b"PN")
    with_bytes(path, place, pack("<HH2sHI", 0x0009, 0x1010, b"UN", 0, 0xFFFFFFFF) + place)
    with pytest.raises(Refused):
        read(path)


def test_a_text_of_many_megabytes_is_refused(tmp_path: Path):
    dataset = slice_of()
    dataset.add_new(0x00204000, "LT", "x")
    dataset.add_new(0x00204001, "UT", "x" * 33_000_000)
    with pytest.raises(Refused, match="too long for one of its kind"):
        read(written(dataset, tmp_path / "a"))


def fragmented(fragments: list[bytes], offsets: list[int], frames: int, tmp_path: Path) -> Path:
    dataset = slice_of()
    dataset.NumberOfFrames = frames
    parts = [pack("<HHI", 0xFFFE, 0xE000, 4 * len(offsets)), *(pack("<I", offset) for offset in offsets)]
    parts += [pack("<HHI", 0xFFFE, 0xE000, len(each)) + each for each in fragments]
    dataset.PixelData = b"".join(parts)
    dataset["PixelData"].VR = "OB"
    dataset["PixelData"].is_undefined_length = True
    return written(dataset, tmp_path / "a", JPEGBaseline8Bit)


@pytest.mark.parametrize(
    ("fragments", "offsets", "frames"),
    [
        ([b"aa", b"bb"], [], [b"aa", b"bb"]),
        ([b"aa", b"bb"], [], [b"aabb"]),
        ([b"aa", b"bbbb", b"cc"], [0, 22], [b"aabbbb", b"cc"]),
        ([b"aa", b"bbbb", b"cc"], [0, 10], [b"aa", b"bbbbcc"]),
        ([b"aa", b"bb", b"cc"], [], [b"", b""]),
        ([b"aa", b"bb", b"cc"], [0, 5], [b"", b""]),
    ],
)
def test_fragments_are_put_to_frames(tmp_path: Path, fragments: list[bytes], offsets: list[int], frames: list[bytes]):
    path = fragmented(fragments, offsets, len(frames), tmp_path)
    content, found = path.read_bytes(), read(path).frames
    cut = [b"".join(content[start : start + size] for start, size in found.of(n + 1)) for n in range(len(frames))]
    assert cut == frames


def test_fragments_that_end_early_are_refused(tmp_path: Path):
    path = fragmented([b"aa", b"bb" * 50], [], 1, tmp_path)
    path.write_bytes(path.read_bytes()[:-60])
    with pytest.raises(Refused, match="ends too early"):
        read(path)


def test_frames_of_single_bits_are_not_cut_within_a_byte(tmp_path: Path):
    dataset = slice_of(Rows=3, Columns=3, BitsAllocated=1, NumberOfFrames=2)
    found = read(written(dataset, tmp_path / "a")).frames
    assert found.of(1) == ()


SEED = file("MR_small.dcm").read_bytes()[:1_600]


DAMAGE = st.lists(st.tuples(st.integers(128, len(SEED) - 1), st.integers(0, 255)), max_size=8)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(DAMAGE, st.sampled_from([len(SEED), 9_000, 300]))
def test_a_damaged_file_is_understood_or_refused(tmp_path: Path, damage: list[tuple[int, int]], length: int):
    content = bytearray(SEED + bytes(8_200))
    for place, value in damage:
        content[place] = value
    path = tmp_path / "a"
    path.write_bytes(content[:length])
    with suppress(Refused):
        assert read(path).uids.study


def test_a_sequence_within_the_limit_is_understood(tmp_path: Path):
    dataset = slice_of()
    dataset.ReferencedStudySequence = Sequence([Dataset()])
    dataset.ReferencedStudySequence[0].ReferencedSOPInstanceUID = "1.2"
    assert read(written(dataset, tmp_path / "a")).json["00081110"]["Value"][0]["00081155"]["Value"] == ["1.2"]


def test_encapsulated_frames_of_pydicom_are_understood(tmp_path: Path):
    dataset = slice_of()
    dataset.NumberOfFrames = 3
    dataset.PixelData = encapsulate([b"\xff\xd8a\xff\xd9", b"\xff\xd8bb\xff\xd9", b"\xff\xd8c\xff\xd9"])
    dataset["PixelData"].is_undefined_length = True
    assert [len(read(written(dataset, tmp_path / "a", JPEGBaseline8Bit)).frames.of(n)) for n in (1, 2, 3, 4)] == [
        1, 1, 1, 0,
    ]  # fmt: skip

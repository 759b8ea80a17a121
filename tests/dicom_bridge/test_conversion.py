"""Whole files in another transfer syntax: nothing of their pixels is lost, and what cannot be converted is said."""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import httpx
import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import FileDataset

from dicom_bridge.codec import decoded
from dicom_bridge.conversion import described, frames_of
from dicom_bridge.extension import images
from dicom_bridge.pixels import pixels_of
from tests.dicom_bridge.samples import PART_10
from tests.serving import Served, outcome, serving

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")

WEB = "http://node/dicom-web"
EXPLICIT = "1.2.840.10008.1.2.1"
TARGETS = {
    "explicit": EXPLICIT,
    "jpeg-lossless": "1.2.840.10008.1.2.4.70",
    "jpeg-ls": "1.2.840.10008.1.2.4.80",
    "jpeg-2000": "1.2.840.10008.1.2.4.90",
    "htj2k": "1.2.840.10008.1.2.4.201",
}
FILES = {path.name: path for path in PART_10}
CONVERTED = (
    "CT_small.dcm", "MR_small.dcm", "SC_rgb_rle.dcm", "JPEG2000.dcm", "examples_ybr_color.dcm", "SC_rgb_small_odd.dcm",
    "examples_palette.dcm", "SC_ybr_full_422_uncompressed.dcm",
)  # fmt: skip


@pytest.fixture(scope="module")
def server() -> Iterator[Served]:
    with serving(extensions=[images]) as server:
        yield server


def stored(server: Served, path: Path) -> str:
    headers = {"content-type": "application/dicom"}
    answer = server.send("POST", f"{WEB}/studies", content=path.read_bytes(), headers=headers)
    assert answer.status_code in (200, 409), answer.text
    dataset = dcmread(path, stop_before_pixels=True)
    steps = ("studies", "series", "instances")
    uids = (dataset.StudyInstanceUID, dataset.SeriesInstanceUID, dataset.SOPInstanceUID)
    return "/".join(f"{step}/{uid}" for step, uid in zip(steps, uids, strict=True))


def retrieved(server: Served, path: str, syntax: str) -> httpx.Response:
    return server.send("GET", f"{WEB}/{path}", headers={"accept": f"application/dicom; transfer-syntax={syntax}"})


def values(dataset: FileDataset) -> list[np.ndarray]:
    """The frames of a file as they mean, decoded."""
    pixels = pixels_of(described(dataset, "PixelData"), str(dataset.file_meta.TransferSyntaxUID))
    return [decoded(frame, pixels).values for frame in frames_of(dataset, "PixelData", pixels)]


@pytest.mark.parametrize("name", CONVERTED)
@pytest.mark.parametrize("syntax", TARGETS.values(), ids=TARGETS)
def test_a_file_comes_in_the_transfer_syntax_that_is_asked_for(server: Served, name: str, syntax: str):
    where = stored(server, FILES[name])
    as_stored = dcmread(BytesIO(retrieved(server, where, "*").content))
    answer = retrieved(server, where, syntax)
    if answer.status_code == 406:
        outcome(answer, 406, "not-supported")
        assert "red, green and blue" in answer.text
        assert as_stored.PhotometricInterpretation.startswith("YBR")
        return
    assert answer.status_code == 200, answer.text
    made = dcmread(BytesIO(answer.content))
    assert made.file_meta.TransferSyntaxUID == syntax
    assert made.SOPInstanceUID == as_stored.SOPInstanceUID
    for one, other in zip(values(made), values(as_stored), strict=True):
        assert np.array_equal(one, other)
    kept = {element.tag for element in as_stored if element.tag.group not in (0x0028, 0x7FE0)}
    assert kept <= {element.tag for element in made}


def test_what_has_no_pixels_comes_in_explicit_little_endian(server: Served):
    where = stored(server, FILES["rtplan.dcm"])
    for syntax in (EXPLICIT, TARGETS["htj2k"]):
        answer = retrieved(server, where, syntax)
        assert dcmread(BytesIO(answer.content)).file_meta.TransferSyntaxUID == EXPLICIT
        assert dcmread(BytesIO(answer.content)).RTPlanLabel


def test_a_study_comes_as_parts(server: Served):
    where = stored(server, FILES["CT_small.dcm"]).partition("/series")[0]
    accept = f'multipart/related; type="application/dicom"; transfer-syntax={TARGETS["htj2k"]}'
    answer = server.send("GET", f"{WEB}/{where}", headers={"accept": accept})
    assert answer.status_code == 200, answer.text
    assert answer.content.count(b"DICM") == 1
    assert TARGETS["htj2k"].encode() in answer.content


def test_what_cannot_be_converted_is_told_with_what_can_be_had(server: Served):
    for name, reason in (("liver_1frame.dcm", "single bits"), ("ExplVR_BigEnd.dcm", "big-endian")):
        answer = retrieved(server, stored(server, FILES[name]), TARGETS["jpeg-ls"])
        outcome(answer, 406, "not-supported")
        assert reason in answer.text
        assert "transfer-syntax=*" in answer.text
    where = stored(server, FILES["liver_1frame.dcm"])
    outcome(retrieved(server, where, "1.2.840.10008.1.2.4.100"), 406, "not-supported")

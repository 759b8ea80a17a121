"""Rendered images and transcoded frames: against pydicom's and dcmtk's own reading of real files, and against abuse."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import data_store
import httpx
import imagecodecs
import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.pixels.processing import apply_color_lut, apply_modality_lut, apply_voi_lut
from pydicom.pixels.utils import pixel_array
from pydicom.uid import ExplicitVRBigEndian

from dicom_bridge.extension import images
from tests.dicom_bridge.samples import PART_10, file, slice_of, written
from tests.serving import Served, outcome, serving

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")

WEB = "http://node/dicom-web"
HERE = "studies/1.2.3/series/1.2.3.1/instances/1.2.3.1.1"
JPEG_2000_MAIN = "1.2.840.10008.1.2.4.90"
HTJ2K = "1.2.840.10008.1.2.4.201"
MORE = tuple(
    each
    for each in sorted(Path(next(iter(data_store.__path__))).rglob("*"))
    if each.is_file() and each.read_bytes()[128:132] == b"DICM"
)
REFUSED = {
    "JPEG2000-embedded-sequence-delimiter.dcm": "a delimiter of fragments stands within its codestream",
    "SC_rgb_small_odd_big_endian.dcm": "its frames end within a word",
}
NO_OTHER = frozenset({"GDCMJ2K_TextGBR.dcm"})
"""What nothing else here decodes."""
OTHER_DECODER = {
    "1.2.840.10008.1.2.4.51": "dcmdjpeg", "1.2.840.10008.1.2.4.70": "dcmdjpeg", "1.2.840.10008.1.2.4.80": "dcmdjpls",
}  # fmt: skip
"""Transfer syntaxes that pydicom alone does not decode, and the program of dcmtk that does."""


@pytest.fixture(scope="module")
def server() -> Iterator[Served]:
    with serving(extensions=[images]) as server:
        yield server


def store(server: Served, content: bytes) -> str:
    """Where an instance is that was stored, or had been; empty where it is refused."""
    answer = server.send("POST", f"{WEB}/studies", content=content, headers={"content-type": "application/dicom"})
    if answer.status_code != 200:
        return ""
    (stored,) = answer.json()["00081199"]["Value"]
    return str(stored["00081190"]["Value"][0]).removeprefix(f"{WEB}/")


def get(server: Served, path: str, accept: str = "*/*") -> httpx.Response:
    return server.send("GET", f"{WEB}/{path}", headers={"accept": accept})


def image(answer: httpx.Response) -> np.ndarray:
    assert answer.status_code == 200, answer.text
    return np.asarray(Image.open(BytesIO(answer.content)))


def shown(dataset: Dataset, index: int) -> Any:
    """A frame in 8 bits, made by pydicom's own functions."""
    values = pixel_array(dataset, index=index)
    if dataset.PhotometricInterpretation == "PALETTE COLOR":
        if dataset.file_meta.TransferSyntaxUID == ExplicitVRBigEndian:
            # pydicom takes the words of palettes as little-endian ones.
            for tag in {0x00281201, 0x00281202, 0x00281203} & set(dataset.keys()):
                dataset[tag].value = np.frombuffer(dataset[tag].value, np.uint16).byteswap().tobytes()
        coloured = apply_color_lut(values, dataset)
        return (coloured >> 8 if coloured.dtype == np.uint16 else coloured).astype(np.uint8)
    if values.ndim == 3:
        return (values >> max(dataset.BitsStored - 8, 0)).astype(np.uint8)
    found = grey(values, dataset)
    return np.round((1 - found if dataset.PhotometricInterpretation == "MONOCHROME1" else found) * 255).astype(np.uint8)


def grey(values: Any, dataset: Dataset) -> Any:
    for group in dataset.get("SharedFunctionalGroupsSequence", [])[:1]:
        for item in (*group.get("PixelValueTransformationSequence", []), *group.get("FrameVOILUTSequence", [])):
            dataset.update(item)
    for group in dataset.get("PerFrameFunctionalGroupsSequence", [])[:1]:
        for item in (*group.get("PixelValueTransformationSequence", []), *group.get("FrameVOILUTSequence", [])):
            dataset.update(item)
    found = apply_modality_lut(values, dataset)
    if "VOILUTSequence" in dataset:
        bits = dataset.VOILUTSequence[0].LUTDescriptor[2]
        return apply_voi_lut(found, dataset, prefer_lut=True) / (2**bits - 1)
    if "WindowCenter" in dataset:
        low, high = (-(2 ** (dataset.BitsStored - 1)), 2 ** (dataset.BitsStored - 1) - 1)
        if not dataset.PixelRepresentation:
            low, high = 0, 2**dataset.BitsStored - 1
        if dataset.get("RescaleSlope") is not None:
            low, high = (each * float(dataset.RescaleSlope) + float(dataset.RescaleIntercept) for each in (low, high))
        return (apply_voi_lut(found, dataset) - low) / (high - low)
    return (found - found.min()) / max(float(found.max()) - float(found.min()), 1e-9)


def readable(path: Path, folder: Path) -> Dataset:
    """A file as pydicom can decode it: those of some transfer syntaxes decompressed by dcmtk."""
    dataset = pydicom.dcmread(path)
    program = OTHER_DECODER.get(dataset.file_meta.TransferSyntaxUID)
    if program is None:
        return dataset
    if shutil.which(program) is None:
        pytest.skip(f"{program} of dcmtk is missing: make setup")
    subprocess.run([program, path, folder / "plain"], check=True, capture_output=True, timeout=60)
    return pydicom.dcmread(folder / "plain")


FILES = tuple(enumerate([*PART_10, *MORE]))


@pytest.mark.parametrize("path", [each for _, each in FILES], ids=[f"{number} {each.name}" for number, each in FILES])
def test_every_file_is_shown_as_others_show_it(server: Served, path: Path, tmp_path: Path):
    where = store(server, path.read_bytes())
    if not where:
        # Which files are refused, and why, stands in tests/clients/test_dicomweb_client.py.
        return
    try:
        check(server, where, path, tmp_path)
    finally:
        # Many of these files have the UID of another.
        assert server.send("DELETE", f"{WEB}/{where.partition('/series')[0]}").status_code == 204


def check(server: Served, where: str, path: Path, folder: Path) -> None:
    answer = get(server, f"{where}/rendered", "image/png")
    if path.name in REFUSED:
        outcome(answer, 406, "not-supported")
        return
    dataset: Dataset = pydicom.dcmread(path)
    if not {"PixelData", "FloatPixelData", "DoubleFloatPixelData"} & {each.keyword for each in dataset}:
        assert "has no image" in outcome(answer, 406, "not-supported")["details"]["text"]
        return
    if path.name in NO_OTHER:
        assert image(answer).shape[:2] == (dataset.Rows, dataset.Columns)
        return
    dataset = readable(path, folder)
    expected = shown(dataset, 0)
    ours = image(answer)
    assert ours.shape == expected.shape
    # Scaling to 8 bits rounds half a step up or down.
    assert np.abs(ours.astype(int) - expected.astype(int)).max() <= 1
    last = int(dataset.get("NumberOfFrames") or 1)
    if last > 1:
        image(get(server, f"{where}/frames/{last}/rendered", "image/jpeg"))


@pytest.fixture(scope="module")
def slices(server: Served, tmp_path_factory: pytest.TempPathFactory) -> Served:
    """Three slices, one of them of four by four pixels in three frames, and a report."""
    folder = tmp_path_factory.mktemp("slices")
    ramp = np.arange(16 * 24, dtype=np.uint16).reshape(16, 24)
    for number in (1, 2, 3):
        dataset = slice_of(number=number, NumberOfFrames=3, Rows=16, Columns=24)
        dataset.PixelData = b"".join((ramp + number * frame).tobytes() for frame in range(3))
        assert store(server, written(dataset, folder / "slice").read_bytes())
    report = slice_of(series=2)
    del report.PixelData
    assert store(server, written(report, folder / "report").read_bytes())
    return server


@pytest.mark.parametrize(
    ("query", "shape"),
    [
        ("", (16, 24)),
        ("?viewport=12,100", (8, 12)),
        ("?viewport=48,48,0,0,12,8", (32, 48)),
        ("?viewport=24,16,,,,", (16, 24)),
        ("?viewport=24,16,12,8,-6,-4", (16, 24)),
        ("?window=100,50,linear&quality=20", (16, 24)),
        ("?window=100,50,sigmoid&iccprofile=no", (16, 24)),
        ("?accept=image/jpeg", (16, 24)),
    ],
)
def test_an_image_is_as_large_as_it_fits_into_its_viewport(slices: Served, query: str, shape: tuple[int, int]):
    answer = get(slices, f"{HERE}/frames/1/rendered{query}", "image/jpeg")
    assert image(answer).shape == shape
    assert answer.headers["content-type"] == "image/jpeg"


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        ("linear", lambda x: (x - 99.5) / 49 + 0.5),
        ("linear-exact", lambda x: (x - 100) / 50 + 0.5),
        ("sigmoid", lambda x: 1 / (1 + np.exp(-4 * (x - 100) / 50))),
    ],
)
def test_a_window_is_the_function_of_the_standard(slices: Served, function: str, expected: Any):
    ours = image(get(slices, f"{HERE}/frames/1/rendered?window=100,50,{function}", "image/png"))
    values = np.arange(16 * 24, dtype=float).reshape(16, 24)
    assert np.abs(ours - np.clip(expected(values), 0, 1) * 255).max() <= 0.51


def test_a_negative_extent_turns_the_image_over(slices: Served):
    plain = image(get(slices, f"{HERE}/frames/1/rendered?viewport=24,16,0,0,24,16", "image/png"))
    turned = image(get(slices, f"{HERE}/frames/1/rendered?viewport=24,16,0,0,-24,-16", "image/png"))
    assert np.array_equal(turned, plain[::-1, ::-1])


@pytest.mark.parametrize(
    ("query", "code", "says"),
    [
        ("viewport=1000000,1000000", "too-costly", "larger than 8,192"),
        ("viewport=0,5", "value", "whole numbers from 1"),
        ("viewport=5", "value", "neither WIDTH,HEIGHT"),
        ("viewport=5,5,-1,0,2,2", "value", "outside"),
        ("viewport=nan,5", "value", "no numbers"),
        ("window=1,2", "value", "CENTER,WIDTH,FUNCTION"),
        ("window=1,0,linear", "value", "no width"),
        ("window=1,inf,sigmoid", "value", "no numbers"),
        ("window=1,2,cubic", "value", "functions are"),
        ("quality=0", "value", "1 to 100"),
        ("quality=9000000000000000000000", "value", "1 to 100"),
        ("annotation=patient,technique", "value", "Nothing is drawn into images"),
        ("iccprofile=yes", "value", "colour profile"),
        ("presentationUID=1.2", "invalid", "says nothing"),
        ("quality=5&quality=6", "invalid", "twice"),
    ],
)
def test_what_cannot_be_done_with_an_image_is_refused(slices: Served, query: str, code: str, says: str):
    answer = get(slices, f"{HERE}/rendered?{query}", "image/jpeg")
    assert says in outcome(answer, 400, code)["details"]["text"]


@pytest.mark.parametrize("level", ["studies/1.2.3", "studies/1.2.3/series/1.2.3.1", HERE, f"{HERE}/frames/2"])
def test_each_level_has_a_thumbnail_and_an_image(slices: Served, level: str):
    assert image(get(slices, f"{level}/thumbnail", "image/jpeg")).shape == (85, 128)
    assert image(get(slices, f"{level}/thumbnail?viewport=30,30", "image/png")).shape == (20, 30)
    assert image(get(slices, f"{level}/rendered", "image/*")).shape == (16, 24)


def test_all_images_of_a_study_come_as_parts(slices: Served):
    answer = get(slices, "studies/1.2.3/rendered", 'multipart/related; type="image/png"')
    boundary = answer.headers["content-type"].rpartition("boundary=")[2].encode()
    assert answer.content.count(b"\x89PNG") == answer.content.count(b"--" + boundary) - 1 == 3
    answer = get(slices, f"{HERE}/frames/3,1/rendered", "multipart/related; type=image/jpeg")
    assert answer.content.count(b"\xff\xd8\xff\xe0") == 2
    assert get(slices, f"{HERE}/frames/3,1/rendered", "image/jpeg").status_code == 406
    assert get(slices, f"{HERE}/frames/4/rendered", "image/jpeg").status_code == 404
    assert "image/jpeg and image/png" in get(slices, f"{HERE}/rendered", "image/gif").text
    assert "has no image" in get(slices, "studies/1.2.3/series/1.2.3.2/rendered").text


LOSSLESS = {
    "image/jphc": (HTJ2K, imagecodecs.htj2k_decode),
    "image/jls": ("1.2.840.10008.1.2.4.80", imagecodecs.jpegls_decode),
    "image/jp2": (JPEG_2000_MAIN, imagecodecs.jpeg2k_decode),
    "image/jpeg": ("1.2.840.10008.1.2.4.70", imagecodecs.jpeg8_decode),
}


@pytest.mark.parametrize("media_type", LOSSLESS)
@pytest.mark.parametrize("name", ["CT_small.dcm", "JPEG2000.dcm", "examples_rgb_color.dcm", "MR_small_RLE.dcm"])
def test_frames_are_transcoded_without_loss(server: Served, media_type: str, name: str):
    where = store(server, file(name).read_bytes())
    syntax, decode = LOSSLESS[media_type]
    for accept in (media_type, f"{media_type}; transfer-syntax={syntax}"):
        answer = get(server, f"{where}/frames/1", accept)
        if name == "JPEG2000.dcm" and media_type == "image/jp2" and accept == media_type:
            # It is stored as that media type already, with loss.
            assert answer.headers["content-type"].endswith(".91")
            continue
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-type"] == f"{media_type}; transfer-syntax={syntax}"
        expected = pixel_array(pydicom.dcmread(file(name)), index=0)
        assert decode(answer.content).astype(expected.dtype).tobytes() == expected.tobytes()
    plain = get(server, f"{where}/frames/1", 'multipart/related; type="application/octet-stream"')
    assert expected.tobytes() in plain.content


def test_what_loses_is_sent_only_where_it_is_named(server: Served):
    where = store(server, file("examples_rgb_color.dcm").read_bytes())
    lossy = get(server, f"{where}/frames/1", "image/jpeg; transfer-syntax=1.2.840.10008.1.2.4.50")
    assert len(lossy.content) < len(get(server, f"{where}/frames/1", "image/jpeg").content)
    deep = store(server, file("CT_small.dcm").read_bytes())
    refused = get(server, f"{deep}/frames/1", "image/jpeg; transfer-syntax=1.2.840.10008.1.2.4.50")
    assert "/rendered" in outcome(refused, 406, "not-supported")["details"]["text"]


def test_a_refusal_lists_what_can_be_had(server: Served):
    where = store(server, file("CT_small.dcm").read_bytes())
    text = outcome(get(server, f"{where}/frames/1", "image/gif"), 406, "not-supported")["details"]["text"]
    assert "application/octet-stream; transfer-syntax=1.2.840.10008.1.2.1" in text
    assert f"image/jphc; transfer-syntax={HTJ2K}" in text


def compressed(frame: bytes, syntax: str, folder: Path, **elements: Any) -> bytes:
    dataset = slice_of("7.7", **elements)
    dataset.PixelData = encapsulate([frame])
    dataset["PixelData"].VR = "OB"
    return written(dataset, folder / "compressed", syntax).read_bytes()


def abused(folder: Path) -> dict[str, bytes]:
    """Instances whose pixels are not what they say."""
    square = np.zeros((64, 64), np.uint16)
    encoded: dict[str, Any] = {
        JPEG_2000_MAIN: imagecodecs.jpeg2k_encode(square, level=0, codecformat="j2k"),
        HTJ2K: imagecodecs.htj2k_encode(square),
        "1.2.840.10008.1.2.4.80": imagecodecs.jpegls_encode(square),
        "1.2.840.10008.1.2.4.70": imagecodecs.jpeg8_encode(square, lossless=True, predictor=1),
    }
    huge: Any = imagecodecs.jpeg2k_encode(np.zeros((8192, 8192), np.uint8), level=0, codecformat="j2k")
    rle = (2).to_bytes(4, "little") + (64).to_bytes(4, "little") + (66).to_bytes(4, "little") + bytes(52)
    found = {
        "a bomb": compressed(huge, JPEG_2000_MAIN, folder, Rows=4, Columns=4),
        "run lengths too long": compressed(rle + b"\x81\xff" * 900, "1.2.840.10008.1.2.5", folder, Rows=4, Columns=4),
        "run lengths too short": compressed(rle + b"\x81\xff", "1.2.840.10008.1.2.5", folder, Rows=64, Columns=64),
        "no video": compressed(b"\0" * 100, "1.2.840.10008.1.2.4.102", folder),
        "another syntax": compressed(b"\xff\xd8\xff\xd9", "1.2.840.10008.1.2.4.106", folder),
        "five bits": compressed(bytes(20), JPEG_2000_MAIN, folder, BitsAllocated=5, BitsStored=5),
        "stored in more than there are": compressed(bytes(20), JPEG_2000_MAIN, folder, BitsStored=17),
        "two samples": compressed(bytes(20), JPEG_2000_MAIN, folder, SamplesPerPixel=2),
    }
    for syntax, frame in encoded.items():
        content = bytes(frame)
        found[f"{syntax} cut off"] = compressed(content[: len(content) // 2], syntax, folder, Rows=64, Columns=64)
        found[f"{syntax} of another size"] = compressed(content, syntax, folder, Rows=65, Columns=64)
        found[f"{syntax} beginning wrongly"] = compressed(content[2:], syntax, folder, Rows=64, Columns=64)
        found[f"{syntax} of nothing"] = compressed(b"\0\0", syntax, folder, Rows=64, Columns=64)
    return found


def test_a_compressed_image_that_says_too_much_is_refused_when_it_comes(server: Served, tmp_path: Path):
    for elements in ({"Rows": 65_535, "Columns": 65_535}, {"NumberOfFrames": 1_000_000}):
        # Made with one frame of its size, then said to be more.
        content = compressed(bytes(20), JPEG_2000_MAIN, tmp_path)
        dataset = pydicom.dcmread(BytesIO(content))
        for keyword, value in elements.items():
            setattr(dataset, keyword, value)
        path = tmp_path / "bomb"
        dataset.save_as(path)
        headers = {"content-type": "application/dicom"}
        answer = server.send("POST", f"{WEB}/studies", content=path.read_bytes(), headers=headers)
        assert answer.status_code == 409
        (failed,) = answer.json()["00081198"]["Value"]
        assert failed["00081197"]["Value"] == [0xA700]


def test_pixels_that_are_not_what_they_say_are_refused_with_a_reason(server: Served, tmp_path: Path):
    for what, content in abused(tmp_path).items():
        where = store(server, content)
        if not where:
            continue
        for path, accept in ((f"{where}/rendered", "image/png"), (f"{where}/frames/1", "image/jphc")):
            answer = get(server, path, accept)
            # A codestream that is cut off is shown as far as it goes, where its codec can do that.
            if answer.status_code == 200 and ("cut off" in what or HTJ2K in what):
                continue
            assert answer.status_code in (404, 406), (what, answer.text)
            assert answer.json()["issue"][0]["details"]["text"]
        assert server.send("DELETE", f"{WEB}/{where}").status_code == 204

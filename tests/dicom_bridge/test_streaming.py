"""What is larger than memory should hold: files go through the server piece by piece, both ways."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from bench.load import family
from dicom_bridge.multipart import MultipartWriter
from tests.dicom_bridge.samples import slice_of, written
from tests.processes import Program, running

pytestmark = [pytest.mark.server, pytest.mark.filterwarnings("ignore::UserWarning")]

FRAMES, SIDE = 800, 512
PIECE = SIDE * SIDE
FILE_BYTES = FRAMES * PIECE
GROWTH = 60_000_000
HERE = "studies/1.2.8/series/1.2.8.1/instances/1.2.8.1.1"


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    with running(tmp_path_factory.mktemp("large")) as started:
        yield started


def peak(program: Program) -> int:
    """The most memory that the server held at once, all its processes together."""
    found = 0
    for process in family(program.process.pid):
        (line,) = (
            line for line in Path(f"/proc/{process}/status").read_text().splitlines() if line.startswith("VmHWM")
        )
        found += int(line.split()[1]) * 1024
    return found


def parts(head: bytes) -> Iterator[bytes]:
    writer = MultipartWriter("cut", "application/dicom")
    yield writer.begin({"Content-Type": "application/dicom"})
    yield head
    for number in range(FRAMES):
        yield bytes([number % 256]) * PIECE
    yield writer.end()


def test_memory_stays_flat_both_ways(program: Program, tmp_path: Path):
    web = f"{program.base.removesuffix('/fhir')}/dicom-web"
    headers = {"content-type": 'multipart/related; type="application/dicom"; boundary=cut'}
    small = written(slice_of("1.2.9"), tmp_path / "small").read_bytes()
    # What is loaded with the first image is loaded now.
    first = httpx.post(f"{web}/studies", content=small, headers={"content-type": "application/dicom"})
    assert first.status_code == 200
    before = peak(program)
    dataset = slice_of(
        "1.2.8", Rows=SIDE, Columns=SIDE, NumberOfFrames=FRAMES, BitsAllocated=8, BitsStored=8, HighBit=7
    )
    dataset.PixelData = bytes(FILE_BYTES)
    dataset["PixelData"].VR = "OB"
    head = written(dataset, tmp_path / "large").read_bytes()[:-FILE_BYTES]
    answer = httpx.post(f"{web}/studies", content=parts(head), headers=headers, timeout=120)
    assert answer.status_code == 200, answer.text
    received = 0
    with httpx.stream("GET", f"{web}/{HERE}", headers={"accept": "application/dicom"}, timeout=120) as stream:
        for piece in stream.iter_bytes():
            received += len(piece)
    assert received == len(head) + FILE_BYTES
    frame = httpx.get(f"{web}/{HERE}/frames/700", headers={"accept": "application/octet-stream"})
    assert frame.content == bytes([699 % 256]) * PIECE
    assert peak(program) - before < GROWTH

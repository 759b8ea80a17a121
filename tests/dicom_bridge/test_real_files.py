"""Every file that pydicom and pydicom-data bring along, through each archive: bit for bit, or refused for a reason."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pytest

from dicom_bridge.archive import DicomArchive, Refused, Uids
from dicom_bridge.local_archive import LocalArchive
from dicom_bridge.orthanc import Account
from dicom_bridge.orthanc_archive import OrthancArchive, Room
from tests.dicom_bridge.samples import PART_10
from tests.orthanc import OrthancServer

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")

DIRECTORIES = """
DICOMDIR DICOMDIR-bigEnd DICOMDIR-empty.dcm DICOMDIR-implicit DICOMDIR-nooffset DICOMDIR-nopatient DICOMDIR-reordered
"""
WITHOUT_STUDY = """
JPEGLSNearLossless_08.dcm JPEGLSNearLossless_16.dcm SC_rgb_jls_lossy_line.dcm SC_rgb_jls_lossy_sample.dcm
UN_sequence.dcm chrSQEncoding.dcm chrSQEncoding1.dcm empty_charset_LEI.dcm fall.dcm hotiron.dcm hotmetalblue.dcm
nested_priv_SQ.dcm no_meta_group_length.dcm pet.dcm pet20step.dcm priv_SQ.dcm spring.dcm summer.dcm winter.dcm
"""
REFUSED = {
    **dict.fromkeys(DIRECTORIES.split(), "is a DICOMDIR"),
    **dict.fromkeys(WITHOUT_STUDY.split(), "StudyInstanceUID is missing"),
    "MR_truncated.dcm": "pixel data has",
    "badVR.dcm": "NumberOfFrames is '1A'",
    "bad_sequence.dcm": "which is no UID",
    "emri_small_jpeg_2k_lossless_too_short.dcm": "ends too early",
    "meta_missing_tsyntax.dcm": "does not say its transfer syntax",
    "rtplan_truncated.dcm": "ends within an element",
}
"""The files that cannot be kept, and what is said of each; all others are."""
BY_ORTHANC = {"SC_rgb_jpeg.dcm": "Orthanc cannot read it"}


def more() -> Sequence[Path]:
    """The files of pydicom-data, read from its folder: its own look-up would go to the network."""
    try:
        listed = distribution("pydicom-data").files or ()
    except PackageNotFoundError:
        return ()
    paths = sorted(Path(str(each.locate())) for each in listed)
    return [path for path in paths if path.is_file() and path.read_bytes()[128:132] == b"DICM"]


@asynccontextmanager
async def local(folder: Path) -> AsyncIterator[DicomArchive]:
    archive = LocalArchive(folder, time.time, 10**9)
    yield archive
    await archive.close()


@asynccontextmanager
async def in_orthanc(folder: Path, server: OrthancServer) -> AsyncIterator[DicomArchive]:
    server.empty()
    archive = OrthancArchive(folder, Account.of(server.address), time.time, Room(10**9, 1_000_000))
    async with archive.following() as opened:
        yield opened


async def fate(archive: DicomArchive, content: bytes) -> str:
    """What becomes of a file: nothing where it comes back as it was, or why it does not."""
    incoming = archive.receive()
    incoming.write(content)
    (result,) = await archive.store([incoming])
    if isinstance(result, Refused):
        return result.text
    (held,) = await archive.held(result.uids)
    back = b"".join([piece async for piece in archive.read(held)])
    # Many of these files are versions of one instance: what was stored makes room for the next.
    assert await archive.delete(Uids(result.uids.study)) == 1
    assert sha256(back).hexdigest() == held.sha256
    return "" if back[128:] == content[128:] and back[:128] in (content[:128], bytes(128)) else "it is another"


@pytest.mark.parametrize("kind", ["local", "orthanc"])
def test_each_file_comes_back_or_is_refused_for_a_reason(kind: str, tmp_path: Path, request: pytest.FixtureRequest):
    files = [*PART_10, *more()]
    opened = local(tmp_path) if kind == "local" else in_orthanc(tmp_path, request.getfixturevalue("orthanc"))

    async def test() -> dict[str, str]:
        async with opened as archive:
            return {file.name: told for file in files if (told := await fate(archive, file.read_bytes()))}

    expected = REFUSED if kind == "local" else REFUSED | BY_ORTHANC
    names = {file.name for file in files}
    assert asyncio.run(test()) == {name: Containing(text) for name, text in expected.items() if name in names}


class Containing(str):
    """Equal to every text that contains it."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, str) and str(self) in other

    def __hash__(self) -> int:
        return hash(str(self))

"""What every archive of images promises; each implementation is a row of ARCHIVES."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from hashlib import sha256
from pathlib import Path

import orjson
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from dicom_bridge.archive import DUPLICATE, UNFITTING, UNREADABLE, DicomArchive, Refused, Stored, Uids
from dicom_bridge.local_archive import LocalArchive
from dicom_bridge.orthanc import Account
from dicom_bridge.orthanc_archive import OrthancArchive, Room
from dicom_bridge.orthanc_feed import Pace
from dicom_bridge.question import question
from tests.dicom_bridge.samples import file, slice_of, written
from tests.orthanc import OrthancServer

Open = Callable[[Path], AbstractAsyncContextManager[DicomArchive]]

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")


@asynccontextmanager
async def local(folder: Path) -> AsyncIterator[DicomArchive]:
    archive = LocalArchive(folder, lambda: 1_800_000_000.0, most_bytes=10_000_000)
    try:
        yield archive
    finally:
        await archive.close()


def in_orthanc(server: OrthancServer) -> Open:
    server.empty()

    @asynccontextmanager
    async def opened(folder: Path) -> AsyncIterator[DicomArchive]:
        room = Room(instance=10_000_000, copies=1_000_000)
        archive = OrthancArchive(folder, Account.of(server.address), lambda: 1_800_000_000.0, room, Pace(looks=0.05))
        async with archive.following():
            yield archive

    return opened


ARCHIVES = ("local", "orthanc")
Test = Callable[[DicomArchive], Awaitable[None]]


@pytest.fixture(params=ARCHIVES)
def archive_in(request: pytest.FixtureRequest) -> Open:
    return local if request.param == "local" else in_orthanc(request.getfixturevalue("orthanc"))


@pytest.fixture
def run(archive_in: Open, tmp_path: Path) -> Callable[[Test], None]:
    async def opened(test: Test) -> None:
        async with archive_in(tmp_path / "archive") as archive:
            await test(archive)

    return lambda test: asyncio.run(opened(test))


def bytes_of(dataset: Dataset, folder: Path, transfer_syntax: str = ExplicitVRLittleEndian) -> bytes:
    return written(dataset, folder / "written", transfer_syntax).read_bytes()


async def store(archive: DicomArchive, *contents: bytes, replaces: bool = False) -> Sequence[Stored | Refused]:
    incoming = []
    for content in contents:
        incoming.append(archive.receive())
        for start in range(0, len(content), 100):
            incoming[-1].write(content[start : start + 100])
    return await archive.store(incoming, replaces=replaces)


async def found(archive: DicomArchive, level: str = "study", *pairs: tuple[str, str]) -> list[str]:
    """The UIDs that a search finds, of the level's own."""
    tag = {"study": "0020000D", "series": "0020000E", "instance": "00080018"}[level]
    answers = (await archive.find(question(level, pairs))).answers  # type: ignore[arg-type]
    return [orjson.loads(answer)[tag]["Value"][0] for answer in answers]


async def content_of(archive: DicomArchive, uids: Uids) -> bytes:
    (held,) = await archive.held(uids)
    content = b"".join([piece async for piece in archive.read(held)])
    assert held.sha256 == sha256(content).hexdigest()
    assert held.bytes == len(content)
    return content


async def told(archive: DicomArchive, after: int = 0) -> list[tuple[str, str]]:
    changes = await archive.changes(after, 100)
    assert [change.number for change in changes] == sorted({change.number for change in changes})
    return [(change.action, change.uids.instance) for change in changes]


def test_a_file_comes_back_byte_for_byte(run, tmp_path: Path):
    content = bytes_of(slice_of(), tmp_path)

    async def test(archive: DicomArchive) -> None:
        (stored,) = await store(archive, content)
        assert isinstance(stored, Stored)
        assert stored.is_new
        assert await content_of(archive, stored.uids) == content

    run(test)


def test_a_preamble_that_could_be_a_program_is_emptied(run, tmp_path: Path):
    content = bytes_of(slice_of(), tmp_path)
    program = b"MZ" + b"\x90" * 126 + content[128:]
    tiff = b"II*\0" + b"\x01" * 124 + bytes_of(slice_of(number=2), tmp_path)[128:]

    async def test(archive: DicomArchive) -> None:
        results = await store(archive, program, tiff)
        kept = [await content_of(archive, each.uids) for each in results if isinstance(each, Stored)]
        assert kept == [content, tiff]

    run(test)


def test_one_bad_file_takes_no_other_along(run, tmp_path: Path):
    good = [bytes_of(slice_of(number=number), tmp_path) for number in (1, 2)]

    async def test(archive: DicomArchive) -> None:
        first, bad, second = await store(archive, good[0], b"no DICOM at all", good[1])
        assert isinstance(first, Stored)
        assert isinstance(bad, Refused)
        assert bad.reason == UNREADABLE
        assert isinstance(second, Stored)
        assert len(await found(archive, "instance")) == 2

    run(test)


def test_the_same_again_changes_nothing(run, tmp_path: Path):
    content = bytes_of(slice_of(), tmp_path)

    async def test(archive: DicomArchive) -> None:
        await store(archive, content)
        (again,) = await store(archive, content)
        assert isinstance(again, Stored)
        assert not again.is_new
        assert await told(archive) == [("create", "1.2.3.1.1")]

    run(test)


def test_another_under_the_same_uid_is_refused(run, tmp_path: Path):
    content = bytes_of(slice_of(), tmp_path)
    other = bytes_of(slice_of(StudyDescription="another"), tmp_path)

    async def test(archive: DicomArchive) -> None:
        await store(archive, content)
        (refused,) = await store(archive, other)
        assert isinstance(refused, Refused)
        assert (refused.reason, refused.uid) == (DUPLICATE, "1.2.3.1.1")
        assert await content_of(archive, Uids("1.2.3")) == content

    run(test)


def test_a_replacement_is_one_update(run, tmp_path: Path):
    content = bytes_of(slice_of(), tmp_path)
    other = bytes_of(slice_of(StudyDescription="another"), tmp_path)
    elsewhere = bytes_of(slice_of(SeriesInstanceUID="1.2.9"), tmp_path)

    async def test(archive: DicomArchive) -> None:
        await store(archive, content)
        (replaced,) = await store(archive, other, replaces=True)
        assert isinstance(replaced, Stored)
        assert await content_of(archive, Uids("1.2.3")) == other
        assert await found(archive, "study", ("StudyDescription", "another")) == ["1.2.3"]
        assert await told(archive) == [("create", "1.2.3.1.1"), ("update", "1.2.3.1.1")]
        (refused,) = await store(archive, elsewhere, replaces=True)
        assert isinstance(refused, Refused)

    run(test)


def test_a_study_of_another_patient_is_kept_apart(run, tmp_path: Path):
    content = bytes_of(slice_of(), tmp_path)
    stranger = bytes_of(slice_of(number=2, PatientID="VN-2"), tmp_path)

    async def test(archive: DicomArchive) -> None:
        await store(archive, content)
        (refused,) = await store(archive, stranger)
        assert isinstance(refused, Refused)
        assert refused.reason == UNFITTING
        assert await found(archive, "instance") == ["1.2.3.1.1"]

    run(test)


def test_what_is_deleted_is_found_no_more_and_can_be_stored_again(run, tmp_path: Path):
    contents = [bytes_of(slice_of(series=series, number=number), tmp_path) for series in (1, 2) for number in (1, 2)]

    async def test(archive: DicomArchive) -> None:
        await store(archive, *contents)
        assert await archive.delete(Uids("1.2.3", "1.2.3.1")) == 2
        assert await archive.delete(Uids("1.2.3", "1.2.3.1")) == 0
        assert await found(archive, "series") == ["1.2.3.2"]
        assert await archive.held(Uids("1.2.3", "1.2.3.1")) == []
        (again,) = await store(archive, contents[0])
        assert isinstance(again, Stored)
        assert again.is_new
        assert (await told(archive, 4)) == [
            ("delete", "1.2.3.1.1"),
            ("delete", "1.2.3.1.2"),
            ("create", "1.2.3.1.1"),
        ]
        assert await archive.delete(Uids("1.2.3")) == 3
        assert await found(archive) == []

    run(test)


def test_many_at_once_are_each_stored_once(run, tmp_path: Path):
    contents = [bytes_of(slice_of(number=number % 5 + 1), tmp_path) for number in range(20)]

    async def test(archive: DicomArchive) -> None:
        results = await asyncio.gather(*(store(archive, content) for content in contents))
        assert sum(each.is_new for (each,) in results if isinstance(each, Stored)) == 5
        assert len(await told(archive)) == 5

    run(test)


def test_what_is_stored_is_there_after_a_restart(archive_in: Open, tmp_path: Path):
    content = bytes_of(slice_of(), tmp_path)

    async def test() -> None:
        async with archive_in(tmp_path / "archive") as archive:
            await store(archive, content)
            await archive.keep_position("reader", 7)
        async with archive_in(tmp_path / "archive") as archive:
            assert await content_of(archive, Uids("1.2.3")) == content
            assert await archive.position("reader") == 7
            assert await archive.position("another") == 0

    asyncio.run(test())


def test_what_is_abandoned_or_interrupted_is_not_found(archive_in: Open, tmp_path: Path):
    content = bytes_of(slice_of(), tmp_path)

    async def test() -> None:
        async with archive_in(tmp_path / "archive") as archive:
            abandoned = archive.receive()
            abandoned.write(content)
            abandoned.abandon()
            half = archive.receive()
            half.write(content[:300])
            (refused,) = await archive.store([half])
            assert isinstance(refused, Refused)
            archive.receive().write(content)
        async with archive_in(tmp_path / "archive") as archive:
            assert await found(archive, "instance") == []
            assert await told(archive) == []
            assert isinstance((await store(archive, content))[0], Stored)

    asyncio.run(test())


def test_an_instance_that_is_too_long_is_refused_while_it_comes(run):
    async def test(archive: DicomArchive) -> None:
        incoming = archive.receive()
        for _ in range(9):
            incoming.write(bytes(1_000_000))
        with pytest.raises(Refused, match="longer than"):
            incoming.write(bytes(2_000_000))

    run(test)


@pytest.mark.parametrize(
    "syntax",
    [ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian],
    ids=lambda syntax: syntax.keyword,
)
def test_frames_are_cut_out_in_each_transfer_syntax(run, tmp_path: Path, syntax: str):
    content = bytes_of(slice_of(NumberOfFrames=3), tmp_path, syntax)
    pixels = slice_of(NumberOfFrames=3).PixelData

    async def test(archive: DicomArchive) -> None:
        await store(archive, content)
        assert await archive.frames(Uids("1.2.3"), [3, 1]) == (syntax, [pixels[64:96], pixels[:32]])
        assert await archive.frames(Uids("1.2.3"), [1, 4]) is None
        assert await archive.frames(Uids("1.2.3"), [0]) is None
        assert await archive.frames(Uids("9.9.9"), [1]) is None

    run(test)


def test_frames_follow_what_is_replaced_and_deleted(run, tmp_path: Path):
    content = bytes_of(slice_of(), tmp_path)
    changed = slice_of()
    changed.PixelData = bytes(32)
    other = bytes_of(changed, tmp_path)

    async def test(archive: DicomArchive) -> None:
        uids = Uids("1.2.3", "1.2.3.1", "1.2.3.1.1")
        seen = []
        for step in (store(archive, content), store(archive, other, replaces=True), archive.delete(uids)):
            await step
            seen.append([await archive.frames(uids, [1]) for _ in range(2)])
        plain = str(ExplicitVRLittleEndian)
        assert seen == [[(plain, [slice_of().PixelData])] * 2, [(plain, [bytes(32)])] * 2, [None, None]]
        await store(archive, content)
        assert await archive.frames(uids, [1]) == (plain, [slice_of().PixelData])

    run(test)


def test_frames_in_fragments_are_put_together(run):
    content = file("examples_ybr_color.dcm").read_bytes()

    async def test(archive: DicomArchive) -> None:
        (stored,) = await store(archive, content)
        assert isinstance(stored, Stored)
        syntax, frames = await archive.frames(stored.uids, range(1, 31)) or ("", [])
        assert syntax == "1.2.840.10008.1.2.4.50"
        assert all(frame.startswith(b"\xff\xd8") for frame in frames)
        assert len(frames) == 30

    run(test)


def test_metadata_is_the_data_set_and_bulk_is_what_it_points_to(run, tmp_path: Path):
    dataset = slice_of()
    dataset.add_new(0x00282000, "OB", bytes(range(256)) * 8)
    content = bytes_of(dataset, tmp_path)

    async def test(archive: DicomArchive) -> None:
        await store(archive, content)
        (metadata,) = await archive.metadata(Uids("1.2.3"))
        json = orjson.loads(metadata)
        assert json["00100010"]["Value"] == [{"Alphabetic": "Nguyễn^Thị Ánh"}]
        assert json["00282000"]["BulkDataURI"] == "bulk:00282000"
        assert await archive.bulk(Uids("1.2.3"), ["00282000"]) == bytes(range(256)) * 8
        assert await archive.bulk(Uids("1.2.3"), ["00282001"]) is None

    run(test)


FOUND = [
    ([], {"1.1", "1.2", "1.3"}),
    ([("PatientName", "nguyen*")], {"1.1", "1.2"}),
    ([("PatientName", "NGUYỄN^thị ánh")], {"1.1"}),
    ([("PatientName", "Nguyen Thi Anh")], {"1.1"}),
    ([("PatientName", "Nguyen^Th? Anh")], {"1.1"}),
    ([("PatientName", "*^th*")], {"1.1"}),
    ([("PatientName", "dang^*")], {"1.3"}),
    ([("PatientName", "dan")], set()),
    ([("PatientName", "dan *")], set()),
    ([("PatientID", "VN-1")], {"1.1"}),
    ([("PatientID", "vn-1")], set()),
    ([("PatientID", "VN-?")], {"1.1", "1.2", "1.3"}),
    ([("PatientID", "VN[1]")], set()),
    ([("00100020", "VN-2,VN-3")], {"1.2", "1.3"}),
    ([("StudyDate", "20261103")], {"1.1"}),
    ([("StudyDate", "20261104-")], {"1.2", "1.3"}),
    ([("StudyDate", "-20261104")], {"1.1", "1.2"}),
    ([("StudyDate", "20261103-20261104")], {"1.1", "1.2"}),
    ([("StudyTime", "0815")], {"1.1", "1.2", "1.3"}),
    ([("StudyTime", "0816-")], set()),
    ([("StudyInstanceUID", "1.1,1.3")], {"1.1", "1.3"}),
    ([("StudyInstanceUID", "1.1\\1.2")], {"1.1", "1.2"}),
    ([("ModalitiesInStudy", "MR")], {"1.2"}),
    ([("ModalitiesInStudy", "MR\\US")], {"1.2", "1.3"}),
    ([("StudyDescription", "*so nao*")], {"1.1"}),
    ([("AccessionNumber", "A-1"), ("PatientID", "VN-2")], {"1.2"}),
    ([("PatientName", "")], {"1.1", "1.2", "1.3"}),
    ([("limit", "1"), ("offset", "1")], {"1.2"}),
]


@pytest.mark.parametrize(("pairs", "uids"), FOUND, ids=lambda value: "&".join(map("=".join, sorted(value))) or "all")
def test_studies_are_found(run, tmp_path: Path, pairs: list[tuple[str, str]], uids: set[str]):
    studies = [
        slice_of("1.1", PatientID="VN-1", StudyDescription="Chụp CT sọ não"),
        slice_of("1.2", PatientID="VN-2", PatientName="Nguyễn^Văn Đạt", StudyDate="20261104", Modality="MR"),
        slice_of("1.3", PatientID="VN-3", PatientName="Đặng^Hồng", StudyDate="20261105", Modality="US"),
    ]
    contents = [bytes_of(study, tmp_path) for study in studies]

    async def test(archive: DicomArchive) -> None:
        await store(archive, *contents)
        assert set(await found(archive, "study", *pairs)) == uids

    run(test)


def test_series_and_instances_are_found_in_their_order(run, tmp_path: Path):
    slices = [(2, 1), (1, 10), (1, 2)]
    contents = [bytes_of(slice_of(series=series, number=number), tmp_path) for series, number in slices]

    async def test(archive: DicomArchive) -> None:
        await store(archive, *contents)
        assert await found(archive, "series") == ["1.2.3.1", "1.2.3.2"]
        assert await found(archive, "instance") == ["1.2.3.1.2", "1.2.3.1.10", "1.2.3.2.1"]
        assert await found(archive, "instance", ("InstanceNumber", "10"), ("Modality", "CT")) == ["1.2.3.1.10"]
        assert [held.uids.instance for held in await archive.held(Uids("1.2.3"))] == await found(archive, "instance")

    run(test)


def test_answers_count_what_there_is_and_hold_what_is_asked_for(run, tmp_path: Path):
    slices = [slice_of(series=1), slice_of(series=2, Modality="SR", InstitutionName="Bệnh viện Hà Nội")]
    contents = [bytes_of(each, tmp_path) for each in slices]

    async def test(archive: DicomArchive) -> None:
        await store(archive, *contents)
        (answer,) = map(orjson.loads, (await archive.find(question("study", []))).answers)
        assert answer["00080061"]["Value"] == ["CT", "SR"]
        assert (answer["00201206"]["Value"], answer["00201208"]["Value"]) == ([2], [2])
        assert answer["00081190"]["Value"] == ["bulk:/studies/1.2.3"]
        assert "00080080" not in answer
        asked = question("series", [("Modality", "SR"), ("includefield", "InstitutionName")])
        (answer,) = map(orjson.loads, (await archive.find(asked)).answers)
        assert answer["00080080"]["Value"] == ["Bệnh viện Hà Nội"]
        assert answer["00201209"]["Value"] == [1]

    run(test)

"""What is particular to the archive on files: processes that die, share a folder, or find the disk full."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from dicom_bridge.archive import Refused, Stored, Uids
from dicom_bridge.incoming import INCOMING
from dicom_bridge.index import Index, UnknownIndex
from dicom_bridge.local_archive import FILES, LocalArchive
from dicom_bridge.question import question
from fhir_server.errors import NoStore
from tests.dicom_bridge.samples import slice_of, written

WRITER = """
import asyncio, sys, time
from pathlib import Path
from dicom_bridge.local_archive import LocalArchive

async def store(folder, source):
    archive = LocalArchive(folder, time.time, 10_000_000)
    template = source.read_bytes()
    print("ready", flush=True)
    number = 10000
    while True:
        number += 1
        uid = b"1.2.3.1.%05d" % number
        incoming = archive.receive()
        incoming.write(template.replace(b"1.2.3.1.10000", uid))
        await archive.store([incoming])
        print(uid.decode(), flush=True)

asyncio.run(store(Path(sys.argv[1]), Path(sys.argv[2])))
"""


def opened(folder: Path) -> LocalArchive:
    return LocalArchive(folder, lambda: 1_800_000_000.0, 10_000_000)


def instances(archive: LocalArchive) -> set[str]:
    return {held.uids.instance for held in asyncio.run(archive.held(Uids("1.2.3")))}


@pytest.mark.parametrize("milliseconds", [30, 70, 150])
def test_a_killed_process_leaves_what_it_acknowledged_and_nothing_half(tmp_path: Path, milliseconds: int):
    source = written(slice_of(SOPInstanceUID="1.2.3.1.10000"), tmp_path / "source")
    command = [sys.executable, "-c", WRITER, str(tmp_path / "archive"), str(source)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2]) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        asyncio.run(asyncio.sleep(milliseconds / 1000))
        process.send_signal(signal.SIGKILL)
        acknowledged = {line.strip() for line in process.stdout if line.endswith("\n")}
    archive = opened(tmp_path / "archive")
    try:
        there = instances(archive)
        assert acknowledged <= there
        assert len(there - acknowledged) <= 1
        assert len(asyncio.run(archive.changes(0, 10_000))) == len(there)
        for held in asyncio.run(archive.held(Uids("1.2.3"))):
            assert archive._path(held.uids, held.sha256).stat().st_size == source.stat().st_size
        assert [each.name for each in (tmp_path / "archive" / INCOMING).iterdir()] == [archive._spool.folder.name]
    finally:
        asyncio.run(archive.close())


def test_processes_share_a_folder(tmp_path: Path):
    contents = [written(slice_of(number=number), tmp_path / "a").read_bytes() for number in (1, 2)]
    archives = [opened(tmp_path / "archive") for _ in range(2)]

    async def store() -> None:
        for archive, content in zip(archives, contents, strict=True):
            incoming = archive.receive()
            incoming.write(content)
            (result,) = await archive.store([incoming])
            assert isinstance(result, Stored)

    asyncio.run(store())
    assert instances(archives[0]) == instances(archives[1]) == {"1.2.3.1.1", "1.2.3.1.2"}
    for archive in archives:
        asyncio.run(archive.close())


def test_what_is_refused_leaves_no_file(tmp_path: Path):
    archive = opened(tmp_path / "archive")

    async def store() -> None:
        for dataset in (slice_of(), slice_of(StudyDescription="other"), slice_of(number=2, PatientID="another")):
            incoming = archive.receive()
            incoming.write(written(dataset, tmp_path / "a").read_bytes())
            results = await archive.store([incoming])
        assert isinstance(results[0], Refused)

    asyncio.run(store())
    assert len(list((tmp_path / "archive" / FILES).rglob("*.dcm"))) == 1
    asyncio.run(archive.close())


def test_files_are_readable_by_their_owner_only(tmp_path: Path):
    archive = opened(tmp_path / "archive")
    assert {path.stat().st_mode & 0o077 for path in (tmp_path / "archive").iterdir() if path.is_dir()} == {0}
    asyncio.run(archive.close())


def test_a_full_disk_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    archive = opened(tmp_path / "archive")
    incoming = archive.receive()
    incoming.write(written(slice_of(), tmp_path / "a").read_bytes())

    def full(_descriptor: int) -> None:
        raise OSError(28, os.strerror(28))

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(NoStore, match="is full"):
            asyncio.run(archive.store([incoming]))
    assert asyncio.run(archive.find(question("study", []))).answers == []
    asyncio.run(archive.close())


def test_an_index_of_a_later_version_is_refused(tmp_path: Path):
    index = Index(tmp_path / "index.sqlite")
    index._file.execute("PRAGMA user_version = 99")
    index.close()
    with pytest.raises(UnknownIndex, match="schema 99"):
        Index(tmp_path / "index.sqlite")

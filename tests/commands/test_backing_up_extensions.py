"""What extensions keep comes back from a backup: images while others are sent, recordings and keys."""

from __future__ import annotations

import asyncio
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread

import pytest

from dicom_bridge.archive import Stored, Uids
from dicom_bridge.local_archive import LocalArchive
from dicom_bridge.synchronizer import NAME
from fhir_server.commands.copying import LISTING, listing
from telesession.sealed import SealedWriter, key_in
from telesession.sealed import opened as unsealed
from tests.commands.stored import ndjson, patient
from tests.dicom_bridge.samples import slice_of, written

STUDY = Uids("1.2.3")
KEYS = ("audit.key", "deidentification.key", "signing-key.json")


class Sending:
    """Stores one instance after another, and knows what was acknowledged."""

    def __init__(self, data: Path, template: bytes) -> None:
        self.acknowledged: dict[str, bytes] = {}
        self._folder = data / "images"
        self._template = template
        self._ends = Event()
        self.thread = Thread(target=lambda: asyncio.run(self.send()))

    async def send(self) -> None:
        archive = LocalArchive(self._folder, time.time, 10_000_000)
        number = 10_000
        while not self._ends.is_set():
            number += 1
            body = self._template.replace(b"1.2.3.1.10000", b"1.2.3.1.%d" % number)
            incoming = archive.receive()
            incoming.write(body)
            (stored,) = await archive.store([incoming])
            assert isinstance(stored, Stored)
            await archive.keep_position(NAME, number - 10_000)
            self.acknowledged[stored.uids.instance] = body
        await archive.close()

    def until(self, count: int) -> None:
        end = time.monotonic() + 30
        while len(self.acknowledged) < count:
            assert time.monotonic() < end
            time.sleep(0.005)

    def end(self) -> None:
        self._ends.set()
        self.thread.join()


@pytest.fixture
def filled(nhipcau, data, tmp_path) -> Path:
    nhipcau("import", ndjson(tmp_path / "all.ndjson", patient("an")), "--data", data)
    return Path(data)


@contextmanager
def sending(data: Path, tmp_path: Path) -> Iterator[Sending]:
    """Images come all the time."""
    made = Sending(data, written(slice_of(SOPInstanceUID="1.2.3.1.10000"), tmp_path / "source").read_bytes())
    made.thread.start()
    try:
        made.until(5)
        yield made
    finally:
        made.end()


def images_of(data: Path) -> dict[str, bytes]:
    """Every image that an archive finds, as it sends it."""

    async def read() -> dict[str, bytes]:
        archive = LocalArchive(data / "images", time.time, 10_000_000)
        try:
            found = await archive.held(STUDY)
            return {held.uids.instance: b"".join([piece async for piece in archive.read(held)]) for held in found}
        finally:
            await archive.close()

    return asyncio.run(read())


def test_every_image_acknowledged_before_a_backup_comes_back_while_others_come(nhipcau, filled: Path, tmp_path: Path):
    with sending(filled, tmp_path) as sent:
        before = set(sent.acknowledged)
        assert nhipcau("backup", tmp_path / "copy", "--data", filled)[0] == 0
        sent.until(len(before) + 5)
    status, printed, _ = nhipcau("restore", tmp_path / "copy", "--data", tmp_path / "new")
    assert status == 0, printed
    found = images_of(tmp_path / "new")
    assert before <= set(found)
    assert all(sent.acknowledged[name] == content for name, content in found.items())
    assert (tmp_path / "new" / "images" / "studies").stat().st_mode & 0o077 == 0


def test_recordings_and_keys_come_back(nhipcau, filled: Path, tmp_path: Path):
    (filled / "recordings").mkdir()
    writer = SealedWriter(filled / "recordings" / ("0" * 32), key_in(filled, "recording.key"))
    writer.write(b"what was said" * 10_000)
    writer.close()
    for name in KEYS:
        (filled / name).write_text(name)
    assert nhipcau("backup", tmp_path / "copy", "--data", filled)[0] == 0
    assert nhipcau("restore", tmp_path / "copy", "--data", tmp_path / "new")[0] == 0
    new = tmp_path / "new"
    assert (
        b"".join(unsealed(new / "recordings" / ("0" * 32), key_in(new, "recording.key"))) == b"what was said" * 10_000
    )
    for name in (*KEYS, "recording.key"):
        assert (new / name).read_bytes() == (filled / name).read_bytes()
        assert (new / name).stat().st_mode & 0o077 == 0


def test_a_later_backup_shares_what_has_not_changed(nhipcau, filled: Path, tmp_path: Path):
    with sending(filled, tmp_path):
        pass
    assert nhipcau("backup", tmp_path / "first", "--data", filled)[0] == 0
    file = next((filled / "images" / "studies").rglob("*.dcm"))
    file.write_bytes(file.read_bytes() + b"\0\0")
    assert nhipcau("backup", tmp_path / "second", "--data", filled, "--previous", tmp_path / "first")[0] == 0
    path = file.relative_to(filled)
    changed = listing(tmp_path / "second" / LISTING).items() - listing(tmp_path / "first" / LISTING).items()
    assert [name for name, _ in changed] == [path.as_posix()]
    for name in listing(tmp_path / "first" / LISTING):
        assert (tmp_path / "first" / name).samefile(tmp_path / "second" / name) is (name != path.as_posix())
    subprocess.run(["sha256sum", "--check", "--quiet", LISTING], cwd=tmp_path / "second", check=True)


def test_a_damaged_image_is_left_out_and_named_and_the_rest_comes_back(nhipcau, filled: Path, tmp_path: Path):
    with sending(filled, tmp_path):
        pass
    assert nhipcau("backup", tmp_path / "copy", "--data", filled)[0] == 0
    damaged, *others = listing(tmp_path / "copy" / LISTING)
    (tmp_path / "copy" / damaged).write_bytes(b"nothing like an image")
    status, printed, told = nhipcau("restore", tmp_path / "copy", "--data", tmp_path / "new")
    assert (status, "resources: 1" in printed) == (1, True)
    assert damaged in told
    assert not (tmp_path / "new" / damaged).exists()
    assert all((tmp_path / "new" / name).is_file() for name in others)


@pytest.mark.parametrize("line", ["short", f"{'0' * 64}  ../outside", f"{'0' * 64}  /outside"])
def test_a_listing_that_leads_elsewhere_is_refused(nhipcau, filled: Path, tmp_path: Path, line: str):
    (tmp_path / "copy").mkdir()
    (tmp_path / "copy" / LISTING).write_text(f"{line}\n")
    status, _, told = nhipcau("backup", tmp_path / "more", "--data", filled, "--previous", tmp_path / "copy")
    assert (status, "no listing of files" in told) == (2, True)

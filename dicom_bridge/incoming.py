"""Files that are being received, each with its SHA-256, in a folder of the process; durable before they count."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from contextlib import suppress
from fcntl import LOCK_EX, LOCK_NB, flock
from hashlib import sha256
from pathlib import Path
from shutil import rmtree
from typing import TYPE_CHECKING
from uuid import uuid4
from weakref import WeakSet

from dicom_bridge.archive import TOO_LARGE, UNFITTING, Incoming, Refused, Stored
from dicom_bridge.frame import PREAMBLE, inflated
from dicom_bridge.index import Entry
from fhir_server.errors import NoStore
from fhir_server.part import Part

if TYPE_CHECKING:
    from dicom_bridge.instance import Instance

INCOMING = "incoming"
LOCK = "lock"
TIFF = (b"II*\0", b"MM\0*")
READ_INSTANCE: Part[Callable[[Path, Path], Instance]] = Part("dicom_bridge.instance:read_instance")
BULK_VALUE: Part[Callable[..., bytes | None]] = Part("dicom_bridge.instance:bulk_value")
"""What understands files, and takes pydicom along."""
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class LocalIncoming:
    """A file in the folder of what comes in, with the SHA-256 of what it holds."""

    def __init__(self, path: Path, most_bytes: int) -> None:
        self.path = path
        self._most_bytes = most_bytes
        self._file = path.open("wb")
        self._head = b""
        self.digest = sha256()
        self.bytes = 0

    def write(self, data: bytes) -> None:
        """Take its next bytes; raise Refused where it becomes too long, NoStore where the disk is full."""
        if self.bytes + len(self._head) + len(data) > self._most_bytes:
            raise Refused(TOO_LARGE, f"It is longer than the {self._most_bytes:,} bytes that an instance may have.")
        if self.bytes:
            self._put(data)
            return
        self._head += data
        if len(self._head) >= PREAMBLE:
            head, self._head = harmless(self._head), b""
            self._put(head)

    def _put(self, data: bytes) -> None:
        try:
            self._file.write(data)
        except OSError as failure:
            raise no_store(failure) from failure
        self.digest.update(data)
        self.bytes += len(data)

    def finish(self) -> None:
        """Make it durable."""
        if self._head:
            self._put(self._head)
            self._head = b""
        try:
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as failure:
            raise no_store(failure) from failure
        self._file.close()

    def abandon(self) -> None:
        """Forget it."""
        self._file.close()
        for path in (self.path, inflated(self.path)):
            path.unlink(missing_ok=True)


def no_store(failure: OSError) -> NoStore:
    """The failure of a disk."""
    why = "is full" if failure.errno in FULL else "fails"
    return NoStore(f"The disk of the image archive {why}: what was sent is not stored.")


def harmless(head: bytes) -> bytes:
    """Return the beginning of a file without what could make it a program (PS3.10, 7.1 allows any preamble)."""
    preamble = head[:PREAMBLE]
    return head if preamble.startswith(TIFF) or not any(preamble) else bytes(PREAMBLE) + head[PREAMBLE:]


def synced(folder: Path) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sweep(folder: Path) -> None:
    """Remove what processes were receiving when they died."""
    for each in folder.iterdir():
        with suppress(BlockingIOError), (each / LOCK).open("a") as lock:
            flock(lock, LOCK_EX | LOCK_NB)
            rmtree(each)


class Spool:
    """The folder of what a process receives. What processes left behind that died is removed when another opens it."""

    def __init__(self, folder: Path, most_bytes: int) -> None:
        """Open it; to be called by one process at a time."""
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._most_bytes = most_bytes
        self._receiving: WeakSet[LocalIncoming] = WeakSet()
        sweep(folder)
        self.folder = folder / uuid4().hex
        self.folder.mkdir(mode=0o700)
        self._lock = (self.folder / LOCK).open("w")
        flock(self._lock, LOCK_EX)

    def receive(self) -> LocalIncoming:
        """A place for the next file."""
        try:
            incoming = LocalIncoming(self.folder / uuid4().hex, self._most_bytes)
        except OSError as failure:
            raise no_store(failure) from failure
        self._receiving.add(incoming)
        return incoming

    def close(self) -> None:
        """Forget what is not stored."""
        for each in tuple(self._receiving):
            each.abandon()
        self._lock.close()
        rmtree(self.folder, ignore_errors=True)


def entry_of(incoming: Incoming, study: str) -> Entry | Refused:
    """Return what was received, durable and understood, or why it cannot be stored in a study (empty: in any)."""
    assert isinstance(incoming, LocalIncoming)
    incoming.finish()
    try:
        instance = READ_INSTANCE.load()(incoming.path, inflated(incoming.path))
    except Refused as refused:
        return refused
    if study not in ("", instance.uids.study):
        text = "It is of another study than the one that it was sent to."
        return Refused(UNFITTING, text, sop_class=instance.sop_class, uid=instance.uids.instance)
    return Entry(instance, incoming.digest.hexdigest(), incoming.bytes)


def stored(entry: Entry, entered: bool | Refused) -> Stored | Refused:  # noqa: FBT001 -- what the index tells
    """Return what became of an instance."""
    if isinstance(entered, Refused):
        return entered
    return Stored(entry.instance.uids, entry.instance.sop_class, entry.sha256, entered)

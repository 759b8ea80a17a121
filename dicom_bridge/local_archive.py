"""The archive that comes with the bridge: files by UID in one folder, with an index beside them."""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import suppress
from fcntl import LOCK_EX, LOCK_NB, flock
from hashlib import sha256
from pathlib import Path
from shutil import rmtree
from uuid import uuid4
from weakref import WeakSet

from dicom_bridge.archive import TOO_LARGE, UNFITTING, Change, Found, Held, Incoming, Refused, Stored, Uids
from dicom_bridge.index import Entry, Index, Located
from dicom_bridge.instance import DEFLATED, PREAMBLE, bulk_value, read_instance
from dicom_bridge.question import Question
from fhir_server.errors import NoStore

INDEX = "index.sqlite"
INCOMING = "incoming"
FILES = "studies"
INFLATED = ".inflated"
LOCK = "lock"
GUARD = "opening.lock"
TIFF = (b"II*\0", b"MM\0*")
PIECE_BYTES = 256 * 1024
AT_ONCE_BYTES = 4_000_000
DIGEST_LETTERS = 16
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def cut(descriptor: int, start: int, length: int, flags: int) -> bytes:
    """Return a piece of a file; raise BlockingIOError where it would have to be waited for, and must not be."""
    piece = bytearray(length)
    view, read = memoryview(piece), 0
    while read < length:
        got = os.preadv(descriptor, [view[read:]], start + read, flags)
        if not got:
            break
        if flags and got < length - read:
            raise BlockingIOError
        read += got
    return bytes(view[:read])


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


def inflated(path: Path) -> Path:
    """Where the data set of a deflated file is, as it is without that."""
    return path.with_name(path.name + INFLATED)


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


def stored(entry: Entry, entered: bool | Refused) -> Stored | Refused:  # noqa: FBT001 -- what the index tells
    """Return what became of an instance."""
    if isinstance(entered, Refused):
        return entered
    return Stored(entry.instance.uids, entry.instance.sop_class, entry.sha256, entered)


class LocalArchive:
    """An archive in a folder of its own, which several processes may use at once. `clock` tells seconds since 1970."""

    def __init__(self, folder: Path, clock: Callable[[], float], most_bytes: int) -> None:
        self._folder = folder
        self._clock = clock
        self._most_bytes = most_bytes
        self._receiving: WeakSet[LocalIncoming] = WeakSet()
        for each in (folder / INCOMING, folder / FILES):
            each.mkdir(mode=0o700, parents=True, exist_ok=True)
        with (folder / GUARD).open("w") as guard:
            # One process at a time is opening: what is there without a lock is nobody's.
            flock(guard, LOCK_EX)
            self._index = Index(folder / INDEX)
            sweep(folder / INCOMING)
            self._incoming = folder / INCOMING / uuid4().hex
            self._incoming.mkdir(mode=0o700)
            self._lock = (self._incoming / LOCK).open("w")
            flock(self._lock, LOCK_EX)

    def receive(self) -> Incoming:
        """A place for the next instance."""
        made = LocalIncoming(self._incoming / uuid4().hex, self._most_bytes)
        self._receiving.add(made)
        return made

    async def store(
        self, incoming: Sequence[Incoming], *, study: str = "", replaces: bool = False
    ) -> Sequence[Stored | Refused]:
        """Store what was received: durable files first, then one durable step of the index."""
        return await asyncio.to_thread(self._store, incoming, study, replaces=replaces)

    def _store(self, incoming: Sequence[Incoming], study: str, *, replaces: bool) -> list[Stored | Refused]:
        try:
            read = [self._read(each, study) for each in incoming]
            entries = [each for each in read if isinstance(each, Entry)]
            refused = dict(zip(map(id, entries), self._index.refusals(entries, replaces=replaces), strict=True))
            read = [refused.get(id(each)) or each for each in read]
            self._place({file: each for file, each in zip(incoming, read, strict=True) if isinstance(each, Entry)})
            entries = [each for each in read if isinstance(each, Entry)]
            entered = iter(self._index.enter(entries, int(self._clock() * 1000), replaces=replaces))
            return [each if isinstance(each, Refused) else stored(each, next(entered)) for each in read]
        except OSError as failure:
            raise no_store(failure) from failure
        finally:
            for each in incoming:
                each.abandon()

    def _read(self, incoming: Incoming, study: str) -> Entry | Refused:
        assert isinstance(incoming, LocalIncoming)
        incoming.finish()
        try:
            instance = read_instance(incoming.path, inflated(incoming.path))
        except Refused as refused:
            return refused
        if study not in ("", instance.uids.study):
            text = "It is of another study than the one that it was sent to."
            return Refused(UNFITTING, text, sop_class=instance.sop_class, uid=instance.uids.instance)
        return Entry(instance, incoming.digest.hexdigest(), incoming.bytes)

    def _place(self, entries: Mapping[Incoming, Entry]) -> None:
        """Give files their names, durably. A name holds the digest, so nothing that is stored is overwritten."""
        folders: dict[Path, None] = {}
        for each, entry in entries.items():
            assert isinstance(each, LocalIncoming)
            target = self._path(entry.instance.uids, entry.sha256)
            if not target.parent.exists():
                target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                folders |= dict.fromkeys((target.parent.parent, target.parent.parent.parent))
            if entry.instance.transfer_syntax == DEFLATED:
                inflated(each.path).replace(inflated(target))
            each.path.replace(target)
            folders[target.parent] = None
        for folder in folders:
            synced(folder)

    def _path(self, uids: Uids, digest: str) -> Path:
        return self._folder / FILES / uids.study / uids.series / f"{uids.instance}.{digest[:DIGEST_LETTERS]}.dcm"

    async def find(self, question: Question) -> Found:
        """What a search finds."""
        return await asyncio.to_thread(self._index.find, question)

    async def held(self, uids: Uids) -> Sequence[Held]:
        """The instances below UIDs."""
        return await asyncio.to_thread(self._index.held, uids)

    async def metadata(self, uids: Uids) -> Sequence[bytes]:
        """The data sets of these instances, as JSON."""
        return await asyncio.to_thread(self._index.metadata, uids)

    async def read(self, held: Held) -> AsyncIterator[bytes]:
        """The file of an instance, piece by piece."""
        with self._path(held.uids, held.sha256).open("rb") as file:
            while piece := await asyncio.to_thread(file.read, PIECE_BYTES):
                yield piece

    async def frames(self, uids: Uids, numbers: Sequence[int]) -> tuple[str, Sequence[bytes]] | None:
        """The transfer syntax and frames, counted from 1; None where one is not there."""
        found = self._index.recall(uids)
        if found is not None:
            # What is in memory is read at once: to change threads costs more than that.
            with suppress(BlockingIOError):
                return self._cut(found, numbers, os.RWF_NOWAIT)
        return await asyncio.to_thread(self._frames, uids, numbers)

    def _frames(self, uids: Uids, numbers: Sequence[int]) -> tuple[str, Sequence[bytes]] | None:
        return self._cut(self._index.located(uids), numbers, 0)

    def _cut(self, found: Sequence[Located], numbers: Sequence[int], flags: int) -> tuple[str, Sequence[bytes]] | None:
        """Frames of an instance as they stand in its file; None where it, or one of them, is not there."""
        if not found:
            return None
        located = found[0]
        places = [located.frames.of(number) for number in numbers]
        if not all(places):
            return None
        if flags and sum(length for ranges in places for _, length in ranges) > AT_ONCE_BYTES:
            raise BlockingIOError
        with self._source(located).open("rb", buffering=0) as file:
            frames = [b"".join(cut(file.fileno(), *each, flags) for each in ranges) for ranges in places]
        return located.held.transfer_syntax, frames

    def _source(self, located: Located) -> Path:
        """The file that places of frames are in."""
        path = self._path(located.held.uids, located.held.sha256)
        return inflated(path) if located.held.transfer_syntax == DEFLATED else path

    async def bulk(self, uids: Uids, place: Sequence[str]) -> bytes | None:
        """The value of an element."""
        return await asyncio.to_thread(self._bulk, uids, place)

    def _bulk(self, uids: Uids, place: Sequence[str]) -> bytes | None:
        for located in self._index.located(uids):
            syntax = located.held.transfer_syntax
            return bulk_value(self._source(located), syntax, place, is_inflated=syntax == DEFLATED)
        return None

    async def delete(self, uids: Uids) -> int:
        """Take instances out of what is found; their files stay."""
        return len(await asyncio.to_thread(self._index.remove, uids, int(self._clock() * 1000)))

    async def changes(self, after: int, limit: int) -> Sequence[Change]:
        """The changes behind a number."""
        return await asyncio.to_thread(self._index.changes, after, limit)

    async def position(self, name: str) -> int:
        """How far a follower of changes came."""
        return await asyncio.to_thread(self._index.position, name)

    async def keep_position(self, name: str, number: int) -> None:
        """Remember it."""
        await asyncio.to_thread(self._index.keep_position, name, number)

    async def close(self) -> None:
        """Let go of every file."""
        for each in tuple(self._receiving):
            each.abandon()
        self._index.close()
        self._lock.close()
        rmtree(self._incoming, ignore_errors=True)

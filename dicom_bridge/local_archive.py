"""The archive that comes with the bridge: files by UID in one folder, with an index beside them."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import suppress
from fcntl import LOCK_EX, flock
from pathlib import Path

from dicom_bridge.archive import Change, Found, Held, Incoming, Refused, Stored, Uids
from dicom_bridge.frame import DEFLATED, cut_out, inflated
from dicom_bridge.incoming import BULK_VALUE, INCOMING, LocalIncoming, Spool, entry_of, no_store, stored, synced
from dicom_bridge.index import Entry, Index, Located
from dicom_bridge.question import Question

INDEX = "index.sqlite"
FILES = "studies"
GUARD = "opening.lock"
PIECE_BYTES = 256 * 1024
DIGEST_LETTERS = 16


class LocalArchive:
    """An archive in a folder of its own, which several processes may use at once. `clock` tells seconds since 1970."""

    def __init__(self, folder: Path, clock: Callable[[], float], most_bytes: int) -> None:
        self._folder = folder
        self._clock = clock
        (folder / FILES).mkdir(mode=0o700, parents=True, exist_ok=True)
        with (folder / GUARD).open("w") as guard:
            # One process at a time is opening: what is there without a lock is nobody's.
            flock(guard, LOCK_EX)
            self._index = Index(folder / INDEX)
            self._spool = Spool(folder / INCOMING, most_bytes)

    def receive(self) -> Incoming:
        """A place for the next instance."""
        return self._spool.receive()

    async def store(
        self, incoming: Sequence[Incoming], *, study: str = "", replaces: bool = False
    ) -> Sequence[Stored | Refused]:
        """Store what was received: durable files first, then one durable step of the index."""
        return await asyncio.to_thread(self._store, incoming, study, replaces=replaces)

    def _store(self, incoming: Sequence[Incoming], study: str, *, replaces: bool) -> list[Stored | Refused]:
        try:
            read = [entry_of(each, study) for each in incoming]
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
        frames = cut_out(self._source(found[0]), found[0].frames, numbers, flags)
        return None if frames is None else (found[0].held.transfer_syntax, frames)

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
            return BULK_VALUE.load()(self._source(located), syntax, place, is_inflated=syntax == DEFLATED)
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
        self._index.close()
        self._spool.close()

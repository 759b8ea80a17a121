"""The archive that comes with the bridge: files by UID in one folder, with an index beside them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from fcntl import LOCK_EX, flock
from pathlib import Path

from dicom_bridge.archive import Held, Incoming, Refused, Stored, Uids
from dicom_bridge.frame import DEFLATED, inflated
from dicom_bridge.incoming import INCOMING, LocalIncoming, Spool, entry_of, no_store, stored, synced
from dicom_bridge.index import Entry, Index
from dicom_bridge.indexed_archive import IndexedArchive

INDEX = "index.sqlite"
FILES = "studies"
GUARD = "opening.lock"
DIGEST_LETTERS = 16


class LocalArchive(IndexedArchive):
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

    async def _fetch(self, held: Held) -> None:
        """Files are at their paths from the first."""

    async def delete(self, uids: Uids) -> int:
        """Take instances out of what is found; their files stay."""
        return len(await asyncio.to_thread(self._index.remove, uids, int(self._clock() * 1000)))

    async def close(self) -> None:
        """Let go of every file."""
        self._index.close()
        self._spool.close()

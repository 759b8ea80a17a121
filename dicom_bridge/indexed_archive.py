"""What archives with an index of their own have in common: they find by it, and cut frames out of files."""

from __future__ import annotations

import asyncio
import os
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TypeVar

from dicom_bridge.archive import Change, Found, Held, Uids
from dicom_bridge.frame import DEFLATED, cut_out, inflated
from dicom_bridge.incoming import BULK_VALUE
from dicom_bridge.index import Index, Located
from dicom_bridge.question import Question
from fhir_server.errors import Unavailable

PIECE_BYTES = 256 * 1024
TRIES = 3
T = TypeVar("T")


class IndexedArchive(ABC):
    """An archive over an index; where the files are is the matter of each."""

    _index: Index

    @abstractmethod
    def _path(self, uids: Uids, digest: str) -> Path:
        """Where the file of an instance is, or would be."""

    @abstractmethod
    async def _fetch(self, held: Held) -> None:
        """Bring the file of an instance to its path, where it is not there yet."""

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
        with await self._by_file(held, lambda: self._path(held.uids, held.sha256).open("rb")) as file:
            while piece := await asyncio.to_thread(file.read, PIECE_BYTES):
                yield piece

    async def frames(self, uids: Uids, numbers: Sequence[int]) -> tuple[str, Sequence[bytes]] | None:
        """The transfer syntax and frames, counted from 1; None where one is not there."""
        found = self._index.recall(uids)
        if found is not None:
            # What is in memory is read at once: to change threads costs more than that.
            with suppress(BlockingIOError, FileNotFoundError):
                return self._cut(found, numbers, os.RWF_NOWAIT)
        located = await asyncio.to_thread(self._index.located, uids)
        if not located:
            return None
        return await self._by_file(located[0].held, lambda: self._cut(located, numbers, 0))

    async def _by_file(self, held: Held, act: Callable[[], T]) -> T:
        """Do something with the file of an instance, which is fetched again where it went in between."""
        for _ in range(TRIES):
            await self._fetch(held)
            with suppress(FileNotFoundError):
                return await asyncio.to_thread(act)
        raise Unavailable("The file of an image is not at hand now; ask again soon.")

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
        for located in await asyncio.to_thread(self._index.located, uids):
            return await self._by_file(located.held, partial(self._bulk, located, place))
        return None

    def _bulk(self, located: Located, place: Sequence[str]) -> bytes | None:
        syntax = located.held.transfer_syntax
        return BULK_VALUE.load()(self._source(located), syntax, place, is_inflated=syntax == DEFLATED)

    async def changes(self, after: int, limit: int) -> Sequence[Change]:
        """The changes behind a number."""
        return await asyncio.to_thread(self._index.changes, after, limit)

    async def position(self, name: str) -> int:
        """How far a follower of changes came."""
        return await asyncio.to_thread(self._index.position, name)

    async def keep_position(self, name: str, number: int) -> None:
        """Remember it."""
        await asyncio.to_thread(self._index.keep_position, name, number)

"""Records that are durable before they are entered in the ledger: lines in a file of this process.

A commit to the database makes every reader forget the pages that it knows, which a record of each read cannot be worth.
So records are appended here, many with one wait for the disk, and entered in the ledger together, later. What a process
that died left behind is entered by the next that opens the database.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from errno import ENOSPC
from pathlib import Path
from time import perf_counter
from typing import NamedTuple
from uuid import uuid4

from fhir_server.errors import NoStore

LINE = b"\n"
AT_ONCE = 2000
"""How many records are entered by one commit."""

MOST_IN_A_FILE = 20_000
AHEAD = bytes(1 << 18)
"""Written behind the records, so that the next ones replace bytes: a file that grows costs the disk a second wait."""

QUICK = 0.001
"""A disk that mostly answers within so many seconds is waited for here: to wake a thread costs more."""

GROUPS_ASIDE = 200
"""Where it does not, so many groups are written by the thread before the disk is tried here again."""

WEIGHT = 0.1
"""That of the last answer in how long answers take."""

PAUSE = 0.002
"""So many seconds a group waits for those that the group before it answered: they will mostly ask again."""


@dataclass(slots=True)
class Part:
    """A file, and how many of its records are not in the ledger yet; `written` are those that it ever had.

    They end at byte `end`; up to `room` there are zeros to be replaced.
    """

    path: Path
    file: int
    left: int = 0
    written: int = 0
    end: int = 0
    room: int = 0


class Group(NamedTuple):
    """Records that wait for the disk together, how many asked for them, and what is done when they are durable."""

    records: list[bytes]
    asked: int
    durable: asyncio.Future[None]


class Written(NamedTuple):
    """What became of a group: the file, if it is there, and why it is not durable."""

    part: Part | None
    failure: OSError | None


class Journal:
    """The files of one process, locked for as long as it lives; `over` are the names of those that are no more."""

    def __init__(self, database: Path) -> None:
        self._database = database
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="journal")
        self._parts: list[Part] = []
        self._waiting: list[bytes] = []
        self._durable: asyncio.Future[None] | None = None
        self._busy = False
        self._aside = 0
        self._takes = 0.0
        self._asked = 0
        self._expected = 1
        self._gathering: asyncio.Handle | None = None
        self._kept: list[bytes] = []
        self.over: list[str] = []

    @property
    def kept(self) -> int:
        """How many durable records are not in the ledger yet."""
        return len(self._kept)

    def first(self) -> tuple[str, list[bytes]]:
        """The next records to be entered, and the name of the file that they stand in."""
        self._leave_finished()
        part = self._parts[0]
        return part.path.name, self._kept[: min(AT_ONCE, part.left)]

    def entered(self, count: int) -> None:
        """So many records are in the ledger."""
        del self._kept[:count]
        self._parts[0].left -= count
        self._leave_finished()

    def _leave_finished(self) -> None:
        while self._parts and not self._parts[0].left and (len(self._parts) > 1 or not self._busy):
            part = self._parts.pop(0)
            leave(part)
            self.over.append(part.path.name)

    def append(self, records: Sequence[bytes]) -> asyncio.Future[None]:
        """Append records; the future, which all who wait for the same write share, is done when they are durable."""
        self._waiting += records
        self._asked += 1
        loop = asyncio.get_running_loop()
        if self._durable is None:
            self._durable = loop.create_future()
        if not self._busy:
            self._gather(loop)
        return self._durable

    def close(self) -> None:
        """Let go of the files; what is not in the ledger stays in them."""
        self._thread.shutdown()
        for part in self._parts:
            if part.left:
                os.close(part.file)
            else:
                leave(part)
        self._parts.clear()

    def _gather(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin the group when as many asked as did around the last one, or after a pause; one alone never waits."""
        if self._asked == self._expected:
            if self._gathering is not None:
                self._gathering.cancel()
            self._gathering = loop.call_soon(self._start, loop)
        elif self._gathering is None:
            self._gathering = loop.call_later(PAUSE, self._start, loop)

    def _start(self, loop: asyncio.AbstractEventLoop) -> None:
        assert self._durable is not None
        group = Group(self._waiting, self._asked, self._durable)
        self._waiting, self._asked, self._durable = [], 0, None
        self._busy, self._gathering = True, None
        part = self._parts[-1] if self._parts and self._parts[-1].written < MOST_IN_A_FILE else None
        if self._aside:
            self._aside -= 1
            self._thread.submit(self._write_aside, loop, group, part)
            return
        started = perf_counter()
        written = self._write(group, part)
        self._takes += WEIGHT * (perf_counter() - started - self._takes)
        if self._takes > QUICK:
            self._takes, self._aside = 0.0, GROUPS_ASIDE
        self._written(loop, group, written)

    def _write_aside(self, loop: asyncio.AbstractEventLoop, group: Group, part: Part | None) -> None:
        """In the thread: make a group durable."""
        loop.call_soon_threadsafe(self._written, loop, group, self._write(group, part))

    def _write(self, group: Group, part: Part | None) -> Written:
        try:
            part = part or begun(self._database)
            append(part, b"%b\n" % LINE.join(group.records))
        except OSError as error:
            return Written(part, error)
        return Written(part, None)

    def _written(self, loop: asyncio.AbstractEventLoop, group: Group, written: Written) -> None:
        part, failure = written
        self._busy = False
        if part is not None and failure is None:
            if not self._parts or self._parts[-1] is not part:
                self._parts.append(part)
            part.left += len(group.records)
            part.written += len(group.records)
            self._kept += group.records
        settle(group.durable, failure)
        self._expected = group.asked + self._asked
        if self._waiting:
            self._gather(loop)


def settle(future: asyncio.Future[None], failure: OSError | None) -> None:
    """Tell whoever waits, if anyone still does."""
    if future.done():
        return
    if failure is None:
        future.set_result(None)
    else:
        refused = NoStore("The server cannot record who reads what, so it shows nothing: its disk is full, or fails.")
        refused.__cause__ = failure
        future.set_exception(refused)


def begun(database: Path) -> Part:
    """A new file, locked, that a crash does not take away."""
    path = database.with_name(f"{database.name}.journal-{uuid4().hex}")
    file = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_DSYNC, 0o600)
    fcntl.flock(file, fcntl.LOCK_EX)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
    return Part(path, file)


def append(part: Part, lines: bytes) -> None:
    """Append lines durably, with one write that waits for the disk (O_DSYNC), or leave the file as it was."""
    try:
        put(part, lines)
    except OSError:
        os.ftruncate(part.file, part.end)
        part.room = part.end
        raise
    part.end += len(lines)


def put(part: Part, lines: bytes) -> None:
    """Write all behind what is there, and zeros behind it where they have come to an end; or raise OSError."""
    if part.end + len(lines) <= part.room:
        written = os.pwrite(part.file, lines, part.end)
    else:
        written = os.pwritev(part.file, (lines, AHEAD), part.end)
        part.room = part.end + written
    if written < len(lines):
        raise OSError(ENOSPC, "the disk took a part of the records")


def leave(part: Part) -> None:
    """Take away a file whose records are in the ledger."""
    part.path.unlink(missing_ok=True)
    os.close(part.file)


def left_behind(database: Path) -> Iterator[tuple[Path, list[bytes]]]:
    """Yield the files of processes that live no more, with their records; one that is not whole was never answered.

    No record holds a zero byte: where one stands, nothing was written yet, or not all of a last group.
    """
    for path in sorted(database.parent.glob(f"{database.name}.journal-*")):
        with suppress(FileNotFoundError), path.open("rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            yield path, file.read().partition(b"\0")[0].split(LINE)[:-1]

"""Group commit: what waits in a turn of the event loop is written together and made durable by one COMMIT.

Statements run in the event loop, where they cost least; COMMIT, which waits for the disk, runs in a thread, and what
comes meanwhile makes the next group. Between processes, groups take turns.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from fhir_server.errors import NoStore
from fhir_server.store.protocol import Unmet
from fhir_server.store.sqlite.connection import Unwritable
from fhir_server.store.sqlite.turn import Turn
from fhir_server.store.sqlite.writer import Undecided, Writer

Result = TypeVar("Result")
Work = Callable[[], Any]
Item = tuple[Work, "asyncio.Future[Any]"]
Outcome = tuple["asyncio.Future[Any]", Any]
Share = Callable[[int], None]
"""What is done besides in each group, for so many changes."""


class GroupCommit:
    """Queues work for the writer.

    Work that raises Unmet is refused alone; what fails otherwise undoes its group, and the others of it are done again.
    """

    def __init__(self, writer: Writer, turn: Turn, share: Share) -> None:
        self._writer = writer
        self._turn = turn
        self._share = share
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="commit")
        self._waiting: list[Item] = []
        self._busy = False
        self._idle = asyncio.Event()
        self._idle.set()

    def submit(self, work: Callable[[], Result]) -> asyncio.Future[Result]:
        """Do this work in the next group; the future is done when that is durable."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Result] = loop.create_future()
        self._waiting.append((work, future))
        self._wake(loop)
        return future

    async def close(self) -> None:
        """Finish what waits."""
        await self._idle.wait()
        self._thread.shutdown()
        self._turn.close()

    def _wake(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._waiting and not self._busy:
            self._busy = True
            self._idle.clear()
            loop.call_soon(self._start, loop)

    def _start(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._turn.take_at_once():
            self._write(loop)
        else:
            self._thread.submit(self._wait, loop)

    def _wait(self, loop: asyncio.AbstractEventLoop) -> None:
        self._turn.take()
        loop.call_soon_threadsafe(self._write, loop)

    def _write(self, loop: asyncio.AbstractEventLoop) -> None:
        group, self._waiting = self._waiting, []
        try:
            self._writer.begin()
            outcomes = self._apply(group)
            if outcomes is None:
                self._end(loop)
                return
            self._share(self._writer.changes)
            self._writer.count()
        except Exception as failure:  # noqa: BLE001 -- whatever it is, those who wait must hear of it
            self._writer.undo()
            self._end(loop, [(future, failure) for _, future in group])
            return
        self._thread.submit(self._commit, loop, outcomes)

    def _apply(self, group: list[Item]) -> list[Outcome] | None:
        """The outcome of each work; None when one failed, and the others wait for the next group.

        What cannot be decided before this group is durable waits for the next, with all behind it.
        """
        outcomes: list[Outcome] = []
        for n, (work, future) in enumerate(group):
            try:
                outcomes.append((future, work()))
            except Unmet as refused:
                outcomes.append((future, refused))
            except Undecided:
                self._waiting[:0] = group[n:]
                break
            except Exception as failure:  # noqa: BLE001 -- it is handed to whoever waits for this work
                self._writer.undo()
                settle(future, failure)
                self._waiting[:0] = group[:n] + group[n + 1 :]
                return None
        return outcomes

    def _commit(self, loop: asyncio.AbstractEventLoop, outcomes: list[Outcome]) -> None:
        """In the thread: make the group durable, and let the next process write."""
        try:
            self._writer.end()
        except Exception as failure:  # noqa: BLE001 -- whatever it is, those who wait must hear of it
            self._writer.undo()
            outcomes = [(future, failure) for future, _ in outcomes]
        self._turn.give_up()
        loop.call_soon_threadsafe(self._ended, loop, outcomes)

    def _end(self, loop: asyncio.AbstractEventLoop, outcomes: Sequence[Outcome] = ()) -> None:
        self._turn.give_up()
        self._ended(loop, outcomes)

    def _ended(self, loop: asyncio.AbstractEventLoop, outcomes: Sequence[Outcome]) -> None:
        for future, outcome in outcomes:
            settle(future, outcome)
        self._busy = False
        self._wake(loop)
        if not self._busy:
            self._idle.set()


def settle(future: asyncio.Future[Any], outcome: Any) -> None:
    """Tell whoever waits, if anyone still does."""
    if future.done():
        return
    if isinstance(outcome, Unwritable):
        failure = NoStore("The server cannot keep anything now: its disk is full, or fails. What it has can be read.")
        failure.__cause__ = outcome
        future.set_exception(failure)
    elif isinstance(outcome, BaseException):
        future.set_exception(outcome)
    else:
        future.set_result(outcome)

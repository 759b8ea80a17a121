"""The store in one SQLite file, shared by the worker processes of one machine."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TypeVar

from fhir_server.resource.instant import Clock
from fhir_server.search.plan import Plan
from fhir_server.search.row import Memo
from fhir_server.shared_look import SharedLook
from fhir_server.store.prose import asks_for_text
from fhir_server.store.protocol import (
    PLACES,
    Committed,
    Indexed,
    Numbered,
    Page,
    Recorded,
    Request,
    Scope,
    Snapshot,
    Stretch,
    Version,
)
from fhir_server.store.sqlite.connection import Interrupted, connect, copy, establish, value
from fhir_server.store.sqlite.group import GroupCommit
from fhir_server.store.sqlite.join import RENEWED
from fhir_server.store.sqlite.journal import Journal, left_behind
from fhir_server.store.sqlite.ledger import mentioning, stretch
from fhir_server.store.sqlite.merge import Merge
from fhir_server.store.sqlite.prose import Prose, Telling
from fhir_server.store.sqlite.reader import Reader
from fhir_server.store.sqlite.turn import Turn
from fhir_server.store.sqlite.writer import Writer

Result = TypeVar("Result")

MOST_WAITING = 20_000
"""How many versions wait in the tail before they are merged: more makes merges cheaper and takes memory."""

INDEXED_AT_ONCE = 200
COUNT_RENEWED = "INSERT INTO note VALUES(?, '1') ON CONFLICT DO UPDATE SET text=text+1"

SECONDS_IN_THE_JOURNAL = 5.0
"""So long after it was made durable a record is entered in the ledger, with all that came meanwhile."""

SECONDS_IN_THE_LOOP = 0.02
"""A search that takes longer goes on in a thread, so that others need not wait for it."""

LENGTHY = 512
LENGTHY_FOR = 600.0
"""For so many seconds, a search that took long is asked in the thread at once."""


class SqliteStore:
    """A Store. Statements run in the event loop; COMMIT, long searches and backups run in threads."""

    def __init__(self, path: Path, clock: Clock = time.time, most_waiting: int = MOST_WAITING) -> None:
        self._path = path
        turn = Turn(path.with_name(f"{path.name}.turn"))
        try:
            with turn:
                connection = connect(path)
                establish(connection)
        except BaseException:
            turn.close()
            raise
        self._reader = Reader(path, SECONDS_IN_THE_LOOP)
        self._writer = Writer(connection, clock, self._reader.find)
        self._merge = Merge(connection, self._reader.search.tail, self._reader.connection, most_waiting)
        self._group = GroupCommit(self._writer, turn, self._share)
        self._telling = Telling(Prose(connection), self._group.submit, self._told)
        self._lengthy = Memo(LENGTHY)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="search")
        self._long_reader: Reader | None = None
        self._journal = Journal(path)
        self._latest = SharedLook(lambda: self._reader.reading.snapshot(None))
        self._entering: asyncio.Task[None] | None = None
        self._at_the_ledger = asyncio.Lock()
        self._has_looked = False

    async def commit(self, request: Request) -> Committed:
        """Apply all changes or none, durably; raise VersionUnmet, ExpectationUnmet or ExistenceUnmet."""
        return await self._group.submit(lambda: self._writer.apply(request))

    async def read(self, type: str, id: str, version: int | None = None, t: int | None = None) -> Version | None:  # noqa: A002
        """The current version, a numbered one, or the one that was current at `t`; None when there is none."""
        reading = self._reader.reading
        if version is not None:
            found = reading.numbered(type, id, version)
            return found if found is None or t is None or found.t <= t else None
        return reading.current(type, id) if t is None else reading.at(type, id, t)

    async def run(self, plan: Plan, limit: int, cursor: str | None = None, t: int | None = None) -> Page:
        """The first matches of a plan, or those after a cursor (which brings its snapshot along)."""
        if asks_for_text(plan):
            await self._telling.told()
        return await self._answer(plan, lambda reader: reader.page(plan, limit, cursor, t))

    async def count(self, plan: Plan, t: int | None = None) -> int:
        """How many resources match."""
        if asks_for_text(plan):
            await self._telling.told()
        return await self._answer(plan, lambda reader: reader.count(plan, t))

    async def history(
        self, scope: Scope, limit: int, *, after: int = 0, before: int | None = None, newest_first: bool = False
    ) -> Sequence[Version]:
        """The first `limit` versions with `after < place < before`, in their order or from the newest back."""
        return self._reader.reading.history(scope, limit, after, before, newest_first=newest_first)

    async def snapshot(self, at: int | None = None) -> Snapshot:
        """The last commit, or the last one at or before a moment in milliseconds."""
        return self._latest() if at is None else self._reader.reading.snapshot(at)

    async def number(self, parameters: Iterable[Numbered]) -> Mapping[str, int]:
        """The numbers of all parameters by key, those named included: what they ask for where it is free."""
        wanted = list(parameters)
        await self._group.submit(lambda: self._writer.parameters.add(wanted))
        return dict(self._writer.parameters.numbers)

    async def index(self, entries: Iterable[Indexed]) -> int:
        """Give versions that are still current other index rows; return how many were."""
        found = 0
        waiting = list(entries)
        while waiting:
            chunk, waiting = waiting[:INDEXED_AT_ONCE], waiting[INDEXED_AT_ONCE:]
            while chunk:
                done, chunk = await self._group.submit(partial(self._reindex, chunk))
                found += done
        return found

    async def note(self, name: str) -> str | None:
        """The text kept under a name; None when there is none."""
        return self._reader.reading.note(name)

    async def keep(self, name: str, text: str | None, former: str | None) -> bool:
        """Keep a text under a name (None: nothing) if `former` is what stands there now; False when it is not."""
        return await self._group.submit(lambda: self._writer.keep(name, text, former))

    async def record(self, records: Sequence[bytes]) -> None:
        """Enter records in the ledger, durably when it returns."""
        if not records:
            return
        await self._journal.append(records)
        if self._entering is None:
            self._entering = asyncio.create_task(self._enter_later())

    async def ledger(self, after: int, limit: int) -> Stretch:
        """Entries behind a number, about so many at most."""
        await self._enter()
        return stretch(self._reader.connection, after, limit)

    async def mentioning(self, names: Collection[str], before: int, limit: int) -> Sequence[Recorded]:
        """Entries below a number, the latest first, of commits that mention one of these."""
        await self._enter()
        return mentioning(self._reader.connection, names, before, limit)

    async def forget(self, last: int) -> int:
        """Remove entries of the ledger up to a number; return how far that went."""
        await self._enter()
        return await self._group.submit(lambda: self._writer.ledger.remove(last))

    async def backup(self, target: Path) -> int:
        """Copy the store into a new file while it is used; return the last commit in the copy."""
        await self._enter()

        def copied() -> int:
            source = connect(self._path)
            copy(source, target)
            source.close()
            made = connect(target)
            last: int = value(made, "SELECT max(vid) FROM version") or 0
            made.close()
            return last // PLACES

        return await asyncio.get_running_loop().run_in_executor(self._thread, copied)

    async def close(self) -> None:
        """Finish what was accepted and let go of every file."""
        await self._telling.close()
        if self._entering is not None:
            self._entering.cancel()
        await self._enter()
        self._journal.close()
        await self._group.close()
        self._thread.shutdown()
        self._writer.connection.close()
        self._reader.close()
        if self._long_reader is not None:
            self._long_reader.close()

    def _reindex(self, chunk: Sequence[Indexed]) -> tuple[int, list[Indexed]]:
        """How many were given their rows, and those for which merging has to come first: it is brought on a little."""
        done, behind = 0, []
        for entry in chunk:
            rid, vid = self._writer.current(entry)
            if vid and self._merge.is_behind(vid):
                behind.append(entry)
            elif vid:
                self._merge.replace(rid, *self._writer.renew(vid, entry.rows))
                done += 1
        if done:
            self._writer.connection.execute(COUNT_RENEWED, (RENEWED,))
        if behind:
            self._reader.catch_up()
            self._merge.share(INDEXED_AT_ONCE, most_waiting=1)
        return done, behind

    async def _enter_later(self) -> None:
        await asyncio.sleep(SECONDS_IN_THE_JOURNAL)
        self._entering = None
        await self._enter()

    async def _enter(self) -> None:
        """Enter what the journal holds, and what processes that died have left."""
        async with self._at_the_ledger:
            if not self._has_looked:
                self._has_looked = True
                for path, records in left_behind(self._path):
                    await self._group.submit(partial(self._enter_rest, path.name, records))
                    path.unlink(missing_ok=True)
            while self._journal.kept:
                name, records = self._journal.first()
                over, self._journal.over = self._journal.over, []
                await self._group.submit(partial(self._writer.ledger.enter, name, records, over))
                self._journal.entered(len(records))

    def _enter_rest(self, name: str, records: Sequence[bytes]) -> None:
        self._writer.ledger.enter(name, records[self._writer.ledger.has(name) :], ())

    def _share(self, changes: int) -> None:
        if not changes:
            return
        self._reader.catch_up()
        self._merge.share(changes)

    def _told(self) -> tuple[int, int]:
        """About how many resources have their words indexed, and how many there are."""
        connection = self._reader.connection
        told = value(connection, "SELECT rid FROM version WHERE vid=(SELECT told FROM merging)") or 0
        return told, value(connection, "SELECT max(rid) FROM resource") or 0

    async def _answer(self, plan: Plan, question: Callable[[Reader], Result]) -> Result:
        """Answer in the event loop; what takes long there is asked again in the thread, and next time at once."""
        about = (tuple(plan.arms.items()), tuple((sort.by, sort.descending) for sort in plan.sort))
        if self._lengthy.get(about, 0.0) < time.monotonic():
            try:
                return question(self._reader)
            except Interrupted:
                self._lengthy.keep(about, time.monotonic() + LENGTHY_FOR)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, self._ask_at_length, question)

    def _ask_at_length(self, question: Callable[[Reader], Result]) -> Result:
        if self._long_reader is None:
            self._long_reader = Reader(self._path)
        return question(self._long_reader)

"""The store in a MongoDB database, shared by any number of server processes on any number of machines."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Self, TypeVar
from uuid import uuid4

from pymongo import UpdateOne

from fhir_server.errors import Unavailable
from fhir_server.resource.instant import Clock
from fhir_server.search.plan import Plan
from fhir_server.store.aggregation import search
from fhir_server.store.aggregation.document import prose
from fhir_server.store.commit_log import OPEN, Asked, Participant, Position
from fhir_server.store.mongodb.carrier import Carrier
from fhir_server.store.mongodb.connection import Database
from fhir_server.store.mongodb.copying import Copying
from fhir_server.store.mongodb.form import Document, indexed, version_of
from fhir_server.store.mongodb.group import GroupCommit
from fhir_server.store.mongodb.notes import Notes, Numbering
from fhir_server.store.mongodb.reading import Reading
from fhir_server.store.mongodb.weight import BYTES_OF_A_ROW
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

Result = TypeVar("Result")

SECONDS_TO_WRITE = 10.0
SECONDS_TO_READ = 10.0
SECONDS_TO_SEARCH = 60.0
SECONDS_TO_START = 30.0
SECONDS_BETWEEN_LOOKS = 0.5
"""How often each process looks whether a dead one has left an entry that is not applied."""

WRITTEN_AT_ONCE = 200


class MongoStore:
    """A Store. Made by `open`."""

    def __init__(self, database: Database, carrier: Carrier, participant: Participant) -> None:
        self._database = database
        self._carrier = carrier
        self._participant = participant
        self._group = GroupCommit(participant, carrier)
        self._reading = Reading(database, carrier, participant)
        self._notes = Notes(database.notes)
        self._numbering = Numbering(database.numbers)
        self._told: dict[str, int] = {}
        self._healing: asyncio.Task[None] | None = None
        self._closing = asyncio.Event()

    @classmethod
    async def open(
        cls,
        url: str,
        clock: Clock = time.time,
        *,
        is_single: bool = False,
        carrier: Callable[[Database], Carrier] = Carrier,
    ) -> Self:
        """Open a database, and apply what dead processes left; raise UnfitServer, or Unavailable."""
        database = Database(url, is_single=is_single)
        try:
            until = asyncio.get_running_loop().time() + SECONDS_TO_START
            await database.insistently(database.establish, until, SECONDS_TO_START)
            store = cls(database, carrier(database), Participant(clock, lambda: uuid4().hex))
            await store.recover()
        except BaseException:
            await database.close()
            raise
        store._healing = asyncio.get_running_loop().create_task(store._heal())
        return store

    async def recover(self) -> None:
        """Apply what is in the log and not applied yet."""
        await self._carrier.drive(self._participant.recover(), SECONDS_TO_START)

    async def commit(self, request: Request) -> Committed:
        """Apply all changes or none, durably; raise VersionUnmet, ExpectationUnmet or ExistenceUnmet."""
        rows = tuple(indexed(change.rows) for change in request.changes)
        return await self._group.submit(Asked(request, rows), size_of(request))

    async def read(self, type: str, id: str, version: int | None = None, t: int | None = None) -> Version | None:  # noqa: A002
        """The current version, a numbered one, or the one that was current at `t`; None when there is none."""
        reading = self._reading
        if version is not None:
            found = await self._asked(lambda: reading.numbered(type, id, version))
            return found if found is None or t is None or found.t <= t else None
        if t is not None:
            return await self._asked(lambda: reading.at(type, id, t))
        return await self._asked(lambda: reading.current(type, id))

    async def run(self, plan: Plan, limit: int, cursor: str | None = None, t: int | None = None) -> Page:
        """The first matches of a plan, or those after a cursor (which brings its snapshot along)."""

        async def page() -> Page:
            at, kinds = await self._ready(plan, t)
            concise = self._database.is_concise
            found = await self._carrier.ask(search.page(plan, limit, cursor, at, kinds, concise=concise))
            matches = await self._versions(found.matches)
            return Page(found.t, matches, await self._versions(found.included), found.following)

        return await self._asked(page, SECONDS_TO_SEARCH)

    async def count(self, plan: Plan, t: int | None = None) -> int:
        """How many resources match."""

        async def number() -> int:
            at, kinds = await self._ready(plan, t)
            return await self._carrier.ask(search.count(plan, at, kinds, concise=self._database.is_concise))

        return await self._asked(number, SECONDS_TO_SEARCH)

    async def history(
        self, scope: Scope, limit: int, *, after: int = 0, before: int | None = None, newest_first: bool = False
    ) -> Sequence[Version]:
        """The first `limit` versions with `after < place < before`, in their order or from the newest back."""
        reading = self._reading
        return await self._asked(
            lambda: reading.history(scope, limit, after, before, newest_first=newest_first), SECONDS_TO_SEARCH
        )

    async def snapshot(self, at: int | None = None) -> Snapshot:
        """The last commit, or the last one at or before a moment in milliseconds."""
        return await self._asked(lambda: self._reading.snapshot(at))

    async def number(self, parameters: Iterable[Numbered]) -> Mapping[str, int]:
        """The numbers of all parameters by key, those named included: what they ask for where it is free."""
        wanted = list(parameters)
        return await self._asked(lambda: self._numbering.add(wanted), SECONDS_TO_WRITE)

    async def index(self, entries: Iterable[Indexed]) -> int:
        """Give versions that are still current other index rows; return how many were."""
        found = 0
        waiting = iter(entries)
        while chunk := list(islice(waiting, WRITTEN_AT_ONCE)):
            by_kind: dict[str, list[UpdateOne]] = {}
            for each in chunk:
                which = {"k": each.id, "v": each.version, "dead": False, "to": OPEN}
                by_kind.setdefault(each.type, []).append(UpdateOne(which, {"$set": indexed(each.rows)}))
            for kind, updates in by_kind.items():
                found += await self._asked(lambda k=kind, u=updates: self._updated(k, u), SECONDS_TO_WRITE)  # type: ignore[misc]
        return found

    async def _updated(self, kind: str, updates: Sequence[UpdateOne]) -> int:
        done = await self._database.versions(kind).bulk_write(list(updates), ordered=False)
        return done.matched_count

    async def note(self, name: str) -> str | None:
        """The text kept under a name; None when there is none."""
        return await self._asked(lambda: self._notes.text(name))

    async def keep(self, name: str, text: str | None, former: str | None) -> bool:
        """Keep a text under a name (None: nothing) if `former` is what stands there now; False when it is not."""
        by = uuid4().hex
        return await self._asked(lambda: self._notes.keep(name, text, former, by), SECONDS_TO_WRITE)

    async def record(self, records: Sequence[bytes]) -> None:
        """Enter records in the ledger, durably when it returns."""
        await self.commit(Request((), records=tuple(records)))

    async def ledger(self, after: int, limit: int) -> Stretch:
        """Entries behind a number, about so many at most."""
        return await self._asked(lambda: self._reading.ledger(after, limit))

    async def mentioning(self, names: Collection[str], before: int, limit: int) -> Sequence[Recorded]:
        """Entries below a number, the latest first, of commits that mention one of these."""
        return await self._asked(lambda: self._reading.mentioning(names, before, limit))

    async def forget(self, last: int) -> int:
        """Remove entries of the ledger up to a number, from the log too; return how far that went."""
        return await self._asked(lambda: self._reading.forget(last), SECONDS_TO_WRITE)

    async def backup(self, target: Path) -> int:
        """Copy the store into a new SQLite file while it is used; return the last commit in the copy."""
        position = await self._reading.position()
        numbers = await self._numbering.add(())
        numbered = [Numbered(key, number, self._numbering.types[key]) for key, number in numbers.items()]
        notes = await self._notes.names()
        await Copying(self._database, self._carrier, position).into(target, numbered, notes)
        return position.t

    async def close(self) -> None:
        """Finish what was accepted and let go of all connections."""
        await self._group.close()
        self._closing.set()
        if self._healing is not None:
            await asyncio.wait({self._healing})
        await self._reading.close()
        await self._database.close()

    async def _heal(self) -> None:
        """Apply what a process that died has left, so that whoever reads need not wait for whoever writes."""
        while not self._closing.is_set():
            with contextlib.suppress(Unavailable):
                await self.recover()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._closing.wait(), SECONDS_BETWEEN_LOOKS)

    async def _asked(self, work: Callable[[], Awaitable[Result]], seconds: float = SECONDS_TO_READ) -> Result:
        return await self._database.insistently(work, asyncio.get_running_loop().time() + seconds, seconds / 2)

    async def _ready(self, plan: Plan, t: int | None) -> tuple[int, Sequence[str]]:
        """The snapshot to search at, and the types that have been stored by then."""
        position = await self._reading.position()
        kinds = await self._carrier.kinds()
        if asks_for_text(plan):
            for kind in kinds:
                await self._tell(kind, position)
        return position.t if t is None else t, kinds

    async def _tell(self, kind: str, position: Position) -> None:
        """Write down the words of the versions that came since the last search for words."""
        versions = self._database.versions(kind)
        while True:
            asked = {"_id": {"$gt": self._told.get(kind, 0), "$lt": (position.t + 1) * PLACES}}
            shown = {"body": True, "file": True, "prose": True}
            found = await versions.find(asked, shown).sort("_id", 1).limit(WRITTEN_AT_ONCE).to_list()
            if not found:
                return
            silent = [document for document in found if "prose" not in document]
            updates = [
                UpdateOne({"_id": document["_id"]}, {"$set": {"prose": prose(document["body"])}})
                for document in await self._carrier.whole(silent)
                if document["body"] is not None
            ]
            if updates:
                await versions.bulk_write(updates, ordered=False)
            self._told[kind] = found[-1]["_id"]

    async def _versions(self, documents: Sequence[Document]) -> tuple[Version, ...]:
        whole: Sequence[Any] = await self._carrier.whole(documents)
        return tuple(version_of(document["type"], document) for document in whole)


def size_of(request: Request) -> int:
    """The bytes that a request takes in the log, roughly."""
    contents = sum(len(c.content.before) + len(c.content.after) for c in request.changes if c.content is not None)
    rows = sum(len(change.rows) + 4 for change in request.changes)
    return contents + rows * BYTES_OF_A_ROW + sum(map(len, request.records))

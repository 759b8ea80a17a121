"""A copy of the database in one SQLite file, made by doing all its commits again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path

from fhir_server.resource.instant import instant
from fhir_server.search.row import Row
from fhir_server.store.commit_log import Entry, Position
from fhir_server.store.mongodb.carrier import Carrier
from fhir_server.store.mongodb.connection import Database
from fhir_server.store.mongodb.form import Document, entry_of
from fhir_server.store.protocol import Change, Committed, Content, Numbered, Request, Version
from fhir_server.store.sqlite.ledger import BEGINNING, beginning_text
from fhir_server.store.sqlite.store import SqliteStore

ENTRIES_AT_ONCE = 8


class Moments:
    """A clock that stands at the moment of what is copied."""

    def __init__(self) -> None:
        self.at = 0

    def __call__(self) -> float:
        """The moment in seconds, amid its millisecond, so that no rounding leads out of it."""
        return (self.at + 0.5) / 1000


class Copying:
    """Copies everything up to a position."""

    def __init__(self, database: Database, carrier: Carrier, until: Position) -> None:
        self._database = database
        self._carrier = carrier
        self._until = until

    async def into(self, target: Path, numbers: Sequence[Numbered], notes: Mapping[str, str]) -> None:
        """Write it into a new file."""
        moments = Moments()
        copy = SqliteStore(target, moments)
        try:
            await copy.number(numbers)
            first = await self._database.records.find_one(sort=[("_id", 1)])
            if first is not None and first["_id"] > 1:
                await copy.keep(BEGINNING, beginning_text(first["_id"] - 1, first["before"]), None)
            async for entry in self._entries():
                moments.at = entry.after.at
                await self._do_again(copy, entry)
            for name, text in notes.items():
                await copy.keep(name, text, None)
        finally:
            await copy.close()

    async def _entries(self) -> AsyncIterator[Entry]:
        asked = {"_id": {"$lte": self._until.number}}
        async for document in self._database.log.find(asked).sort("_id", 1).batch_size(ENTRIES_AT_ONCE):
            (whole,) = await self._carrier.entries([document])
            yield entry_of(whole)

    async def _do_again(self, copy: SqliteStore, entry: Entry) -> None:
        rows = await self._rows(entry)
        changes: dict[int, list[Change]] = {}
        for each in entry.made:
            changes.setdefault(each.version.t, []).append(change_of(each.version, rows[each.version.place]))
        done = await asyncio.gather(*(copy.commit(Request(tuple(each))) for each in changes.values()))
        if entry.records:
            await copy.record(entry.records)
        self._compare(done, list(changes))

    def _compare(self, done: Sequence[Committed], wanted: Sequence[int]) -> None:
        """The copy has the same numbers for the same commits, or it is none."""
        if [each.t for each in done] != wanted:
            raise RuntimeError(f"the copy came out of step at commit {wanted[0]}")

    async def _rows(self, entry: Entry) -> dict[int, list[Row]]:
        """The index rows of the versions that an entry made, as they are now."""
        places: dict[str, list[int]] = {}
        for each in entry.made:
            places.setdefault(each.version.type, []).append(each.version.place)
        found: dict[int, list[Row]] = {}
        for kind, some in places.items():
            async for document in self._database.versions(kind).find({"_id": {"$in": some}}, {"rows": True}):
                found[document["_id"]] = [row_of(each) for each in document["rows"]]
        return found


def row_of(document: Document) -> Row:
    """An index row that is stored as a document."""
    narrow = document["p"], document["v"], document["x"]
    return (*narrow, document["y"], document["n"]) if "y" in document else narrow


def change_of(version: Version, rows: Sequence[Row]) -> Change:
    """The change that makes a version again, to the byte."""
    if version.body is None:
        return Change("DELETE", version.type, version.id, label=version.label)
    stamp = f'"versionId":"{version.version}","lastUpdated":"{instant(version.at)}"'.encode()
    before, _, after = version.body.partition(stamp)
    return Change(version.method, version.type, version.id, Content(before, after), rows, label=version.label)

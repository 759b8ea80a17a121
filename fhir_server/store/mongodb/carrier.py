"""The steps of the commit log, carried out on the database; each may be repeated, whatever became of its reply."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any, TypeVar

from pymongo import UpdateOne
from pymongo.errors import BulkWriteError, DuplicateKeyError

from fhir_server.search.plan import Plan
from fhir_server.store.aggregation.join import Asking
from fhir_server.store.aggregation.search import find
from fhir_server.store.commit_log import (
    Append,
    Applied,
    Author,
    Current,
    End,
    Entry,
    Find,
    Found,
    Insert,
    Key,
    Keyed,
    Look,
    Mark,
    Pause,
    Position,
    Read,
    Recall,
    Step,
    Steps,
)
from fhir_server.store.mongodb.connection import Database, only_duplicates
from fhir_server.store.mongodb.form import (
    Document,
    committed_of,
    current_of,
    entry_document,
    entry_of,
    keyed_of,
    ledger_document,
    position_document,
    position_of,
    version_document,
    versions_in,
)
from fhir_server.store.mongodb.weight import Pieces
from fhir_server.store.protocol import Committed, Version

Result = TypeVar("Result")

SECONDS_OF_A_PAUSE = 0.01
STEPS_TO_THE_END = 16
"""So many marks are looked up one by one, which is cheap, before all that are newer are asked for."""

UNSHOWN: Mapping[str, bool] = {"rows": False, "refs": False, "prose": False}


class Carrier:
    """Carries out what participants want done."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._pieces = Pieces(database)
        self._others = 1
        self._learnt = 0
        self._table: dict[type[Any], Callable[[Any], Awaitable[Any]]] = {
            Look: self._look,
            Find: self._find,
            Recall: self._recall,
            Append: self._append,
            Author: self._author,
            Read: self._read,
            Applied: self._applied,
            End: self._end,
            Insert: self._insert,
            Mark: self._mark,
            Pause: self._pause,
        }

    async def drive(self, work: Steps[Result], seconds: float) -> Result:
        """Do step after step; raise Unavailable when the database does not answer for so long."""
        until = asyncio.get_running_loop().time() + seconds
        reply: Any = None
        try:
            while True:
                step = work.send(reply)
                reply = await self.carry_out(step, until)
        except StopIteration as done:
            result: Result = done.value
            return result
        finally:
            work.close()

    async def carry_out(self, step: Step, until: float) -> Any:
        """The answer to a step."""
        work = self._table[type(step)]
        return await self._database.insistently(lambda: work(step), until)

    async def ask(self, asking: Asking[Result]) -> Result:
        """Send the queries of a search, and what they find back to it."""
        answers: list[list[Document]] | None = None
        try:
            while True:
                queries = asking.send(answers)  # type: ignore[arg-type] # None begins it
                found = (self._aggregated(query.kind, query.pipeline) for query in queries)
                answers = list(await asyncio.gather(*found))
        except StopIteration as done:
            result: Result = done.value
            return result

    async def kinds(self) -> Sequence[str]:
        """The types that have been stored, in every process."""
        others = self._others
        if self._learnt < others:
            await self._database.learn_kinds()
            self._learnt = max(self._learnt, others)
        return sorted(self._database.kinds)

    async def whole(self, documents: Sequence[Document]) -> Sequence[Document]:
        """Documents with their bodies in place."""
        return await self._pieces.whole(documents)

    async def entries(self, documents: Iterable[Document]) -> list[Document]:
        """Entries of the log, whole."""
        return [await self._pieces.entry(document) for document in documents]

    async def _aggregated(self, kind: str, pipeline: list[Document]) -> list[Document]:
        cursor = await self._database.versions(kind).aggregate(pipeline)
        return await cursor.to_list()

    async def _look(self, step: Look) -> dict[Key, Current]:
        by_kind: dict[str, list[str]] = {}
        for kind, resource_id in step.keys:
            by_kind.setdefault(kind, []).append(resource_id)
        found = await asyncio.gather(*(self._newest(kind, ids) for kind, ids in by_kind.items()))
        return {(kind, d["id"]): current_of(kind, d) for kind, each in zip(by_kind, found, strict=True) for d in each}

    async def _newest(self, kind: str, ids: list[str]) -> Sequence[Document]:
        asked: Any = ids[0] if len(ids) == 1 else {"$in": ids}
        return await self.whole(await self._database.versions(kind).find({"k": asked}, UNSHOWN).to_list())

    async def _find(self, step: Find) -> Sequence[Found]:
        kinds = await self.kinds()

        async def one(plan: Plan, most: int) -> Found:
            return await self.ask(find(plan, most, step.t, kinds, concise=self._database.is_concise))

        return await asyncio.gather(*(one(plan, most) for plan, most in step.plans))

    async def _recall(self, step: Recall) -> dict[str, Committed]:
        asked = {"keyed.key": {"$in": sorted(step.keys)}}
        found = await self.entries(await self._database.log.find(asked).to_list())
        recalled: dict[str, Committed] = {}
        for document in found:
            versions = versions_in(document)
            for keyed in map(keyed_of, document["keyed"]):
                if keyed.key in step.keys:
                    recalled[keyed.key] = await self._recalled(keyed, versions)
        return recalled

    async def _recalled(self, keyed: Keyed, versions: Sequence[Version]) -> Committed:
        """The outcome of a request, its versions from its entry, or from before where nothing changed."""
        made = {(v.type, v.id, v.version): v for v in versions}
        named = [made.get(effect[1:]) or await self.numbered(*effect[1:]) for effect in keyed.effects]
        return committed_of(keyed, named)

    async def numbered(self, kind: str, resource_id: str, number: int) -> Version | None:
        """A version by its number, applied or not."""
        asked = {"k": {"$in": [resource_id, f"{resource_id}/{number}"]}, "v": number}
        found = await self._database.versions(kind).find_one(asked, UNSHOWN)
        return None if found is None else current_of(kind, (await self.whole([found]))[0]).version

    async def _append(self, step: Append) -> bool:
        document = entry_document(step.entry)
        pieces = await self._pieces.put(document)
        try:
            await self._database.log.insert_one(document)
        except DuplicateKeyError:
            await self._pieces.take_away(pieces)
            return False
        return True

    async def _author(self, step: Author) -> str | None:
        found = await self._database.log.find_one({"_id": step.number}, {"by": True})
        return None if found is None else str(found["by"])

    async def _read(self, step: Read) -> Entry | None:
        found = await self._database.log.find_one({"_id": step.number})
        return None if found is None else entry_of(await self._pieces.entry(found))

    async def _applied(self, step: Applied) -> Position | None:
        applied = self._database.applied
        found = latest = await applied.find_one({"_id": step.number})
        steps = 0
        while latest is not None:
            found, steps = latest, steps + 1
            if steps > STEPS_TO_THE_END:
                found = await applied.find_one(sort=[("_id", -1)])
                break
            latest = await applied.find_one({"_id": found["_id"] + 1})
        if found is None:
            return None
        self._others += 1
        return position_of(found)

    async def _end(self, step: End) -> None:
        made = {each.version.place for each in step.entry.made}
        ended: dict[str, list[UpdateOne]] = {}
        for each in step.entry.made:
            version = each.version
            if each.before and each.before not in made:
                # The id is there for the sharded form: it says where the document is.
                which = {"_id": each.before, "id": version.id}
                change = {"$set": {"to": version.t, "k": f"{version.id}/{version.version - 1}"}}
                ended.setdefault(version.type, []).append(UpdateOne(which, change))
        versions = self._database.versions
        await asyncio.gather(*(versions(kind).bulk_write(each, ordered=False) for kind, each in ended.items()))

    async def _insert(self, step: Insert) -> None:
        made: dict[str, list[Document]] = {}
        for each in step.entry.made:
            made.setdefault(each.version.type, []).append(version_document(each))
        writes = [self._insert_versions(step.entry.by, kind, documents) for kind, documents in made.items()]
        if step.entry.records:
            writes.append(self._enter(step.entry))
        await asyncio.gather(*writes)

    async def _insert_versions(self, by: str, kind: str, documents: list[Document]) -> None:
        await self._database.make_indexes(kind)
        await self._pieces.lighten(by, documents)
        try:
            await self._database.versions(kind).insert_many(documents, ordered=False)
        except BulkWriteError as failure:
            if not only_duplicates(failure):
                raise

    async def _enter(self, entry: Entry) -> None:
        with suppress(DuplicateKeyError):
            await self._database.records.insert_one(ledger_document(entry))

    async def _mark(self, step: Mark) -> None:
        with suppress(DuplicateKeyError):
            await self._database.applied.insert_one(position_document(step.entry.after))

    async def _pause(self, step: Pause) -> None:
        await asyncio.sleep(SECONDS_OF_A_PAUSE)

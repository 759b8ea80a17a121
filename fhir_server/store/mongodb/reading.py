"""Versions read from the database: by number, at a snapshot, and in the order in which they were made."""

from __future__ import annotations

import asyncio
from collections.abc import Collection as Some
from typing import Any

from fhir_server.store.commit_log import Participant, Position
from fhir_server.store.mongodb.carrier import UNSHOWN, Carrier
from fhir_server.store.mongodb.connection import Collection, Database
from fhir_server.store.mongodb.form import Document, position_of, recorded, stretch_of, version_of, versions_in
from fhir_server.store.protocol import PLACES, Recorded, Scope, Snapshot, Stretch, Version

SECONDS_TO_LOOK = 10.0
ENTRIES_AT_ONCE = 16


class Reading:
    """Reads versions. What is not marked as applied is not shown."""

    def __init__(self, database: Database, carrier: Carrier, participant: Participant) -> None:
        self._database = database
        self._carrier = carrier
        self._participant = participant
        self._look: asyncio.Task[Position] | None = None
        self._looks: set[asyncio.Task[Position]] = set()

    async def position(self) -> Position:
        """How far the log is applied, not before this was called. Who asks in one turn of the loop shares the look."""
        if self._look is None:
            self._look = asyncio.get_running_loop().create_task(self._fresh())
            self._looks.add(self._look)
            self._look.add_done_callback(self._looks.discard)
        return await asyncio.shield(self._look)

    async def _fresh(self) -> Position:
        await asyncio.sleep(0)
        self._look = None
        return await self._carrier.drive(self._participant.watermark(), SECONDS_TO_LOOK)

    async def close(self) -> None:
        """Wait for looks that nobody waits for any more."""
        if self._looks:
            await asyncio.wait(self._looks)

    async def current(self, kind: str, resource_id: str) -> Version | None:
        """The current version."""
        versions = self._database.versions(kind)
        position, found = await asyncio.gather(self.position(), versions.find_one({"k": resource_id}, UNSHOWN))
        if found is not None and found["from"] <= position.t:
            return await self._shown(kind, found)
        return await self._before(kind, resource_id, position.t, found)

    async def numbered(self, kind: str, resource_id: str, number: int) -> Version | None:
        """A version by its number."""
        position, found = await asyncio.gather(self.position(), self._carrier.numbered(kind, resource_id, number))
        return found if found is not None and found.t <= position.t else None

    async def at(self, kind: str, resource_id: str, t: int) -> Version | None:
        """The version that was current at a snapshot."""
        found = await self._database.versions(kind).find_one({"k": resource_id}, UNSHOWN)
        if found is not None and found["from"] <= t:
            return await self._shown(kind, found)
        return await self._before(kind, resource_id, t, found)

    async def _before(self, kind: str, resource_id: str, t: int, newest: Document | None) -> Version | None:
        """The version at a snapshot, where the newest is younger, or is just being replaced."""
        versions = self._database.versions(kind)
        first: Any = {"k": {"$in": [resource_id, f"{resource_id}/1"]}}
        if (newest is None or newest["v"] == 1) and await versions.find_one({**first, "from": {"$lte": t}}) is None:
            return None
        found = await versions.find_one({"id": resource_id, "from": {"$lte": t}, "to": {"$gt": t}}, UNSHOWN)
        return None if found is None else await self._shown(kind, found)

    async def _shown(self, kind: str, document: Document) -> Version:
        return version_of(kind, (await self._carrier.whole([document]))[0])

    async def history(
        self, scope: Scope, limit: int, after: int, before: int | None, *, newest_first: bool
    ) -> list[Version]:
        """The versions of a scope between two places, in order."""
        position = await self.position()
        end = (position.t + 1) * PLACES
        last = end if before is None else min(before, end)
        if not scope.types:
            return await self._logged(limit, after, last, newest_first=newest_first)
        place: Document = {"_id": {"$gt": after, "$lt": last}}
        asked = place if scope.id is None else {**place, "id": scope.id}
        parts = await asyncio.gather(
            *(self._stretch(kind, asked, limit, -1 if newest_first else 1) for kind in scope.types)
        )
        found = [version for part in parts for version in part]
        return sorted(found, key=lambda v: v.place, reverse=newest_first)[:limit]

    async def _stretch(self, kind: str, asked: Document, limit: int, way: int) -> list[Version]:
        found = await self._database.versions(kind).find(asked, UNSHOWN).sort("_id", way).limit(limit).to_list()
        return [version_of(kind, document) for document in await self._carrier.whole(found)]

    async def _logged(self, limit: int, after: int, last: int, *, newest_first: bool) -> list[Version]:
        """The versions between two places, out of the log."""
        asked = {"t": {"$gte": after // PLACES}, "before.t": {"$lt": (last - 1) // PLACES + 1}}
        way = -1 if newest_first else 1
        cursor = self._database.log.find(asked).sort([("t", way), ("_id", way)]).batch_size(ENTRIES_AT_ONCE)
        found: list[Version] = []
        async for document in cursor:
            (entry,) = await self._carrier.entries([document])
            versions = [version for version in versions_in(entry) if after < version.place < last]
            found += versions[::-1] if newest_first else versions
            if len(found) >= limit:
                break
        await cursor.close()
        return found[:limit]

    async def snapshot(self, at: int | None) -> Snapshot:
        """The last commit, or the last one at or before a moment."""
        position = await self.position()
        if at is not None and at < position.at:
            order = [("at", -1), ("_id", -1)]
            position = position_of(await self._database.applied.find_one({"at": {"$lte": at}}, sort=order))
        return Snapshot(position.t, position.at)

    async def ledger(self, after: int, limit: int) -> Stretch:
        """The entries of the ledger behind a number, those of whole entries of the log."""
        position = await self.position()
        records: Collection = self._database.records
        asked = {"last": {"$gt": after, "$lte": position.records}}
        found = await records.find(asked).sort("_id", 1).limit(limit).to_list()
        before = found[0]["before"] if found else position.digest
        count = 0
        for n, document in enumerate(found):
            count += len(document["texts"])
            if count >= limit:
                found = found[: n + 1]
        return stretch_of(before, found)

    async def mentioning(self, names: Some[str], before: int, limit: int) -> list[Recorded]:
        """The entries below a number of those entries of the log that mention one of these, the latest first."""
        position = await self.position()
        below = min(before, position.records + 1)
        asked = {"mentions": {"$in": sorted(names)}, "_id": {"$lt": below}}
        found: list[Recorded] = []
        async for document in self._database.records.find(asked).sort("_id", -1).limit(limit):
            found += (entry for entry in reversed(recorded(document)) if entry.number < below)
            if len(found) >= limit:
                break
        return found

    async def forget(self, last: int) -> int:
        """Remove entries of the ledger up to a number, those of whole entries of the log and never the last one."""
        records, position = self._database.records, await self.position()
        asked = {"last": {"$lte": last, "$lt": position.records}}
        found = await records.find_one(asked, {"last": True}, sort=[("_id", -1)])
        if found is None:
            return 0
        await self._database.log.update_many({"records": {"$lte": found["last"]}}, {"$set": {"ledger": []}})
        await records.delete_many({"last": {"$lte": found["last"]}})
        return int(found["last"])

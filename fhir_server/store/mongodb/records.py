"""Small records in a collection of MongoDB, shared by all processes of all machines of a node."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from typing import Any

import orjson
import pymongo
from pymongo import MongoClient
from pymongo.errors import DuplicateKeyError
from pymongo.read_concern import ReadConcern
from pymongo.write_concern import WriteConcern

from fhir_server.store.records import Record

COLLECTION = "auth"
EPOCH = "epoch"
MOST_EPOCHS = 1 << 32
SECONDS_TO_CONNECT = 3.0
SECONDS_BETWEEN_LOOKS = 0.25
SECONDS_OF_TRUST = 5
"""How long a stamp lasts at most: a process may die between a change and its telling."""


class MongoRecords:
    """One document for each record; a thread looks whether anything was taken away by others."""

    LAG = 1.0

    def __init__(self, url: str, live: frozenset[str], *, is_single: bool = False) -> None:
        self._live = live
        self._client: MongoClient[dict[str, Any]] = MongoClient(
            url,
            appname="nhipcau",
            serverSelectionTimeoutMS=int(SECONDS_TO_CONNECT * 1000),
            connectTimeoutMS=int(SECONDS_TO_CONNECT * 1000),
            retryWrites=not is_single,
        )
        named = self._client.get_default_database("nhipcau").name
        database = self._client.get_database(
            named,
            write_concern=WriteConcern("majority", j=True),
            read_concern=ReadConcern("local" if is_single else "majority"),
        )
        self._records = database[COLLECTION]
        self._records.create_index([("kind", pymongo.ASCENDING), ("name", pymongo.ASCENDING)])
        self._records.create_index("expires")
        self._own = 0
        self._seen = self._epoch()
        self._closed = threading.Event()
        self._following = threading.Thread(target=self._follow, name="records", daemon=True)
        self._following.start()

    def read(self, kind: str, name: str) -> Record | None:
        """A record; None when there is none."""
        found = self._records.find_one({"_id": _key(kind, name)})
        return None if found is None else _record(found)

    def add(self, kind: str, name: str, body: dict[str, Any], expires: int = 0) -> bool:
        """Remember a record that is not there yet; False when it is."""
        document = {"_id": _key(kind, name), "kind": kind, "name": name, "revision": 1, "expires": expires}
        try:
            self._records.insert_one({**document, "body": orjson.dumps(body)})
        except DuplicateKeyError:
            return False
        return True

    def change(
        self, kind: str, name: str, body: dict[str, Any] | None, revision: int, expires: int | None = None
    ) -> bool:
        """Put another body (None: nothing) in the place of a revision; False when it is not the current one."""
        where = {"_id": _key(kind, name), "revision": revision}
        if body is None:
            changed = self._records.delete_one(where).deleted_count
        else:
            values: dict[str, Any] = {"body": orjson.dumps(body), "revision": revision + 1}
            if expires is not None:
                values["expires"] = expires
            changed = self._records.update_one(where, {"$set": values}).matched_count
        if changed and kind in self._live:
            self._records.update_one({"_id": EPOCH}, {"$inc": {"number": 1}}, upsert=True)
            self._own += 1
        return bool(changed)

    def listed(self, kind: str) -> Sequence[tuple[str, Record]]:
        """All records of a kind, by name."""
        found = self._records.find({"kind": kind}).sort("name", pymongo.ASCENDING)
        return [(document["name"], _record(document)) for document in found]

    def sweep(self, now: int) -> int:
        """Forget what expired before a moment; return how many records that were."""
        return self._records.delete_many({"expires": {"$gt": 0, "$lt": now}}).deleted_count

    def stamp(self) -> int:
        """A number that changes when a record of a live kind was changed or removed."""
        trusted = int(time.monotonic()) // SECONDS_OF_TRUST
        return (trusted * MOST_EPOCHS + self._seen) * MOST_EPOCHS + self._own

    def close(self) -> None:
        """Let go of the connections."""
        self._closed.set()
        self._following.join()
        self._client.close()

    def _epoch(self) -> int:
        found = self._records.find_one({"_id": EPOCH})
        return 0 if found is None else int(found["number"])

    def _follow(self) -> None:
        while not self._closed.wait(SECONDS_BETWEEN_LOOKS):
            try:
                self._seen = self._epoch()
            except pymongo.errors.PyMongoError:
                # Nothing is known of the others now: the next stamp differs in any case when the trust ends.
                continue


def _key(kind: str, name: str) -> str:
    return f"{kind}/{name}"


def _record(document: dict[str, Any]) -> Record:
    return Record(orjson.loads(document["body"]), document["revision"], document["expires"])

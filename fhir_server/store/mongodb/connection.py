"""The database: its collections, what it must promise, and how its failures are told (PyMongo's asynchronous API)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple, TypeVar
from uuid import uuid4

import pymongo
from bson.codec_options import CodecOptions
from gridfs.asynchronous import AsyncGridFSBucket
from pymongo import AsyncMongoClient
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import BulkWriteError, ConnectionFailure, DuplicateKeyError, OperationFailure, PyMongoError
from pymongo.read_concern import ReadConcern
from pymongo.write_concern import WriteConcern

from fhir_server.errors import Unavailable
from fhir_server.store.aggregation.document import collection, indexes
from fhir_server.store.mention import mentions
from fhir_server.store.mongodb.form import Document
from fhir_server.store.protocol import UnfitServer

Result = TypeVar("Result")
Collection = AsyncCollection[Document]

SCHEMA = 1
OLDEST_SERVER = (4, 4)
DUPLICATE = 11000
SECONDS_TO_CONNECT = 3.0
SECONDS_FOR_AN_ANSWER = 2.0
"""After so long a reply to a small question is taken for lost."""

PREFIX = collection("")
RACERS = 16

# What a server answers while its replica set elects another primary, shuts down, or cannot reach a majority.
PASSING = frozenset({6, 7, 50, 64, 89, 91, 112, 189, 202, 262, 9001, 10058, 10107, 11600, 11602, 13435, 13436})


class Server(NamedTuple):
    """What a database stands on: replica set, sharded or single; its version and members; whether it keeps data."""

    kind: str
    version: str
    members: int
    keeps: bool | None
    is_concise: bool


class Database:
    """One database, each collection with the promises that its writes and reads need."""

    def __init__(self, url: str, *, is_single: bool = False) -> None:
        self.client: AsyncMongoClient[Document] = AsyncMongoClient(
            url,
            appname="nhipcau",
            serverSelectionTimeoutMS=int(SECONDS_TO_CONNECT * 1000),
            connectTimeoutMS=int(SECONDS_TO_CONNECT * 1000),
            retryWrites=not is_single,
        )
        self._is_single = is_single
        named = self.client.get_default_database("nhipcau").name
        options: CodecOptions[Document] = CodecOptions(document_class=dict)
        self.all: AsyncDatabase[Document] = self.client.get_database(
            named,
            codec_options=options,
            write_concern=WriteConcern("majority", j=True),
            # A single server knows no other level; of a replica set nothing is read that a fail-over could take back.
            read_concern=ReadConcern("local" if is_single else "majority"),
        )
        self.log = self.all["log"]
        self.applied = self.all["applied"]
        self.parts = self.all["parts"]
        self.records = self.all["ledger"]
        self.numbers = self.all["numbers"]
        self.notes = self.all["notes"]
        self.about = self.all["about"]
        self.bodies = AsyncGridFSBucket(self.all, "bodies")
        self._indexed: set[str] = set()
        self.kinds: set[str] = set()
        self.is_concise = False
        self._working: set[asyncio.Task[Any]] = set()

    def versions(self, kind: str) -> Collection:
        """The versions of a resource type."""
        return self.all[collection(kind)]

    async def learn_kinds(self) -> None:
        """Learn which types have been stored, by any process."""
        names = await self.all.list_collection_names()
        self.kinds.update(name.removeprefix(PREFIX) for name in names if name.startswith(PREFIX))

    async def make_indexes(self, kind: str) -> None:
        """Make the indexes of a type before its first version, once."""
        if kind not in self._indexed:
            for keys, options in indexes():
                await self.versions(kind).create_index(keys, **options)
            self._indexed.add(kind)
            self.kinds.add(kind)

    async def establish(self) -> None:
        """Make what every database has; raise UnfitServer for one of a newer release or without the promises needed."""
        refuse(await self.examine(), is_single=self._is_single)
        await self.applied.create_index([("at", pymongo.DESCENDING), ("_id", pymongo.DESCENDING)], name="moments")
        await self.log.create_index([("keyed.key", pymongo.ASCENDING)], name="keys", sparse=True)
        await self.log.create_index([("t", pymongo.ASCENDING), ("_id", pymongo.ASCENDING)], name="commits")
        await self.records.create_index([("last", pymongo.ASCENDING)], name="last")
        await self.records.create_index([("mentions", pymongo.ASCENDING), ("_id", pymongo.DESCENDING)], name="mentions")
        await self._mention_all()
        await self.notes.create_index([("name", pymongo.ASCENDING), ("n", pymongo.DESCENDING)], name="names")
        await self.about.update_one({"_id": "schema"}, {"$setOnInsert": {"version": SCHEMA}}, upsert=True)
        about = await self.about.find_one({"_id": "schema"})
        if about and about["version"] > SCHEMA:
            text = f"The database has schema {about['version']}, this release knows {SCHEMA}: run the newer release."
            raise UnfitServer(text)
        await self.learn_kinds()

    async def _mention_all(self) -> None:
        """Tell of entries of the ledger that a former release made what they mention."""
        async for document in self.records.find({"mentions": {"$exists": False}}):
            told = {"$set": {"mentions": mentions(document["texts"])}}
            await self.records.update_one({"_id": document["_id"]}, told)

    async def examine(self) -> Server:
        """What the database stands on; raise UnfitServer when a unique key is not kept under concurrency."""
        built = await self.client.admin.command("buildInfo")
        try:
            status = await self.client.admin.command("serverStatus")
        except OperationFailure:
            status = {}
        described = self.client.topology_description
        kind = "single"
        if described.topology_type_name == "Sharded":
            kind = "sharded"
        elif any(server.replica_set_name for server in described.server_descriptions().values()):
            kind = "replica set"
        engine = status.get("storageEngine") or {}
        await self._race()
        members = len(described.server_descriptions())
        self.is_concise = await self._joins_concisely()
        return Server(kind, built["version"], members, engine.get("persistent"), self.is_concise)

    async def _joins_concisely(self) -> bool:
        """Whether a join may have both a pair of fields and a pipeline (MongoDB 5.0)."""
        join = {"from": "log", "localField": "a", "foreignField": "b", "pipeline": [], "as": "c"}
        try:
            cursor = await self.about.aggregate([{"$lookup": join}])
            await cursor.to_list()
        except OperationFailure:
            return False
        return True

    async def _race(self) -> None:
        """Insert the same key many times at once, durably: one may succeed."""
        probe = self.all["probe"]
        name = uuid4().hex

        async def insert(n: int) -> bool:
            try:
                await probe.insert_one({"_id": name, "n": n})
            except DuplicateKeyError:
                return False
            return True

        winners = sum(await asyncio.gather(*(insert(n) for n in range(RACERS))))
        await probe.delete_one({"_id": name})
        if winners != 1:
            raise UnfitServer(f"The server let {winners} of {RACERS} insert the same key: it would lose writes.")

    async def insistently(
        self, work: Callable[[], Awaitable[Result]], until: float, patience: float = SECONDS_FOR_AN_ANSWER
    ) -> Result:
        """The result of work that may be done again, done until it succeeds or a moment of the loop's clock has come.

        An answer is waited for with some patience, the next time with twice as much. Raise Unavailable in the end:
        whether a write was done is not known.
        """
        loop = asyncio.get_running_loop()
        pause = 0.02
        while True:
            left = until - loop.time()
            if left <= 0:
                raise unreachable()
            try:
                return await self._apart(work, min(left, patience))
            except PyMongoError as failure:
                if not is_passing(failure):
                    raise
                if loop.time() + pause >= until:
                    raise unreachable() from failure
            await asyncio.sleep(pause)
            pause = min(2 * pause, 0.5)
            patience *= 2

    async def _apart(self, work: Callable[[], Awaitable[Result]], seconds: float) -> Result:
        """Work in a task of its own, which goes on when whoever waits for it is told to end.

        The driver takes such an end for a fault of the network: it leaves sockets open, and goes on.
        """

        async def working() -> Result:
            with pymongo.timeout(seconds):
                return await work()

        task = asyncio.get_running_loop().create_task(working())
        self._working.add(task)
        task.add_done_callback(self._done)
        return await asyncio.shield(task)

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._working.discard(task)
        if not task.cancelled():
            # Whoever waited may have gone; then nobody else asks what became of it.
            task.exception()

    async def close(self) -> None:
        """Let go of all connections, when what uses them has ended."""
        if self._working:
            await asyncio.wait(self._working)
        await self.client.close()


def refuse(server: Server, *, is_single: bool) -> None:
    """Raise UnfitServer for what would lose data."""
    numbers = tuple(int(part) for part in server.version.split(".")[:2])
    if numbers < OLDEST_SERVER:
        wanted = ".".join(map(str, OLDEST_SERVER))
        raise UnfitServer(f"MongoDB {server.version} is too old: {wanted} or newer is needed.")
    if server.kind == "single" and not is_single:
        raise UnfitServer(
            "The server is no member of a replica set: what it acknowledged is lost with its disk. Start it with"
            " --replSet and rs.initiate(), name its replica set in the URL, or accept one server with --store-single."
        )
    if server.keeps is False and not is_single:
        raise UnfitServer("The server keeps nothing on disk: choose the storage engine wiredTiger.")


def is_passing(failure: PyMongoError) -> bool:
    """Whether the same may succeed when it is tried again."""
    if isinstance(failure, ConnectionFailure) or failure.timeout:
        return True
    if isinstance(failure, BulkWriteError):
        return bool(failure.details.get("writeConcernErrors"))
    return isinstance(failure, OperationFailure) and failure.code in PASSING


def only_duplicates(failure: BulkWriteError) -> bool:
    """Whether everything that was not inserted was there already, and the rest is durable."""
    details = failure.details
    return not details.get("writeConcernErrors") and all(e["code"] == DUPLICATE for e in details["writeErrors"])


def unreachable() -> Unavailable:
    """The failure when the database does not answer in time."""
    return Unavailable(
        "The database does not answer. Whether something was written is not known: look before it is sent again."
    )

"""What can be said of a database without starting a server on it."""

from __future__ import annotations

import asyncio
from typing import NamedTuple

from pymongo.errors import PyMongoError

from fhir_server.errors import Unavailable
from fhir_server.store.mongodb.connection import (
    SCHEMA,
    SECONDS_TO_CONNECT,
    Database,
    Server,
    refuse,
)
from fhir_server.store.mongodb.form import position_of


class Examination(NamedTuple):
    """What was found: the server, its schema and the one known here, versions by type, commits, and what waits."""

    server: Server
    schema: int
    known_schema: int
    versions: int
    types: int
    t: int
    at: int
    waiting: int


class Unreachable(Exception):
    """The server does not answer, or not to this user; the text is what it or the driver said."""


async def examine(url: str, *, is_single: bool = False) -> Examination:
    """Look at a database; raise Unreachable or UnfitServer."""
    database = Database(url, is_single=is_single)
    try:
        until = asyncio.get_running_loop().time() + 2 * SECONDS_TO_CONNECT
        return await database.insistently(lambda: _examined(database, is_single=is_single), until)
    except Unavailable as failure:
        raise Unreachable(str(failure.__cause__ or failure)) from failure
    except PyMongoError as failure:
        raise Unreachable(str(failure)) from failure
    finally:
        await database.close()


async def _examined(database: Database, *, is_single: bool) -> Examination:
    server = await database.examine()
    refuse(server, is_single=is_single)
    about = await database.about.find_one({"_id": "schema"})
    await database.learn_kinds()
    counts = [await database.versions(kind).estimated_document_count() for kind in sorted(database.kinds)]
    position = position_of(await database.applied.find_one(sort=[("_id", -1)]))
    waiting = await database.log.count_documents({"_id": {"$gt": position.number}})
    schema = 0 if about is None else about["version"]
    return Examination(server, schema, SCHEMA, sum(counts), len(counts), position.t, position.at, waiting)

"""What is too heavy for one document of 16 MB: parts of an entry, and bodies in GridFS."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import chain
from typing import NamedTuple

from bson import encode
from gridfs.errors import NoFile
from pymongo.errors import DuplicateKeyError

from fhir_server.store.mongodb.connection import Database
from fhir_server.store.mongodb.form import Document

HEAVY = 12_000_000
"""The bytes of one document; what has more is divided. MongoDB takes 16 MB, names and numbers included."""

BYTES_OF_A_ROW = 150


class Divided(NamedTuple):
    """Where the pieces of an entry are: the numbers of its parts, and the names of its files."""

    parts: tuple[str, ...] = ()
    files: tuple[str, ...] = ()


def weight(document: Document) -> int:
    """The bytes that a version takes, roughly."""
    return len(document["body"] or b"") + BYTES_OF_A_ROW * (len(document["rows"]) + len(document["refs"]) + 4)


def file_of(by: str, document: Document) -> str:
    """The name of the file of a body: another one for each attempt to append it."""
    return f"{by}.{document['_id']}"


class Pieces:
    """Divides what is heavy, before it is referred to, and puts it together again."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def put(self, entry: Document) -> Divided:
        """Divide an entry that is too heavy; it refers to its parts then, and they to files."""
        made = entry["made"]
        if sum(map(weight, made)) <= HEAVY // 3 or len(encode(entry)) <= HEAVY:
            return Divided()
        files = await self.lighten(entry["by"], made)
        names = []
        for n, some in enumerate(lots(made)):
            names.append(f"{entry['by']}.{n}")
            with suppress(DuplicateKeyError):
                await self._database.parts.insert_one({"_id": names[-1], "made": some})
        entry["made"], entry["parts"] = [], names
        return Divided(tuple(names), files)

    async def take_away(self, pieces: Divided) -> None:
        """Delete the pieces of an entry that was not appended."""
        if pieces.parts:
            await self._database.parts.delete_many({"_id": {"$in": list(pieces.parts)}})
        for name in pieces.files:
            with suppress(NoFile):
                await self._database.bodies.delete(name)

    async def lighten(self, by: str, versions: Sequence[Document]) -> tuple[str, ...]:
        """Put heavy bodies into files, and their names into the documents."""
        names = []
        for document in versions:
            if len(document["body"] or b"") > HEAVY:
                name = file_of(by, document)
                names.append(name)
                await self._store(name, document["body"])
                document["body"], document["file"] = None, name
        return tuple(names)

    async def entry(self, document: Document) -> Document:
        """An entry of the log with all that belongs to it."""
        names = document.get("parts", ())
        if names:
            found = await self._database.parts.find({"_id": {"$in": list(names)}}).to_list()
            parts = {part["_id"]: part["made"] for part in found}
            document["made"] = list(chain.from_iterable(parts[name] for name in names))
        await self.whole(document["made"])
        return document

    async def whole(self, versions: Sequence[Document]) -> Sequence[Document]:
        """Versions with their bodies in place."""
        heavy = [document for document in versions if document.get("file")]
        bodies = await asyncio.gather(*(self._load(document["file"]) for document in heavy))
        for document, body in zip(heavy, bodies, strict=True):
            document["body"] = body
            del document["file"]
        return versions

    async def _store(self, name: str, body: bytes) -> None:
        bucket = self._database.bodies
        # The entry of the file is written last: where it is, the file is whole.
        if await self._database.all["bodies.files"].find_one({"_id": name}) is None:
            await self._database.all["bodies.chunks"].delete_many({"files_id": name})
            await bucket.upload_from_stream_with_id(name, name, body)

    async def _load(self, name: str) -> bytes:
        stream = await self._database.bodies.open_download_stream(name)
        return await stream.read()


def lots(versions: Sequence[Document]) -> Iterator[list[Document]]:
    """The versions, in documents that are not too heavy."""
    lot: list[Document] = []
    size = 0
    for document in versions:
        own = len(encode(document))
        if lot and size + own > HEAVY:
            yield lot
            lot, size = [], 0
        lot.append(document)
        size += own
    yield lot

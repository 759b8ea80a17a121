"""Notes, and the numbers of search parameters: each change is a document of its own, inserted under the next number."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any
from uuid import uuid4

from pymongo.errors import DuplicateKeyError

from fhir_server.search.row import FACETS
from fhir_server.store.mongodb.connection import Collection
from fhir_server.store.mongodb.form import Document
from fhir_server.store.protocol import Numbered

KEPT = 200
"""The texts of a note that stay behind the last. Whoever is later than the half of them is refused."""


class Notes:
    """Short texts under names."""

    def __init__(self, collection: Collection) -> None:
        self._collection = collection

    async def text(self, name: str) -> str | None:
        """The text kept under a name."""
        latest = await self._latest(name)
        return None if latest is None else latest["text"]

    async def names(self) -> Mapping[str, str]:
        """All names that a text is kept under."""
        texts: dict[str, Any] = {}
        async for document in self._collection.find().sort("n", 1):
            texts[document["name"]] = document["text"]
        return {name: text for name, text in texts.items() if text is not None}

    async def keep(self, name: str, text: str | None, former: str | None, by: str) -> bool:
        """Change a note if it is as the caller last saw it. It may be asked again under the same `by`."""
        latest = await self._latest(name)
        if latest is not None and latest["by"] == by:
            return True
        if (None if latest is None else latest["text"]) != former:
            return False
        number = 1 if latest is None else latest["n"] + 1
        made = {"_id": f"{name}#{number}", "name": name, "n": number, "text": text, "by": by}
        try:
            await self._collection.insert_one(made)
        except DuplicateKeyError:
            found = await self._collection.find_one({"_id": made["_id"]})
            return found is not None and bool(found["by"] == by)
        return await self._is_in_time(name, number)

    async def _is_in_time(self, name: str, number: int) -> bool:
        """Whether no text that stood in this place can have been deleted; old ones are deleted now and then."""
        latest = await self._latest(name)
        last = number if latest is None else latest["n"]
        if number % KEPT == 0:
            await self._collection.delete_many({"name": name, "n": {"$lt": last - KEPT}})
        return bool(last - number < KEPT // 2)

    async def _latest(self, name: str) -> Document | None:
        return await self._collection.find_one({"name": name}, sort=[("n", -1)])


class Numbering:
    """The numbers of search parameters, given in batches, each inserted under the number after the last."""

    def __init__(self, collection: Collection) -> None:
        self._collection = collection
        self._batches = 0
        self._numbers: dict[str, int] = {}
        self.types: dict[str, str] = {}

    async def add(self, parameters: Iterable[Numbered]) -> Mapping[str, int]:
        """The numbers of all parameters, once those named have theirs."""
        wanted = list(parameters)
        while True:
            await self._catch_up()
            added = self._assigned(wanted)
            if not added:
                return dict(self._numbers)
            batch = {"_id": self._batches + 1, "by": uuid4().hex, "added": added}
            try:
                await self._collection.insert_one(batch)
            except DuplicateKeyError:
                continue

    def _assigned(self, wanted: Iterable[Numbered]) -> list[Document]:
        taken = set(self._numbers.values())
        added: dict[str, Document] = {}
        for parameter in wanted:
            if parameter.key in self._numbers or parameter.key in added:
                continue
            number = parameter.number
            while number in taken:
                number += FACETS
            taken.add(number)
            added[parameter.key] = {"key": parameter.key, "number": number, "type": parameter.type}
        return list(added.values())

    async def _catch_up(self) -> None:
        while (batch := await self._collection.find_one({"_id": self._batches + 1})) is not None:
            for each in batch["added"]:
                self._numbers[each["key"]] = each["number"]
                self.types[each["key"]] = each["type"]
            self._batches += 1

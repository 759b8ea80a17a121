"""Where a store is, by its URL, and how it is opened."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

from fhir_server.part import Part
from fhir_server.resource.instant import Clock
from fhir_server.store.protocol import Store
from fhir_server.store.sqlite.store import SqliteStore

if TYPE_CHECKING:
    from fhir_server.store.mongodb.store import MongoStore

SCHEMES = ("mongodb://", "mongodb+srv://")
MONGO_STORE: Part[type[MongoStore]] = Part("fhir_server.store.mongodb.store:MongoStore")


@dataclass(frozen=True, slots=True)
class MongoDatabase:
    """A database of a MongoDB; `is_single` accepts a server that is no member of a replica set."""

    url: str
    is_single: bool = False

    def __str__(self) -> str:
        """The URL without the password in it, for people to read."""
        parts = urlsplit(self.url)
        host = parts.netloc.rpartition("@")[2]
        return urlunsplit((parts.scheme, host, parts.path, "", ""))


Place = Path | MongoDatabase
"""A file of SQLite, or a database of MongoDB."""


async def opened(place: Place, clock: Clock) -> Store:
    """The store at a place; raise UnknownSchema, UnfitServer or Unavailable."""
    if isinstance(place, MongoDatabase):
        return await MONGO_STORE.load().open(place.url, clock, is_single=place.is_single)
    return SqliteStore(place, clock)

"""What authentication remembers: the kinds of its records, and where they are kept."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from fhir_server.part import Part
from fhir_server.store.opening import MongoDatabase, Place
from fhir_server.store.records import Records
from fhir_server.store.sqlite.records import SqliteRecords

if TYPE_CHECKING:
    from fhir_server.store.mongodb.records import MongoRecords

FILE = "auth.sqlite"

KINDS = {
    "attempts": "failures to say who one is, by whom and from where",
    "client": "programs, by client id",
    "code": "authorization codes, by digest",
    "grant": "what a person allowed a program, by a random id",
    "jti": "assertions that were used, by client and digest",
    "key": "keys that we sign with, by key id",
    "launch": "contexts that programs are launched with, by digest",
    "person": "people, by login",
    "refresh": "refresh tokens, by digest",
    "session": "who is logged in at our pages, by digest",
    "token": "access tokens, by digest",
}

KEPT = ("client", "key", "person")
"""The kinds that a backup holds. Tokens are not among them: one that was used or revoked since would be good again."""

LIVE = frozenset({"client", "grant", "person", "token"})
"""The kinds that decide whether a token is good: when one of these changes, what was read before may be false."""


MONGO_RECORDS: Part[type[MongoRecords]] = Part("fhir_server.store.mongodb.records:MongoRecords")


def records_at(data: Path, place: Place | None) -> Records:
    """Return the records of a node: in the database of its resources, or in a file of the data folder."""
    if isinstance(place, MongoDatabase):
        return MONGO_RECORDS.load()(place.url, LIVE, is_single=place.is_single)
    return SqliteRecords(data / FILE, LIVE)


def copy_kept(source: Records, target: Records) -> None:
    """Put what a backup holds into other records."""
    for kind in KEPT:
        for name, record in source.listed(kind):
            target.add(kind, name, record.body, record.expires)

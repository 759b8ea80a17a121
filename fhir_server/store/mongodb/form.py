"""What the documents of the database look like: versions, entries of the log, marks (pure)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import Any

from fhir_server.search.row import Row
from fhir_server.store.aggregation.document import refs as refs_in
from fhir_server.store.aggregation.document import rows as rows_in
from fhir_server.store.commit_log import OPEN, START, Current, Entry, Keyed, Made, Position
from fhir_server.store.mention import mentions
from fhir_server.store.protocol import MARK_BYTES, Committed, Method, Outcome, Recorded, Stretch, Version, chained

Document = dict[str, Any]

INDEXED = ("rows", "refs")
"""The members of a version that a search goes by, and that may be given others later."""


def indexed(rows: Sequence[Row]) -> Document:
    """What a search goes by; raise TypeError for a row that holds neither text nor numbers."""
    return {"rows": rows_in(rows), "refs": refs_in(rows)}


def key_of(version: Version, to: int) -> str:
    """What a version is found by: the id while it is current, id and number once another has replaced it."""
    return version.id if to == OPEN else f"{version.id}/{version.version}"


def version_document(made: Made) -> Document:
    """A version as it is stored."""
    version = made.version
    return {
        "_id": version.place,
        "k": key_of(version, made.to),
        "id": version.id,
        "v": version.version,
        "from": version.t,
        "to": made.to,
        "at": version.at,
        "method": version.method,
        "dead": version.body is None,
        "born": made.born,
        "body": version.body,
        "label": version.label,
        **made.rows,
    }


def version_of(kind: str, document: Document) -> Version:
    """A stored version, its body in place."""
    method: Method = document["method"]
    return Version(
        kind,
        document["id"],
        document["v"],
        document["_id"],
        document["at"],
        method,
        document["body"],
        document.get("label", ""),
    )


def current_of(kind: str, document: Document) -> Current:
    """A stored version that is the newest of its resource."""
    return Current(version_of(kind, document), document["born"])


def position_document(position: Position) -> Document:
    """Where the log stands, as a mark has it."""
    number, t, at, records, digest = position
    return {"_id": number, "t": t, "at": at, "records": records, "digest": digest}


def position_of(document: Document | None) -> Position:
    """Where a mark says that the log stands."""
    if document is None:
        return START
    return Position(document["_id"], document["t"], document["at"], document["records"], document["digest"])


def entry_document(entry: Entry) -> Document:
    """An entry as it stands in the log."""
    return {
        **position_document(entry.after),
        "before": position_document(entry.before),
        "by": entry.by,
        "made": [{"type": made.version.type, "before": made.before, **version_document(made)} for made in entry.made],
        "keyed": [{"key": each.key, "t": each.t, "effects": each.effects} for each in entry.keyed],
        "ledger": list(entry.records),
    }


def entry_of(document: Document) -> Entry:
    """An entry that stands in the log."""
    return Entry(
        position_of(document["before"]),
        position_of(document),
        document["by"],
        tuple(made_of(each) for each in document["made"]),
        tuple(keyed_of(each) for each in document["keyed"]),
        tuple(document["ledger"]),
    )


def made_of(document: Document) -> Made:
    """A version that stands in an entry."""
    version = version_of(document["type"], document)
    rows = {name: document[name] for name in INDEXED}
    return Made(version, rows, document["born"], document["before"], document["to"])


def keyed_of(document: Document) -> Keyed:
    """What became of a request with a key."""
    return Keyed(document["key"], document["t"], tuple(tuple(each) for each in document["effects"]))


def versions_in(document: Document) -> list[Version]:
    """The versions that an entry of the log makes."""
    return [version_of(each["type"], each) for each in document["made"]]


def committed_of(keyed: Keyed, versions: Sequence[Version | None]) -> Committed:
    """The outcome of a request that is in the log, with the versions that it names."""
    outcomes = [Outcome(effect[0], version) for effect, version in zip(keyed.effects, versions, strict=True)]
    return Committed(keyed.t, tuple(outcomes))


def ledger_document(entry: Entry) -> Document:
    """The records of an entry as they stand in the ledger, under the number of the first."""
    return {
        "_id": entry.before.records + 1,
        "last": entry.after.records,
        "before": entry.before.digest,
        "after": entry.after.digest,
        "texts": list(entry.records),
        "mentions": mentions(entry.records),
    }


def recorded(document: Document) -> list[Recorded]:
    """Entries of the ledger that were entered together."""
    chain = accumulate(document["texts"], chained, initial=document["before"])
    digests = list(chain)[1:]
    return [
        Recorded(document["_id"] + n, text, digest[:MARK_BYTES])
        for n, (text, digest) in enumerate(zip(document["texts"], digests, strict=True))
    ]


def stretch_of(before: bytes, documents: Sequence[Document]) -> Stretch:
    """Entries of the ledger, with the digests around them."""
    entries = [each for document in documents for each in recorded(document)]
    return Stretch(before, tuple(entries), documents[-1]["after"] if documents else before)

"""A version of a resource as a document: its index rows, its references and words, and the indexes on them.

There is a collection for each resource type, and a document for each version: visible at the commits `from <= t < to`,
and `to` is OPEN while it is current. `_id` is its place, `born` that of the first version of its resource.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any

import orjson

from fhir_server.search.row import FACETS, Reference, Row, Special
from fhir_server.store.prose import words

Document = dict[str, Any]
Index = tuple[list[tuple[str, int]], dict[str, Any]]

LONGEST_TEXT = 300_000
"""Characters of a text whose words are kept, so that they fit into the document beside its body."""

COLUMNS = ("p", "v", "x", "y", "n")
TYPE_NAME = re.compile(r"[A-Z][A-Za-z]*")
WORD = re.compile(r"(?:[^\W_]|[\ue000-\uf8ff\U000f0000-\U0010fffd])+")
"""Letters, digits and characters of private use, as SQLite's index of words has it."""


def collection(kind: str) -> str:
    """The name of the collection of a resource type."""
    return f"versions.{kind}"


def rows(held: Sequence[Row]) -> list[Document]:
    """Index rows as elements of an array; TypeError for a value that is neither text nor a number."""
    return [_element(row) for row in held]


def _element(row: Row) -> Document:
    for value in row:
        if not isinstance(value, str | int | float):
            raise TypeError(f"an index row cannot hold {value!r}")
    element: Document = dict(zip(COLUMNS, row, strict=False))
    if _may_be_position(row):
        element["u"] = unit_vector(element["v"], element["x"])
    return element


def _may_be_position(row: Row) -> bool:
    p, v, x, *more = row
    is_place = isinstance(v, float) and isinstance(x, float) and abs(v) <= 90 and abs(x) <= 360
    return is_place and not more and p % FACETS == Special.POSITION


def unit_vector(latitude: float, longitude: float) -> list[float]:
    """The point of the unit sphere at a position in degrees: how far two are apart is then a matter of sums."""
    there, along = math.radians(latitude), math.radians(longitude)
    return [math.cos(there) * math.cos(along), math.cos(there) * math.sin(along), math.sin(there)]


def refs(held: Sequence[Row]) -> list[str]:
    """What joins look for in resources that refer to others: `parameter/type/id` of every literal reference.

    A row does not tell its parameter's type, so that a name like `An` is taken for a type as well: no join asks for it.
    """
    return sorted(
        {
            reference(row[0], row[2], row[1])
            for row in held
            if row[0] % FACETS == Reference.LITERAL and isinstance(row[1], str) and isinstance(row[2], str)
            if TYPE_NAME.fullmatch(row[2])
        }
    )


def reference(parameter: int, kind: str, resource_id: str) -> str:
    """A literal reference of a parameter as one text."""
    return f"{parameter}/{kind}/{resource_id}"


def rows_of(number: int | None) -> Document:
    """The expression for the rows of a number; without one there are none."""
    return {"$filter": {"input": "$rows", "as": "r", "cond": {"$eq": ["$$r.p", number]}}}


def prose(body: bytes) -> Document:
    """The words of a resource, for searches on its text: each word once, and all in order for phrases."""
    both = [WORD.findall(text[:LONGEST_TEXT]) for text in words(orjson.loads(body))]
    narrative, content = (sorted(set(found)) for found in both)
    told, whole = (f" {' '.join(found)} " for found in both)
    return {"narrative": narrative, "content": content, "phrases": {"narrative": told, "content": whole}}


def indexes(*, is_sharded: bool = False) -> list[Index]:
    """The indexes of every collection of versions: keys with their direction, and options.

    That `k` is unique is for speed where only unique indexes are kept; `_id` keeps a version from being there twice.
    On a sharded cluster an index is unique only if it begins with the shard key, which is the id.
    """
    return [
        ([("k", 1)], {"unique": not is_sharded, "name": "current"}),
        ([("id", 1), ("to", 1)], {"name": "id"}),
        ([("rows.p", 1), ("rows.v", 1), ("born", 1), ("rows.x", 1), ("to", 1)], {"name": "rows"}),
        ([("refs", 1), ("to", 1)], {"name": "refs"}),
        ([("at", 1)], {"name": "at"}),
        ([("prose.narrative", 1), ("to", 1)], {"name": "narrative"}),
        ([("prose.content", 1), ("to", 1)], {"name": "content"}),
    ]

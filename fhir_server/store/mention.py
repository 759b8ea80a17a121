"""What an entry of the ledger is found by: the patients and people that it names, and the day that it is of."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

import orjson

NAMED = frozenset({"Patient", "Practitioner", "PractitionerRole", "RelatedPerson", "Person"})
"""Entries are found by what they name of these types."""

MILLISECONDS_OF_A_DAY = 86_400_000


def mentions(texts: Collection[bytes]) -> list[str]:
    """What these entries mention, each once, in order.

    An entry is a JSON object: `e` are references, `l` ids of patients, `w.f` the reference of who asked, and `t` the
    milliseconds since 1970. What an entry does not have it does not mention.
    """
    found: set[str] = set()
    for text in texts:
        found.update(mentioned(text))
    return sorted(found)


def mentioned(text: bytes) -> Iterator[str]:
    """Yield what one entry mentions."""
    try:
        record: Any = orjson.loads(text)
    except orjson.JSONDecodeError:
        return
    if not isinstance(record, dict):
        return
    for patient in record.get("l", ()):
        yield f"Patient/{patient}"
    asked = record.get("w", {}).get("f")
    for reference in (*record.get("e", ()), *((asked,) if asked else ())):
        kind, _, rest = reference.partition("/")
        if kind in NAMED:
            yield f"{kind}/{rest.partition('/')[0]}"
    if "t" in record:
        yield day(record["t"])


def day(moment: int) -> str:
    """What entries of the day of a moment mention, in milliseconds since 1970; days are those of UTC."""
    return f"day/{moment // MILLISECONDS_OF_A_DAY}"

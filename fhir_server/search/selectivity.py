"""Conditions put in the order in which they are worth asking: what finds least first (FHIR R4, 3.1.1 Search)."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator

from fhir_server.search.narrowing import narrowed
from fhir_server.search.plan import (
    EVERYTHING,
    NOTHING,
    And,
    Chain,
    Ids,
    Near,
    Not,
    Or,
    Predicate,
    Referrer,
    Row,
    Text,
    Updated,
)

RANGES = frozenset({"<", "<=", ">", ">="})
WITHIN = frozenset({"contains", "ends"})


def conjunction(items: Iterable[Predicate], single: Container[int] = frozenset()) -> Predicate:
    """All items hold: each once, the most selective first; nothing, where one finds nothing.

    `single` are the parameters of which a resource has at most one value.
    """
    found = sorted(narrowed(dict.fromkeys(parts(items)), single), key=selectivity)
    if NOTHING in found:
        return NOTHING
    if len(found) == 1:
        return found[0]
    return And(tuple(found)) if found else EVERYTHING


def parts(items: Iterable[Predicate]) -> Iterator[Predicate]:
    """The items, those within a conjunction one by one."""
    for item in items:
        if isinstance(item, And):
            yield from parts(item.items)
        else:
            yield item


def selectivity(predicate: Predicate) -> int:
    """The class of a condition, lowest for what finds least."""
    match predicate:
        case Ids():
            return 0
        case Row():
            return row_selectivity(predicate)
        case Or(items):
            return max(map(selectivity, items), default=0)
        case And(items):
            return min(map(selectivity, items), default=9)
        case Near() | Text() | Referrer():
            return 4
        case Chain(targets=targets):
            return 4 if all(selectivity(inner) < 6 for _, inner in targets) else 6
        case Updated():
            return 7
        case Not():
            return 9
    return 8


def row_selectivity(row: Row) -> int:
    """The class of a row: by value and qualifier, by value, by a list, by the start of a text, by a range."""
    on_value = {test.operator for test in row.tests if test.column == "v"}
    if "=" in on_value:
        return 1 if len(row.tests) > 1 else 2
    if "in" in on_value:
        return 3
    if "starts" in on_value:
        return 4
    if on_value & {"<", "<="} and on_value & {">", ">="}:
        return 5
    if on_value & RANGES:
        return 6
    return 7 if on_value & WITHIN else 8

"""Filtering and projection, and the functions that carry a value through a loop (FHIRPath 2.0, sections 5.2 and 7)."""

from __future__ import annotations

from functools import cmp_to_key
from typing import Any

from fhir_server.fhirpath.collection import boolean, compare, key, singleton
from fhir_server.fhirpath.error import FHIRPathError
from fhir_server.fhirpath.evaluation import Frame, Run
from fhir_server.fhirpath.function import Function, Table, each
from fhir_server.fhirpath.static import first_argument, same

MOST_REPETITIONS = 100_000


def where(frame: Frame, focus: list[Any], criteria: Run) -> list[Any]:
    """The items that meet the criteria."""
    frame.evaluation.charge(len(focus))
    return [item for i, item in enumerate(focus) if boolean(criteria(frame.inner(item, i)))]


def select(frame: Frame, focus: list[Any], projection: Run) -> list[Any]:
    """What the projection yields for each item, in one collection."""
    return [found for part in each(frame, focus, projection) for found in part]


def repeat(frame: Frame, focus: list[Any], projection: Run) -> list[Any]:
    """The projection applied again to what it yields, until nothing new comes."""
    seen: set[Any] = set()
    found: list[Any] = []
    level = focus
    while level:
        fresh = []
        for item in select(frame, level, projection):
            mark = place(item)
            if mark not in seen:
                seen.add(mark)
                fresh.append(item)
        found += fresh
        if len(found) > MOST_REPETITIONS:
            raise FHIRPathError(f"repeat() yields more than {MOST_REPETITIONS} items")
        level = fresh
    return found


def repeat_all(frame: Frame, focus: list[Any], projection: Run) -> list[Any]:
    """As repeat, with equal items kept."""
    found: list[Any] = []
    level = select(frame, focus, projection)
    while level:
        found += level
        if len(found) > MOST_REPETITIONS:
            raise FHIRPathError(f"repeatAll() yields more than {MOST_REPETITIONS} items")
        level = select(frame, level, projection)
    return found


def place(item: Any) -> Any:
    """What tells items apart in repeat: equality."""
    return key(item)


def aggregate(frame: Frame, focus: list[Any], aggregator: Run, start: Run | None = None) -> list[Any]:
    """`$total` after the aggregator has seen each item."""
    total = start(frame) if start else []
    frame.evaluation.charge(len(focus))
    for index, item in enumerate(focus):
        inner = frame.inner(item, index)
        inner.total = total
        total = aggregator(inner)
    return total


def sort(frame: Frame, focus: list[Any], keys: list[tuple[Run, bool]]) -> list[Any]:
    """The items by the natural order, or by keys, each of which may be descending."""
    columns = [(each(frame, focus, run), descending) for run, descending in keys]
    columns = columns or [([[item] for item in focus], False)]
    rows = [
        [(singleton(column[i], "sort key"), descending) for column, descending in columns] for i in range(len(focus))
    ]

    def order(one: int, other: int) -> int:
        for (left, descending), (right, _) in zip(rows[one], rows[other], strict=True):
            result = order_of(left, right)
            if result:
                return -result if descending else result
        return 0

    return [focus[i] for i in sorted(range(len(focus)), key=cmp_to_key(order))]


def order_of(left: Any, right: Any) -> int:
    """The order of two keys; a missing key comes after all others."""
    if left is None or right is None:
        return (left is None) - (right is None)
    return compare(left, right) or 0


FUNCTIONS: Table = {
    "where": Function(where, 1, 1, "expressions", same),
    "select": Function(select, 1, 1, "expressions", first_argument),
    "repeat": Function(repeat, 1, 1, "expressions"),
    "repeatAll": Function(repeat_all, 1, 1, "expressions"),
    "aggregate": Function(aggregate, 1, 2, "expressions"),
    "sort": Function(sort, 0, 10, "keys", same),
}

"""Index rows of number parameters (FHIR R4, 3.1.1.4.6 number).

A stored number is exact; the precision that makes `100` mean [99.5, 100.5) is that of the searched number.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from fhir_server.search.leaf import Leaf, Write
from fhir_server.search.row import HIGHEST, LOWEST, Range, Rows


def sortable(value: Any) -> int | float:
    """A JSON number as stores compare it."""
    if value.__class__ is float or value.__class__ is int:
        return value
    if isinstance(value, Decimal):
        return float(value)
    raise TypeError(value)


def number_writer(leaf: Leaf) -> Write:
    """An integer or decimal: a range of one value."""
    numbers = [number + Range.RANGE for number in leaf.numbers]

    def write(value: Any, rows: Rows, resource: Any) -> None:
        found = sortable(value)
        for number in numbers:
            rows.append((number, found, found))

    return write


def range_writer(leaf: Leaf) -> Write:
    """Range: from low to high, either perhaps unknown."""
    numbers = [number + Range.RANGE for number in leaf.numbers]

    def write(value: Any, rows: Rows, resource: Any) -> None:
        low, high = (value.get("low") or {}).get("value"), (value.get("high") or {}).get("value")
        if low is None and high is None:
            return
        bounds = LOWEST if low is None else sortable(low), HIGHEST if high is None else sortable(high)
        for number in numbers:
            rows.append((number, *bounds))

    return write


WRITERS = {"integer": number_writer, "decimal": number_writer, "Range": range_writer}

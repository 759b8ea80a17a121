"""Index rows of composite parameters: the parts of one component, joined (FHIR R4, 3.1.1.4.17 composite)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import reduce

from fhir_server.search.row import (
    SEPARATOR,
    Composite,
    Quantity,
    Range,
    Reference,
    Row,
    Rows,
    String,
    Token,
    Uri,
    Value,
)

COLUMNS = 3


Part = tuple[tuple[Value, ...], str | None, int]
"""One value of a component: its columns, its qualifier where it has one, and 1 for a quantity in base units."""


def token_part(row: Row) -> Part | None:
    """A code with its system."""
    return ((row[1],), str(row[2]), 0) if row[0] in (Token.CODE, Token.FOLDED) else None


def string_part(row: Row) -> Part | None:
    """A folded text."""
    return ((row[1],), None, 0) if row[0] == String.WHOLE else None


def date_part(row: Row) -> Part | None:
    """A range of time."""
    return ((row[1], row[2]), None, 0) if row[0] == Range.RANGE else None


def number_part(row: Row) -> Part | None:
    """A number; a range of numbers has no place in a composite."""
    return ((row[1],), None, 0) if row[1] == row[2] else None


def quantity_part(row: Row) -> Part | None:
    """A quantity from low to high, with its unit."""
    is_canonical = int(row[0] in (Quantity.CANONICAL, Quantity.CANONICAL_RANGE))
    if len(row) == 5:
        return (row[1], row[2]), row[4], is_canonical
    return (row[1], row[1]), str(row[2]), is_canonical


def reference_part(row: Row) -> Part | None:
    """What a reference points to, with its type or version."""
    return ((row[1],), str(row[2]), 0) if row[0] in (Reference.LITERAL, Reference.CANONICAL) else None


def uri_part(row: Row) -> Part | None:
    """A uri with its version."""
    return ((row[1],), str(row[2]), 0) if row[0] == Uri.URI else None


PARTS: Mapping[str, Callable[[Row], Part | None]] = {
    "token": token_part,
    "string": string_part,
    "date": date_part,
    "number": number_part,
    "quantity": quantity_part,
    "reference": reference_part,
    "uri": uri_part,
}


def parts_of(kind: str, rows: Rows) -> list[Part]:
    """What a component of a type gives to its composite; the rows are those of number 0."""
    read = PARTS[kind]
    return list(dict.fromkeys(part for row in rows if (part := read(row)) is not None))


def combined(first: Part, second: Part) -> Part:
    """Two parts as one."""
    columns, name, is_canonical = first
    more, other, also = second
    if name is None or other is None:
        return columns + more, name or other, is_canonical | also
    return columns + more, f"{name}{SEPARATOR}{other}", is_canonical | also


def pairs(first: Sequence[Part], second: Sequence[Part]) -> list[Part]:
    """Every part of one component with every part of the next."""
    return [combined(one, other) for one in first for other in second]


def placed(columns: tuple[Value, ...], name: str | None) -> tuple[Value, Value, Value, str]:
    """The columns of a wide row: what is missing is 0, what is too many stands behind the name."""
    v, x, y = (*columns, 0, 0)[:COLUMNS]
    names = [] if name is None else [name]
    return v, x, y, SEPARATOR.join([*names, *map(str, columns[COLUMNS:])])


def join_rows(numbers: Sequence[int], components: Sequence[Sequence[Part]], rows: Rows) -> None:
    """Add the rows of every combination of the parts of one component; none where a part is missing."""
    for columns, name, is_canonical in reduce(pairs, components):
        facet = Composite.JOINED_CANONICAL.value if is_canonical else 0
        v, x, y, n = placed(columns, name)
        for number in numbers:
            rows.append((number + facet, v, x, y, n))

"""Values of composite parameters: the values of their components, joined by `$` (FHIR R4, 3.1.1.4.17 composite).

A component is asked as a parameter of its own type would be; its tests are then moved to where its columns stand in the
joined row (see fhir_server.search.row).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from itertools import product

from fhir_server.search.plan import Column, Near, Row, Test
from fhir_server.search.question import Rows, UnansweredValue
from fhir_server.search.row import SEPARATOR, Composite, Quantity, Range, Reference, String, Token, Uri

PLACES: tuple[Column, ...] = ("v", "x", "y")
ANY = None
Piece = str | None
"""A part of a name's pattern: text, or ANY."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Which facets of a type stand in a composite, how many columns they take, and the column that qualifies them."""

    facets: frozenset[int]
    columns: Mapping[str, int]
    width: int
    qualifier: str | None = None


LAYOUTS: Mapping[str, Layout] = {
    "token": Layout(frozenset({Token.CODE, Token.FOLDED}), {"v": 0}, 1, "x"),
    "string": Layout(frozenset({String.WHOLE}), {"v": 0}, 1),
    "date": Layout(frozenset({Range.RANGE}), {"v": 0, "x": 1}, 2),
    "number": Layout(frozenset({Range.RANGE}), {"v": 0, "x": 0}, 1),
    "quantity": Layout(frozenset({Quantity.SENT_RANGE, Quantity.CANONICAL_RANGE}), {"v": 0, "x": 1}, 2, "n"),
    "reference": Layout(frozenset({Reference.LITERAL, Reference.CANONICAL}), {"v": 0}, 1, "x"),
    "uri": Layout(frozenset({Uri.URI}), {"v": 0}, 1, "x"),
}


@dataclass(frozen=True, slots=True)
class Part:
    """What one alternative of a component asks: tests of columns by place, the pattern of its name where it has one."""

    tests: tuple[tuple[int, Test], ...]
    name: tuple[Piece, ...] | None
    width: int
    is_canonical: bool = False


def parts(kind: str, rows: Rows) -> Iterator[Part]:
    """The alternatives of a component of a type."""
    layout = LAYOUTS[kind]
    for row in rows:
        if isinstance(row, Near) or row.number not in layout.facets:
            continue
        placed = [(layout.columns[test.column], test) for test in row.tests if test.column != layout.qualifier]
        named = [test for test in row.tests if test.column == layout.qualifier]
        name = None if layout.qualifier is None else pattern(named)
        is_canonical = kind == "quantity" and row.number == Quantity.CANONICAL_RANGE
        yield Part(tuple(placed), name, layout.width, is_canonical)


def pattern(tests: Sequence[Test]) -> tuple[Piece, ...]:
    """The pattern of a name that passes a test, or any name."""
    if not tests:
        return (ANY,)
    text = str(tests[0].value)
    shapes: Mapping[str, tuple[Piece, ...]] = {
        "=": (text,),
        "starts": (text, ANY),
        "ends": (ANY, text),
        "contains": (ANY, text, ANY),
    }
    return shapes[tests[0].operator]


def beside(first: Part, second: Part) -> Part:
    """Two components as one, the columns of the second after those of the first."""
    moved = tuple((place + first.width, test) for place, test in second.tests)
    if first.name is None or second.name is None:
        name = first.name if second.name is None else second.name
    else:
        name = (*first.name, SEPARATOR, *second.name)
    is_canonical = first.is_canonical or second.is_canonical
    return Part(first.tests + moved, name, first.width + second.width, is_canonical)


def joined_rows(components: Sequence[tuple[str, Rows]]) -> Rows:
    """The alternatives of a composite from those of its components, each with its type."""
    combined = [reduce(beside, chosen) for chosen in product(*(tuple(parts(kind, rows)) for kind, rows in components))]
    return tuple(dict.fromkeys(joined_row(part) for part in combined))


def joined_row(part: Part) -> Row:
    """The row of one combination of alternatives."""
    if part.width > len(PLACES):
        raise UnansweredValue(f"its components have more than {len(PLACES)} columns together")
    facet = Composite.JOINED_CANONICAL if part.is_canonical else Composite.JOINED
    placed = tuple(replace(test, column=PLACES[place]) for place, test in part.tests)
    return Row(facet, tuple(dict.fromkeys(placed)) + (name_tests(part.name) if part.name else ()))


def name_tests(pieces: Sequence[Piece]) -> tuple[Test, ...]:
    """The tests of a joined name: equal where all of it is known, else by its known start, middle and end."""
    runs: list[str] = [""]
    for piece in pieces:
        if piece is ANY:
            runs.append("")
        else:
            runs[-1] += piece
    if len(runs) == 1:
        return (Test("n", "=", runs[0]),)
    first, *middle, last = runs
    found = [Test("n", "starts", first)] if first else []
    found += [Test("n", "contains", run) for run in middle if run not in ("", SEPARATOR)]
    if last:
        found.append(Test("n", "ends", last))
    return tuple(found)

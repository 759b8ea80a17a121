"""Ranges of one value put together, so that an index finds `date=ge2024-01&date=lt2024-02` as one range.

FHIR R4, 3.1.1.4.1: parameters that are repeated may each be met by another value of the resource. Only where a resource
has at most one value do their tests belong to the same row.
"""

from __future__ import annotations

from collections.abc import Container, Iterable
from itertools import product

from fhir_server.search.plan import Or, Predicate, Row, Test
from fhir_server.search.row import FACETS

GREATEST = {">": True, ">=": True, "<": False, "<=": False}
"""Whether of two tests with this operator the one with the greater value says more."""

MOST_BRANCHES = 8


def narrowed(items: Iterable[Predicate], single: Container[int]) -> list[Predicate]:
    """The conditions, those about one parameter put together where resources have at most one value of it.

    The facets of such a parameter hold the same v and x, the later ones where the value has more to it: a row of the
    greatest facet that is asked for stands for all of them.
    """
    found: list[Predicate] = []
    places: dict[int, int] = {}
    for item in items:
        parameter = parameter_of(item)
        if parameter is None or parameter not in single:
            found.append(item)
            continue
        place = places.setdefault(parameter, len(found))
        if place == len(found):
            found.append(item)
        elif len(branches(found[place])) * len(branches(item)) <= MOST_BRANCHES:
            found[place] = both(found[place], item)
        else:
            found.append(item)
    return found


def branches(item: Predicate) -> tuple[Row, ...]:
    """The rows of which one must be there; none where the condition is of another kind."""
    items = item.items if isinstance(item, Or) else (item,)
    rows = tuple(one for one in items if isinstance(one, Row))
    return rows if len(rows) == len(items) else ()


def parameter_of(item: Predicate) -> int | None:
    """The parameter that all rows of a condition are about."""
    parameters = {row.number - row.number % FACETS for row in branches(item)}
    return parameters.pop() if len(parameters) == 1 else None


def both(item: Predicate, other: Predicate) -> Predicate:
    """Two conditions on one value, as alternatives of single rows."""
    joined = (
        Row(max(one.number, two.number), tightest((*one.tests, *two.tests)))
        for one, two in product(branches(item), branches(other))
    )
    rows = list(dict.fromkeys(joined))
    needed = [row for row in rows if not any(is_implied(row, another) for another in rows if another is not row)]
    return needed[0] if len(needed) == 1 else Or(tuple(needed))


def is_implied(row: Row, another: Row) -> bool:
    """Whether another row of the same number is found wherever this one is."""
    return row.number == another.number and set(another.tests) < set(row.tests)


def tightest(tests: Iterable[Test]) -> tuple[Test, ...]:
    """The tests without those that another one of the same column and operator implies."""
    found: dict[tuple[str, str], Test] = {}
    others: dict[Test, None] = {}
    for test in tests:
        key = (test.column, test.operator)
        if test.operator not in GREATEST:
            others[test] = None
        elif key not in found or says_more(test, found[key]):
            found[key] = test
    return (*others, *found.values())


def says_more(test: Test, known: Test) -> bool:
    """Whether a test of the same column and operator excludes more."""
    is_greater: bool = test.value > known.value  # type: ignore[operator]
    return is_greater == GREATEST[test.operator]

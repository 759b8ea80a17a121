"""Ranges of one value put together, so that an index finds `date=ge2024-01&date=lt2024-02` as one range.

FHIR R4, 3.1.1.4.1: parameters that are repeated may each be met by another value of the resource. Only where a resource
has at most one value do their tests belong to the same row.
"""

from __future__ import annotations

from collections.abc import Container, Iterable

from fhir_server.search.plan import Predicate, Row, Test

GREATEST = {">": True, ">=": True, "<": False, "<=": False}
"""Whether of two tests with this operator the one with the greater value says more."""


def narrowed(items: Iterable[Predicate], single: Container[int]) -> list[Predicate]:
    """The conditions, rows of one number among those put together where resources have at most one such row."""
    found: list[Predicate] = []
    places: dict[int, int] = {}
    for item in items:
        if not isinstance(item, Row) or item.number not in single:
            found.append(item)
        elif item.number in places:
            place = places[item.number]
            earlier = found[place]
            assert isinstance(earlier, Row)
            found[place] = Row(item.number, tightest((*earlier.tests, *item.tests)))
        else:
            places[item.number] = len(found)
            found.append(item)
    return found


def tightest(tests: Iterable[Test]) -> tuple[Test, ...]:
    """The tests without those that another one implies."""
    found: dict[tuple[str, str], Test] = {}
    for test in tests:
        key = (test.column, test.operator)
        known = found.get(key)
        if known is None or (test.operator in GREATEST and says_more(test, known)):
            found[key] = test
        elif test.operator not in GREATEST and test != known:
            found[test.column, f"{test.operator}{len(found)}"] = test
    return tuple(found.values())


def says_more(test: Test, known: Test) -> bool:
    """Whether a test of the same column and operator excludes more."""
    is_greater: bool = test.value > known.value  # type: ignore[operator]
    return is_greater == GREATEST[test.operator]

"""What the entries of the ledger that a search finds must mention, by which they are found without looking at all."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from fhir_server.search.parameters import Parameters
from fhir_server.search.plan import And, Or, Predicate, Row, Updated
from fhir_server.search.row import Range, Reference
from fhir_server.store.mention import MILLISECONDS_OF_A_DAY, NAMED, day

REFERRING = ("agent", "entity", "patient")
DATE = "date"
MOST_DAYS = 400
SLACK = 1
"""So many milliseconds more than its moment the range of an event covers."""

Names = frozenset[str]


class Clues:
    """Reads conditions of searches for AuditEvents."""

    def __init__(self, parameters: Parameters) -> None:
        known = parameters.of("AuditEvent")
        self._referring = {known[code].number + Reference.LITERAL for code in REFERRING}
        self._date = known[DATE].number + Range.RANGE

    def names(self, predicate: Predicate) -> Names | None:
        """One of these every event that matches must mention; None where that cannot be told."""
        match predicate:
            case And(items):
                told = [names for names in map(self.names, items) if names is not None]
                days = self._days(predicate)
                return min([*told, *((days,) if days else ())], key=_rank, default=None)
            case Or(items) if items:
                each = [self.names(item) for item in items]
                return None if None in each else frozenset().union(*(names for names in each if names))
            case Row(number, tests) if number in self._referring:
                return _named({test.column: (test.operator, test.value) for test in tests})
            case _:
                return self._days(predicate)

    def _days(self, predicate: Predicate) -> Names | None:
        low, high = self._extent(predicate)
        if low is None or high is None or high - low > MOST_DAYS * MILLISECONDS_OF_A_DAY:
            return None
        first = low - low % MILLISECONDS_OF_A_DAY
        return frozenset(day(moment) for moment in range(first, high + 1, MILLISECONDS_OF_A_DAY))

    def _extent(self, predicate: Predicate) -> tuple[int | None, int | None]:
        """From when to when the events that match are at most, in milliseconds; None where there is no end."""
        match predicate:
            case And(items):
                extents = [self._extent(item) for item in items]
                lows = [low for low, _ in extents if low is not None]
                highs = [high for _, high in extents if high is not None]
                return max(lows, default=None), min(highs, default=None)
            case Or(items) if items:
                extents = [self._extent(item) for item in items]
                return _least(low for low, _ in extents), _greatest(high for _, high in extents)
            case Row(number, tests) if number == self._date:
                lows = [test.value for test in tests if test.operator in {">", ">="} and isinstance(test.value, int)]
                highs = [test.value for test in tests if test.operator in {"<", "<="} and isinstance(test.value, int)]
                return max((low - SLACK for low in lows), default=None), min(highs, default=None)
            case Updated(low, high):
                return low, high
            case _:
                return None, None


def _named(tests: dict[str, tuple[str, Any]]) -> Names | None:
    """What a row of a reference names."""
    operator, given = tests.get("v", ("", None))
    kinds_operator, kinds = tests.get("x", ("in", tuple(sorted(NAMED))))
    if operator not in {"=", "in"} or kinds_operator not in {"=", "in"}:
        return None
    ids = (given,) if operator == "=" else given
    kinds = (kinds,) if kinds_operator == "=" else kinds
    return frozenset(f"{kind}/{each}" for kind in kinds for each in ids) if NAMED.issuperset(kinds) else None


def _rank(names: Names) -> tuple[bool, int]:
    """Days have the most entries."""
    return any(name.startswith("day/") for name in names), len(names)


def _least(lows: Iterable[int | None]) -> int | None:
    found = list(lows)
    return None if None in found else min(low for low in found if low is not None)


def _greatest(highs: Iterable[int | None]) -> int | None:
    found = list(highs)
    return None if None in found else max(high for high in found if high is not None)

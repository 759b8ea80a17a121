"""Which conditions of a plan an index serves, told from the plan alone (FHIR R4, 3.1.1 Search).

A stretch of sorted rows serves a condition on the start of v; where only other columns or other parts of v are asked
for, all rows of the parameter are gone through; what says that something is not there, or only that something is, and
when a resource was changed, is looked up for each resource that the other conditions leave.
"""

from __future__ import annotations

from typing import Literal

from fhir_server.search.plan import And, Not, Or, Predicate, Present, Row, Updated
from fhir_server.search.row import FACETS

Reach = Literal["an index", "all rows of a parameter", "each resource"]
ORDER: tuple[Reach, ...] = ("an index", "all rows of a parameter", "each resource")
IN_ORDER = frozenset({"=", "<", "<=", ">", ">=", "starts", "in"})
BOUNDS = frozenset({"<", "<=", ">", ">=", "="})


def reach_of(predicate: Predicate, ranges: frozenset[int]) -> Reach:
    """How far one has to look for what a condition finds; `ranges` are the parameters whose x tells of their v."""
    match predicate:
        case Row(number, tests):
            is_range = number - number % FACETS in ranges
            served = any(
                (test.column == "v" and test.operator in IN_ORDER)
                or (is_range and test.column == "x" and test.operator in BOUNDS)
                for test in tests
            )
            return "an index" if served else "all rows of a parameter"
        case And(items):
            return min((reach_of(item, ranges) for item in items), key=ORDER.index, default="each resource")
        case Or(items):
            return max((reach_of(item, ranges) for item in items), key=ORDER.index, default="an index")
        case Not() | Present() | Updated():
            return "each resource"
    return "an index"


def unserved(predicate: Predicate, ranges: frozenset[int]) -> list[Predicate]:
    """The conditions among those that must all hold that no index serves."""
    parts = predicate.items if isinstance(predicate, And) else (predicate,)
    return [part for part in parts if reach_of(part, ranges) != "an index"]

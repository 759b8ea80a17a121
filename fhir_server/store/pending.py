"""What an open write transaction adds to the answers of a search that sees only what is committed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from fhir_server.search.plan import EVERY_TYPE, And, Ids, Not, Or, Plan, Predicate, Present, Row, Test
from fhir_server.search.row import FACETS
from fhir_server.search.row import Row as IndexRow
from fhir_server.store.protocol import Change

COMPARISONS: Mapping[str, Callable[[Any, Any], bool]] = {
    "=": lambda held, asked: held == asked,
    "<": lambda held, asked: held < asked,
    "<=": lambda held, asked: held <= asked,
    ">": lambda held, asked: held > asked,
    ">=": lambda held, asked: held >= asked,
    "starts": lambda held, asked: held.startswith(asked),
    "ends": lambda held, asked: held.endswith(asked),
    "contains": lambda held, asked: asked in held,
    "in": lambda held, asked: held in asked,
}
COLUMNS = {"v": 1, "x": 2, "y": 3, "n": 4}

Found = frozenset[tuple[str, str]]


class Pending:
    """The changes that wait in the transaction: the last one of each resource."""

    def __init__(self) -> None:
        self._changes: dict[tuple[str, str], Change] = {}

    def __len__(self) -> int:
        return len(self._changes)

    def add(self, change: Change) -> None:
        """A change was written."""
        self._changes[change.type, change.id] = change

    def clear(self) -> None:
        """The transaction is over."""
        self._changes.clear()

    def over(self, plan: Plan, found: Found) -> Found | None:
        """What the plan finds with these changes, given what it finds without; None if that cannot be told."""
        if not self._changes:
            return found
        matching = set(found)
        for key, change in self._changes.items():
            arm = plan.arms.get(change.type, plan.arms.get(EVERY_TYPE))
            if arm is None:
                continue
            matches = change.content is not None and holds(arm, change.id, change.rows)
            if matches is None:
                return None
            (matching.add if matches else matching.discard)(key)
        if not all(is_own(arm) for arm in plan.arms.values()):
            return None
        return frozenset(matching)


def is_own(predicate: Predicate) -> bool:
    """The predicate looks at nothing but a resource's own rows and id."""
    match predicate:
        case And(items) | Or(items):
            return all(map(is_own, items))
        case Not(item):
            return is_own(item)
        case _:
            return isinstance(predicate, Row | Present | Ids)


def holds(predicate: Predicate, resource_id: str, rows: Sequence[IndexRow]) -> bool | None:
    """Whether a resource with these rows matches; None if the predicate looks at more than them."""
    match predicate:
        case And(items):
            return _all([holds(item, resource_id, rows) for item in items])
        case Or(items):
            return _not(_all([_not(holds(item, resource_id, rows)) for item in items]))
        case Not(item):
            return _not(holds(item, resource_id, rows))
        case Ids(ids):
            return resource_id in ids
        case Present(parameter):
            return any(parameter <= r[0] < parameter + FACETS for r in rows)
        case Row(number, tests):
            return any(r[0] == number and all(passes(r, test) for test in tests) for r in rows)
        case _:
            return None


def _all(answers: Sequence[bool | None]) -> bool | None:
    if False in answers:
        return False
    return None if None in answers else True


def _not(answer: bool | None) -> bool | None:  # noqa: FBT001 -- logic of three values
    return None if answer is None else not answer


def passes(row: IndexRow, test: Test) -> bool:
    """Whether a row passes a test; text and numbers are never equal, and numbers come before text."""
    column = COLUMNS[test.column]
    held = row[column] if column < len(row) else (0 if test.column == "y" else "")
    if test.operator in ("<", "<=", ">", ">=") and isinstance(held, str) != isinstance(test.value, str):
        return isinstance(held, str) == (test.operator[0] == ">")
    return COMPARISONS[test.operator](held, test.value)

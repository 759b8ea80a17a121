"""A store as simple as can be, in memory: what every store must agree with."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from fhir_server.search.contained import chained
from fhir_server.search.plan import (
    And,
    Chain,
    Ids,
    Near,
    Not,
    Or,
    Plan,
    Predicate,
    Present,
    Referrer,
    Row,
    Sort,
    Test,
    Updated,
)
from fhir_server.store.protocol import Change, Outcome, Version

Key = tuple[str, str]
OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "=": lambda a, b: a == b,
    "in": lambda a, b: a in b,
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
    "starts": lambda a, b: a.startswith(b),
    "ends": lambda a, b: a.endswith(b),
    "contains": lambda a, b: b in a,
}


@dataclass
class State:
    """One version of a resource with its rows."""

    version: Version
    rows: tuple[Any, ...]

    @property
    def deleted(self) -> bool:
        return self.version.body is None


@dataclass
class Model:
    """All versions of all resources, by commit."""

    states: dict[Key, list[State]] = field(default_factory=dict)

    def apply(self, change: Change, version: Version) -> None:
        rows = () if change.content is None else tuple(change.rows)
        self.states.setdefault((change.type, change.id), []).append(State(version, rows))

    def record(self, changes: Iterable[Change], outcomes: Iterable[Outcome]) -> None:
        """Take over what a store says that it did."""
        for change, outcome in zip(changes, outcomes, strict=True):
            if outcome.effect != "unchanged":
                assert outcome.version is not None
                self.apply(change, outcome.version)

    def at(self, t: int | None = None) -> dict[Key, State]:
        """What is current at a snapshot, deletions left out."""
        found = {}
        for key, states in self.states.items():
            known = [s for s in states if t is None or s.version.t <= t]
            if known and not known[-1].deleted:
                found[key] = known[-1]
        return found

    def current(self, key: Key) -> State | None:
        return self.states[key][-1] if key in self.states else None

    def find(self, plan: Plan, t: int | None = None) -> set[Key]:
        snapshot = self.at(t)
        return {key for key in snapshot if key[0] in plan.arms and holds(plan.arms[key[0]], key, snapshot)}

    def versions(self) -> list[Version]:
        return sorted((s.version for states in self.states.values() for s in states), key=lambda v: v.place)


def holds(predicate: Predicate, key: Key, snapshot: Mapping[Key, State]) -> bool:
    state = snapshot[key]
    match predicate:
        case And(items):
            return all(holds(item, key, snapshot) for item in items)
        case Or(items):
            return any(holds(item, key, snapshot) for item in items)
        case Not(item):
            return not holds(item, key, snapshot)
        case Ids(ids):
            return key[1] in ids
        case Present(parameter):
            return any(parameter <= row[0] < parameter + 8 for row in state.rows)
        case Updated(low, high):
            at = state.version.at
            return (low is None or at >= low) and (high is None or at < high)
        case Row(number, tests):
            return any(row[0] == number and all(passes(row, test) for test in tests) for row in state.rows)
        case Near(number, latitude, longitude, metres):
            return any(r[0] == number and distance(r[1], r[2], latitude, longitude) <= metres for r in state.rows)
        case Chain(parameter, targets):
            asked = dict(targets)
            pointed = [(row[2], row[1]) for row in state.rows if row[0] == parameter]
            here = any(p in snapshot and p[0] in asked and holds(asked[p[0]], p, snapshot) for p in pointed)
            return here or any(holds(inside, key, snapshot) for inside in chained(predicate))
        case Referrer(parameter, source, inner):
            return any(
                other[0] == source and points(there.rows, parameter, key) and holds(inner, other, snapshot)
                for other, there in snapshot.items()
            )
        case _:
            raise NotImplementedError(predicate)


def points(rows: Sequence[Any], parameter: int, key: Key) -> bool:
    return any(row[0] == parameter and (row[2], row[1]) == key for row in rows)


def passes(row: Sequence[Any], test: Test) -> bool:
    held = {"v": 1, "x": 2, "y": 3, "n": 4}[test.column]
    return OPERATORS[test.operator](row[held], test.value)


def distance(latitude: float, longitude: float, to_latitude: float, to_longitude: float) -> float:
    a, b = math.radians(latitude), math.radians(to_latitude)
    half = math.sin((b - a) / 2) ** 2
    half += math.cos(a) * math.cos(b) * math.sin(math.radians(to_longitude - longitude) / 2) ** 2
    return 2 * 6_371_008.8 * math.asin(math.sqrt(half))


def sort_key(sort: Sort, key: Key, state: State) -> tuple[Any, ...]:
    """Whether the value is missing, then the value; comparable among resources that have one."""
    if sort.by == "id":
        return (0, key[1])
    if sort.by == "updated":
        return (0, state.version.place)
    values = [row[1] for row in state.rows if row[0] == sort.numbers[key[0]]]
    if not values:
        return (1, 0)
    return (0, max(values) if sort.descending else min(values))


def is_in_order(plan: Plan, found: Sequence[Key], snapshot: Mapping[Key, State]) -> bool:
    """Whether no resource stands before one that it must follow."""
    return all(not precedes(plan.sort, after, before, snapshot) for before, after in pairwise(found))


def precedes(sorts: Sequence[Sort], one: Key, other: Key, snapshot: Mapping[Key, State]) -> bool:
    for sort in sorts:
        missing, value = sort_key(sort, one, snapshot[one])
        other_missing, other_value = sort_key(sort, other, snapshot[other])
        if missing != other_missing:
            return bool(missing < other_missing)
        if value != other_value:
            return bool(value > other_value if sort.descending else value < other_value)
    return False

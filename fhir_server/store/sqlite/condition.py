"""Predicates as SQL conditions on a candidate: what index rows the candidate has, looked up by resource."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import orjson

from fhir_server.search.plan import (
    And,
    Chain,
    Ids,
    Near,
    Not,
    Or,
    Predicate,
    Present,
    Referrer,
    Row,
    Test,
    Text,
    Updated,
)
from fhir_server.search.row import FACETS
from fhir_server.store.sqlite.connection import Connection, Value, value
from fhir_server.store.sqlite.moment import place_at
from fhir_server.store.sqlite.naming import COLUMNS, Names, Parameters, Used

EARTH_RADIUS = 6_371_008.8
METRES_PER_DEGREE = EARTH_RADIUS * math.pi / 180
FEW = 8
LAST_CHARACTER = "\U0010ffff"
TEXT_OPERATORS = ("starts", "ends", "contains")
FALSE = "0"
TRUE = "1"


@dataclass(frozen=True, slots=True)
class Side:
    """Where candidates come from: a segment of the tail, or the file's sorted tables (`slot` is None).

    A candidate is called d, and d.r is its resource. `key` says which held rows are its own, `vid` which version it is,
    and `living` that this side is the one to be believed about it: for a segment, with the asked place twice as
    arguments.
    """

    slot: int | None
    sought: str
    held: str
    key: str
    vid: str
    living: str

    @property
    def version(self) -> str:
        """The version to show: none for the file's tables, where it is the current one, looked up when it is shown."""
        return "d.w" if self.slot is not None or self.vid == "d.w" else "NULL"


Pick = str | Predicate
"""A table, or, where it would be too large, the predicate to ask of each resource that would stand in it."""

Picks = Mapping[tuple[int, Predicate], Sequence[Pick]]
"""The outcome of joins about resources of a type: for a Chain the ids of each target; for other joins resources, and
for a Text versions."""


class Conditions:
    """Makes conditions, with the names and moments in them looked up."""

    def __init__(self, connection: Connection, names: Names, parameters: Parameters, used: Used) -> None:
        self.connection = connection
        self.names = names
        self.parameters = parameters
        self.used = used
        self._sides: Sequence[Side] = ()
        self._place = 0

    def at(self, sides: Sequence[Side], place: int) -> None:
        """Make conditions for a snapshot from now on."""
        self._sides, self._place = sides, place
        self.used.look_again()

    def of(self, predicate: Predicate, kind: int, side: Side, picks: Picks, arguments: list[Value]) -> str:
        """The condition that a candidate of a resource type matches; values are added to the arguments in order."""
        match predicate:
            case And(items):
                return self._joined(items, " AND ", TRUE, (kind, side, picks, arguments))
            case Or(items):
                return self._joined(items, " OR ", FALSE, (kind, side, picks, arguments))
            case Not(item):
                return f"NOT {self.of(item, kind, side, picks, arguments)}"
            case Row(number, tests):
                return self.row(number, tests, side, arguments)
            case Present(parameter):
                return self._present(parameter, side, arguments)
            case Ids(ids):
                return within("d.r", self.resources(kind, ids), arguments)
            case Updated(low, high):
                return self._updated(low, high, side, arguments)
            case Near():
                return self._near(predicate, side, arguments)
            case Chain():
                return self._chain(predicate, picks, (kind, side), arguments)
            case Text():
                return f"{side.vid} IN (SELECT k FROM {picks[kind, predicate][1]})"
            case Referrer():
                return self._referrer(kind, predicate, picks, arguments)

    def _joined(
        self, items: Sequence[Predicate], word: str, empty: str, rest: tuple[int, Side, Picks, list[Value]]
    ) -> str:
        arguments, start, found = rest[-1], len(rest[-1]), []
        for item in items:
            condition = self.of(item, *rest)
            if condition == FALSE and empty == TRUE:
                del arguments[start:]
                return FALSE
            if condition != empty:
                found.append(condition)
        return f"({word.join(found)})" if found else empty

    def row(self, number: int, tests: Sequence[Test], side: Side, arguments: list[Value]) -> str:
        """The condition that the candidate holds such a row."""
        if number not in self.used:
            return FALSE
        arguments.append(number)
        return (
            f"EXISTS(SELECT 1 FROM {side.held} h WHERE {side.key} AND h.p=?{self.tests('h', number, tests, arguments)})"
        )

    def tests(self, alias: str, number: int, tests: Sequence[Test], arguments: list[Value]) -> str:
        """The tests on a row's columns, each with AND before it."""
        return "".join(f" AND {self._test(alias, number, test, arguments)}" for test in tests)

    def stored(self, number: int, test: Test) -> Value | list[Value]:
        """What a test compares with, names made numbers."""
        asked = test.value
        named = self.parameters.column(number) == COLUMNS.get(test.column)
        if isinstance(asked, tuple):
            return [self.names.number(str(one)) for one in asked] if named else list(asked)
        if named and test.operator in TEXT_OPERATORS:
            return self.names.matching(test.operator, str(asked))
        return self.names.number(str(asked)) if named else asked

    def _test(self, alias: str, number: int, test: Test, arguments: list[Value]) -> str:
        column = f"{alias}.{test.column}"
        asked = self.stored(number, test)
        if isinstance(asked, list):
            # With a plus sign no index is used: a resource has few rows to compare with a list that may be long.
            return within(f"+{column}" if alias == "h" else column, asked, arguments)
        if test.operator == "starts":
            arguments += [asked, str(asked) + LAST_CHARACTER]
            return f"({column}>=? AND {column}<?)"
        arguments.append(asked)
        if test.operator == "contains":
            return f"instr({column}, ?)>0"
        if test.operator == "ends":
            arguments.append(asked)
            return f"substr({column}, -length(?))=?"
        return f"{column}{test.operator}?"

    def _present(self, parameter: int, side: Side, arguments: list[Value]) -> str:
        if not any(number in self.used for number in range(parameter, parameter + FACETS)):
            return FALSE
        arguments += [parameter, parameter + FACETS - 1]
        return f"EXISTS(SELECT 1 FROM {side.held} h WHERE {side.key} AND h.p BETWEEN ? AND ?)"

    def resources(self, kind: int, ids: Sequence[str]) -> list[Value]:
        """The resources of a type that have ever had one of these ids."""
        statement = "SELECT rid FROM resource WHERE type=? AND id=?"
        found = (value(self.connection, statement, (kind, resource_id)) for resource_id in ids)
        return [rid for rid in found if rid is not None]

    def _updated(self, low: int | None, high: int | None, side: Side, arguments: list[Value]) -> str:
        parts = []
        for bound, operator in ((low, ">="), (high, "<")):
            if bound is not None:
                arguments.append(place_at(self.connection, bound))
                parts.append(f"{side.vid}{operator}?")
        return f"({' AND '.join(parts)})" if parts else TRUE

    def _near(self, near: Near, side: Side, arguments: list[Value]) -> str:
        if near.number not in self.used:
            return FALSE
        arguments.append(near.number)
        distance = self.distance("h", near, arguments)
        return f"EXISTS(SELECT 1 FROM {side.held} h WHERE {side.key} AND h.p=?{distance})"

    def distance(self, alias: str, near: Near, arguments: list[Value]) -> str:
        """The tests that a position row lies near enough: a band of latitudes, then the distance on the sphere."""
        band = near.metres / METRES_PER_DEGREE
        bound = math.sin(min(near.metres / EARTH_RADIUS / 2, math.pi / 2)) ** 2
        arguments += [near.latitude - band, near.latitude + band]
        arguments += [near.latitude, near.latitude, near.longitude, bound]
        return (
            f" AND {alias}.v BETWEEN ? AND ? AND pow(sin(radians({alias}.v-?)/2),2)"
            f"+cos(radians(?))*cos(radians({alias}.v))*pow(sin(radians({alias}.x-?)/2),2)<=?"
        )

    def _chain(self, chain: Chain, picks: Picks, of: tuple[int, Side], arguments: list[Value]) -> str:
        """The condition that a reference points to a target: to one in a table, or each is looked at."""
        kind, side = of
        if chain.parameter not in self.used:
            return FALSE
        parts = []
        for (name, _), pick in zip(chain.targets, picks[kind, chain], strict=True):
            target = self.names.number(name)
            arguments += [chain.parameter, target]
            if isinstance(pick, str):
                found = f"+h.v IN (SELECT k FROM {pick})"
            else:
                found = self._target(target, pick, picks, arguments)
            parts.append(f"EXISTS(SELECT 1 FROM {side.held} h WHERE {side.key} AND h.p=? AND h.x=? AND {found})")
        return f"({' OR '.join(parts)})" if parts else FALSE

    def _target(self, kind: int, predicate: Predicate, picks: Picks, arguments: list[Value]) -> str:
        """The condition that what a row h refers to matches."""
        parts = []
        for side in self._sides:
            arguments.append(kind)
            known = "SELECT rid AS r FROM resource WHERE deleted=0"
            if side.slot is not None:
                known = f"SELECT rid AS r, vid AS w FROM tail.life_{side.slot} WHERE deleted=0"
            living = self.living(side, arguments)
            asked = self.of(predicate, kind, side, picks, arguments)
            one = "d.r=(SELECT rid FROM resource WHERE type=? AND id=h.v)"
            parts.append(f"EXISTS(SELECT 1 FROM ({known}) d WHERE {one}{living} AND {asked})")
        return f"({' OR '.join(parts)})"

    def _referrer(self, kind: int, referrer: Referrer, picks: Picks, arguments: list[Value]) -> str:
        """The condition that something refers to the candidate: that a table has it, or each is looked at."""
        pick = picks[kind, referrer][0]
        if isinstance(pick, str):
            return f"d.r IN (SELECT k FROM {pick})"
        source, parts = self.names.number(referrer.source), []
        for side in self._sides:
            arguments += [referrer.parameter, kind]
            living = self.living(side, arguments)
            asked = self.of(pick, source, side, picks, arguments)
            rows = f"SELECT 1 FROM {side.sought} WHERE d.p=? AND d.v=o.id AND d.x=?"
            parts.append(f"EXISTS({rows}{living} AND {asked})")
        return f"EXISTS(SELECT 1 FROM resource o WHERE o.rid=d.r AND ({' OR '.join(parts)}))"

    def living(self, side: Side, arguments: list[Value]) -> str:
        """The condition that a side is the one to be believed about a candidate."""
        if side.slot is not None:
            arguments += [self._place, self._place]
        return side.living


def within(column: str, values: Sequence[Value], arguments: list[Value]) -> str:
    """The condition that a column is one of some values; many are given as one argument."""
    if not values:
        return FALSE
    if len(values) <= FEW:
        arguments += values
        return f"{column} IN ({','.join('?' * len(values))})"
    arguments.append(orjson.dumps(values).decode())
    return f"{column} IN (SELECT value FROM json_each(?))"

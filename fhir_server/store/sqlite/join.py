"""Joins between resources: what a chain points to, or what points here, picked into a table before a search runs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Protocol

from fhir_server.errors import TooCostly
from fhir_server.search.plan import And, Chain, Ids, Not, Or, Predicate, Referrer, Text
from fhir_server.store.sqlite.condition import Conditions, Side
from fhir_server.store.sqlite.connection import Connection, Value, many, script, value
from fhir_server.store.sqlite.naming import ABSENT
from fhir_server.store.sqlite.prose import match_expression

TABLES = 24
FEW_ENOUGH_TO_DRIVE = 2000
FEW_ENOUGH_TO_PICK = 10_000
"""What points there: to pick so many costs less than to look through a whole type for a page of one in a hundred."""


class TooManyJoins(TooCostly):
    """A plan has more joins than a search has room for."""


class Finds(Protocol):
    """The search that joins are made for."""

    conditions: Conditions
    sides: list[Side]
    place: int

    def statements(self, name: str, predicate: Predicate) -> Iterator[tuple[Side, str, list[Value]]]:
        """For each side, FROM and WHERE of what matches."""
        ...


class Joins:
    """The tables that joins fill: of ids for what a chain points to, of resources for everything else."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        for n in range(TABLES):
            script(connection, f"CREATE TABLE tail.pick_{n}(k PRIMARY KEY) WITHOUT ROWID")
        self._taken = 0
        self._known: dict[tuple[str, Predicate], str] = {}

    def clear(self) -> None:
        """Empty the tables for the next search."""
        for n in range(self._taken):
            self._connection.execute(f"DELETE FROM tail.pick_{n}")
        self._taken = 0
        self._known.clear()

    def fill(
        self, search: Finds, kind: int, parts: Iterable[Predicate], picks: dict[tuple[int, Predicate], tuple[str, ...]]
    ) -> None:
        """Carry out every join that the parts of a predicate about resources of a type ask for."""
        for part in parts:
            if (kind, part) in picks:
                continue
            match part:
                case And(items) | Or(items):
                    self.fill(search, kind, items, picks)
                case Not(item):
                    self.fill(search, kind, (item,), picks)
                case Ids(ids):
                    picks[kind, part] = (self._ids(search, kind, ids),)
                case Chain():
                    picks[kind, part] = self._chain(search, part)
                case Text():
                    picks[kind, part] = self._text(kind, part)
                case Referrer():
                    picks[kind, part] = (self._referrer(search, kind, part),)

    def _text(self, kind: int, text: Text) -> tuple[str, str]:
        """A table of the resources of a type that have ever had the words, and one of the versions that have them."""
        resources, versions = self._table(), self._table()
        found = "SELECT rowid FROM prose WHERE prose MATCH ?"
        self._connection.execute(f"INSERT INTO {versions} {found}", (match_expression(text),))
        of_versions = f"SELECT rid FROM {versions} CROSS JOIN version WHERE vid=k AND ? IN (type, {ABSENT})"
        self._connection.execute(f"INSERT OR IGNORE INTO {resources} {of_versions}", (kind,))
        return resources, versions

    def _table(self) -> str:
        if self._taken == TABLES:
            raise TooManyJoins(f"The search has more than {TABLES} joins. Name types, or ask for less at once.")
        self._taken += 1
        return f"tail.pick_{self._taken - 1}"

    def _ids(self, search: Finds, kind: int, ids: Iterable[str]) -> str:
        table = self._table()
        found = ((rid,) for rid in search.conditions.resources(kind, tuple(ids)))
        many(self._connection, f"INSERT OR IGNORE INTO {table} VALUES(?)", found)
        return table

    def _chain(self, search: Finds, chain: Chain) -> tuple[str, ...]:
        """One table of ids for each target; behind them one of resources if they are few enough to drive a search."""
        tables = [self._targets(search, name, predicate) for name, predicate in chain.targets]
        if chain.parameter not in search.conditions.used:
            return tuple(tables)
        if sum(value(self._connection, f"SELECT count(*) FROM {table}") for table in tables) > FEW_ENOUGH_TO_DRIVE:
            return tuple(tables)
        pointing = [
            (
                f" FROM {table} CROSS JOIN {side.sought} WHERE d.p=? AND d.v=k AND d.x=?",
                (chain.parameter, search.conditions.names.number(name)),
            )
            for (name, _), table in zip(chain.targets, tables, strict=True)
            for side in search.sides
        ]
        room = FEW_ENOUGH_TO_PICK
        for clause, arguments in pointing:
            room -= value(self._connection, f"SELECT count(*) FROM (SELECT 1{clause} LIMIT ?)", (*arguments, room))
            if not room:
                return tuple(tables)
        resources = self._table()
        for clause, arguments in pointing:
            self._connection.execute(f"INSERT OR IGNORE INTO {resources} SELECT d.r{clause}", arguments)
        return (*tables, resources)

    def _targets(self, search: Finds, name: str, predicate: Predicate) -> str:
        known = self._known.get((name, predicate))
        if known is not None:
            return known
        statements = list(search.statements(name, predicate))
        table = self._known[name, predicate] = self._table()
        for _, clause, arguments in statements:
            ids = f"SELECT (SELECT id FROM resource WHERE rid=d.r){clause}"
            self._connection.execute(f"INSERT OR IGNORE INTO {table} {ids}", arguments)
        return table

    def _referrer(self, search: Finds, kind: int, referrer: Referrer) -> str:
        statements = list(search.statements(referrer.source, referrer.predicate))
        table = self._table()
        own = search.conditions.names.text(kind)
        for side, clause, arguments in statements:
            named = [referrer.parameter, search.conditions.names.number(own)]
            columns = "d.r AS r" if side.slot is None else "d.r AS r, d.w AS w"
            statement = (
                f"INSERT OR IGNORE INTO {table} SELECT (SELECT rid FROM resource WHERE type=? AND id=h.v)"
                f" FROM (SELECT {columns}{clause}) d"
                f" CROSS JOIN {side.held} h WHERE {side.key} AND h.p=? AND h.x=?"
            )
            self._connection.execute(statement, [kind, *arguments, *named])
        return table

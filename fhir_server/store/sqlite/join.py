"""Joins between resources: what a chain points to, or what points here, picked into a table before a search runs.

A table stays for the next search that asks the same, as long as nothing changed of the types that it depends on. What
would fill too large a table is not picked: each candidate is then looked at on its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from fhir_server.errors import TooCostly
from fhir_server.search.plan import And, Chain, Ids, Not, Or, Predicate, Referrer, Text
from fhir_server.search.row import Memo
from fhir_server.store.sqlite.condition import Conditions, Pick, Side
from fhir_server.store.sqlite.connection import Connection, Value, many, script, value
from fhir_server.store.sqlite.naming import ABSENT
from fhir_server.store.sqlite.prose import match_expression

TABLES = 24
"""How many joins one search has room for."""

MOST_KEPT = 16
MOST_ROWS_KEPT = 100_000
MOST_PICKED = 20_000
"""To pick so many takes some 50 ms; more is looked up for one candidate after the other."""

KNOWN = 1024
RENEWED = "rows renewed"
"""The note that counts how often versions were given other index rows."""

LAST_OF_TYPE = "SELECT max(vid) FROM version INDEXED BY version_by_type WHERE type=? AND vid<=?"


Statement = tuple[Side, str, list[Value]]
"""A side, FROM and WHERE on it, and the arguments."""


class TooManyJoins(TooCostly):
    """A plan has more joins than a search has room for."""


@dataclass(frozen=True, slots=True)
class Matching:
    """A predicate as it can be asked of candidates, what finds all that match, and whether few are looked at for it."""

    predicate: Predicate
    statements: Sequence[Statement]
    are_few: bool


class Finds(Protocol):
    """The search that joins are made for."""

    conditions: Conditions
    sides: list[Side]
    place: int

    def matching(self, name: str, predicate: Predicate) -> Matching:
        """What it takes to find everything of a type that matches."""
        ...


@dataclass(frozen=True, slots=True)
class Kept:
    """A table that stays, and how many rows it has."""

    table: str
    rows: int


class Joins:
    """The tables that joins fill: of ids for what a chain points to, of resources for everything else."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._free = [f"tail.pick_{n}" for n in range(TABLES + MOST_KEPT)]
        for table in self._free:
            script(connection, f"CREATE TABLE {table}(k PRIMARY KEY) WITHOUT ROWID")
        self._taken: list[str] = []
        self._kept: dict[Any, Kept] = {}
        self._asked: set[Any] = set()
        self._stamps: dict[str, Any] = {}
        self._many = Memo(KNOWN)

    def clear(self) -> None:
        """Empty the tables that do not stay, for the next search."""
        for table in self._taken:
            self._connection.execute(f"DELETE FROM {table}")
        self._free += self._taken
        self._taken.clear()
        self._asked.clear()
        self._stamps.clear()

    def fill(
        self,
        search: Finds,
        kind: int,
        parts: Iterable[Predicate],
        picks: dict[tuple[int, Predicate], tuple[Pick, ...]],
        *,
        surely: bool = False,
    ) -> None:
        """Carry out every join that the parts of a predicate about resources of a type ask for.

        `surely` says to fill tables however long they are.
        """
        for part in parts:
            if (kind, part) in picks:
                continue
            match part:
                case And(items) | Or(items):
                    self.fill(search, kind, items, picks, surely=surely)
                case Not(item):
                    self.fill(search, kind, (item,), picks, surely=surely)
                case Ids(ids):
                    picks[kind, part] = (self._ids(search, kind, ids),)
                case Chain(_, targets):
                    picks[kind, part] = tuple(self._targets(search, *target, surely=surely) for target in targets)
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
        if not self._free:
            raise TooManyJoins(f"The search has more than {TABLES} joins. Name types, or ask for less at once.")
        self._taken.append(self._free.pop())
        return self._taken[-1]

    def _ids(self, search: Finds, kind: int, ids: Iterable[str]) -> str:
        table = self._table()
        found = ((rid,) for rid in search.conditions.resources(kind, tuple(ids)))
        many(self._connection, f"INSERT OR IGNORE INTO {table} VALUES(?)", found)
        return table

    def _targets(self, search: Finds, name: str, predicate: Predicate, *, surely: bool) -> Pick:
        """A table of the ids of what matches, if that is not too much."""

        def pick(table: str, statements: Sequence[Statement]) -> None:
            for _, clause, arguments in statements:
                ids = f"SELECT (SELECT id FROM resource WHERE rid=d.r){clause}"
                self._connection.execute(f"INSERT OR IGNORE INTO {table} {ids}", arguments)

        wanted, types = (name, predicate), {name, *types_in(predicate)}
        return self._picked(search, wanted, wanted, types, pick, surely=surely)

    def _referrer(self, search: Finds, kind: int, referrer: Referrer) -> Pick:
        """A table of what they refer to, if they are not too many."""

        def pick(table: str, statements: Sequence[Statement]) -> None:
            for side, clause, arguments in statements:
                columns = "d.r AS r" if side.slot is None else "d.r AS r, d.w AS w"
                statement = (
                    f"INSERT OR IGNORE INTO {table} SELECT (SELECT rid FROM resource WHERE type=? AND id=h.v)"
                    f" FROM (SELECT {columns}{clause}) d"
                    f" CROSS JOIN {side.held} h WHERE {side.key} AND h.p=? AND h.x=?"
                )
                self._connection.execute(statement, [kind, *arguments, referrer.parameter, kind])

        types = {search.conditions.names.text(kind), *types_in(referrer)}
        return self._picked(search, (kind, referrer), (referrer.source, referrer.predicate), types, pick)

    def _picked(
        self,
        search: Finds,
        key: tuple[str | int, Predicate],
        wanted: tuple[str, Predicate],
        types: Iterable[str],
        pick: Callable[[str, Sequence[Statement]], None],
        *,
        surely: bool = False,
    ) -> Pick:
        """The table of a join: kept, if nothing has changed, or filled now; of too much, what each is asked instead."""
        stamped = (key, tuple(self._stamp(search, name) for name in sorted(types)), self._stamp(search, ""))
        kept = self._kept.pop(stamped, None)
        if kept is None:
            matching = search.matching(*wanted)
            if not matching.are_few and not surely and self._are_many(wanted, matching.statements):
                return matching.predicate
            table = self._table()
            pick(table, matching.statements)
            kept = Kept(table, value(self._connection, f"SELECT count(*) FROM {table}"))
            self._taken.remove(table)
        self._kept[stamped] = kept
        self._asked.add(stamped)
        self._make_room()
        return kept.table

    def _are_many(self, wanted: tuple[str, Predicate], statements: Iterable[Statement]) -> bool:
        """Whether more is wanted than is picked; what once was too much counts as that while the process lives."""
        if wanted in self._many:
            return True
        room = MOST_PICKED
        for _, clause, arguments in statements:
            room -= value(self._connection, f"SELECT count(*) FROM (SELECT 1{clause} LIMIT ?)", (*arguments, room))
            if room <= 0:
                self._many.keep(wanted, MOST_PICKED)
                return True
        return False

    def _make_room(self) -> None:
        """Let go of what was asked for longest ago; it is emptied with the tables of this search."""
        for stamped in [stamped for stamped in self._kept if stamped not in self._asked]:
            if len(self._kept) <= MOST_KEPT and sum(kept.rows for kept in self._kept.values()) <= MOST_ROWS_KEPT:
                return
            self._taken.append(self._kept.pop(stamped).table)

    def _stamp(self, search: Finds, name: str) -> Any:
        """What changes when resources of a type do, or, of no type, when versions are given other index rows."""
        found = self._stamps.get(name)
        if found is None:
            if name:
                found = value(self._connection, LAST_OF_TYPE, (search.conditions.names.number(name), search.place))
            else:
                found = value(self._connection, "SELECT text FROM note WHERE name=?", (RENEWED,))
            self._stamps[name] = found = found or 0
        return found


def types_in(predicate: Predicate) -> Iterator[str]:
    """The resource types besides its own that a predicate looks at."""
    match predicate:
        case And(items) | Or(items):
            for item in items:
                yield from types_in(item)
        case Not(item):
            yield from types_in(item)
        case Chain(_, targets):
            for name, inner in targets:
                yield name
                yield from types_in(inner)
        case Referrer(_, source, inner):
            yield source
            yield from types_in(inner)

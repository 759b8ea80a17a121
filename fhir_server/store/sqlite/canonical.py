"""Joins along canonicals: what they name is looked up, and asked for by rows (FHIR R4, 2.3.0.2 canonical URLs)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Protocol

from fhir_server.search.plan import And, Chain, Predicate, Referrer, Row, Test
from fhir_server.search.row import Reference
from fhir_server.store.sqlite.condition import Side
from fhir_server.store.sqlite.connection import Connection, Value, rows
from fhir_server.store.sqlite.join import TooManyJoins

MOST_NAMES = 1000

Name = tuple[str, str]
"""A url and a version, empty where there is none; for comparing, the version is in casefold."""


class Finds(Protocol):
    """The search that canonicals are looked up for."""

    connection: Connection
    sides: list[Side]

    def statements(self, name: str, predicate: Predicate) -> Iterator[tuple[Side, str, list[Value]]]:
        """For each side, FROM and WHERE of what matches."""
        ...


class Canonicals:
    """Turns joins along canonicals into alternatives of rows."""

    def __init__(self, search: Finds) -> None:
        self._search = search

    def pointing(self, chain: Chain) -> tuple[Predicate, ...]:
        """What a resource holds that names a target of a chain."""
        wanted = dict(chain.targets)
        names: set[Name] = set()
        for kind, url, version in chain.urls:
            names |= self._held(kind, wanted[kind], url, version)
        number = chain.parameter + Reference.CANONICAL
        urls = sorted({url for url, _ in names})
        spelled = {(u, x) for u, x in self._spelled(number, urls) if not x or (u, x.casefold()) in names}
        return alternatives(spelled, lambda url, version: Row(number, (Test("v", "=", url), Test("x", "=", version))))

    def meant(self, referrer: Referrer) -> tuple[Predicate, ...]:
        """What a resource holds that a referrer names."""
        assert referrer.url is not None
        url_number, version_number = referrer.url
        named = self._held(referrer.source, referrer.predicate, referrer.parameter + Reference.CANONICAL, None)

        def row(url: str, version: str) -> Predicate:
            by_url = Row(url_number, (Test("v", "=", url),))
            if not version:
                return by_url
            return And((by_url, Row(version_number, (Test("v", "=", version.casefold()),))))

        return alternatives(named, row)

    def _held(self, kind: str, predicate: Predicate, number: int, beside: int | None) -> set[Name]:
        """The v of the rows that matching resources have, each with its x, or with the v of the rows `beside`."""
        found: set[Name] = set()
        for side, clause, arguments in list(self._search.statements(kind, predicate)):
            columns = "d.r AS r" if side.slot is None else "d.r AS r, d.w AS w"
            other = "h.x"
            more: list[Value] = [number]
            if beside is not None:
                key = side.key.replace("h.", "o.")
                other = f"coalesce((SELECT o.v FROM {side.held} o WHERE {key} AND o.p=? LIMIT 1), '')"
                more = [beside, number]
            head, tail = more[:-1], more[-1:]
            statement = (
                f"SELECT DISTINCT h.v, {other} FROM (SELECT {columns}{clause}) d"
                f" CROSS JOIN {side.held} h WHERE {side.key} AND h.p=? LIMIT ?"
            )
            room = MOST_NAMES + 1 - len(found)
            found.update(rows(self._search.connection, statement, (*head, *arguments, *tail, room)))
            if len(found) > MOST_NAMES:
                raise TooManyJoins(f"The chain leads over more than {MOST_NAMES:,} canonical URLs. Ask more closely.")
        return found

    def _spelled(self, number: int, urls: Iterable[str]) -> Iterator[Name]:
        """The versions with which urls are named by any resource, as they are spelled."""
        for url in urls:
            for side in self._search.sides:
                statement = f"SELECT DISTINCT d.x FROM {side.sought} WHERE d.p=? AND d.v=?"
                for (version,) in rows(self._search.connection, statement, (number, url)):
                    yield url, version


def alternatives(names: Iterable[Name], row: Callable[[str, str], Predicate]) -> tuple[Predicate, ...]:
    """One alternative for each name, in the same order each time."""
    return tuple(row(*name) for name in sorted(set(names)))

"""What comes along with the matches of a search (FHIR R4, 3.1.1.5.4 including other resources in result)."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

import orjson

from fhir_server.search.plan import Include, Plan, Row, Test
from fhir_server.search.row import Reference
from fhir_server.store.inclusion import MOST_INCLUDED, MOST_ROUNDS, TooManyIncluded, pinned_only
from fhir_server.store.protocol import Version
from fhir_server.store.sqlite.connection import Connection, rows, value
from fhir_server.store.sqlite.reading import Reading
from fhir_server.store.sqlite.search import Search


def shown_to_all(_version: Version) -> bool:
    """Let everything come along."""
    return True


class Inclusion:
    """Follows the include instructions of a plan from the versions of a page."""

    def __init__(self, connection: Connection, search: Search, reading: Reading, t: int) -> None:
        self._connection = connection
        self._search = search
        self._reading = reading
        self._t = t
        self._may_come: Callable[[Version], bool] = shown_to_all

    def of(self, plan: Plan, matches: Sequence[Version]) -> list[Version]:
        """The versions that come along, each once, none that is a match."""
        includes: Sequence[Include] = plan.includes
        self._may_come = plan.may_come or shown_to_all
        seen = {version.place for version in matches}
        included: list[Version] = []
        news = list(matches)
        active = includes
        for _ in range(MOST_ROUNDS):
            found = []
            for include in active:
                for version in self._reverse(include, news) if include.reverse else self._forward(include, news):
                    if version.place not in seen and version.body is not None:
                        seen.add(version.place)
                        if self._may_come(version):
                            found.append(version)
            included += found
            if len(included) > MOST_INCLUDED:
                raise TooManyIncluded(
                    f"The page would include more than {MOST_INCLUDED:,} resources. Ask for a smaller page."
                )
            active = [include for include in includes if include.iterate]
            if not found or not active:
                break
            news = found
        return included

    def _forward(self, include: Include, versions: Iterable[Version]) -> Iterator[Version]:
        for version in versions:
            if version.type != include.source:
                continue
            kept = value(self._connection, "SELECT rows FROM version WHERE vid=?", (version.place,))
            held = [
                (p - parameter, v, x)
                for p, v, x, *_ in orjson.loads(kept)
                for parameter in include.parameters
                if parameter <= p <= parameter + Reference.CANONICAL
            ]
            pinned = pinned_only((v for facet, v, _ in held if facet == Reference.VERSION), version.body or b"")
            for facet, v, x in held:
                yield from self._pointed(include, facet, v, x, pinned)

    def _pointed(
        self, include: Include, facet: int, v: str, x: int | str, pinned: Collection[str]
    ) -> Iterator[Version]:
        found = None
        if facet == Reference.LITERAL and isinstance(x, int):
            name = self._search.names.text(x)
            if name and include.target in (None, name) and f"{name}/{v}" not in pinned:
                found = self._reading.at(name, v, self._t)
        elif facet == Reference.VERSION:
            name, resource_id, _, number = (*v.split("/"), "", "", "")[:4]
            if number.isdecimal() and include.target in (None, name):
                current = self._reading.current(name, resource_id)
                if current is not None and self._may_come(current):
                    found = self._reading.numbered(name, resource_id, int(number))
        elif facet == Reference.CANONICAL:
            yield from self._canonical(include, v)
        if found is not None:
            yield found

    def _canonical(self, include: Include, url: str) -> Iterator[Version]:
        for name, number in include.canonicals.items():
            if include.target in (None, name):
                yield from self._matching(name, Row(number, (Test("v", "=", url),)))

    def _reverse(self, include: Include, versions: Sequence[Version]) -> Iterator[Version]:
        by_type: dict[str, list[str]] = {}
        for version in versions:
            by_type.setdefault(version.type, []).append(version.id)
        for name, ids in by_type.items():
            if include.target in (None, name):
                for parameter in include.parameters:
                    tests = (Test("x", "=", name), Test("v", "in", tuple(ids)))
                    yield from self._matching(include.source, Row(parameter, tests))

    def _matching(self, name: str, row: Row) -> Iterator[Version]:
        found: list[int] = []
        for side, clause, arguments in self._search.statements(name, row):
            statement = f"SELECT DISTINCT {side.vid}{clause} LIMIT {MOST_INCLUDED}"
            found += [vid for (vid,) in rows(self._connection, statement, arguments)]
        yield from self._reading.placed(sorted(found))

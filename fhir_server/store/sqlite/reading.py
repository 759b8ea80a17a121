"""Versions read from the file: by number, at a snapshot, and in the order in which they were made."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from fhir_server.store.protocol import PLACES, Scope, Snapshot, Version
from fhir_server.store.sqlite.connection import Connection, row, rows, value
from fhir_server.store.sqlite.moment import place_at
from fhir_server.store.sqlite.naming import Names
from fhir_server.store.sqlite.writer import METHODS

COLUMNS = "version, vid, at, method, body, label"
OF_RESOURCE = "(SELECT rid FROM resource WHERE type=? AND id=?)"
# A scalar subquery in place of a join: as a join the same look-up costs three times as much.
CURRENT = f"SELECT {COLUMNS} FROM version WHERE vid=(SELECT vid FROM resource WHERE type=? AND id=?)"
NUMBERED = f"SELECT {COLUMNS} FROM version WHERE rid={OF_RESOURCE} AND version>1 AND version=?"
BEFORE = "SELECT vid, earlier FROM version WHERE vid=?"
FULL = "SELECT type, id, version, vid, at, method, body, label FROM version"
LOTS = (4, 8, 16, 24, 64)
"""How many are read with one statement: the time of each is half of what it is one by one."""

VERSIONS_OF_LOT = {size: f"{FULL} WHERE vid IN ({','.join('?' * size)})" for size in LOTS}
PLACES_OF_LOT = {size: f"SELECT rid, vid FROM resource WHERE rid IN ({','.join('?' * size)})" for size in LOTS}


class Reading:
    """Reads versions on one connection."""

    def __init__(self, connection: Connection, names: Names) -> None:
        self._connection = connection
        self._names = names

    def current(self, name: str, resource_id: str) -> Version | None:
        """The current version."""
        found = row(self._connection, CURRENT, (self._names.number(name), resource_id))
        return None if found is None else _version(name, resource_id, found)

    def numbered(self, name: str, resource_id: str, number: int) -> Version | None:
        """A version by its number."""
        if number == 1:
            return self._first(name, resource_id)
        found = row(self._connection, NUMBERED, (self._names.number(name), resource_id, number))
        return None if found is None else _version(name, resource_id, found)

    def at(self, name: str, resource_id: str, t: int) -> Version | None:
        """The version that was current at a snapshot."""
        last = (t + 1) * PLACES - 1
        found = row(
            self._connection, "SELECT vid FROM resource WHERE type=? AND id=?", (self._names.number(name), resource_id)
        )
        vid = found[0] if found else 0
        while vid > last:
            vid = row(self._connection, BEFORE, (vid,))[1]
        return self.placed([vid])[0] if vid else None

    def current_places(self, rids: Sequence[int]) -> dict[int, int]:
        """The places of the current versions of resources."""
        found: dict[int, int] = {}
        for lot in lots(rids):
            found.update(rows(self._connection, PLACES_OF_LOT[len(lot)], lot))
        return found

    def placed(self, vids: Sequence[int]) -> list[Version]:
        """The versions at places."""
        found: dict[int, Version] = {}
        for lot in lots(vids):
            for each in rows(self._connection, VERSIONS_OF_LOT[len(lot)], lot):
                found[each[3]] = self._full(each)
        return [found[vid] for vid in vids]

    def history(self, scope: Scope, limit: int, after: int, before: int | None, *, newest_first: bool) -> list[Version]:
        """The versions of a scope between two places, in order."""
        if scope.id is not None:
            found = self._chain(scope, after, before)
            return (found if newest_first else found[::-1])[:limit]
        kinds: list[int | None] = [self._names.number(name) for name in scope.types] or [None]
        parts = [self._stretch(kind, limit, after, before, newest_first=newest_first) for kind in kinds]
        merged = sorted((v for part in parts for v in part), key=lambda v: v.place, reverse=newest_first)
        return merged[:limit]

    def note(self, name: str) -> str | None:
        """The text kept under a name."""
        found: str | None = value(self._connection, "SELECT text FROM note WHERE name=?", (name,))
        return found

    def snapshot(self, at: int | None) -> Snapshot:
        """The last commit, or the last one at or before a moment."""
        bound = place_at(self._connection, at + 1) if at is not None else None
        where = "" if bound is None else f" WHERE vid<{bound}"
        found = row(self._connection, f"SELECT vid, at FROM version{where} ORDER BY vid DESC LIMIT 1")
        return Snapshot(found[0] // PLACES, found[1]) if found else Snapshot(0, 0)

    def _first(self, name: str, resource_id: str) -> Version | None:
        current = self.current(name, resource_id)
        vid = current.place if current else 0
        while vid:
            found = vid
            vid = row(self._connection, BEFORE, (vid,))[1]
        return self.placed([found])[0] if current else None

    def _chain(self, scope: Scope, after: int, before: int | None) -> list[Version]:
        """The versions of one resource, newest first, along the link that each has to the one before."""
        kind = self._names.number(scope.types[0])
        found = row(self._connection, "SELECT vid FROM resource WHERE type=? AND id=?", (kind, scope.id))
        vid = found[0] if found else 0
        versions = []
        while vid > after:
            earlier = row(self._connection, BEFORE, (vid,))[1]
            if before is None or vid < before:
                versions.append(vid)
            vid = earlier
        return self.placed(versions)

    def _stretch(
        self, kind: int | None, limit: int, after: int, before: int | None, *, newest_first: bool
    ) -> list[Version]:
        conditions, arguments = ["vid>?"], [after]
        if kind is not None:
            conditions.append("type=?")
            arguments.append(kind)
        if before is not None:
            conditions.append("vid<?")
            arguments.append(before)
        way = "DESC" if newest_first else "ASC"
        statement = f"{FULL} WHERE {' AND '.join(conditions)} ORDER BY vid {way} LIMIT ?"
        return [self._full(found) for found in rows(self._connection, statement, (*arguments, limit))]

    def _full(self, found: tuple[int, str, int, int, int, int, bytes | None, str | None]) -> Version:
        kind, resource_id, number, vid, at, method, body, label = found
        return Version(self._names.text(kind), resource_id, number, vid, at, METHODS[method], body, label or "")


def lots(numbers: Sequence[int]) -> Iterator[Sequence[int]]:
    """Yield the numbers in lots, the last of which is filled up with its last number."""
    for start in range(0, len(numbers), LOTS[-1]):
        lot = numbers[start : start + LOTS[-1]]
        size = next(size for size in LOTS if size >= len(lot))
        yield (*lot, *([lot[-1]] * (size - len(lot))))


def _version(name: str, resource_id: str, found: tuple[int, int, int, int, bytes | None, str | None]) -> Version:
    number, vid, at, method, body, label = found
    return Version(name, resource_id, number, vid, at, METHODS[method], body, label or "")

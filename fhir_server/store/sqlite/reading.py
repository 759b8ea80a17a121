"""Versions read from the file: by number, at a snapshot, and in the order in which they were made."""

from __future__ import annotations

from collections.abc import Sequence

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
LOT = 64
LOT_OF_VERSIONS = f"{FULL} WHERE vid IN ({','.join('?' * LOT)})"


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

    def of_resource(self, rid: int) -> Version:
        """The current version of a resource."""
        return self._full(row(self._connection, f"{FULL} WHERE vid=(SELECT vid FROM resource WHERE rid=?)", (rid,)))

    def placed(self, vids: Sequence[int]) -> list[Version]:
        """The versions at places: one by one where they are few, else in lots, which take a third of the time."""
        if len(vids) < LOT:
            return [self._full(row(self._connection, f"{FULL} WHERE vid=?", (vid,))) for vid in vids]
        found: dict[int, Version] = {}
        for start in range(0, len(vids), LOT):
            lot = vids[start : start + LOT]
            filled = (*lot, *([lot[-1]] * (LOT - len(lot))))
            found.update((v.place, v) for v in map(self._full, rows(self._connection, LOT_OF_VERSIONS, filled)))
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


def _version(name: str, resource_id: str, found: tuple[int, int, int, int, bytes | None, str | None]) -> Version:
    number, vid, at, method, body, label = found
    return Version(name, resource_id, number, vid, at, METHODS[method], body, label or "")

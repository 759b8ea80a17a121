"""Small records in an SQLite file of their own, shared by all processes of one machine."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson

from fhir_server.store.records import Record
from fhir_server.store.sqlite.connection import Connection, connect, row, rows, script, transaction, value

SCHEMA = 1
TABLES = f"""
CREATE TABLE record(
  kind TEXT NOT NULL,
  name TEXT NOT NULL,
  body BLOB NOT NULL,
  revision INTEGER NOT NULL,
  expires INTEGER NOT NULL,
  PRIMARY KEY(kind, name)) WITHOUT ROWID;
CREATE INDEX record_by_expiry ON record(expires) WHERE expires > 0;
CREATE TABLE epoch(one INTEGER PRIMARY KEY CHECK(one = 1), number INTEGER NOT NULL);
INSERT INTO epoch VALUES(1, 0);
PRAGMA user_version={SCHEMA};
"""
"""`epoch` counts the changes of records that decide whether a token is good."""
DELETE = "DELETE FROM record WHERE kind = ? AND name = ? AND revision = ?"
UPDATE = """
UPDATE record SET body = ?, revision = revision + 1, expires = coalesce(?, expires)
WHERE kind = ? AND name = ? AND revision = ?
"""


class SqliteRecords:
    """Each thread has a connection of its own; SQLite's own lock orders the writers."""

    LAG = 0.0

    def __init__(self, path: Path, live: frozenset[str]) -> None:
        self._path = path
        self._live = live
        self._local = threading.local()
        self._opened: list[Connection] = []
        self._stamped: tuple[int, int] | None = None
        if not path.exists():
            path.touch(mode=0o600)
        connection = self._connection()
        with transaction(connection):
            found = value(connection, "PRAGMA user_version")
            if found == 0:
                script(connection, TABLES)

    def read(self, kind: str, name: str) -> Record | None:
        """A record; None when there is none."""
        found = row(
            self._connection(), "SELECT body, revision, expires FROM record WHERE kind = ? AND name = ?", (kind, name)
        )
        return None if found is None else Record(orjson.loads(found[0]), found[1], found[2])

    def add(self, kind: str, name: str, body: dict[str, Any], expires: int = 0) -> bool:
        """Remember a record that is not there yet; False when it is."""
        connection = self._connection()
        with transaction(connection):
            connection.execute(
                "INSERT OR IGNORE INTO record VALUES(?, ?, ?, 1, ?)", (kind, name, orjson.dumps(body), expires)
            )
            return bool(connection.changes())

    def change(
        self, kind: str, name: str, body: dict[str, Any] | None, revision: int, expires: int | None = None
    ) -> bool:
        """Put another body (None: nothing) in the place of a revision; False when it is not the current one."""
        connection = self._connection()
        with transaction(connection):
            if body is None:
                connection.execute(DELETE, (kind, name, revision))
            else:
                connection.execute(UPDATE, (orjson.dumps(body), expires, kind, name, revision))
            changed = bool(connection.changes())
            if changed and kind in self._live:
                connection.execute("UPDATE epoch SET number = number + 1")
        if kind in self._live:
            self._stamped = None
        return changed

    def listed(self, kind: str) -> Sequence[tuple[str, Record]]:
        """All records of a kind, by name."""
        found = rows(
            self._connection(), "SELECT name, body, revision, expires FROM record WHERE kind = ? ORDER BY name", (kind,)
        )
        return [(name, Record(orjson.loads(body), revision, expires)) for name, body, revision, expires in found]

    def sweep(self, now: int) -> int:
        """Forget what expired before a moment; return how many records that were."""
        connection = self._connection()
        with transaction(connection):
            connection.execute("DELETE FROM record WHERE expires > 0 AND expires < ?", (now,))
            return connection.changes()

    def stamp(self) -> int:
        """A number that changes when a record of a live kind was changed or removed; call it in one thread only."""
        connection = self._connection()
        # Another connection's commit changes what SQLite answers here; one of this thread's takes the stamp away.
        seen = value(connection, "PRAGMA data_version")
        if self._stamped is None or self._stamped[0] != seen:
            self._stamped = (seen, value(connection, "SELECT number FROM epoch"))
        return self._stamped[1]

    def close(self) -> None:
        """Let go of the file."""
        for connection in self._opened:
            connection.close()

    def _connection(self) -> Connection:
        found: Connection | None = getattr(self._local, "connection", None)
        if found is None:
            found = self._local.connection = connect(self._path)
            self._opened.append(found)
        return found

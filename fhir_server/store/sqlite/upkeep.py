"""Looks after the database file from outside: is it whole, what is in it, statistics for the planner."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import apsw

from fhir_server.store.protocol import PLACES
from fhir_server.store.sqlite.connection import SCHEMA, connect, rows, value
from fhir_server.store.sqlite.merge import Merge
from fhir_server.store.sqlite.reader import Reader
from fhir_server.store.sqlite.turn import Turn

ROWS_LOOKED_AT = 1000
"""Of each index, when statistics are made: enough to know its shape, and the same time for any size."""

SETTLED_AT_ONCE = 1000
"""How many versions are merged in a turn: a server that writes meanwhile waits no longer than that takes."""

LARGE = 2_000_000_000
"""Bytes beyond which a file is looked through only when that is asked for: it would take minutes."""


class Damaged(Exception):
    """The file cannot be read as a database, or not as one of this server."""


@dataclass(frozen=True, slots=True)
class Examination:
    """What was found in a file: its schema and that of this release, counts, sizes in bytes, the last commit.

    `looked_through` says whether every page was looked at. `at` is the moment of the last commit in milliseconds, 0 in
    an empty file.
    """

    schema: int
    known_schema: int
    faults: tuple[str, ...]
    looked_through: bool
    resources: int
    versions: int
    size: int
    log_size: int
    t: int
    at: int

    @property
    def is_whole(self) -> bool:
        """Whether nothing is wrong with the file."""
        return not self.faults and 0 < self.schema <= self.known_schema


def examine(path: Path, *, thoroughly: bool = False) -> Examination:
    """Return what is found in a file, which is not changed; raise Damaged for one that cannot be read.

    Every page is looked at, unless the file is large. `thoroughly` compares every index with its table, in any file.
    """
    try:
        connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
        try:
            return _examined(connection, path, thoroughly=thoroughly)
        finally:
            connection.close()
    except apsw.Error as error:
        raise Damaged(f"{path}: {error}") from None


def _examined(connection: apsw.Connection, path: Path, *, thoroughly: bool) -> Examination:
    size = path.stat().st_size
    looked_through = thoroughly or size < LARGE
    check = "integrity_check" if thoroughly else "quick_check"
    found = [str(row[0]) for row in rows(connection, f"PRAGMA {check}")] if looked_through else ["ok"]
    last = value(connection, "SELECT max(vid) FROM version") or 0
    log = path.with_name(f"{path.name}-wal")
    return Examination(
        schema=value(connection, "PRAGMA user_version"),
        known_schema=SCHEMA,
        looked_through=looked_through,
        faults=() if found == ["ok"] else tuple(found),
        resources=value(connection, "SELECT count(*) FROM resource WHERE deleted=0"),
        versions=value(connection, "SELECT count(*) FROM version"),
        size=size,
        log_size=log.stat().st_size if log.exists() else 0,
        t=last // PLACES,
        at=value(connection, "SELECT at FROM version WHERE vid=?", (last,)) or 0,
    )


def settle(path: Path) -> None:
    """Merge what waits into the sorted tables: a process that opens the file next need not read it into its memory."""
    writer, reader, turn = connect(path), Reader(path), Turn(path.with_name(f"{path.name}.turn"))
    merge = Merge(writer, reader.search.tail, reader.connection, most_waiting=1)
    last = value(writer, "SELECT max(vid) FROM version") or 0
    try:
        while merge.is_behind(last):
            with turn:
                writer.execute("BEGIN IMMEDIATE")
                reader.catch_up()
                merge.share(SETTLED_AT_ONCE)
                writer.execute("COMMIT")
    finally:
        reader.close()
        writer.close()
        turn.close()


def analyze(path: Path) -> None:
    """Make the statistics that the planner of the database chooses indexes by."""
    connection = apsw.Connection(str(path))
    try:
        connection.set_busy_timeout(60_000)
        rows(connection, f"PRAGMA analysis_limit={ROWS_LOOKED_AT}")
        rows(connection, "ANALYZE")
    finally:
        connection.close()


def library_version() -> str:
    """The version of the database library."""
    return apsw.sqlite_lib_version()

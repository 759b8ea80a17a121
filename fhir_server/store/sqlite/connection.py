"""Connections to the database file: how they are opened, its tables, and the steps from older schemas."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import apsw

from fhir_server.store.mention import mentions

Connection = apsw.Connection
Interrupted = apsw.InterruptError
Unwritable = apsw.FullError, apsw.IOError, apsw.ReadOnlyError
"""What SQLite raises where the disk takes no more."""
Value = int | float | str | bytes | None

PAGES_BETWEEN_CHECKPOINTS = 4000
CACHE_MEBIBYTES = 32
BUSY_MILLISECONDS = 10_000
AT_ONCE = 32

LEDGER = (
    "CREATE TABLE ledger(last INTEGER PRIMARY KEY, digest BLOB NOT NULL, marks BLOB NOT NULL, entries BLOB NOT NULL)"
)
MENTIONS = "CREATE TABLE mention(name TEXT, last INTEGER, PRIMARY KEY(name, last)) WITHOUT ROWID"
MENTION = "INSERT INTO mention VALUES(?,?)"
NOTES = "CREATE TABLE note(name TEXT PRIMARY KEY, text TEXT NOT NULL) WITHOUT ROWID"
BY_UNIT = "CREATE INDEX sought_by_unit ON sought(p, x, v) WHERE typeof(v)='real'"
TABLES = f"""
CREATE TABLE version(
  vid INTEGER PRIMARY KEY,
  rid INTEGER NOT NULL,
  version INTEGER NOT NULL,
  type INTEGER NOT NULL,
  at INTEGER NOT NULL,
  method INTEGER NOT NULL,
  earlier INTEGER NOT NULL,
  id TEXT NOT NULL,
  rows BLOB,
  body BLOB,
  label TEXT);
CREATE INDEX version_by_type ON version(type);
CREATE UNIQUE INDEX version_by_number ON version(rid, version) WHERE version > 1;
CREATE TABLE resource(
  rid INTEGER PRIMARY KEY,
  vid INTEGER NOT NULL,
  version INTEGER NOT NULL,
  type INTEGER NOT NULL,
  deleted INTEGER NOT NULL,
  id TEXT NOT NULL);
CREATE UNIQUE INDEX resource_by_id ON resource(type, id);
CREATE TABLE sought(p INTEGER, v, x, r INTEGER, y, n, PRIMARY KEY(p, v, x, r, y, n)) WITHOUT ROWID;
{BY_UNIT};
CREATE TABLE held(r INTEGER, p INTEGER, v, x, y, n, PRIMARY KEY(r, p, v, x, y, n)) WITHOUT ROWID;
CREATE TABLE name(number INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE);
CREATE TABLE parameter(number INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, type TEXT NOT NULL);
CREATE TABLE used(number INTEGER PRIMARY KEY, longest NOT NULL);
CREATE TABLE kept(type INTEGER PRIMARY KEY, resources INTEGER NOT NULL);
CREATE TABLE merging(
  one INTEGER PRIMARY KEY CHECK(one = 1),
  merged INTEGER NOT NULL,
  closed INTEGER NOT NULL,
  progress BLOB,
  told INTEGER NOT NULL,
  numbered INTEGER NOT NULL);
INSERT INTO merging VALUES(1, 0, 0, NULL, 0, 0);
{NOTES};
{LEDGER};
{MENTIONS};
CREATE VIRTUAL TABLE prose USING fts5(narrative, content, content='', tokenize='unicode61');
"""
"""
`version` holds every version, `vid` being its place; `rows` are its index rows as JSON, `earlier` the vid before (or
0). `resource` holds the current vid of each. `sought` and `held` hold the index rows of all resources as they were at
commit place `merged`, sorted by value and by resource; what came later is in the tail of each process. `kept` counts;
`used` has the longest of all ranges of a number,
`numbered` counts parameters. `prose` holds the words of versions up to the place `told`. `note` holds the notes
of the node, `ledger` a row for what was entered by one commit: the number and digest of its last entry, the beginning
of the digest of each, and their texts by line; `mention` says by which names each row is found.
"""

SCHEMA = 5


def script(connection: Connection, text: str) -> None:
    """Execute every statement of a text."""
    for _ in connection.execute(text):
        pass


def mention_all(connection: Connection) -> None:
    """Make the table of what rows of the ledger mention, and fill it."""
    script(connection, MENTIONS)
    for last, texts in connection.execute("SELECT last, entries FROM ledger"):
        connection.executemany(MENTION, [(name, last) for name in mentions(texts.split(b"\n"))])


STEPS: dict[int, Callable[[Connection], None]] = {
    1: lambda connection: script(connection, NOTES),
    2: lambda connection: script(connection, f"ALTER TABLE version ADD COLUMN label TEXT; {LEDGER}"),
    3: lambda connection: script(connection, BY_UNIT),
    4: mention_all,
}
"""What brings a file from the schema of that number to the next."""


class UnknownSchema(Exception):
    """The file was written by a newer release."""


def connect(path: Path | str) -> Connection:
    """A connection with the settings that durability and speed ask for."""
    connection = apsw.Connection(str(path), statementcachesize=1000)
    connection.set_busy_timeout(BUSY_MILLISECONDS)
    for pragma in (
        "journal_mode=WAL",
        "synchronous=FULL",
        f"cache_size=-{CACHE_MEBIBYTES * 1024}",
        f"wal_autocheckpoint={PAGES_BETWEEN_CHECKPOINTS}",
        "temp_store=MEMORY",
    ):
        rows(connection, f"PRAGMA {pragma}")
    return connection


def establish(connection: Connection) -> None:
    """Make the tables in an empty file, or bring an older file to this schema; call it in the turn of a writer."""
    found = value(connection, "PRAGMA user_version")
    if found > SCHEMA:
        raise UnknownSchema(f"the file has schema {found}, this release knows up to {SCHEMA}: use a newer release")
    if found == SCHEMA:
        return
    with transaction(connection):
        if found == 0:
            script(connection, TABLES)
        else:
            for step in range(found, SCHEMA):
                STEPS[step](connection)
        connection.execute(f"PRAGMA user_version={SCHEMA}")


class transaction:  # noqa: N801 -- it is used as a word of the language: with transaction(...)
    """A write transaction that is rolled back by an exception."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    def __enter__(self) -> Connection:
        self.connection.execute("BEGIN IMMEDIATE")
        return self.connection

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self.connection.execute("COMMIT" if kind is None else "ROLLBACK")


def rows(connection: Connection, statement: str, values: Sequence[Value] = ()) -> list[Any]:
    """All rows of a statement."""
    return connection.execute(statement, values).fetchall()


def row(connection: Connection, statement: str, values: Sequence[Value] = ()) -> Any:
    """The first row of a statement, or None."""
    return connection.execute(statement, values).fetchone()


def value(connection: Connection, statement: str, values: Sequence[Value] = ()) -> Any:
    """The first column of the first row; None when there is no row."""
    found = connection.execute(statement, values).fetchone()
    return None if found is None else found[0]


def many(connection: Connection, statement: str, values: Iterable[Sequence[Value]]) -> None:
    """Execute a statement once for each sequence of values."""
    connection.executemany(statement, values)


def insert(connection: Connection, into: str, values: Sequence[Sequence[Value]]) -> None:
    """Insert rows of one width, many with each statement, which takes a fifth less time: `into` is all up to VALUES."""
    if not values:
        return
    row = f"({','.join('?' * len(values[0]))})"
    whole = len(values) - len(values) % AT_ONCE
    groups = (values[start : start + AT_ONCE] for start in range(0, whole, AT_ONCE))
    many(connection, f"{into} VALUES{','.join([row] * AT_ONCE)}", (list(chain.from_iterable(g)) for g in groups))
    many(connection, f"{into} VALUES{row}", values[whole:])


def copy(source: Connection, target: Path) -> None:
    """Copy a database while others use it."""
    with apsw.Connection(str(target)) as destination, destination.backup("main", source, "main") as backup:
        while not backup.done:
            backup.step(1000)
    destination.close()


def stream(connection: Connection, statement: str, values: Sequence[Value] = ()) -> Iterator[Any]:
    """The rows of a statement one by one."""
    return iter(connection.execute(statement, values))

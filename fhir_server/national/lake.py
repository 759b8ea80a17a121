"""Flat tables of many nodes in immutable Parquet files, by view, node and month; compaction, and daily cubes.

    {view}/node={node}/month={month}/{submission}-{number}.parquet
    {view}/files.json       which of the files count; replaced whole, so that a reader sees one state or the next
    cubes/{name}.parquet    counts by day and dimensions

A row that was sent again, or deleted, stands in a later file; the latest of a (node, id, row of its resource) counts.
Any engine that reads Parquet reads the same: `node` and `month` are columns too. Everything here blocks: call it in a
thread. One process at a time writes to a view.
"""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import duckdb
import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from fhir_server.errors import Invalid, NotFound
from fhir_server.national.definition import Column, View
from fhir_server.national.parquet import arrow_of

STATE = "files.json"
LOCK = "lock"
CUBES = "cubes"
UNKNOWN_MONTH = "0000-00"
IS_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9._\-]{0,63}").fullmatch
IS_COLUMN = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}").fullmatch
IS_MONTH = re.compile(r"[0-9]{4}-(?:0[1-9]|1[0-2])").match
ROW_GROUP = 122_880
MEMORY = "1GB"

Row = Mapping[str, Any]

OWN = (
    ("node", pa.string()),
    ("month", pa.string()),
    ("_place", pa.int64()),
    ("_row", pa.int32()),
    ("_deleted", pa.bool_()),
)
"""The columns that the lake adds: `_place` orders what is known of a resource, `_row` its rows."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A file: of which node and month, what brought it, how many rows."""

    path: str
    node: str
    month: str
    submission: str
    rows: int


class Lake:
    """The tables below a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def append(
        self, view: View, node: str, rows: Sequence[Row], place: int, submission: str, month_of: str = ""
    ) -> list[Piece]:
        """Add rows of one node, which replace what was known of their resources; the same submission counts once.

        `place` grows with each submission of a node. A view has a column `id`. `month_of` is the column with the date
        that a row belongs to. Return the files made.
        """
        _check(view.name, node, submission)
        by_month: dict[str, list[dict[str, Any]]] = {}
        counts: dict[str, int] = {}
        for row in rows:
            number = counts[row["id"]] = counts.get(row["id"], -1) + 1
            month = month_in(row.get(month_of))
            own = {"node": node, "month": month, "_place": place, "_row": number, "_deleted": False}
            by_month.setdefault(month, []).append({**row, **own})
        return self._add(view, node, by_month, submission)

    def remove(self, view: View, node: str, ids: Sequence[str], place: int, submission: str) -> list[Piece]:
        """Add that resources of a node are deleted."""
        _check(view.name, node, submission)
        own = {"node": node, "month": UNKNOWN_MONTH, "_place": place, "_row": 0, "_deleted": True}
        rows = [{"id": each, **own} for each in dict.fromkeys(ids)]
        return self._add(view, node, {UNKNOWN_MONTH: rows} if rows else {}, submission)

    def drop(self, view: str, submission: str) -> int:
        """Forget what a submission brought, unless it is compacted already; return how many rows that was."""
        with self._changing(view):
            pieces = self.pieces(view)
            gone = [each for each in pieces if each.submission == submission]
            self._keep(view, [each for each in pieces if each.submission != submission])
        return sum(each.rows for each in gone)

    def pieces(self, view: str) -> list[Piece]:
        """The files of a view that count."""
        try:
            listed = orjson.loads((self._folder / view / STATE).read_bytes())
        except FileNotFoundError:
            return []
        return [Piece(**each) for each in listed]

    def paths(self, view: str) -> list[str]:
        """Where those files are; raise NotFound where there is none."""
        found = [str(self._folder / each.path) for each in self.pieces(view)]
        if not found:
            raise NotFound(f"Nothing is known of the view {view[:80]}.")
        return found

    def current(self, view: str, source: str) -> str:
        """SQL for the rows that count: of each resource those of its last place, unless it was deleted.

        `source` is how an engine names the view's files as a table. The text is of the SQL that DuckDB and ClickHouse
        have in common.
        """
        last = "max(_place) OVER (PARTITION BY node, id) AS _last"
        return f"SELECT * FROM (SELECT *, {last} FROM {source}) AS known WHERE _place = _last AND NOT _deleted"

    def compact(self, view: View) -> list[Piece]:
        """Make one file of each node and month of the rows that count; return them.

        Files that count no more are removed by the next compaction, since a reader may be at them.
        """
        with self._changing(view.name):
            before = self.pieces(view.name)
            if not before:
                return []
            self._sweep(view.name, before)
            columns = ", ".join(f'"{name}"' for name in (*(each.name for each in view.columns), *(o[0] for o in OWN)))
            made: list[Piece] = []
            with connected() as connection:
                source = duck_source(self.paths(view.name))
                current = self.current(view.name, source)
                groups = connection.execute(
                    f"SELECT node, month, count(*) FROM ({current}) GROUP BY ALL ORDER BY ALL"
                ).fetchall()
                for node, month, count in groups:
                    piece = Piece(_path(view.name, node, month, "compact"), node, month, "compact", count)
                    target = self._folder / piece.path
                    target.parent.mkdir(parents=True, exist_ok=True)
                    connection.execute(
                        f"COPY (SELECT {columns} FROM ({current}) WHERE node = ? AND month = ? ORDER BY id, _row)"
                        f" TO '{_quoted(target)}' (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE {ROW_GROUP})",
                        [node, month],
                    )
                    made.append(piece)
            self._keep(view.name, made)
        return made

    def build_cube(self, name: str, view: str, day: str, dimensions: Sequence[str]) -> Path:
        """Count a view's rows by node, day and dimensions into one small file; return it.

        `day` is the column with the date; what has none is counted under no day. Columns `node`, `day`, the dimensions,
        `count`.
        """
        _check(name, view)
        wrong = [each for each in (day, *dimensions) if IS_COLUMN(each) is None]
        if wrong:
            raise Invalid(f"{wrong[0][:80]!r} is no column.")
        target = self._folder / CUBES / f"{name}.parquet"
        target.parent.mkdir(parents=True, exist_ok=True)
        made = target.with_name(f".{uuid4()}.parquet")
        listed = "".join(f', "{each}"' for each in dimensions)
        current = self.current(view, duck_source(self.paths(view)))
        with connected() as connection:
            connection.execute(
                f'COPY (SELECT node, substr("{day}", 1, 10) AS day{listed}, count(*) AS count FROM ({current})'
                f" GROUP BY ALL ORDER BY ALL) TO '{_quoted(made)}' (FORMAT parquet, COMPRESSION zstd)"
            )
        made.replace(target)
        return target

    def cube(self, name: str) -> Path:
        """The file of a cube; raise NotFound."""
        _check(name)
        path = self._folder / CUBES / f"{name}.parquet"
        if not path.exists():
            raise NotFound(f"There is no cube {name}.")
        return path

    def _add(self, view: View, node: str, by_month: Mapping[str, Sequence[Row]], submission: str) -> list[Piece]:
        with self._changing(view.name):
            pieces = self.pieces(view.name)
            made = []
            for month, rows in sorted(by_month.items()):
                piece = Piece(_path(view.name, node, month, submission), node, month, submission, len(rows))
                write(self._folder / piece.path, table_of(view.columns, rows))
                made.append(piece)
            # What the same submission brought before is what it brings now.
            others = [each for each in pieces if (each.node, each.submission) != (node, submission)]
            self._keep(view.name, [*others, *made])
        return made

    def _keep(self, view: str, pieces: Sequence[Piece]) -> None:
        path = self._folder / view / STATE
        made = path.with_name(f".{STATE}")
        with made.open("wb") as file:
            file.write(orjson.dumps([asdict(each) for each in pieces]))
            file.flush()
            os.fsync(file.fileno())
        made.replace(path)

    def _sweep(self, view: str, pieces: Sequence[Piece]) -> None:
        """Remove files that counted before the last compaction, or were never finished."""
        kept = {str(self._folder / each.path) for each in pieces}
        for path in (self._folder / view).rglob("*.parquet"):
            if str(path) not in kept:
                path.unlink(missing_ok=True)

    @contextmanager
    def _changing(self, view: str) -> Iterator[None]:
        folder = self._folder / view
        folder.mkdir(parents=True, exist_ok=True)
        lock = os.open(folder / LOCK, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)


@contextmanager
def connected() -> Iterator[duckdb.DuckDBPyConnection]:
    """A DuckDB of its own in memory, without files of its own and without extensions from elsewhere."""
    connection = duckdb.connect(":memory:", config={"memory_limit": MEMORY, "autoinstall_known_extensions": "false"})
    try:
        yield connection
    finally:
        connection.close()


def duck_source(paths: Sequence[str]) -> str:
    """Return how DuckDB names files as one table."""
    listed = ", ".join(f"'{_quoted(Path(path))}'" for path in paths)
    return f"read_parquet([{listed}], hive_partitioning = false, union_by_name = true)"


def click_source(paths: Sequence[str]) -> str:
    """Return how ClickHouse names files as one table."""
    each = (f"SELECT * FROM file('{_quoted(Path(path))}', 'Parquet')" for path in paths)
    return f"({' UNION ALL '.join(each)}) AS files"


def table_of(columns: Sequence[Column], rows: Sequence[Row]) -> Any:
    """Return rows as an Arrow table, with the columns of the lake."""
    table = arrow_of(columns, rows)
    for name, kind in OWN:
        table = table.append_column(name, pa.array([row[name] for row in rows], kind))
    return table.sort_by([("id", "ascending"), ("_row", "ascending")])


def write(path: Path, table: Any) -> None:
    """Write a Parquet file whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    made = path.with_name(f".{path.name}")
    pq.write_table(table, made, compression="zstd", row_group_size=ROW_GROUP)
    with made.open("rb") as file:
        os.fsync(file.fileno())
    made.replace(path)


def month_in(value: Any) -> str:
    """Return the month of a FHIR date or time; 0000-00 where it tells none."""
    return value[:7] if isinstance(value, str) and IS_MONTH(value) else UNKNOWN_MONTH


def _path(view: str, node: str, month: str, submission: str) -> str:
    return f"{view}/node={node}/month={month}/{submission}-{uuid4().hex[:8]}.parquet"


def _quoted(path: Path) -> str:
    return str(path).replace("'", "''")


def _check(*words: str) -> None:
    for word in words:
        if IS_WORD(word) is None:
            raise Invalid(f"{word[:80]!r} is no name: up to 64 letters, digits, dots, hyphens and _.")

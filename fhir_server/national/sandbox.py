"""A query in a process of its own that can open nothing, and has so much memory and time and no more.

The process reads its tables and its query from stdin, then gives up the right to open files and sockets, and to write
any file; only then the query runs, in a DuckDB whose own access to the outside is locked too. What it answers goes to
stdout: `ok` and a Parquet file, or `no` and why.
"""

from __future__ import annotations

import io
import os
import resource
import sys
from pathlib import Path
from typing import Any

import duckdb
import orjson
import pyarrow.parquet as pq

ANSWERED, REFUSED = b"ok\n", b"no\n"
OVERHEAD = 1_000_000_000
"""The address space that the libraries may still reserve beside what a query may use."""

BATCH = 10_000
LONGEST = 600


class Refused(Exception):
    """The query is none that is run here."""


def main() -> None:
    """Answer the query on stdin."""
    try:
        answer = ANSWERED + answered(sys.stdin.buffer)
    except (Refused, duckdb.Error, MemoryError, OSError) as error:
        answer = REFUSED + (str(error)[:LONGEST] or "It used more memory than it may.").encode()
    sys.stdout.buffer.write(answer)
    sys.stdout.buffer.flush()
    # Libraries that clean up would open files, and can no more.
    os._exit(0)


def answered(given: Any) -> bytes:
    """Return the rows of a query as a Parquet file; raise Refused, or what DuckDB does."""
    asked = orjson.loads(given.readline())
    connection = duckdb.connect(":memory:", config=dict(asked["config"]))
    for name, size in asked["tables"].items():
        table = pq.read_table(io.BytesIO(given.read(size)))
        connection.register("given", table)
        connection.execute(f'CREATE TABLE "{name}" AS SELECT * FROM given')
        connection.unregister("given")
    # Whatever is loaded late must be loaded before the right to open files is given up.
    connection.execute("SET TimeZone = 'UTC'")
    packed(connection.execute("SELECT 1 AS one, NULL::DECIMAL(38, 12) AS two"), 1)
    close_in(asked["memory"], asked["seconds"])
    for line in ("SET enable_external_access = false", "SET lock_configuration = true"):
        connection.execute(line)
    statements = connection.extract_statements(asked["sql"])
    if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
        raise Refused("A query is one SELECT.")
    return packed(connection.execute(statements[0], asked["parameters"] or None), asked["rows"])


def packed(result: Any, most: int) -> bytes:
    """Return the rows of a result as a Parquet file; raise Refused for more than `most`."""
    reader = result.to_arrow_reader(BATCH)
    made = io.BytesIO()
    count = 0
    with pq.ParquetWriter(made, reader.schema) as writer:
        for batch in reader:
            count += batch.num_rows
            if count > most:
                raise Refused(f"The query has more than {most:,} rows: set a LIMIT.")
            writer.write_batch(batch)
    return made.getvalue()


def close_in(memory: int, seconds: int) -> None:
    """Give up opening and writing files, starting processes, and more memory and time than given."""
    limits = (
        (resource.RLIMIT_NOFILE, 0),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_AS, reserved() + memory + OVERHEAD),
        (resource.RLIMIT_CPU, seconds),
    )
    for kind, most in limits:
        resource.setrlimit(kind, (most, most))


def reserved() -> int:
    """Return the address space of this process."""
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0]) * resource.getpagesize()


if __name__ == "__main__":
    main()

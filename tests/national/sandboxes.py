"""Sandboxes of queries, each a process of its own, without starting Python and loading DuckDB for each of them.

Run as a module it is the process that they are forked from: it reads a line with a query, and writes a line with what
the sandbox answers in hexadecimal digits, empty where it was ended.
"""

from __future__ import annotations

import io
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import orjson

from fhir_server.national import sandbox
from fhir_server.national.query import CONFIG


class Sandboxes:
    """Answers queries."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process

    def answer(self, sql: str, *, memory: int = 512_000_000, seconds: int = 10, rows: int = 100_000) -> bytes:
        """What a sandbox with these limits says to a query over nothing."""
        config = {**CONFIG, "memory_limit": f"{memory}B"}
        asked = {"sql": sql, "parameters": {}, "rows": rows, "memory": memory, "seconds": seconds, "config": config,
                 "tables": {}}  # fmt: skip
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(orjson.dumps(asked) + b"\n")
        self._process.stdin.flush()
        return bytes.fromhex(self._process.stdout.readline().decode())


@contextmanager
def sandboxes() -> Iterator[Sandboxes]:
    """The process that sandboxes are forked from."""
    with subprocess.Popen([sys.executable, "-m", __name__], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        yield Sandboxes(process)


def forked(line: bytes) -> bytes:
    """What a sandbox of its own answers to a line."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        os.dup2(writing, 1)
        sys.stdin = io.TextIOWrapper(io.BytesIO(line))
        sandbox.main()
    os.close(writing)
    with os.fdopen(reading, "rb") as answered:
        answer = answered.read()
    os.waitpid(child, 0)
    return answer


if __name__ == "__main__":
    for each in sys.stdin.buffer:
        sys.stdout.write(f"{forked(each).hex()}\n")
        sys.stdout.flush()

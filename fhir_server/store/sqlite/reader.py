"""The read side of one connection: pages and counts, each at one snapshot."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson

from fhir_server.errors import TooCostly
from fhir_server.search.plan import Plan
from fhir_server.store.protocol import Page, Version
from fhir_server.store.sqlite.connection import Connection, Interrupted, connect
from fhir_server.store.sqlite.inclusion import Inclusion
from fhir_server.store.sqlite.reading import Reading
from fhir_server.store.sqlite.search import Match, Search

STEPS_BETWEEN_LOOKS = 20_000

SECONDS_IN_A_TURN = 0.5
"""A condition of a write that takes longer is refused: all other writers wait for it."""

PATIENCE = 10
"""How many times longer than its own work a search may take: a busy machine does not make it a long one."""


class Reader:
    """Answers from one connection; with `seconds` of its thread's work, a search that takes longer is interrupted."""

    def __init__(self, path: Path, seconds: float | None = None) -> None:
        self.connection: Connection = connect(path)
        self.search = Search(self.connection)
        self.reading = Reading(self.connection, self.search.names)
        self._seconds = seconds
        self._deadlines: tuple[float, float] | None = None
        if seconds is not None:
            self.connection.set_progress_handler(self._is_late, STEPS_BETWEEN_LOOKS)

    def page(self, plan: Plan, limit: int, cursor: str | None, t: int | None) -> Page:
        """A page of a plan with what it includes."""
        after: list[Any] | None = None
        if cursor is not None:
            t, after = orjson.loads(cursor)
        with Snapshot(self, t) as chosen:
            found, following = self.search.page(plan, limit, after)
            matches = self._shown(found)
            included = Inclusion(self.connection, self.search, self.reading, chosen).of(plan, matches)
        beyond = None if following is None else orjson.dumps([chosen, following]).decode()
        return Page(chosen, tuple(matches), tuple(included), beyond)

    def count(self, plan: Plan, t: int | None) -> int:
        """How many resources match."""
        with Snapshot(self, t):
            return self.search.count(plan)

    def find(self, plan: Plan, most: int) -> frozenset[tuple[str, str]]:
        """At most so many of the resources that match in what is committed, asked while other writers wait.

        TooCostly where they would wait too long.
        """
        seconds, self._seconds = self._seconds, SECONDS_IN_A_TURN
        try:
            with Snapshot(self, None):
                found: list[Match] = self.search.page(plan, most, None)[0]
                return frozenset((v.type, v.id) for v in self._shown(found))
        except Interrupted:
            raise TooCostly(
                "The condition takes too long to decide while other writes wait: name what an index finds, such as an"
                " identifier."
            ) from None
        finally:
            self._seconds = seconds

    def catch_up(self) -> None:
        """Read what was committed since into the tail."""
        with Snapshot(self, None):
            pass

    def begin(self, t: int | None) -> int:
        """Open a snapshot; the time allowed runs from now."""
        self.connection.execute("BEGIN")
        chosen = self.search.begin(t)
        if self._seconds is not None:
            self._deadlines = time.thread_time() + self._seconds, time.monotonic() + self._seconds * PATIENCE
        return chosen

    def end(self) -> None:
        """Close the snapshot."""
        self._deadlines = None
        if self.connection.in_transaction:
            self.connection.execute("COMMIT")

    def close(self) -> None:
        """Let go of the file."""
        self.connection.close()

    def _shown(self, found: Sequence[Match]) -> list[Version]:
        current = self.reading.current_places([match.rid for match in found if match.vid is None])
        return self.reading.placed([current[match.rid] if match.vid is None else match.vid for match in found])

    def _is_late(self) -> bool:
        if self._deadlines is None:
            return False
        work, patience = self._deadlines
        return time.thread_time() > work or time.monotonic() > patience


class Snapshot:
    """A read transaction of a reader."""

    def __init__(self, reader: Reader, t: int | None) -> None:
        self._reader = reader
        self._t = t

    def __enter__(self) -> int:
        try:
            return self._reader.begin(self._t)
        except BaseException:
            self._reader.end()
            raise

    def __exit__(self, *_: object) -> None:
        self._reader.end()

"""Index rows merged from the tail into the sorted tables, a share with every group commit.

Written at once, each row of a resource would dirty a page of its own. Instead the rows of many thousand versions are
merged in sorted order, so that neighbours share a page; until then searches find them in the tail. A merge covers the
log up to a commit that is fixed when it starts (`closed`); the resources that changed there are answered by the tail
until it is complete, so that a half-made merge is never seen. Its progress is committed with its work: whichever
process writes next goes on with it, after a crash too.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import orjson

from fhir_server.store.sqlite.connection import Connection, Value, insert, many, row, rows, value
from fhir_server.store.sqlite.tail import LIVING, Segment, Tail, former

BY_RESOURCE = 1
BY_VALUE = 2
PACE = 1.5
"""How much faster merging goes than rows come, so that a merge ends before the next is due."""

INSERT_HELD = "INSERT OR IGNORE INTO held"
DELETE_HELD = "DELETE FROM held WHERE r=? AND p=? AND v=? AND x=? AND y=? AND n=?"
INSERT_SOUGHT = "INSERT OR IGNORE INTO sought"
DELETE_SOUGHT = "DELETE FROM sought WHERE p=? AND v=? AND x=? AND r=? AND y=? AND n=?"


class Merge:
    """The share of merging of this process, in its turn: read from its tail, written in its transaction."""

    def __init__(self, writer: Connection, tail: Tail, reader: Connection, most_waiting: int) -> None:
        self._writer = writer
        self._tail = tail
        self._reader = reader
        self._most_waiting = most_waiting

    def share(self, changes: int, most_waiting: int | None = None) -> None:
        """Merge about as many rows as so many changes pay for; the tail knows everything that is committed."""
        merged, closed, progress = row(self._writer, "SELECT merged, closed, progress FROM merging")
        if closed == merged:
            if self._tail.waiting >= (self._most_waiting if most_waiting is None else most_waiting):
                self._advance(merged, self._tail.last, [BY_RESOURCE, 0])
            return
        segment = self._tail.closed(closed)
        if segment is None:
            # It was closed in this very transaction, which the tail does not see yet.
            return
        budget = math.ceil(changes * PACE * segment.steps)
        step = orjson.loads(progress)
        while budget > 0 and step:
            work = self._by_resource if step[0] == BY_RESOURCE else self._by_value
            done, step = work(segment, step[1], budget)
            budget -= done
        if step:
            self._advance(merged, closed, step)
        else:
            self._advance(closed, closed, None)

    def is_behind(self, place: int) -> bool:
        """Whether what was written at a place is not yet in the sorted tables."""
        merged: int = value(self._writer, "SELECT merged FROM merging")
        return merged < place

    def replace(self, rid: int, old: set[tuple[Value, ...]], new: set[tuple[Value, ...]]) -> None:
        """Give a resource that is in the sorted tables other rows: each p, v, x, y, n."""
        gone, come = old - new, new - old
        many(self._writer, DELETE_HELD, [(rid, *r) for r in gone])
        insert(self._writer, INSERT_HELD, [(rid, *r) for r in come])
        many(self._writer, DELETE_SOUGHT, [(p, v, x, rid, y, n) for p, v, x, y, n in gone])
        insert(self._writer, INSERT_SOUGHT, [(p, v, x, rid, y, n) for p, v, x, y, n in come])

    def _advance(self, merged: int, closed: int, step: Sequence[Any] | None) -> None:
        statement = "UPDATE merging SET merged=?, closed=?, progress=?"
        self._writer.execute(statement, (merged, closed, None if step is None else orjson.dumps(step)))

    def _by_resource(self, segment: Segment, after: int, budget: int) -> tuple[int, list[Any]]:
        """Give the next resources their last rows in the segment, and take away those that they had before it."""
        next_resources = f"SELECT DISTINCT rid FROM {segment.life} WHERE rid>? ORDER BY rid LIMIT ?"
        found = [rid for (rid,) in rows(self._reader, next_resources, (after, budget // 20 + 1))]
        if not found:
            return 1, [BY_VALUE, None]
        final = rows(
            self._reader,
            f"SELECT h.r, h.p, h.v, h.x, h.y, h.n FROM {segment.life} l CROSS JOIN {segment.held} h"
            " WHERE h.r=l.rid AND h.w=l.vid AND l.rid>? AND l.rid<=? AND l.died=?",
            (after, found[-1], LIVING),
        )
        gone = self._gone(segment, [rid for rid in found if rid in segment.before], final)
        many(self._writer, DELETE_HELD, gone)
        many(self._writer, DELETE_SOUGHT, [(p, v, x, r, y, n) for r, p, v, x, y, n in gone])
        insert(self._writer, INSERT_HELD, final)
        return len(gone) + len(final) + 1, [BY_RESOURCE, found[-1]]

    def _gone(
        self, segment: Segment, resources: Sequence[int], final: Sequence[tuple[Any, ...]]
    ) -> list[tuple[Any, ...]]:
        """The rows that resources had before the segment and have no longer."""
        if not resources:
            return []
        kept = set(final)
        had = ((rid, former(self._reader, segment.before[rid])) for rid in resources)
        return [row for rid, before in had for r in before if (row := (rid, *r)) not in kept]

    def _by_value(self, segment: Segment, after: Sequence[Any] | None, budget: int) -> tuple[int, list[Any] | None]:
        """Insert the next rows, in the order of values, that the segment's last states have."""
        order = "d.p, d.v, d.x, d.r, d.w, d.y, d.n"
        join, values = f" CROSS JOIN {segment.life} l WHERE l.rid=d.r AND l.vid=d.w AND l.died=?", [LIVING]
        if segment.has_last_states_only:
            join, values = " WHERE ?", [1]
        beyond = "" if after is None else f" AND ({order})>(?,?,?,?,?,?,?)"
        found = rows(
            self._reader,
            f"SELECT d.p, d.v, d.x, d.r, d.y, d.n FROM {segment.held} d INDEXED BY sought_{segment.slot}"
            f"{join}{beyond} ORDER BY {order} LIMIT ?",
            (*values, *(after or ()), budget),
        )
        if not found:
            return 1, None
        insert(self._writer, INSERT_SOUGHT, found)
        p, v, x, r, y, n = found[-1]
        return len(found), [BY_VALUE, [p, v, x, r, segment.latest[r], y, n]]

"""The index rows of the latest versions, in the memory of this process.

The sorted tables of the file hold the rows of all resources as they were at one commit; the versions after it are read
from the log of versions, rows and all, into *segments*: stretches of the log, each of which knows every state of the
resources that changed in it, the one before it included. A search asks each segment and the file, and believes, for
each resource, the first of them in the order of `Tail.asked` that knows it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import chain

import orjson

from fhir_server.store.protocol import PLACES, SnapshotLost
from fhir_server.store.sqlite.connection import Connection, Value, many, row, rows, script, value

SLOTS = 8
MOST_IN_THE_PAST = 200_000
READ_AT_ONCE = 500
HELD_AT_ONCE = 40
PAGE_BYTES = 16384
"""Longer pages than the file's: nothing of a tail is written to a disk, and fewer levels are sooner gone through."""

LIVING = sys.maxsize

SEGMENT_TABLES = """
CREATE TABLE tail.held_{n}(r INTEGER, w INTEGER, p INTEGER, v, x, y, n, PRIMARY KEY(r, w, p, v, x, y, n)) WITHOUT ROWID;
CREATE INDEX tail.sought_{n} ON held_{n}(p, v, x, r, w, y, n);
CREATE TABLE tail.life_{n}(
  rid INTEGER, vid INTEGER, died INTEGER, deleted INTEGER, type INTEGER, PRIMARY KEY(rid, vid)) WITHOUT ROWID;
CREATE INDEX tail.typed_{n} ON life_{n}(type, vid);
"""
"""`r` is the resource and `w` the version; `died` is the place of the version that followed.

Numbers of resources and versions are declared INTEGER, here and in the file: SQLite uses no index to compare a column
that is declared so with one that is not.
"""

VERSIONS = "SELECT vid, rid, earlier, type, rows FROM version WHERE vid>? AND vid<=? ORDER BY vid LIMIT ?"
ROWS_OF = "SELECT rows FROM version WHERE vid=?"

State = tuple[int, int, bytes | None]
"""A resource, a version of it, and the rows that were stored with it; None for a deletion."""


@dataclass(slots=True)
class Segment:
    """The versions with `start < place <= end`, and the state before it of each resource that changed.

    `latest` is the last version of each resource in it, `before` the one that was current when it started. Those are
    read only when a snapshot is searched that may see them: `unread` says when each that waits died.
    """

    slot: int
    start: int
    end: int
    loaded: int
    versions: int = 0
    rows: int = 0
    latest: dict[int, int] = field(default_factory=dict)
    before: dict[int, int] = field(default_factory=dict)
    unread: dict[int, int] = field(default_factory=dict)
    remembers: bool = False

    @property
    def held(self) -> str:
        """Its rows by resource."""
        return f"tail.held_{self.slot}"

    @property
    def steps(self) -> float:
        """How many steps merging takes for each version: one for each row by resource, and one by value."""
        return 1 + 2 * self.rows / max(self.versions, 1)

    @property
    def has_last_states_only(self) -> bool:
        """Whether each of its rows is of a version that no other follows in it, as where all is new."""
        return len(self.latest) == self.versions and not self.remembers

    @property
    def life(self) -> str:
        """When its versions lived."""
        return f"tail.life_{self.slot}"


class Tail:
    """The segments behind the sorted tables, kept up to date when a search begins."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        connection.execute("ATTACH ':memory:' AS tail")
        script(connection, f"PRAGMA tail.page_size={PAGE_BYTES}")
        script(connection, "PRAGMA tail.journal_mode=OFF; PRAGMA tail.synchronous=OFF")
        for slot in range(SLOTS):
            script(connection, SEGMENT_TABLES.format(n=slot))
        self._free = list(range(SLOTS))
        self._past: list[Segment] = []
        self._present: list[Segment] = []
        self.merged = 0
        self.last = 0

    def catch_up(self, merged: int, closed: int, last: int) -> None:
        """Read what was committed since, inside a read transaction, whose snapshot it is then good for.

        `last` is the last place of all; how far merging is, the file tells.
        """
        if merged != self.merged or not self._present:
            self._let_go(merged)
        self.last = last
        newest = self._present[-1]
        if closed > newest.start:
            newest.end = closed
            self._load(newest, closed)
            newest = self._open(closed)
            self._present.append(newest)
        self._load(newest, self.last)

    def asked(self, t: int) -> list[Segment]:
        """The segments that know the state at commit `t`, in the order in which they are believed."""
        place = (t + 1) * PLACES - 1
        if place < self.merged:
            self._remember(place)
        known = [s for s in (*self._past, *self._present) if s.versions]
        if place >= self.merged:
            known = [s for s in known if s.start >= self.merged]
        later = [s for s in known if s.end > place]
        earlier = [s for s in known if s.end <= place and s.start >= self.merged]
        for segment in later:
            if place < segment.loaded and not segment.remembers:
                self._recall(segment)
        return [*later, *reversed(earlier)]

    @property
    def waiting(self) -> int:
        """How many versions wait to be merged."""
        return sum(segment.versions for segment in self._present)

    def closed(self, end: int) -> Segment | None:
        """The segment that ends at a place, None if this process has none."""
        return next((s for s in self._present if s.end == end), None)

    def _let_go(self, merged: int) -> None:
        """Segments that are merged are dropped; where a stretch cannot be told apart, all are read again."""
        gone = [s for s in self._present if s.end <= merged]
        keep = [s for s in self._present if s.end > merged]
        self.merged = merged
        if self._past:
            self._past += gone
        else:
            self._drop(gone)
        if not keep or keep[0].start != merged:
            self._drop(self._past)
            self._drop(keep)
            keep = [self._open(merged)]
        self._present = keep
        if sum(s.versions for s in self._past) > MOST_IN_THE_PAST or len(self._past) > SLOTS - 4:
            self._drop(self._past)

    def _remember(self, place: int) -> None:
        """Read the stretch from a snapshot that is already merged."""
        if self._past and self._past[0].start <= place:
            return
        end = self._past[0].start if self._past else self.merged
        bound = "SELECT vid FROM version WHERE vid<=? ORDER BY vid DESC LIMIT 1 OFFSET ?"
        oldest = value(self._connection, bound, (self.merged, MOST_IN_THE_PAST))
        if oldest is not None and place < oldest:
            raise SnapshotLost(oldest // PLACES)
        if len(self._past) > SLOTS - 4:
            self._drop(self._past)
            end = self.merged
        segment = self._open(place)
        segment.end = end
        self._load(segment, end)
        self._past.insert(0, segment)

    def _open(self, start: int) -> Segment:
        return Segment(self._free.pop(), start, LIVING, start)

    def _drop(self, segments: list[Segment]) -> None:
        for segment in segments:
            self._connection.execute(f"DELETE FROM {segment.held}")
            self._connection.execute(f"DELETE FROM {segment.life}")
            self._free.append(segment.slot)
        segments.clear()

    def _load(self, segment: Segment, end: int) -> None:
        while segment.loaded < end:
            found = rows(self._connection, VERSIONS, (segment.loaded, end, READ_AT_ONCE))
            if not found:
                segment.loaded = end
                return
            self._add(segment, found)
            segment.loaded = found[-1][0]
            segment.versions += len(found)

    def _add(self, segment: Segment, found: Sequence[tuple[int, int, int, int, bytes | None]]) -> None:
        lives: dict[int, list[Value]] = {}
        for vid, rid, earlier, kind, kept in found:
            before = segment.latest.get(rid)
            if before is None and earlier:
                segment.before[rid] = earlier
                segment.unread[rid] = vid
            elif before in lives:
                lives[before][2] = vid
            elif before is not None:
                self._connection.execute(f"UPDATE {segment.life} SET died=? WHERE rid=? AND vid=?", (vid, rid, before))
            segment.latest[rid] = vid
            lives[vid] = [rid, vid, LIVING, kept is None, kind]
        many(self._connection, f"INSERT INTO {segment.life} VALUES(?,?,?,?,?)", lives.values())
        segment.rows += hold(self._connection, segment, ((rid, vid, kept) for vid, rid, _, _, kept in found))
        if segment.remembers:
            self._recall(segment)

    def _recall(self, segment: Segment) -> None:
        """Read the states from before the segment that were not read yet."""
        lives: list[list[Value]] = []
        held: list[State] = []
        for rid, died in segment.unread.items():
            vid = segment.before[rid]
            kind, kept = row(self._connection, "SELECT type, rows FROM version WHERE vid=?", (vid,))
            lives.append([rid, vid, died, kept is None, kind])
            held.append((rid, vid, kept))
        many(self._connection, f"INSERT INTO {segment.life} VALUES(?,?,?,?,?)", lives)
        hold(self._connection, segment, held)
        segment.unread.clear()
        segment.remembers = True


def hold(connection: Connection, segment: Segment, states: Iterable[State]) -> int:
    """Insert the rows of versions, many with each statement, which takes a quarter less time; return how many."""
    count = 0
    wide: list[Sequence[Value]] = []
    for rid, vid, kept in states:
        if kept is None:
            continue
        rows = orjson.loads(kept)
        count += len(rows)
        narrow = [r for r in rows if len(r) == 3]
        if len(narrow) < len(rows):
            wide += [(rid, vid, *r) for r in rows if len(r) == 5]
        for start in range(0, len(narrow), HELD_AT_ONCE):
            together = narrow[start : start + HELD_AT_ONCE]
            values = [rid, vid, *chain.from_iterable(together)]
            connection.execute(f"INSERT INTO {segment.held} VALUES{places(len(together))}", values)
    many(connection, f"INSERT INTO {segment.held} VALUES(?,?,?,?,?,?,?)", wide)
    return count


@cache
def places(count: int) -> str:
    """The values of so many narrow rows of one version, as a statement names them."""
    return ",".join(f"(?1,?2,?{at},?{at + 1},?{at + 2},0,0)" for at in range(3, 3 + 3 * count, 3))


def former(connection: Connection, vid: int) -> list[tuple[Value, ...]]:
    """The rows of a version, each p, v, x, y, n."""
    return [tuple(r[2:]) for r in spread(0, vid, value(connection, ROWS_OF, (vid,)))]


def spread(rid: int, vid: int, kept: bytes | None) -> list[list[Value]]:
    """Stored rows of a version as rows of a segment."""
    if kept is None:
        return []
    return [[rid, vid, *r] if len(r) == 5 else [rid, vid, *r, 0, 0] for r in orjson.loads(kept)]

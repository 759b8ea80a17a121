"""Requests applied one after another in a write transaction, each whole or not at all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, get_args

import orjson

from fhir_server.resource.instant import Clock, instant
from fhir_server.search.plan import Plan
from fhir_server.search.row import Row
from fhir_server.store.content import stamped
from fhir_server.store.pending import Pending
from fhir_server.store.protocol import (
    PLACES,
    Change,
    Committed,
    ExistenceUnmet,
    Expectation,
    ExpectationUnmet,
    Indexed,
    Method,
    Outcome,
    Request,
    Version,
    VersionUnmet,
)
from fhir_server.store.sqlite.connection import Connection, Value, row, value
from fhir_server.store.sqlite.ledger import Ledger
from fhir_server.store.sqlite.naming import Names, Parameters, Used
from fhir_server.store.sqlite.tail import spread

METHODS: tuple[Method, ...] = get_args(Method)
METHOD_NUMBERS = {method: number for number, method in enumerate(METHODS)}

# A scalar subquery in place of a join: as a join the same look-up costs three times as much.
CURRENT = "SELECT rid, vid, version, deleted FROM resource WHERE type=? AND id=?"
LAST = "SELECT vid, at FROM version ORDER BY vid DESC LIMIT 1"
BODY = "SELECT at, method, body, label FROM version WHERE vid=?"
INSERT_RESOURCE = "INSERT INTO resource(rid, vid, version, type, deleted, id) VALUES(?,?,?,?,?,?)"
UPDATE_RESOURCE = "UPDATE resource SET vid=?, version=?, deleted=? WHERE rid=?"
INSERT_VERSION = (
    "INSERT INTO version(vid, rid, version, type, at, method, earlier, id, rows, body, label)"
    " VALUES(?,?,?,?,?,?,?,?,?,?,?)"
)
COUNT = "INSERT INTO kept VALUES(?,?) ON CONFLICT DO UPDATE SET resources=resources+excluded.resources"

Found = frozenset[tuple[str, str]]
Find = Callable[[Plan, int], Found]
"""At most so many of the resources that a plan finds in what is committed."""


class Current(NamedTuple):
    """What is current of a resource when its turn comes."""

    rid: int
    vid: int
    version: int
    deleted: int


class Undecided(Exception):
    """A condition can only be decided when what waits in this transaction is durable."""


class Writer:
    """The write side of one process. Its methods are called in the turn of this process, by one thread at a time."""

    def __init__(self, connection: Connection, clock: Clock, find: Find) -> None:
        self.connection = connection
        self.names = Names(connection)
        self.parameters = Parameters(connection)
        self._used = Used(connection, self.parameters)
        self._clock = clock
        self._find = find
        self._pending = Pending()
        self.ledger = Ledger(connection)
        self._grown: dict[int, int] = {}
        self.last = 0
        self._rid = 0
        self._at = 0
        self._instant = ""

    @property
    def t(self) -> int:
        """The last commit, those of this transaction included."""
        return self.last // PLACES

    def begin(self) -> None:
        """Open the transaction and learn where the file stands: another process may have written."""
        self.connection.execute("BEGIN IMMEDIATE")
        self.last, latest = row(self.connection, LAST) or (0, 0)
        self._rid = value(self.connection, "SELECT max(rid) FROM resource") or 0
        self._at = max(int(self._clock() * 1000), latest)
        self._instant = instant(self._at)
        self.parameters.catch_up()

    def apply(self, request: Request) -> Committed:
        """Check everything before the first write, so that a refusal leaves nothing to undo; then write."""
        currents = [self._current(change) for change in request.changes]
        for index, (change, current) in enumerate(zip(request.changes, currents, strict=True)):
            if change.if_match is not None:
                self._match(index, change, current)
        for index, expectation in enumerate(request.expectations):
            self._expect(index, expectation)
        if request.exists:
            self._require(request)
        outcomes: list[Outcome] = []
        place = (self.t + 1) * PLACES
        for change, current in zip(request.changes, currents, strict=True):
            outcome = self._unchanged(change, current)
            if outcome is None:
                outcome = self._write(change, current, place)
                self._pending.add(change)
                place += 1
            outcomes.append(outcome)
        if place % PLACES:
            self.last = place - 1
        if request.records:
            self.ledger.add(request.records)
        return Committed(self.t, tuple(outcomes))

    def current(self, entry: Indexed) -> tuple[int, int]:
        """Resource and version of an entry that is still current, else zeros."""
        found = row(self.connection, CURRENT, (self.names.number(entry.type), entry.id))
        if found is None or found[2] != entry.version or found[3]:
            return 0, 0
        return found[0], found[1]

    def renew(self, vid: int, rows: Sequence[Row]) -> tuple[set[tuple[Value, ...]], set[tuple[Value, ...]]]:
        """Give a version other index rows; return those that it had and those that it has, each p, v, x, y, n."""
        old = value(self.connection, "SELECT rows FROM version WHERE vid=?", (vid,))
        new = self._kept(rows)
        self.connection.execute("UPDATE version SET rows=? WHERE vid=?", (new, vid))
        before, after = ({tuple(r[2:]) for r in spread(0, 0, kept)} for kept in (old, new))
        return before, after

    def keep(self, name: str, text: str | None, former: str | None) -> bool:
        """Change a note, if it is as the caller last saw it."""
        if value(self.connection, "SELECT text FROM note WHERE name=?", (name,)) != former:
            return False
        if text is None:
            self.connection.execute("DELETE FROM note WHERE name=?", (name,))
        else:
            self.connection.execute("INSERT OR REPLACE INTO note VALUES(?,?)", (name, text))
        return True

    @property
    def changes(self) -> int:
        """How many resources this transaction has changed."""
        return len(self._pending)

    def end(self) -> None:
        """Make it durable, and forget what could have been undone."""
        self.connection.execute("COMMIT")
        self._forget()
        self.names.kept()
        self._used.kept()

    def count(self) -> None:
        """Write what the transaction added to the number of resources of each type, and to the ledger."""
        self.ledger.write()
        for kind, growth in self._grown.items():
            if growth:
                self.connection.execute(COUNT, (kind, growth))

    def undo(self) -> None:
        """Roll back, and forget what was learned in the lost transaction."""
        self._forget()
        self.names.lost()
        self._used.lost()
        self.parameters.lost()
        if self.connection.in_transaction:
            self.connection.execute("ROLLBACK")

    def _forget(self) -> None:
        self._pending.clear()
        self._grown.clear()
        self.ledger.forget()

    def _current(self, change: Change) -> Current | None:
        kind = self.names.number(change.type)
        found = row(self.connection, CURRENT, (kind, change.id))
        return None if found is None else Current(*found)

    def _version(self, change: Change, current: Current) -> Version:
        at, method, body, label = row(self.connection, BODY, (current.vid,))
        return Version(change.type, change.id, current.version, current.vid, at, METHODS[method], body, label or "")

    def _match(self, index: int, change: Change, current: Current | None) -> None:
        live = 0 if current is None or current.deleted else current.version
        if change.if_match != live:
            raise VersionUnmet(index, None if current is None else self._version(change, current))

    def _expect(self, index: int, expectation: Expectation) -> None:
        found = self._find(expectation.plan, expectation.most + len(self._pending))
        overlaid = self._pending.over(expectation.plan, found)
        if overlaid is None:
            raise Undecided
        if overlaid != expectation.found:
            raise ExpectationUnmet(index, frozenset(sorted(overlaid)[: expectation.most]))

    def _require(self, request: Request) -> None:
        made = {(c.type, c.id): c.method != "DELETE" for c in request.changes}
        missing = [
            wanted for wanted in request.exists if not made.get(wanted, False) and not self._exists(wanted, made)
        ]
        if missing:
            raise ExistenceUnmet(tuple(missing))

    def _exists(self, wanted: tuple[str, str], made: dict[tuple[str, str], bool]) -> bool:
        found = row(self.connection, CURRENT, (self.names.number(wanted[0]), wanted[1]))
        return wanted not in made and found is not None and not found[3]

    def _unchanged(self, change: Change, current: Current | None) -> Outcome | None:
        if change.content is None:
            if current is None:
                return Outcome("unchanged", None)
            return Outcome("unchanged", self._version(change, current)) if current.deleted else None
        if change.skip_equal and current is not None and not current.deleted:
            version = self._version(change, current)
            if version.body == stamped(change.content, version.version, instant(version.at)):
                return Outcome("unchanged", version)
        return None

    def _write(self, change: Change, current: Current | None, place: int) -> Outcome:
        kind = self.names.make(change.type)
        deleted = change.content is None
        number = 1 if current is None else current.version + 1
        if current is None:
            self._rid += 1
            rid = self._rid
            self.connection.execute(INSERT_RESOURCE, (rid, place, 1, kind, 0, change.id))
        else:
            rid = current.rid
            self.connection.execute(UPDATE_RESOURCE, (place, number, deleted, rid))
        lived = current is not None and not current.deleted
        body = None if change.content is None else stamped(change.content, number, self._instant)
        kept = None if deleted else self._kept(change.rows)
        earlier = 0 if current is None else current.vid
        method = METHOD_NUMBERS[change.method]
        fields = (place, rid, number, kind, self._at, method, earlier, change.id, kept, body, change.label or None)
        self.connection.execute(INSERT_VERSION, fields)
        if lived == deleted:
            self._grown[kind] = self._grown.get(kind, 0) + (-1 if deleted else 1)
        version = Version(change.type, change.id, number, place, self._at, change.method, body, change.label)
        return Outcome("deleted" if deleted else "updated" if lived else "created", version)

    def _kept(self, rows: Sequence[Row]) -> bytes:
        self._used.note(rows)
        return orjson.dumps(self.parameters.stored(rows, self.names))

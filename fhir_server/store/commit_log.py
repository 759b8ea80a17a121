"""The commit log: durable commits on a database that promises no more than one document at a time (pure).

Requests that wait together become one *entry*: a commit for each that changes something, and their records for the
ledger. It is inserted under the next number of the log. The key is unique, so that insert is what makes all of it
happen: whoever comes second learns that the place is taken, sees to it that the entry there is
applied, and decides again. Applying inserts the versions of an entry, ends those that they replace, and marks the entry
as applied; each of these writes is the same however often and by whomever it is done, so that any process may finish
what another began. An entry is only appended where everything before it is applied: what is marked is what readers see.

A Participant is the part of one process in this. It says what to do as steps, and is told what came of each. Whoever
carries steps out may repeat any of them, as long as the reply does not come, or give up.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any, NamedTuple, TypeVar

from fhir_server.resource.instant import Clock, instant
from fhir_server.search.plan import Plan
from fhir_server.store.content import stamped
from fhir_server.store.pending import Pending
from fhir_server.store.protocol import (
    FIRST_DIGEST,
    PLACES,
    Change,
    Committed,
    Effect,
    ExistenceUnmet,
    ExpectationUnmet,
    Outcome,
    Request,
    Unmet,
    Version,
    VersionUnmet,
    chained,
)

Key = tuple[str, str]
Found = frozenset[Key]
Result = TypeVar("Result")

OPEN = 2**53
"""The end of a version that is current."""

PATIENCE = 20
"""The pauses in which another process may apply its own entry, before it is taken for dead."""


class Position(NamedTuple):
    """The last entry that is applied, with all before it; its last commit, and its moment.

    `records` is how many entries the ledger has, `digest` that of the last.
    """

    number: int
    t: int
    at: int
    records: int
    digest: bytes


START = Position(0, 0, 0, 0, FIRST_DIGEST)


class Current(NamedTuple):
    """The newest version of a resource, and the place of its first."""

    version: Version
    born: int


class Made(NamedTuple):
    """A version that an entry makes, its index rows, and the commit that ends it: OPEN, or one of the same entry.

    `before` is the place of the version that it replaces, `born` that of the first one.
    """

    version: Version
    rows: Any
    born: int
    before: int
    to: int


class Keyed(NamedTuple):
    """What became of a request that has a key: the effect and the number of the version for each change."""

    key: str
    t: int
    effects: tuple[tuple[Effect, str, str, int], ...]


class Entry(NamedTuple):
    """The commits of requests that waited together; `by` tells this attempt from every other.

    `before` and `after` are where the log stands without and with it.
    """

    before: Position
    after: Position
    by: str
    made: tuple[Made, ...]
    keyed: tuple[Keyed, ...] = ()
    records: tuple[bytes, ...] = ()

    @property
    def number(self) -> int:
        """Its place in the log."""
        return self.after.number


@dataclass(frozen=True, slots=True)
class Asked:
    """A request, with the index rows of each change as they will be written."""

    request: Request
    rows: tuple[Any, ...]


# ---- steps, each with what it is answered by


@dataclass(frozen=True, slots=True)
class Look:
    """Read the newest versions of these resources, whether they are marked or not: key to Current."""

    keys: frozenset[Key]


@dataclass(frozen=True, slots=True)
class Find:
    """Search at a commit: for each plan at most so many of the resources found."""

    plans: tuple[tuple[Plan, int], ...]
    t: int


@dataclass(frozen=True, slots=True)
class Recall:
    """Look for requests with these keys in the log: key to what became of them."""

    keys: frozenset[str]


@dataclass(frozen=True, slots=True)
class Append:
    """Insert an entry durably: whether its place was free."""

    entry: Entry


@dataclass(frozen=True, slots=True)
class Author:
    """Ask who made the entry at a place, as far as that cannot be lost any more: `by`, None if there is none."""

    number: int


@dataclass(frozen=True, slots=True)
class Read:
    """Read the entry at a place."""

    number: int


@dataclass(frozen=True, slots=True)
class Applied:
    """Ask whether the entry at a place is marked: None, or the position of the last entry that is."""

    number: int


@dataclass(frozen=True, slots=True)
class End:
    """Let the versions that an entry replaces end."""

    entry: Entry


@dataclass(frozen=True, slots=True)
class Insert:
    """Insert the versions of an entry, and its records into the ledger, where they are not there yet."""

    entry: Entry


@dataclass(frozen=True, slots=True)
class Mark:
    """Mark an entry as applied, if it is not yet."""

    entry: Entry


@dataclass(frozen=True, slots=True)
class Pause:
    """Wait for a moment."""


Step = Look | Find | Recall | Append | Author | Read | Applied | End | Insert | Mark | Pause
Steps = Generator[Step, Any, Result]


class Settled(NamedTuple):
    """What became of the first requests of a group; those after them have to be asked again."""

    outcomes: tuple[Committed | Unmet, ...]


class Participant:
    """What one process knows of the log, and what it does next."""

    def __init__(self, clock: Clock, new_token: Callable[[], str]) -> None:
        self._clock = clock
        self._new_token = new_token
        self.position = START

    def watermark(self) -> Steps[Position]:
        """How far the log is applied, by any process."""
        found: Position | None = yield Applied(self.position.number + 1)
        if found is not None:
            self.learn(found)
        return self.position

    def recover(self) -> Steps[None]:
        """Apply what dead processes left."""
        yield from self.watermark()
        while (yield Author(self.position.number + 1)) is not None:
            yield from self._overtake(self.position)

    def commit(self, asked: Sequence[Asked]) -> Steps[Settled]:
        """Decide requests at the next place of the log and make that place theirs, as often as others come first."""
        keys = frozenset(each.request.key for each in asked if each.request.key is not None)
        while True:
            base = self.position
            recalled: Mapping[str, Committed] = (yield Recall(keys)) if keys else {}
            if recalled and max(each.t for each in recalled.values()) > base.t:
                yield from self._overtake(base)
                continue
            currents: Mapping[Key, Current] = yield Look(needed(asked))
            plans = plans_of(asked)
            found: Sequence[Found] = (yield Find(plans, base.t)) if plans else ()
            decided = Deciding(base, int(self._clock() * 1000), currents, recalled).decide(asked, found)
            if (yield from self._place(base, decided)):
                return Settled(tuple(decided.outcomes))
            yield from self._overtake(base)

    def learn(self, position: Position) -> None:
        """An entry, and all before it, is applied."""
        if position.number > self.position.number:
            self.position = position

    def _place(self, base: Position, decided: Deciding) -> Steps[bool]:
        """Whether what was decided has its place: where nothing changes, that none came before its end was known."""
        if decided.is_empty:
            return (yield Author(base.number + 1)) is None
        entry = decided.entry(self._new_token())
        if not (yield from self._append(entry)):
            return False
        yield from self._apply(entry)
        return True

    def _append(self, entry: Entry) -> Steps[bool]:
        while not (yield Append(entry)):
            author: str | None = yield Author(entry.number)
            if author is not None:
                # It is this one's own where the first reply was lost.
                return author == entry.by
            yield Pause()
        return True

    def _overtake(self, base: Position) -> Steps[None]:
        """See to it that the entry after a position, which exists, is applied."""
        for _ in range(PATIENCE):
            found: Position | None = yield Applied(base.number + 1)
            if found is not None:
                self.learn(found)
                return
            yield Pause()
        entry: Entry | None = yield Read(base.number + 1)
        if entry is not None:
            yield from self._apply(entry)

    def _apply(self, entry: Entry) -> Steps[None]:
        yield End(entry)
        yield Insert(entry)
        yield Mark(entry)
        self.learn(entry.after)


def needed(asked: Sequence[Asked]) -> frozenset[Key]:
    """The resources that requests cannot be decided without."""
    changed = {(change.type, change.id) for each in asked for change in each.request.changes}
    return frozenset(changed.union(*(each.request.exists for each in asked)))


def plans_of(asked: Sequence[Asked]) -> tuple[tuple[Plan, int], ...]:
    """The plans that requests expect something of, in order.

    More is asked for than the request wants to know, because what waits before it may take resources away.
    """
    changes = sum(len(each.request.changes) for each in asked)
    return tuple((one.plan, one.most + changes) for each in asked for one in each.request.expectations)


class Deciding:
    """Decides requests one after another, each on what those before it in the group will have made."""

    def __init__(
        self, base: Position, now: int, currents: Mapping[Key, Current], recalled: Mapping[str, Committed]
    ) -> None:
        self._base = base
        self._at = max(now, base.at)
        self._instant = instant(self._at)
        self._currents = dict(currents)
        self._recalled = recalled
        self._pending = Pending()
        self._last: dict[Key, int] = {}
        self._keyed: list[Keyed] = []
        self._records: list[bytes] = []
        self._t = base.t
        self.made: list[Made] = []
        self.outcomes: list[Committed | Unmet] = []

    def decide(self, asked: Sequence[Asked], found: Sequence[Found]) -> Deciding:
        """Decide as many as can be without knowing what this group's own changes do to other resources' matches."""
        first = 0
        for each in asked:
            own = found[first : first + len(each.request.expectations)]
            first += len(own)
            try:
                outcome = self._one(each, own)
            except Unmet as refused:
                self.outcomes.append(refused)
                continue
            if outcome is None:
                break
            self.outcomes.append(outcome)
        return self

    @property
    def is_empty(self) -> bool:
        """Nothing happens: all were refused, or change nothing."""
        return not self.made and not self._records

    def entry(self, by: str) -> Entry:
        """What was decided, as an entry."""
        base = self._base
        digest = reduce(chained, self._records, base.digest)
        at = self._at if self.made else base.at
        after = Position(base.number + 1, self._t, at, base.records + len(self._records), digest)
        return Entry(base, after, by, tuple(self.made), tuple(self._keyed), tuple(self._records))

    def _one(self, asked: Asked, found: Sequence[Found]) -> Committed | None:
        """What becomes of a request; None where that can only be told when those before it are applied."""
        request = asked.request
        if request.key is not None and request.key in self._recalled:
            return self._recalled[request.key]
        for index, change in enumerate(request.changes):
            self._match(index, change)
        for index, (expectation, matching) in enumerate(zip(request.expectations, found, strict=True)):
            overlaid = self._pending.over(expectation.plan, matching)
            if overlaid is None:
                return None
            if overlaid != expectation.found:
                raise ExpectationUnmet(index, frozenset(sorted(overlaid)[: expectation.most]))
        self._require(request)
        return self._change(asked)

    def _match(self, index: int, change: Change) -> None:
        if change.if_match is None:
            return
        current = self._currents.get((change.type, change.id))
        live = 0 if current is None or current.version.body is None else current.version.version
        if change.if_match != live:
            raise VersionUnmet(index, None if current is None else current.version)

    def _require(self, request: Request) -> None:
        made = {(change.type, change.id): change.content is not None for change in request.changes}
        missing = tuple(wanted for wanted in request.exists if not made.get(wanted, self._is_live(wanted)))
        if missing:
            raise ExistenceUnmet(missing)

    def _is_live(self, key: Key) -> bool:
        current = self._currents.get(key)
        return current is not None and current.version.body is not None

    def _change(self, asked: Asked) -> Committed:
        outcomes: list[Outcome] = []
        place = (self._t + 1) * PLACES
        for change, rows in zip(asked.request.changes, asked.rows, strict=True):
            outcome = self._unchanged(change)
            if outcome is None:
                outcome = self._write(change, rows, place)
                place += 1
            outcomes.append(outcome)
        if place % PLACES:
            self._t += 1
        committed = Committed(self._t, tuple(outcomes))
        self._records += asked.request.records
        if asked.request.key is not None and (place % PLACES or asked.request.records):
            self._keyed.append(keyed(asked.request, committed))
        return committed

    def _unchanged(self, change: Change) -> Outcome | None:
        current = self._currents.get((change.type, change.id))
        version = None if current is None else current.version
        if change.content is None:
            return Outcome("unchanged", version) if version is None or version.body is None else None
        if change.skip_equal and version is not None and version.body is not None:
            same = stamped(change.content, version.version, instant(version.at))
            return Outcome("unchanged", version) if version.body == same else None
        return None

    def _write(self, change: Change, rows: Any, place: int) -> Outcome:
        key = change.type, change.id
        current = self._currents.get(key)
        number = 1 if current is None else current.version.version + 1
        content = change.content
        body = None if content is None else stamped(content, number, self._instant)
        version = Version(change.type, change.id, number, place, self._at, change.method, body, change.label)
        effect: Effect = "deleted" if body is None else "updated" if self._is_live(key) else "created"
        before = 0 if current is None else current.version.place
        if key in self._last:
            former = self._last[key]
            self.made[former] = self.made[former]._replace(to=version.t)
        self._last[key] = len(self.made)
        born = place if current is None else current.born
        self.made.append(Made(version, rows, born, before, OPEN))
        self._currents[key] = Current(version, born)
        self._pending.add(change)
        return Outcome(effect, version)


def keyed(request: Request, committed: Committed) -> Keyed:
    """What has to be known to answer a request again."""
    assert request.key is not None
    effects = [
        (outcome.effect, change.type, change.id, outcome.version.version if outcome.version else 0)
        for change, outcome in zip(request.changes, committed.outcomes, strict=True)
    ]
    return Keyed(request.key, committed.t, tuple(effects))

"""A database in memory that does one thing to one document at a time, and processes on it that can be interleaved."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from fhir_server.search.plan import Plan
from fhir_server.store import commit_log as steps
from fhir_server.store.commit_log import OPEN, START, Asked, Current, Entry, Key, Made, Participant, Position, Steps
from fhir_server.store.protocol import Change, Committed, Outcome, Request, Unmet, Version
from tests.contracts.model import Key as ModelKey
from tests.contracts.model import State, holds

Operation = Generator[None, None, Any]
"""What a step does to the database: everything between two yields happens at once."""

WRITES = (steps.Append, steps.End, steps.Insert, steps.Mark)
Snapshot = Mapping[ModelKey, State]


@dataclass(frozen=True)
class Scan:
    """Look at everything, as a search does: a step of this test's own."""

    t: int


@dataclass
class Document:
    """A stored version: what changes of it is when it ends, and the key that it is found by."""

    made: Made
    key: str
    to: int


@dataclass
class Database:
    """Documents with unique keys; whoever looks at several sees each at another moment."""

    log: dict[int, Entry] = field(default_factory=dict)
    versions: dict[int, Document] = field(default_factory=dict)
    marks: dict[int, Position] = field(default_factory=dict)
    timeline: list[Snapshot] = field(default_factory=lambda: [{}])
    moments: list[int] = field(default_factory=lambda: [0])
    ledger: list[bytes] = field(default_factory=list)
    end: Position = START

    def carry_out(self, step: steps.Step | Scan) -> Operation:
        """The operation of a step."""
        return getattr(self, f"_{type(step).__name__.lower()}")(step)  # type: ignore[no-any-return]

    def current(self, key: Key) -> Document | None:
        found = [d for d in self.versions.values() if (d.made.version.type, d.key) == key]
        assert len(found) <= 1
        return found[0] if found else None

    def _look(self, step: steps.Look) -> Operation:
        found = {}
        for key in sorted(step.keys):
            document = self.current(key)
            if document is not None:
                found[key] = Current(document.made.version, document.made.born)
            yield
        return found

    def _find(self, step: steps.Find) -> Operation:
        seen = yield from self.scan(step.t)
        return tuple(frozenset(sorted(matching(plan, seen))[:most]) for plan, most in step.plans)

    def scan(self, t: int) -> Generator[None, None, dict[ModelKey, State]]:
        """Look at one document after another, while others write."""
        seen: dict[ModelKey, State] = {}
        looked: set[int] = set()
        while left := sorted(set(self.versions) - looked):
            document = self.versions[left[0]]
            version = document.made.version
            if version.t <= t < document.to:
                assert (version.type, version.id) not in seen
                seen[version.type, version.id] = State(version, document.made.rows)
            looked.add(left[0])
            yield
        return {key: state for key, state in seen.items() if not state.deleted}

    def _scan(self, step: Scan) -> Operation:
        return self.scan(step.t)

    def _recall(self, step: steps.Recall) -> Operation:
        yield
        return {
            each.key: committed_of(entry, each)
            for entry in self.log.values()
            for each in entry.keyed
            if each.key in step.keys
        }

    def _append(self, step: steps.Append) -> Operation:
        yield
        entry = step.entry
        if entry.number in self.log:
            return False
        self.log[entry.number] = entry
        self._extend(entry)
        return True

    def _extend(self, entry: Entry) -> None:
        assert entry.number == len(self.log)
        assert entry.before == self.end
        assert entry.after.at >= entry.before.at
        assert entry.after.records == len(self.ledger) + len(entry.records)
        self.ledger += entry.records
        self.end = entry.after
        for t in range(entry.before.t + 1, entry.after.t + 1):
            states = dict(self.timeline[-1])
            made = [each for each in entry.made if each.version.t == t]
            assert made
            for each in made:
                version = each.version
                former = states.get((version.type, version.id))
                assert version.version == (former.version.version + 1 if former else 1)
                assert each.before == (former.version.place if former else 0)
                states[version.type, version.id] = State(version, each.rows)
            self.timeline.append(states)
            self.moments.append(entry.after.at)

    def _author(self, step: steps.Author) -> Operation:
        yield
        entry = self.log.get(step.number)
        return None if entry is None else entry.by

    def _read(self, step: steps.Read) -> Operation:
        yield
        return self.log.get(step.number)

    def _applied(self, step: steps.Applied) -> Operation:
        yield
        if step.number not in self.marks:
            return None
        yield
        return max(self.marks.values())

    def _end(self, step: steps.End) -> Operation:
        first = {each.version.place for each in step.entry.made}
        for each in step.entry.made:
            yield
            if each.before and each.before not in first:
                document = self.versions[each.before]
                assert document.to in (OPEN, each.version.t)
                document.to = each.version.t
                document.key = f"{each.version.id}/{each.version.version - 1}"
        return None

    def _insert(self, step: steps.Insert) -> Operation:
        for each in step.entry.made:
            yield
            version = each.version
            if version.place in self.versions:
                continue
            key = version.id if each.to == OPEN else f"{version.id}/{version.version}"
            assert self.current((version.type, key)) is None
            self.versions[version.place] = Document(each, key, each.to)
        return None

    def _mark(self, step: steps.Mark) -> Operation:
        yield
        self.marks.setdefault(step.entry.number, step.entry.after)

    def _pause(self, step: steps.Pause) -> Operation:
        yield


def committed_of(entry: Entry, keyed: steps.Keyed) -> Committed:
    made = {(each.version.type, each.version.id): each.version for each in entry.made if each.version.t == keyed.t}
    return Committed(keyed.t, tuple(Outcome(effect, made.get((kind, i))) for effect, kind, i, _ in keyed.effects))


def matching(plan: Plan, snapshot: Snapshot) -> list[ModelKey]:
    live = {key: state for key, state in snapshot.items() if not state.deleted}
    return [key for key in live if key[0] in plan.arms and holds(plan.arms[key[0]], key, live)]


class Task:
    """One thing that a process does, step by step."""

    def __init__(self, database: Database, work: Steps[Any], since: int) -> None:
        self._database = database
        self._work = work
        self._step: steps.Step | Scan | None = None
        self._operation: Operation | None = None
        self._reply: Any = None
        self.since = since
        self.result: Any = None
        self.is_done = False

    def advance(self, *, lose: bool = False) -> None:
        """Do one thing to the database; a reply that is lost makes the process do the whole step again."""
        if self._operation is None:
            try:
                self._step = self._work.send(self._reply)
            except StopIteration as done:
                self.result, self.is_done = done.value, True
                return
            self._operation = self._database.carry_out(self._step)
        try:
            next(self._operation)
        except StopIteration as done:
            self._reply = done.value
            self._operation = self._database.carry_out(self._step) if lose and self._step else None

    def under_way(self) -> Operation | None:
        """A write that the network may still deliver when its sender is gone."""
        self._work.close()
        return self._operation if isinstance(self._step, WRITES) else None

    def finish(self) -> Any:
        while not self.is_done:
            self.advance()
        return self.result


@dataclass
class Waiting:
    """A request that somebody waits for, and the last commit that was acknowledged when it came."""

    request: Request
    since: int


class Process:
    """One process: what it knows of the log, its requests and its readers."""

    def __init__(self, database: Database, clock: Iterator[int], tokens: Iterator[int]) -> None:
        self.database = database
        self.participant = Participant(lambda: next(clock) / 1000, lambda: str(next(tokens)))
        self.waiting: list[Waiting] = []
        self.group: list[Waiting] = []
        self.writer: Task | None = None
        self.readers: list[Task] = []

    def begin(self) -> None:
        """Take what waits as a group."""
        if self.writer is None and self.waiting:
            self.group, self.waiting = self.waiting, []
            asked = [asked_of(each.request) for each in self.group]
            self.writer = Task(self.database, self.participant.commit(asked), 0)

    def read(self, since: int) -> None:
        self.readers.append(Task(self.database, self._reading(), since))

    def _reading(self) -> Steps[Any]:
        position = yield from self.participant.watermark()
        states = yield Scan(position.t)  # type: ignore[misc]
        return position, states


def asked_of(request: Request) -> Asked:
    return Asked(request, tuple(tuple(change.rows) for change in request.changes))


def is_met(request: Request, snapshot: Snapshot) -> bool:
    """Whether all conditions of a request hold, by the words of the protocol."""
    made = {(c.type, c.id): c.content is not None for c in request.changes}
    return (
        all(c.if_match in (None, live_version(c, snapshot)) for c in request.changes)
        and all(frozenset(matching(e.plan, snapshot)) == e.found for e in request.expectations)
        and all(made.get(key, key in snapshot and not snapshot[key].deleted) for key in request.exists)
    )


def live_version(change: Change, snapshot: Snapshot) -> int:
    state = snapshot.get((change.type, change.id))
    return 0 if state is None or state.deleted else state.version.version


def versions_at(database: Database, t: int) -> list[Version]:
    return [each.version for entry in database.log.values() for each in entry.made if each.version.t == t]


def check(database: Database, waiting: Waiting, outcome: Committed | Unmet) -> int:
    """Hold one answer against the order of all commits; return the commit that it acknowledges."""
    last = len(database.timeline) - 1
    places = range(waiting.since, last + 1)
    if isinstance(outcome, Unmet):
        assert any(not is_met(waiting.request, database.timeline[t]) for t in places)
        return 0
    changed = [o.version for o in outcome.outcomes if o.effect != "unchanged"]
    if not changed:
        assert outcome.t in places
        assert is_met(waiting.request, database.timeline[outcome.t])
        return 0
    assert versions_at(database, outcome.t) == changed
    assert is_met(waiting.request, database.timeline[outcome.t - 1])
    if waiting.request.key is None:
        assert outcome.t > waiting.since
    return outcome.t


def settled(database: Database, waiting: Sequence[Waiting], outcomes: Sequence[Committed | Unmet]) -> int:
    return max((check(database, one, outcome) for one, outcome in zip(waiting, outcomes, strict=False)), default=0)

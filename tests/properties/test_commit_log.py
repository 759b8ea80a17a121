"""Three processes on one commit log, in any order of what they do: all agree, and nothing is lost or done by half."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import count, product
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from fhir_server.search.plan import Chain, Plan
from fhir_server.store import commit_log
from fhir_server.store.commit_log import OPEN, START
from fhir_server.store.protocol import Change, Expectation, Request
from tests.contracts.model import Key
from tests.contracts.resources import CODE, IDENTIFIER, SUBJECT, change, deletion, matching
from tests.properties.simulated_log import Database, Operation, Process, Task, Waiting, asked_of, check, settled

PROCESSES = 3
IDS = ("a", "b")
ONE = Plan({"Patient": matching(IDENTIFIER, v="x")})
JOINED = Plan({"Observation": Chain(SUBJECT, (("Patient", matching(IDENTIFIER, v="x")),))})
NOBODY: frozenset[Key] = frozenset()

processes = st.integers(0, PROCESSES - 1)
patients = st.builds(
    lambda i, v, match, equal, text: Change(
        "PUT", "Patient", i, change("Patient", i, text=text).content, ((IDENTIFIER, v, ""),), match, equal
    ),
    st.sampled_from(IDS), st.sampled_from("xy"), st.none() | st.integers(0, 3), st.booleans(), st.sampled_from("st"),
)  # fmt: skip
observations = st.builds(
    lambda i, j: change("Observation", i, (SUBJECT, j, "Patient"), (CODE, "x", "")),
    st.sampled_from(IDS), st.sampled_from(IDS),
)  # fmt: skip
deletions = st.builds(deletion, st.sampled_from(("Patient", "Observation")), st.sampled_from(IDS))
requests = st.builds(
    Request,
    st.lists(patients | observations | deletions, max_size=2, unique_by=lambda c: (c.type, c.id)).map(tuple),
    st.lists(st.sampled_from((Expectation(ONE), Expectation(JOINED))), max_size=1).map(tuple),
    st.sampled_from(((), (), (("Patient", "a"),))),
    records=st.sampled_from(((), (), (b"seen",))),
)


def unsteady() -> Iterator[int]:
    """A clock that runs back now and then."""
    return (1000 + n * 7 % 50 for n in count())


class Interleaved(RuleBasedStateMachine):
    """Each rule lets one process do one thing to one document, or something happen to it."""

    @initialize()
    def begin(self) -> None:
        self.database = Database()
        self.clock, self.tokens, self.keys = unsteady(), count(1), count(1)
        self.processes = [Process(self.database, self.clock, self.tokens) for _ in range(PROCESSES)]
        self.delayed: list[Operation] = []
        self.unanswered: list[Request] = []
        self.acknowledged = 0

    @rule(process=processes, request=requests, named=st.booleans())
    def ask(self, process: int, request: Request, named: bool) -> None:  # noqa: FBT001
        key = f"k{next(self.keys)}" if named else None
        asked = replace(request, key=key)
        self.processes[process].waiting.append(Waiting(asked, self.acknowledged))

    @rule(process=processes, steps=st.integers(1, 25), lost=st.none() | st.integers(0, 24))
    def write(self, process: int, steps: int, lost: int | None) -> None:
        chosen = self.processes[process]
        for step in range(steps):
            chosen.begin()
            if chosen.writer is None:
                return
            chosen.writer.advance(lose=step == lost)
            if chosen.writer.is_done:
                self.answer(chosen)

    def answer(self, process: Process) -> None:
        assert process.writer
        outcomes = process.writer.result.outcomes
        assert outcomes
        self.acknowledged = max(self.acknowledged, settled(self.database, process.group, outcomes))
        process.waiting[:0] = process.group[len(outcomes) :]
        process.writer, process.group = None, []

    @rule(process=processes)
    def start_to_read(self, process: int) -> None:
        self.processes[process].read(self.acknowledged)

    @rule(process=processes, steps=st.integers(1, 10), lost=st.booleans())
    def read(self, process: int, steps: int, lost: bool) -> None:  # noqa: FBT001
        for task in list(self.processes[process].readers):
            for _ in range(steps):
                if not task.is_done:
                    task.advance(lose=lost)
            if task.is_done:
                self.processes[process].readers.remove(task)
                self.look(task)

    @rule(process=processes)
    def glance(self, process: int) -> None:
        """Learn how far the log is, while the process may be deciding."""
        position = Task(self.database, self.processes[process].participant.watermark(), 0).finish()
        assert position.t >= self.acknowledged

    def look(self, task: Task) -> None:
        position, states = task.result
        assert position.t >= task.since
        assert position == self.database.log[position.number].after if position.number else START
        expected = self.database.timeline[position.t]
        live = {key: state for key, state in expected.items() if not state.deleted}
        assert {key: state.version for key, state in states.items()} == {k: s.version for k, s in live.items()}

    @rule(process=processes, delivered=st.booleans())
    def die(self, process: int, delivered: bool) -> None:  # noqa: FBT001
        self.leave(self.processes[process], delivered=delivered)
        self.processes[process] = Process(self.database, self.clock, self.tokens)
        if delivered:
            Task(self.database, self.processes[process].participant.recover(), 0).finish()

    @rule(process=processes, delivered=st.booleans())
    def give_up(self, process: int, delivered: bool) -> None:  # noqa: FBT001
        self.leave(self.processes[process], delivered=delivered)

    def leave(self, process: Process, *, delivered: bool) -> None:
        if process.writer is not None:
            operation = process.writer.under_way()
            if operation is not None and delivered:
                self.delayed.append(operation)
            self.unanswered += [each.request for each in process.group if each.request.key]
        process.writer, process.group, process.waiting = None, [], []

    @precondition(lambda self: self.delayed)
    @rule(which=st.integers(0, 9))
    def deliver_late(self, which: int) -> None:
        operation = self.delayed.pop(which % len(self.delayed))
        if next(operation, "end") != "end":
            self.delayed.append(operation)

    @precondition(lambda self: self.unanswered)
    @rule(process=processes)
    def ask_again(self, process: int) -> None:
        """What had no answer is asked again, of any process, under its key."""
        self.processes[process].waiting.append(Waiting(self.unanswered.pop(), 0))

    def teardown(self) -> None:
        if not hasattr(self, "database"):
            return
        for process in self.processes:
            while process.waiting or process.writer:
                process.begin()
                assert process.writer
                process.writer.finish()
                self.answer(process)
        for operation in self.delayed:
            for _ in operation:
                pass
        survivor = Process(self.database, self.clock, self.tokens).participant
        Task(self.database, survivor.recover(), 0).finish()
        self.is_whole(survivor.position.t)

    def is_whole(self, last: int) -> None:
        database = self.database
        assert last == len(database.timeline) - 1
        made = [each for entry in database.log.values() for each in entry.made]
        assert sorted(database.versions) == sorted(each.version.place for each in made)
        keys = [each.key for entry in database.log.values() for each in entry.keyed]
        assert len(keys) == len(set(keys))
        current = {
            (d.made.version.type, d.made.version.id): d.made.version
            for d in database.versions.values() if d.to == OPEN
        }  # fmt: skip
        assert current == {key: state.version for key, state in database.timeline[-1].items()}


def test_processes_agree_in_any_order_of_what_they_do(monkeypatch):
    monkeypatch.setattr(commit_log, "PATIENCE", 2)
    case: Any = Interleaved.TestCase
    case.settings = settings(
        max_examples=600, stateful_step_count=60, deadline=None, suppress_health_check=list(HealthCheck)
    )
    case().runTest()


def created(n: int) -> Request:
    return Request((change("Patient", f"p{n}", (IDENTIFIER, "x", "")),), (Expectation(ONE),))


def updated(n: int) -> Request:
    return Request((change("Patient", "a", (IDENTIFIER, "y", ""), text=str(n)),), records=(b"updated",))


def matched(_n: int) -> Request:
    return Request((replace(change("Patient", "a"), if_match=1),))


def deleted(_n: int) -> Request:
    return Request((deletion("Patient", "a"), change("Observation", "a", (SUBJECT, "b", "Patient"))))


class Race:
    """Three processes with one request each; one may be interrupted by the next wherever it is."""

    def __init__(self, made: Callable[[int], Request]) -> None:
        self.database = Database()
        clock, tokens = unsteady(), count(1)
        self.processes = [Process(self.database, clock, tokens) for _ in range(PROCESSES)]
        Task(self.database, self.processes[0].participant.commit([asked_of(EXISTING)]), 0).finish()
        for n, process in enumerate(self.processes):
            process.waiting.append(Waiting(made(n), 0))
            process.begin()

    def advance(self, process: int, steps: int, lost: int | None = None) -> None:
        writer = self.processes[process].writer
        for step in range(steps):
            if writer and not writer.is_done:
                writer.advance(lose=step == lost)
        Task(self.database, self.processes[process].participant.watermark(), 0).finish()

    def outcomes(self, *finished: int) -> list[int]:
        """What each acknowledged, once they went on in this order."""
        acknowledged = []
        for n in finished:
            process = self.processes[n]
            assert process.writer
            outcomes = process.writer.finish().outcomes
            acknowledged.append(check(self.database, process.group[0], outcomes[0]))
        return acknowledged


EXISTING = Request((change("Patient", "a", (IDENTIFIER, "z", "")),))
OPERATIONS = range(16)
"""More than any of these requests takes when nobody comes between."""


@pytest.mark.parametrize(("made", "succeed"), [(created, 1), (updated, 3), (matched, 1), (deleted, 3)])
def test_wherever_others_come_between_all_are_answered_rightly(made, succeed):
    for first, second in product(OPERATIONS, OPERATIONS):
        for lost in (None, first - 1):
            race = Race(made)
            race.advance(0, first, lost)
            race.advance(1, second, second - 1 if lost is None else None)
            acknowledged = race.outcomes(2, 0, 1)
            assert sum(t > 0 for t in acknowledged) == succeed


@pytest.mark.parametrize("made", [created, updated, matched, deleted])
def test_wherever_processes_die_the_others_go_on(made):
    for first, second in product(OPERATIONS, OPERATIONS):
        race = Race(made)
        race.advance(0, first)
        race.advance(1, second)
        writers = [process.writer for process in race.processes[:2]]
        late = [writer.under_way() for writer in writers if writer and not writer.is_done]
        race.outcomes(2)
        for operation in filter(None, late):
            for _ in operation:
                pass
        survivor = Process(race.database, unsteady(), count(100)).participant
        Task(race.database, survivor.recover(), 0).finish()
        assert survivor.position == race.database.end
        assert len(race.database.versions) == sum(len(entry.made) for entry in race.database.log.values())

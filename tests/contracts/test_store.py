"""What every store promises, held against each implementation and against a model in memory."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from functools import partial
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, multiple, rule

from fhir_server.search.contained import CONTAINS, arms_of, moved
from fhir_server.search.plan import (
    EVERYTHING,
    NOTHING,
    And,
    Chain,
    Ids,
    Include,
    Not,
    Or,
    Plan,
    Present,
    Referrer,
    Row,
    Sort,
    Test,
    Text,
    Updated,
)
from fhir_server.search.row import Reference
from fhir_server.store.protocol import (
    PLACES,
    Change,
    Committed,
    Content,
    ExistenceUnmet,
    Expectation,
    ExpectationUnmet,
    Indexed,
    Numbered,
    Outcome,
    Request,
    Scope,
    Store,
    VersionUnmet,
)
from fhir_server.store.sqlite import join, search, source
from fhir_server.store.sqlite.store import SqliteStore
from tests.contracts.model import Key, Model, is_in_order
from tests.contracts.resources import (
    CODE,
    DATE,
    IDENTIFIER,
    IDS,
    NAME,
    PARAMETERS,
    ROWS,
    SUBJECT,
    change,
    changes,
    content,
    deletion,
    matching,
    plans,
)
from tests.contracts.stores import STORES, open_store

Result = TypeVar("Result")
Open = Callable[[Path], Coroutine[Any, Any, Store]]


def put(store: Store, *made: Change) -> Coroutine[Any, Any, Committed]:
    return store.commit(Request(made))


async def outcome_of(committing: Coroutine[Any, Any, Committed]) -> Any:
    """What came back, or the failure."""
    return (await asyncio.gather(committing, return_exceptions=True))[0]


async def all_keys(store: Store, plan: Plan, limit: int = 3) -> list[Key]:
    """Every match of a plan, page by page."""
    found: list[Key] = []
    cursor = None
    while True:
        page = await store.run(plan, limit, cursor)
        assert len(page.matches) <= limit
        found += [(v.type, v.id) for v in page.matches]
        cursor = page.following
        if cursor is None:
            return found


def patients(*predicate: Row) -> Plan:
    return Plan({"Patient": predicate[0] if predicate else EVERYTHING})


def test_an_empty_store_has_nothing(store, run):
    assert run(store.snapshot()) == (0, 0)
    assert run(store.read("Patient", "a")) is None
    assert run(store.run(patients(), 10)).matches == ()
    assert run(store.count(patients())) == 0
    assert run(store.history(Scope(), 10)) == []


def test_a_commit_is_one_number_and_its_versions_can_be_read(store, run):
    first = run(put(store, change("Patient", "a", method="POST"), change("Observation", "a")))
    second = run(put(store, change("Patient", "a", text="new")))
    assert (first.t, second.t) == (1, 2)
    assert [o.effect for o in first.outcomes] == ["created", "created"]
    assert second.outcomes[0].effect == "updated"
    current = run(store.read("Patient", "a"))
    assert current == second.outcomes[0].version
    assert (current.version, current.t, current.method) == (2, 2, "PUT")
    assert b'"versionId":"2","lastUpdated":"' in current.body
    assert run(store.read("Patient", "a", version=1)) == first.outcomes[0].version
    assert run(store.read("Patient", "a", t=1)) == first.outcomes[0].version
    assert run(store.read("Patient", "a", version=3)) is None
    assert run(store.snapshot()).t == 2


def test_a_resource_that_comes_back_counts_on(store, run):
    run(put(store, change("Patient", "a")))
    gone = run(put(store, deletion("Patient", "a"))).outcomes[0]
    assert (gone.effect, gone.version.version, gone.version.body) == ("deleted", 2, None)
    again = run(put(store, deletion("Patient", "a")))
    assert (again.t, again.outcomes[0].effect, again.outcomes[0].version) == (2, "unchanged", gone.version)
    back = run(put(store, change("Patient", "a"))).outcomes[0]
    assert (back.effect, back.version.version) == ("created", 3)
    assert run(put(store, deletion("Patient", "never"))).outcomes[0] == Outcome("unchanged", None)
    assert [v.version for v in run(store.history(Scope(("Patient",), "a"), 9, newest_first=True))] == [3, 2, 1]


def test_an_equal_update_makes_no_version_where_that_is_asked_for(store, run):
    run(put(store, change("Patient", "a", text="same")))
    same = Change("PUT", "Patient", "a", content("Patient", "a", "same"), skip_equal=True)
    assert run(put(store, same)).outcomes[0].effect == "unchanged"
    assert run(store.read("Patient", "a")).version == 1
    assert run(put(store, change("Patient", "a", text="same"))).outcomes[0].effect == "updated"


def test_a_version_that_is_not_current_is_refused_and_nothing_happens(store, run):
    run(put(store, change("Patient", "a")))
    wrong = Change("PUT", "Patient", "a", content("Patient", "a"), if_match=7)
    with pytest.raises(VersionUnmet) as refused:
        run(put(store, change("Patient", "b"), wrong))
    assert refused.value.index == 1
    assert refused.value.current == run(store.read("Patient", "a"))
    assert run(store.read("Patient", "b")) is None
    fresh = Change("PUT", "Patient", "a", content("Patient", "a"), if_match=0)
    with pytest.raises(VersionUnmet):
        run(put(store, fresh))
    assert run(store.snapshot()).t == 1


def test_what_must_exist_may_be_made_by_the_same_request(store, run):
    observation = change("Observation", "o", (SUBJECT, "a", "Patient"))
    with pytest.raises(ExistenceUnmet) as refused:
        run(store.commit(Request((observation,), exists=(("Patient", "a"), ("Unknown", "b")))))
    assert refused.value.missing == (("Patient", "a"), ("Unknown", "b"))
    run(store.commit(Request((observation, change("Patient", "a")), exists=(("Patient", "a"),))))
    with pytest.raises(ExistenceUnmet):
        run(store.commit(Request((deletion("Patient", "a"),), exists=(("Patient", "a"),))))


def test_an_expectation_is_decided_when_the_request_has_its_turn(store, run):
    plan = patients(matching(IDENTIFIER, v="x", x="urn:one"))
    made = change("Patient", "a", (IDENTIFIER, "x", "urn:one"))
    request = Request((made,), (Expectation(plan),))
    run(store.commit(request))
    with pytest.raises(ExpectationUnmet) as refused:
        run(store.commit(request))
    assert refused.value.found == {("Patient", "a")}
    run(store.commit(Request((deletion("Patient", "a"),), (Expectation(plan, refused.value.found),))))
    assert run(all_keys(store, plan)) == []


@pytest.mark.parametrize("processes", [1, 3])
def test_64_conditional_creates_of_the_same_thing_make_one(opened, store, run, processes):
    stores = [store, *(opened() for _ in range(processes - 1))]
    plan = patients(matching(IDENTIFIER, v="x", x="urn:one"))

    async def create(n: int) -> Any:
        made = change("Patient", f"p{n}", (IDENTIFIER, "x", "urn:one"), method="POST")
        return await stores[n % processes].commit(Request((made,), (Expectation(plan),)))

    async def race() -> list[Any]:
        return await asyncio.gather(*(create(n) for n in range(64)), return_exceptions=True)

    outcomes = run(race())
    assert sum(isinstance(o, Committed) for o in outcomes) == 1
    losers = [o for o in outcomes if isinstance(o, ExpectationUnmet)]
    assert len(losers) == 63
    winner = run(all_keys(store, plan))
    assert len(winner) == 1
    assert all(o.found == set(winner) for o in losers)


def test_a_condition_about_other_resources_sees_what_waits_beside_it(store, run):
    plan = Plan({"Observation": Chain(SUBJECT, (("Patient", matching(NAME, v="an")),))})

    async def race() -> list[Any]:
        def attempt(n: int) -> Any:
            patient = change("Patient", f"p{n}", (NAME, "an", ""))
            observation = change("Observation", f"o{n}", (SUBJECT, f"p{n}", "Patient"))
            return store.commit(Request((patient, observation), (Expectation(plan),)))

        return await asyncio.gather(*(attempt(n) for n in range(8)), return_exceptions=True)

    assert sum(isinstance(o, Committed) for o in run(race())) == 1


def test_a_failing_request_does_not_disturb_others(store, run):
    broken = Change("PUT", "Patient", "broken", content("Patient", "broken"), ((IDENTIFIER, object(), ""),))  # type: ignore[arg-type]

    async def together() -> Any:
        requests = [change("Patient", "a"), broken, change("Patient", "b")]
        return await asyncio.gather(*(put(store, c) for c in requests), return_exceptions=True)

    first, failed, last = run(together())
    assert isinstance(failed, TypeError)
    assert sorted((first.t, last.t)) == [1, 2]
    assert run(store.read("Patient", "broken")) is None


def test_a_second_process_reads_and_writes_on(opened, store, run):
    other = opened()
    run(put(store, change("Patient", "a", (NAME, "an", ""))))
    assert run(all_keys(other, patients(matching(NAME, v="an")))) == [("Patient", "a")]
    assert run(put(other, change("Patient", "a", (NAME, "binh", "")))).t == 2
    assert run(all_keys(store, patients(matching(NAME, v="an")))) == []
    assert run(all_keys(store, patients(matching(NAME, v="binh")))) == [("Patient", "a")]


def test_numbers_are_given_once_for_all_processes(opened, store, run):
    other = opened()
    taken = run(other.number([Numbered("Patient.custom", NAME, "string"), Numbered("Patient.name", 800, "string")]))
    assert taken["Patient.name"] == NAME
    assert taken["Patient.custom"] not in {p.number for p in PARAMETERS}
    assert run(store.number([])) == taken


def test_history_is_in_the_order_of_commits_and_can_be_paged(store, run):
    for n in range(5):
        run(put(store, change("Patient", "a", text=str(n)), change("Observation", f"o{n}")))
    everything = run(store.history(Scope(), 100))
    assert [(v.t, v.type) for v in everything] == [(t, k) for t in range(1, 6) for k in ("Patient", "Observation")]
    assert run(store.history(Scope(), 100, newest_first=True)) == everything[::-1]
    assert run(store.history(Scope(), 3, after=everything[2].place)) == everything[3:6]
    assert run(store.history(Scope(), 3, before=everything[7].place, newest_first=True)) == everything[6:3:-1]
    assert [v.version for v in run(store.history(Scope(("Patient",)), 9))] == [1, 2, 3, 4, 5]
    assert [v.t for v in run(store.history(Scope(("Patient",), "a"), 2, after=2 * PLACES - 1))] == [2, 3]
    assert run(store.history(Scope(("Observation", "Patient")), 9)) == everything[:9]


def test_a_moment_names_the_last_commit_before_it(opened, run):
    moments = count(1000)
    store = opened(lambda: next(moments))
    for n in range(5):
        run(put(store, change("Patient", f"p{n}")))
    at = [v.at for v in run(store.history(Scope(), 9))]
    assert run(store.snapshot(at[2])) == (3, at[2])
    assert run(store.snapshot(at[2] - 1)) == (2, at[1])
    assert run(store.snapshot(0)) == (0, 0)
    updated = Plan({"Patient": Updated(at[1], at[3])})
    assert run(all_keys(store, updated)) == [("Patient", "p1"), ("Patient", "p2")]


def test_time_does_not_run_backwards(opened, run):
    moments = iter((2000, 1000, 1500))
    store = opened(lambda: next(moments))
    ats = [run(put(store, change("Patient", "a"))).outcomes[0].version.at for _ in range(3)]
    assert ats == [2_000_000] * 3


def test_pages_hold_the_first_snapshot_whatever_is_written(store, run):
    """A walk over many resources in several orders, while a writer inserts, updates and deletes."""
    sorts = (Sort(numbers={"Observation": DATE}), Sort(numbers={"Observation": DATE}, descending=True))
    codes = ("x", "y", "z")

    def observation(n: int, turn: int) -> Change:
        rows = [(CODE, codes[(n + turn) % 3], "urn:one")]
        return change("Observation", f"o{n}", *rows, *([(DATE, (n * 7 + turn) % 50, 99)] if n % 5 else []))

    async def walk(plan: Plan) -> None:
        expected = set(await all_keys(store, plan, 1000))
        page = await store.run(plan, 7)
        found = [(v.type, v.id) for v in page.matches]
        turn = 0
        while page.following is not None:
            turn += 1
            changed = [observation((turn * 13 + n) % 250, turn) for n in range(5)]
            changed.append(deletion("Observation", f"o{turn * 3 % 200}"))
            await put(store, *{c.id: c for c in changed}.values())
            page = await store.run(plan, 7, page.following)
            found += [(v.type, v.id) for v in page.matches]
            assert all(v.t <= page.t for v in page.matches)
        assert len(found) == len(set(found))
        assert set(found) == expected

    for n in range(200):
        run(put(store, observation(n, 0)))
    for sort in ((), sorts[:1], sorts[1:], (Sort("updated", descending=True),), (Sort("id"),)):
        run(walk(Plan({"Observation": EVERYTHING}, sort)))
        run(walk(Plan({"Observation": matching(CODE, v="x", x="urn:one")}, sort)))
        run(walk(Plan({"Observation": Row(DATE, (Test("v", "<", 30),))}, sort)))


def test_an_old_snapshot_can_still_be_searched_and_counted(store, run):
    for n in range(12):
        run(put(store, change("Patient", IDS[n % 6], (NAME, "an" if n % 2 else "binh", ""))))
    run(put(store, deletion("Patient", "a")))
    plan = patients(matching(NAME, v="binh"))
    assert run(store.count(plan)) == 2
    for t in range(1, 14):
        expected = {"a", "c", "e"} & {IDS[n % 6] for n in range(min(t, 12))} - ({"a"} if t == 13 else set())
        assert {v.id for v in run(store.run(plan, 9, t=t)).matches} == expected
        assert run(store.count(plan, t=t)) == len(expected)


def test_what_is_referred_to_and_what_refers_come_along(store, run):
    run(put(store, change("Patient", "a"), change("Patient", "b")))
    run(
        put(
            store,
            change("Observation", "o", (SUBJECT, "a", "Patient")),
            change("Observation", "p", (SUBJECT, "a", "Patient")),
        )
    )
    run(put(store, change("Observation", "q", (SUBJECT, "b", "Patient"))))
    plan = Plan({"Observation": matching(SUBJECT, v="a")}, includes=(Include("Observation", (SUBJECT,)),))
    page = run(store.run(plan, 1))
    assert ([v.id for v in page.matches], [v.id for v in page.included]) == (["o"], ["a"])
    back = Include("Observation", (SUBJECT,), reverse=True, iterate=True)
    page = run(store.run(Plan(plan.arms, includes=(*plan.includes, back)), 1))
    assert sorted(v.id for v in page.included) == ["a", "p"]


def test_a_reference_to_a_version_brings_that_version_alone(store, run):
    def referring(resource_id: str, *texts: str) -> Change:
        named = ",".join(f'{{"reference":"{text}"}}' for text in texts)
        rows = [(SUBJECT, "a", "Patient"), (SUBJECT + 3, "Patient/a/_history/1", "")]
        content = Content(b'{"meta":{', f'}},"performer":[{named}]}}'.encode())
        return Change("PUT", "Observation", resource_id, content, rows)

    run(put(store, change("Patient", "a")))
    run(put(store, change("Patient", "a", (NAME, "an", ""))))
    both = ("Patient/a/_history/1", "Patient/a")
    run(put(store, referring("one", both[0]), referring("two", *both)))
    for resource_id, versions in (("one", [1]), ("two", [1, 2])):
        plan = Plan({"Observation": Ids((resource_id,))}, includes=(Include("Observation", (SUBJECT,)),))
        assert sorted(v.version for v in run(store.run(plan, 9)).included) == versions


def test_a_plan_for_nothing_finds_nothing(store, run):
    run(put(store, change("Patient", "a")))
    assert run(store.run(Plan({"Patient": NOTHING}), 9)).matches == ()
    assert run(store.run(Plan({"Unheard": EVERYTHING}), 9)).matches == ()
    assert run(store.run(Plan({}), 9)).matches == ()
    assert run(store.count(patients(matching(7777, v="x")))) == 0
    assert run(store.count(Plan({"Patient": Referrer(SUBJECT, "Observation", EVERYTHING)}))) == 0


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("gầy", {"a"}),
        ("gay OR beo", {"a", "b"}),
        ('"rất gầy" AND thấp', set()),
        ('"rất gầy" OR (beo NOT thap)', {"a"}),
        ("thap beo", {"b"}),
        ("bé*", {"b"}),
        ("AND gay (", {"a"}),
        ('"', set()),
    ],
)
def test_words_are_found_in_narrative_and_content(store, run, expression, expected):
    def told(resource_id: str, text: str) -> Change:
        before = f'{{"resourceType":"Patient","id":"{resource_id}","meta":{{'.encode()
        after = f'}},"text":{{"div":"<div>{text}</div>"}},"name":[{{"text":"Đặng"}}]}}'.encode()
        return Change("PUT", "Patient", resource_id, Content(before, after))

    run(put(store, told("a", "béo"), told("b", "<b>thấp</b> &amp; béo")))
    assert run(store.count(Plan({"Patient": Text("narrative", "thap")}))) == 1
    run(put(store, told("a", "rất gầy"), told("c", "<div>chẳng có gì</div>")))
    assert {i for _, i in run(all_keys(store, Plan({"Patient": Text("narrative", expression)})))} == expected
    assert run(store.count(Plan({"Patient": Text("content", expression)}))) == len(expected)
    assert run(store.count(Plan({"Patient": Text("content", "dang")}))) == 3
    assert run(store.count(Plan({"Patient": Text("narrative", "dang")}))) == 0
    assert run(store.count(Plan({"Patient": Not(Text("narrative", "beo"))}))) == 2
    assert run(store.count(Plan({"Patient": Text("narrative", "beo")}), t=1)) == 2


def test_a_resource_with_several_rows_in_a_range_is_found_once(store, run):
    run(put(store, change("Observation", "o", (DATE, 1, 9), (DATE, 2, 9), (DATE, 3, 9))))
    asked = Row(DATE, (Test("v", ">", 0),))
    for predicate in (asked, And((asked,)), Or((asked,)), Or((And((asked,)),)), And((Or((asked,)), asked))):
        for sort in ((), (Sort("id"),), (Sort("row", {"Observation": DATE}),)):
            plan = Plan({"Observation": predicate}, sort)
            assert run(all_keys(store, plan, 1)) == [("Observation", "o")]
            assert run(store.count(plan)) == 1


def test_words_are_found_in_the_type_that_is_searched(store, run):
    for kind in ("Patient", "Observation"):
        told = Content(b'{"meta":{', b'},"text":{"div":"<div>same words</div>"}}')
        run(put(store, Change("PUT", kind, kind.lower(), told, ((NAME if kind == "Patient" else CODE, "x", ""),))))
    text = Text("narrative", "words")
    assert run(all_keys(store, Plan({"Patient": text}))) == [("Patient", "patient")]
    assert run(store.count(Plan({"Observation": text}))) == 1
    both = Plan({"Patient": text, "Observation": Or((text, Row(CODE)))})
    assert sorted(run(all_keys(store, both))) == [("Observation", "observation"), ("Patient", "patient")]


def test_versions_can_be_given_other_rows_later(store, run):
    for n, resource_id in enumerate(IDS):
        run(put(store, change("Patient", resource_id, (NAME, "an" if n % 2 else "binh", ""))))
    run(put(store, change("Patient", "a", (NAME, "chi", ""))))
    renewed = [Indexed("Patient", i, 1, ((NAME, "anh", ""), (IDENTIFIER, "x", "urn:one"))) for i in (*IDS, "unknown")]
    assert run(store.index(renewed)) == 5
    assert run(all_keys(store, patients(matching(NAME, v="anh")))) == [("Patient", i) for i in IDS[1:]]
    assert run(all_keys(store, patients(matching(IDENTIFIER, v="x")))) == [("Patient", i) for i in IDS[1:]]
    assert run(store.count(patients(matching(NAME, v="an")))) == 0
    assert run(all_keys(store, patients(matching(NAME, v="chi")))) == [("Patient", "a")]
    run(put(store, change("Patient", "b", (NAME, "binh", "")), deletion("Patient", "c")))
    assert run(store.count(patients(matching(NAME, v="anh")))) == 3
    assert run(store.history(Scope(), 100))[-1].t == 8


@pytest.mark.parametrize("most", [join.MOST_PICKED, 1])
def test_joins_follow_every_change_of_what_they_depend_on(store, run, monkeypatch, most):
    """Whether the outcome of a join is kept, or each resource is looked at."""
    monkeypatch.setattr(join, "MOST_PICKED", most)
    monkeypatch.setattr(search, "FEW_ENOUGH_TO_SORT", most)
    chain = Plan({"Observation": Chain(SUBJECT, (("Patient", matching(NAME, v="an")),))})
    referred = Plan({"Patient": Referrer(SUBJECT, "Observation", matching(CODE, v="x"))})

    def found() -> tuple[list[str], list[str]]:
        return [key[1] for key in run(all_keys(store, chain))], [key[1] for key in run(all_keys(store, referred))]

    patients = [change("Patient", i, (NAME, "an" if i in "ab" else "binh", "")) for i in IDS]
    run(put(store, *patients, *(change("Observation", f"o{i}", (SUBJECT, i, "Patient")) for i in IDS)))
    assert found() == (["oa", "ob"], [])
    run(put(store, change("Observation", "oc", (SUBJECT, "c", "Patient"), (CODE, "x", ""))))
    run(put(store, change("Observation", "od", (SUBJECT, "b", "Patient"), (CODE, "x", ""))))
    assert tuple(map(sorted, found())) == (["oa", "ob", "od"], ["b", "c"])
    then = run(store.snapshot()).t
    run(put(store, deletion("Patient", "b")))
    assert tuple(map(sorted, found())) == (["oa"], ["c"])
    assert run(store.index([Indexed("Patient", "a", 1, ()), Indexed("Patient", "c", 1, ((NAME, "an", ""),))])) == 2
    assert run(store.index([Indexed("Observation", "oc", 2, ((SUBJECT, "c", "Patient"),))])) == 1
    assert found() == (["oc"], [])
    assert run(store.count(Plan({"Patient": Ids(("b",))}), then)) == 1


def test_a_note_is_changed_by_who_saw_it_last(opened, run):
    first, second = opened(), opened()
    assert run(first.note("lease")) is None
    assert run(first.keep("lease", "first", None)) is True
    assert run(second.keep("lease", "second", None)) is False
    assert run(second.note("lease")) == "first"
    assert run(second.keep("lease", "second", "first")) is True
    assert run(first.keep("lease", None, "first")) is False
    assert run(first.keep("lease", None, "second")) is True
    assert (run(first.note("lease")), run(second.note("lease"))) == (None, None)


def test_of_many_who_change_a_note_at_once_one_succeeds(opened, run):
    stores = [opened(), opened()]

    async def all_at_once():
        return await asyncio.gather(*(stores[n % 2].keep("lease", str(n), None) for n in range(20)))

    assert run(all_at_once()).count(True) == 1


def test_a_backup_is_a_store_of_its_own(store, run, tmp_path):
    run(put(store, change("Patient", "a", (NAME, "an", ""))))
    assert run(store.backup(tmp_path / "copy.db")) == 1
    run(put(store, change("Patient", "b", (NAME, "an", ""))))
    copy = SqliteStore(tmp_path / "copy.db")
    assert run(all_keys(copy, patients(matching(NAME, v="an")))) == [("Patient", "a")]
    run(copy.close())


class AgainstTheModel(RuleBasedStateMachine):
    """Any sequence of commits and searches gives what the model says."""

    open: Open
    cursors: Bundle[tuple[Plan, str | None, int, tuple[Key, ...]]] = Bundle("cursors")

    @initialize()
    def begin(self) -> None:
        self.folder = TemporaryDirectory()
        self.runner = asyncio.Runner()
        self.model = Model()
        self.oldest = 0
        self.store = self.runner.run(type(self).open(Path(self.folder.name)))
        self.other = self.runner.run(type(self).open(Path(self.folder.name)))
        self.runner.run(self.store.number(PARAMETERS))

    def teardown(self) -> None:
        if hasattr(self, "folder"):
            versions = self.runner.run(self.store.history(Scope(), 10_000))
            assert versions == self.model.versions()
            self.runner.run(self.store.close())
            self.runner.run(self.other.close())
            self.runner.close()
            self.folder.cleanup()

    @rule(
        made=st.lists(changes(), min_size=1, max_size=3, unique_by=lambda c: (c.type, c.id)), plan=st.none() | plans()
    )
    def commit(self, made: list[Change], plan: Plan | None) -> None:
        self.attempt(Request(tuple(made), () if plan is None else (Expectation(plan, most=20),)))

    @rule(made=st.lists(changes(), min_size=2, max_size=8))
    def commit_at_once(self, made: list[Change]) -> None:
        async def together() -> Any:
            requests = [Request((c,)) for c in made]
            return await asyncio.gather(*(self.store.commit(r) for r in requests), return_exceptions=True)

        done = [(c, o) for c, o in zip(made, self.runner.run(together()), strict=True) if isinstance(o, Committed)]
        for change_, committed in sorted(done, key=lambda pair: pair[1].t):
            self.model.record([change_], committed.outcomes)

    def attempt(self, request: Request) -> None:
        expected = [e.found == self.model.find(e.plan) for e in request.expectations]
        matching_versions = [self.is_current(c) for c in request.changes]
        outcome = self.runner.run(outcome_of(self.store.commit(request)))
        if isinstance(outcome, VersionUnmet):
            assert not matching_versions[outcome.index]
        elif isinstance(outcome, ExpectationUnmet):
            assert all(matching_versions)
            assert not expected[outcome.index]
            assert outcome.found == self.model.find(request.expectations[outcome.index].plan)
        else:
            assert all(matching_versions)
            assert all(expected)
            self.check(request, outcome)
            self.model.record(request.changes, outcome.outcomes)

    def is_current(self, made: Change) -> bool:
        current = self.model.current((made.type, made.id))
        live = current.version.version if current and not current.deleted else 0
        return made.if_match is None or made.if_match == live

    def check(self, request: Request, committed: Committed) -> None:
        last = max((v.t for v in self.model.versions()), default=0)
        changed = [o for o in committed.outcomes if o.effect != "unchanged"]
        assert committed.t == last + bool(changed)
        for made, outcome in zip(request.changes, committed.outcomes, strict=True):
            before = self.model.current((made.type, made.id))
            if outcome.version is None or outcome.effect == "unchanged":
                assert outcome.version == (before.version if before else None)
                continue
            assert outcome.version.t == committed.t
            assert outcome.version.version == (before.version.version + 1 if before else 1)

    @rule(plan=plans(), limit=st.integers(1, 4), age=st.integers(0, 12), second=st.booleans(), target=cursors)
    def search(self, plan: Plan, limit: int, age: int, second: bool) -> Any:  # noqa: FBT001
        store = self.other if second else self.store
        t = max(self.runner.run(store.snapshot()).t - age, self.oldest)
        assert self.runner.run(store.count(plan, t=t)) == len(self.model.find(plan, t))
        page = self.runner.run(store.run(plan, limit, t=t))
        assert page.t == t
        return self.turned(plan, page, ())

    @rule(cursor=consumes(cursors), limit=st.integers(1, 4), target=cursors)
    def go_on(self, cursor: tuple[Plan, str, int, tuple[Key, ...]], limit: int) -> Any:
        plan, following, t, found = cursor
        if t <= self.oldest:
            return multiple()
        page = self.runner.run(self.store.run(plan, limit, following))
        assert page.t == t
        return self.turned(plan, page, found)

    def turned(self, plan: Plan, page: Any, before: tuple[Key, ...]) -> Any:
        """Check what was found so far; give the cursor back as long as there is more."""
        found = (*before, *((v.type, v.id) for v in page.matches))
        expected = self.model.find(plan, page.t)
        snapshot = self.model.at(page.t)
        assert len(found) == len(set(found))
        assert set(found) <= expected
        assert [snapshot[v.type, v.id].version for v in page.matches] == list(page.matches)
        assert is_in_order(plan, found, snapshot)
        if page.following is None:
            assert set(found) == expected
            return multiple()
        return (plan, page.following, page.t, found)

    @rule(resource_id=st.sampled_from(IDS), kind=st.sampled_from(("Patient", "Observation")))
    def read(self, resource_id: str, kind: str) -> None:
        states = self.model.states.get((kind, resource_id), [])
        current = self.runner.run(self.other.read(kind, resource_id))
        assert current == (states[-1].version if states else None)
        for state in states:
            number = state.version.version
            assert self.runner.run(self.store.read(kind, resource_id, number)) == state.version
            assert self.runner.run(self.store.read(kind, resource_id, t=state.version.t)) == state.version
        chain = self.runner.run(self.store.history(Scope((kind,), resource_id), 100))
        assert chain == [state.version for state in states]

    @rule(resource_id=st.sampled_from(IDS), rows=ROWS["Patient"])
    def index(self, resource_id: str, rows: list[Any]) -> None:
        state = self.model.current(("Patient", resource_id))
        if state is not None and not state.deleted:
            entry = Indexed("Patient", resource_id, state.version.version, tuple(rows))
            assert self.runner.run(self.store.index([entry])) == 1
            state.rows = tuple(rows)
            # Which rows an older snapshot sees from now on is not promised.
            self.oldest = self.runner.run(self.store.snapshot()).t

    @rule()
    def open_again(self) -> None:
        self.runner.run(self.store.close())
        self.store = self.runner.run(type(self).open(Path(self.folder.name)))


@pytest.mark.parametrize(
    ("few", "kind"), [(search.FEW_ENOUGH_TO_SORT, kind) for kind in STORES] + [(1, kind) for kind in STORES[:2]]
)
def test_any_sequence_of_commits_and_searches_agrees_with_the_model(kind, server, few, monkeypatch):
    """With `few` at 1, no search in SQLite sorts what it could follow, and none picks what it could look up."""
    monkeypatch.setattr(search, "FEW_ENOUGH_TO_SORT", few)
    monkeypatch.setattr(join, "MOST_PICKED", few)
    monkeypatch.setattr(search, "FIRST_WALKED", few)
    monkeypatch.setattr(search, "MOST_SORTED", 2 if few == 1 else search.MOST_SORTED)
    monkeypatch.setattr(source, "MOST_BRANCHES", 3 if few == 1 else source.MOST_BRANCHES)
    opening = partial(open_store, kind, server=server)
    machine: Any = type("Against", (AgainstTheModel,), {"open": staticmethod(opening)})
    machine.TestCase.settings = settings(
        max_examples=60, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
    )
    machine.TestCase().runTest()


def test_a_chain_goes_into_what_is_contained(store, run):
    inside = Reference.INSIDE
    within_first = [(SUBJECT + inside, 0, "Patient"), (moved(NAME, 0), "an", ""), (moved(NAME, 1), "chi", "")]
    run(put(store, change("Patient", "a", (NAME, "an", ""))))
    run(
        put(
            store,
            change("Observation", "o", *within_first),
            change("Observation", "p", (SUBJECT, "a", "Patient")),
            change("Observation", "q", (SUBJECT + inside, 1, "Patient"), (moved(NAME, 1), "binh", "")),
        )
    )
    for name, expected in (("an", {"o", "p"}), ("binh", {"q"}), ("chi", set())):
        plan = Plan({"Observation": Chain(SUBJECT, (("Patient", matching(NAME, v=name)),))})
        assert {i for _, i in run(all_keys(store, plan))} == expected
        assert run(store.count(plan)) == len(expected)


def test_what_is_contained_is_found_by_what_contains_it(store, run):
    contained = [(moved(CONTAINS, 0), "Patient", ""), (moved(NAME, 0), "an", ""), (CONTAINS, "Observation", "")]
    own = [(moved(CONTAINS, 2), "Patient", ""), (moved(NAME, 2), "an", ""), (CONTAINS, "Patient", ""), (NAME, "an", "")]
    run(put(store, change("Patient", "a", (NAME, "an", "")), change("Patient", "b", *own)))
    run(put(store, change("Observation", "o", *contained), change("Observation", "p", (CODE, "x", ""))))
    asked = {"Patient": matching(NAME, v="an")}
    for alone, expected in ((True, {"b", "o"}), (False, {"a", "b", "o"})):
        plan = Plan(arms_of(asked, asked, alone=alone))
        assert sorted(i for _, i in run(all_keys(store, plan))) == sorted(expected)
        assert run(store.count(plan)) == len(expected)
    nameless = {"Patient": Not(Present(NAME))}
    assert run(all_keys(store, Plan(arms_of(nameless, nameless, alone=True)))) == []


def test_joins_follow_canonicals_and_their_versions(store, run):
    version, canonical = IDENTIFIER + 1, SUBJECT + Reference.CANONICAL
    run(put(store, change("Patient", "a", (NAME, "urn:q", ""), (version, "1", ""), (IDENTIFIER, "x", ""))))
    run(put(store, change("Patient", "b", (NAME, "urn:q", ""), (version, "2-b", ""), (IDENTIFIER, "y", ""))))
    held = {"any": "", "one": "1", "two": "2-B", "none": "3"}
    for name, asked in held.items():
        run(put(store, change("Observation", name, (canonical, "urn:q", asked), (CODE, name, ""))))
    for value, expected in (("x", {"any", "one"}), ("y", {"any", "two"}), ("z", set())):
        chain = Chain(SUBJECT, (("Patient", matching(IDENTIFIER, v=value)),), (("Patient", NAME, version),))
        assert {i for _, i in run(all_keys(store, Plan({"Observation": chain})))} == expected
    for name, expected in (("any", {"a", "b"}), ("one", {"a"}), ("two", {"b"}), ("none", set())):
        referrer = Referrer(SUBJECT, "Observation", matching(CODE, v=name), (NAME, version))
        assert {i for _, i in run(all_keys(store, Plan({"Patient": referrer})))} == expected

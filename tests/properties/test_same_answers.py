"""The same commits and the same searches give the same resources in the same order, page by page, on every store."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from itertools import groupby
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any
from uuid import uuid4
from zoneinfo import ZoneInfo

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pymongo import MongoClient

from fhir_server.definitions.registry import r4
from fhir_server.search.codes import NoCodes
from fhir_server.search.contained import CONTAINS
from fhir_server.search.index import Indexer
from fhir_server.search.parameters import Parameter
from fhir_server.search.plan import (
    EVERY_TYPE,
    EVERYTHING,
    And,
    Ids,
    Include,
    Near,
    Not,
    Plan,
    Row,
    Sort,
    Test,
    Text,
    Updated,
)
from fhir_server.search.query import Searcher
from fhir_server.search.row import FACETS, NAMES
from fhir_server.store.aggregation import join
from fhir_server.store.content import content
from fhir_server.store.mongodb.store import MongoStore
from fhir_server.store.protocol import Change, Request, Store, Unmet, Version
from fhir_server.store.sqlite.store import SqliteStore
from tests.contracts.model import Model, sort_key
from tests.contracts.resources import PARAMETERS, POSITION, SUBJECT, change, changes, plans
from tests.search.corpus import described, numbered, spread, written
from tests.search.naive import OWN, World

SEARCHES = 150
AT_ONCE = 20
MOST_RESOURCES = 500
INCLUDES = (
    Include("Observation", (SUBJECT,)),
    Include("Observation", (SUBJECT,), reverse=True),
    Include("Observation", (SUBJECT,), reverse=True, iterate=True),
)
TYPES = {parameter.number: parameter.type for parameter in PARAMETERS}

PATIENTS = Row(CONTAINS, (Test("v", "=", "Patient"),))
WORDINGS = ("patient", '"blood pressure"', "pres* NOT blood", "(glucose OR weight) kg", '"heart ra"*')
PLACES = (
    (-90.0, 0.0), (10.0, 105.0), (10.0, 105.001), (10.2, -180.0), (10.2, 179.99), (89.99, 20.0), (21.03, 105.85),
)  # fmt: skip

Seen = tuple[str, str, int]


class Moment:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


@dataclass
class Both:
    """A store on SQLite and one on MongoDB, and the model of what they have been told."""

    sqlite: Store
    mongodb: Store
    now: Moment
    model: Model = field(default_factory=Model)

    async def commit(self, *made: Change) -> None:
        """Commit to both, which must agree on what comes of it."""
        self.now.seconds += 1
        one, other = [await attempt(store, Request(made)) for store in (self.sqlite, self.mongodb)]
        assert type(one) is type(other)
        if not isinstance(one, Unmet):
            assert one == other
            self.model.record(made, one.outcomes)

    async def check(self, plan: Plan, limit: int, t: int, is_named: Callable[[int], bool]) -> list[Seen]:
        """Follow a plan through both, page by page; return what it finds."""
        assert await self.sqlite.count(plan, t) == await self.mongodb.count(plan, t)
        found: list[Seen] = []
        theirs: list[Seen] = []
        cursor = other = None
        while True:
            page = await self.sqlite.run(plan, limit, cursor, t)
            same = await self.mongodb.run(plan, limit, other, t)
            found += seen(page.matches)
            theirs += seen(same.matches)
            if plan.sort and not self.is_tied(plan, is_named):
                assert page.matches == same.matches
                assert seen(page.included) == seen(same.included)
            cursor, other = page.following, same.following
            assert (cursor is None) == (other is None)
            if cursor is None:
                break
        assert self.told_apart(plan, found, t, is_named) == self.told_apart(plan, theirs, t, is_named)
        return found

    def is_tied(self, plan: Plan, is_named: Callable[[int], bool]) -> bool:
        """Whether equal values stand in an order of each store's own: by the names of systems, units or types."""
        return len(plan.sort) == 1 and any(map(is_named, plan.sort[0].numbers.values()))

    def told_apart(self, plan: Plan, found: Sequence[Seen], t: int, is_named: Callable[[int], bool]) -> list[Any]:
        """What was found, as far as the plan says in which order."""
        if not plan.sort:
            return sorted(found)
        if not self.is_tied(plan, is_named):
            return list(found)
        snapshot = self.model.at(t)
        value = {one: sort_key(plan.sort[0], one[:2], snapshot[one[:2]]) for one in found}
        return [sorted(group) for _, group in groupby(found, key=value.__getitem__)]


def seen(versions: Sequence[Version]) -> list[Seen]:
    """Which versions they are."""
    return [(version.type, version.id, version.version) for version in versions]


async def attempt(store: Store, request: Request) -> Any:
    """What a commit gives, a refusal included."""
    try:
        return await store.commit(request)
    except Unmet as refusal:
        return refusal


@pytest.fixture(scope="module")
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as made:
        yield made


@asynccontextmanager
async def both(server: str) -> AsyncIterator[Both]:
    """Two empty stores, whose clocks agree."""
    name = f"same-{uuid4().hex}"
    with TemporaryDirectory() as folder:
        now = Moment()
        one = SqliteStore(Path(folder) / "store.db", now, most_waiting=50)
        other = await MongoStore.open(f"{server}/{name}", now, is_single=True)
        try:
            yield Both(one, other, now)
        finally:
            await one.close()
            await other.close()
            with MongoClient[Any](server) as client:
                client.drop_database(name)


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    made=st.lists(changes(), min_size=3, max_size=20),
    wanted=st.lists(plans(), min_size=3, max_size=6),
    includes=st.lists(st.sampled_from(INCLUDES), max_size=2),
    paged=st.tuples(st.integers(1, 4), st.integers(0, 4)),
    picked=st.sampled_from((0, join.MOST_PICKED)),
    may_come=st.sampled_from((None, lambda version: version.id < "d", lambda version: version.version % 2 == 1)),
)
def test_any_commits_and_any_plans(mongodb, runner, made, wanted, includes, paged, picked, may_come):
    """With `picked` at 0 the database does every join; `paged` is the length of a page, and how old its snapshot is."""
    limit, age = paged

    async def run() -> None:
        async with both(mongodb) as stores:
            await stores.sqlite.number(PARAMETERS)
            await stores.mongodb.number(PARAMETERS)
            for change in made:
                await stores.commit(change)
            t = max((await stores.sqlite.snapshot()).t - age, 0)
            for plan in wanted:
                asked = replace(plan, includes=tuple(includes), may_come=may_come)
                await stores.check(asked, limit, t, is_named_in(TYPES))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(join, "MOST_PICKED", picked)
        runner.run(run())


def is_named_in(types: Mapping[int, str]) -> Callable[[int], bool]:
    """Whether the rows of a number have a name in x."""
    return lambda number: NAMES.get((types[number - number % FACETS], number % FACETS)) == "x"


@pytest.fixture(scope="module")
def indexer() -> Indexer:
    return Indexer(r4(), bases=[OWN])


@pytest.fixture(scope="module")
def resources(r4_examples, synthea_resources) -> list[dict[str, Any]]:
    """Real resources, as far as each refers to others of them or is referred to."""
    found = spread(r4_examples, synthea_resources)
    return found[:: max(len(found) // MOST_RESOURCES, 1)] + [one for one in found if one["resourceType"] == "Patient"]


@pytest.fixture(scope="module")
def stored(mongodb, runner, resources, indexer) -> Iterator[Both]:
    """Both stores with the resources, some of them changed, some deleted."""
    context = both(mongodb)
    stores = runner.run(context.__aenter__())
    try:
        runner.run(fill(stores, list({(r["resourceType"], r["id"]): r for r in resources}.values()), indexer))
        yield stores
    finally:
        runner.run(context.__aexit__(None, None, None))


async def fill(stores: Both, resources: Sequence[dict[str, Any]], indexer: Indexer) -> None:
    for store in (stores.sqlite, stores.mongodb):
        await store.number(numbered(resources, indexer))
    for start in range(0, len(resources), AT_ONCE):
        await stores.commit(*(stated(body, indexer) for body in resources[start : start + AT_ONCE]))
    for body in resources[::11]:
        await stores.commit(stated(body, indexer))
    for body in resources[::17]:
        await stores.commit(Change("DELETE", body["resourceType"], body["id"]))


def stated(body: dict[str, Any], indexer: Indexer) -> Change:
    """The change that makes a resource."""
    kind, identity = body["resourceType"], body["id"]
    return Change("PUT", kind, identity, content(orjson.dumps(body), body, identity), indexer.all_rows(body))


def sorted_somehow(plan: Plan, kind: str, indexer: Indexer, random: Random) -> Plan:
    """The plan with an order, and with what some reference of the type points to, or from elsewhere here."""
    parameters = able(indexer, kind)
    keys: list[Sort] = [
        Sort("row", {kind: parameter.number}, random.random() < 0.5)
        for parameter in random.sample(parameters, min(len(parameters), random.choice((0, 1, 1, 2))))
    ]
    if random.random() < 0.3:
        keys.append(Sort(random.choice(("updated", "id")), descending=random.random() < 0.5))
    source = random.choice(("Observation", "Encounter", kind))
    includes = (
        Include(kind, references(indexer, kind), iterate=random.random() < 0.5),
        Include(source, references(indexer, source), reverse=True, iterate=random.random() < 0.2),
    )
    return replace(plan, sort=tuple(keys), includes=random.choice(((), includes)))


def able(indexer: Indexer, kind: str) -> list[Parameter]:
    """The parameters that a type can be sorted by."""
    return [p for p in indexer.parameters.of(kind).values() if p.type not in ("special", "composite")]


def references(indexer: Indexer, kind: str) -> tuple[int, ...]:
    """The parameters by which a type refers to others."""
    return tuple(parameter.number for parameter in able(indexer, kind) if parameter.type == "reference")


@pytest.mark.shared
def test_random_searches_over_real_resources(stored, runner, resources, indexer):
    types = numbers_of(indexer)
    world = World(r4(), indexer.parameters, resources)
    searcher = Searcher(indexer.parameters, codes=NoCodes(), zone=ZoneInfo("Asia/Ho_Chi_Minh"), bases=(OWN,))
    random = Random(SEARCHES)

    async def run() -> int:
        t = (await stored.sqlite.snapshot()).t
        successful = 0
        for kind, conditions, query, _ in written(world, searcher, SEARCHES):
            plan = sorted_somehow(query.plan, kind, indexer, random)
            limit, age = random.choice((3, 10, 50)), random.choice((0, 0, len(resources) // 20))
            try:
                successful += bool(await stored.check(plan, limit, t - age, is_named_in(types)))
            except AssertionError as wrong:
                raise AssertionError(f"{described(kind, conditions)} {plan.sort} {plan.includes}") from wrong
        return successful

    assert runner.run(run()) > SEARCHES // 4


def numbers_of(indexer: Indexer) -> dict[int, str]:
    """The type of each parameter by its number."""
    return {p.number: p.type for kind in r4().resource_types for p in indexer.parameters.of(kind).values()}


@pytest.mark.shared
@pytest.mark.parametrize(
    "plan",
    [
        Plan({"Patient": EVERYTHING}),
        Plan({"Observation": And((Ids(("example", "f001", "f002")), Not(Updated(1_000_000, 1_020_000))))}),
        Plan({EVERY_TYPE: Row(CONTAINS)}, (Sort("updated", descending=True),)),
        Plan({"Patient": EVERYTHING, EVERY_TYPE: And((Row(CONTAINS), Not(PATIENTS)))}, (Sort("id"),)),
        Plan({"Patient": EVERYTHING, EVERY_TYPE: And((Row(CONTAINS), Not(PATIENTS)))}),
        *(
            Plan({kind: Text(within, expression)}, (Sort("id"),))
            for kind in ("Patient", "Observation")
            for within in ("narrative", "content")
            for expression in WORDINGS
        ),
    ],
    ids=lambda plan: str(plan.arms),
)
def test_searches_by_words_and_over_all_types(stored, runner, plan):
    async def run() -> None:
        t = (await stored.sqlite.snapshot()).t
        for at in (t, t // 2):
            await stored.check(plan, 20, at, lambda _: False)

    runner.run(run())


def test_positions_near_a_point(mongodb, runner):
    async def run() -> None:
        async with both(mongodb) as stores:
            await stores.sqlite.number(PARAMETERS)
            await stores.mongodb.number(PARAMETERS)
            for n, (latitude, longitude) in enumerate(PLACES):
                await stores.commit(change("Patient", f"p{n}", (POSITION, latitude, longitude)))
            for latitude, longitude in PLACES:
                for metres in (0.5, 109.0, 110.0, 2_500.0, 1_300_000.0, 20_015_000.0):
                    plan = Plan({"Patient": Near(POSITION, latitude, longitude, metres)}, (Sort("id"),))
                    assert await stores.check(plan, 3, len(PLACES), lambda _: False)

    runner.run(run())

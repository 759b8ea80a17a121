"""Random searches over real resources find by index rows what a slow evaluation by FHIRPath finds."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

import orjson
import pytest

from fhir_server.definitions.registry import r4
from fhir_server.search.codes import NoCodes
from fhir_server.search.index import Indexer
from fhir_server.search.query import Query, Searcher
from fhir_server.store.protocol import Change, Content, Numbered, Request, Version
from fhir_server.store.sqlite.store import SqliteStore
from tests.contracts.model import Key, State, holds
from tests.search.naive import OWN, World
from tests.search.random_query import Author, Condition

NOW = 1_795_000_000_000
SEED, SEARCHES = 20261123, 800
MANY = 10_000
CONDITIONAL = re.compile(rb'"([A-Z][A-Za-z]+)\?identifier=[^"|]*\|([^"|]*)"')
"""A conditional reference, as only a transaction has it."""
NOT_SEARCHED = ("Bundle", "Parameters", "Binary")

pytestmark = pytest.mark.shared


@pytest.fixture(scope="module")
def resources(r4_examples, synthea_resources) -> list[dict[str, Any]]:
    """A spread of the official examples, and some linked synthetic records."""
    found: dict[Key, dict[str, Any]] = {}
    examples = [raw for name, raw in sorted(r4_examples.items()) if b'"resourceType"' in raw][::6]
    linked = [line for line in synthea_resources if len(line) < 20_000]
    for raw in (*examples, *linked[::12]):
        body = orjson.loads(CONDITIONAL.sub(rb'"\1/\2"', raw))
        if "id" in body and body.get("resourceType") in r4().resource_types.difference(NOT_SEARCHED):
            found.setdefault((body["resourceType"], body["id"]), body)
    for body in list(found.values()):
        if body["resourceType"] == "Encounter":
            found.update(patients_of(body, synthea_resources))
    return list(found.values())


def patients_of(body: dict[str, Any], lines: list[bytes]) -> dict[Key, dict[str, Any]]:
    """The patient of a synthetic encounter, so that chains lead somewhere."""
    identity = body.get("subject", {}).get("reference", "").removeprefix("Patient/").encode()
    marks = (b'"resourceType":"Patient"', b'"id":"' + identity + b'"')
    chosen = [orjson.loads(line) for line in lines if identity and all(mark in line[:200] for mark in marks)]
    return {("Patient", one["id"]): one for one in chosen}


@pytest.fixture(scope="module")
def indexer() -> Indexer:
    return Indexer(r4(), bases=[OWN])


@pytest.fixture(scope="module")
def searches(resources, indexer) -> list[tuple[str, tuple[Condition, ...], Query, set[Key]]]:
    """Searches with what they are to find."""
    world = World(r4(), indexer.parameters, resources)
    searcher = Searcher(indexer.parameters, codes=NoCodes(), zone=ZoneInfo("Asia/Ho_Chi_Minh"), bases=(OWN,))
    return list(written(world, searcher))


def written(world: World, searcher: Searcher) -> Iterator[tuple[str, tuple[Condition, ...], Query, set[Key]]]:
    random = Random(SEED)
    author = Author(world, random, NOW)
    kinds = sorted({kind for kind, _ in world.resources})
    common = ["Observation", "Patient", "Encounter", "Condition", "MedicationRequest", "Procedure"]
    for _ in range(SEARCHES):
        kind = random.choice(kinds + common * 8)
        windows = author.window(kind) if random.random() < 0.2 else []
        conditions = (*windows, *(author.condition(kind) for _ in range(random.choice((1, 1, 2, 3)) - bool(windows))))
        query = searcher.query((kind,), [(c.name, c.value) for c in conditions], now=NOW)
        found = {(kind, r["id"]) for r in world.of_type(kind) if all(c.judge(r) for c in conditions)}
        yield kind, conditions, query, found


def described(kind: str, conditions: tuple[Condition, ...]) -> str:
    return f"{kind}?{'&'.join(f'{c.name}={c.value}' for c in conditions)}"


def test_searches_over_rows_find_what_is_found_slowly(resources, indexer, searches):
    snapshot = {}
    for place, body in enumerate(resources, 1):
        key = (body["resourceType"], body["id"])
        version = Version(*key, 1, place, 0, "PUT", b"{}")
        snapshot[key] = State(version, tuple(indexer.all_rows(body)))
    wrong = []
    for kind, conditions, query, expected in searches:
        found = {key for key in snapshot if key[0] == kind and holds(query.plan.arms[kind], key, snapshot)}
        if found != expected:
            wrong.append((described(kind, conditions), sorted(found - expected)[:3], sorted(expected - found)[:3]))
    assert wrong == []
    assert sum(1 for *_, expected in searches if expected) > SEARCHES // 3


def test_a_store_finds_the_same(resources, indexer, searches, tmp_path):
    async def found() -> list[tuple[str, set[Key], set[Key]]]:
        store = SqliteStore(tmp_path / "store.sqlite", most_waiting=500)
        wanted = [
            Numbered(f"{kind}.{code}", parameter.number, parameter.type)
            for kind in sorted({kind for _, kind, *_ in ((0, r["resourceType"]) for r in resources)})
            for code, parameter in indexer.parameters.of(kind).items()
        ]
        await store.number(wanted)
        for body in resources:
            change = Change(
                "PUT", body["resourceType"], body["id"], Content(b'{"meta":{', b"}}"), rows=indexer.all_rows(body)
            )
            await store.commit(Request((change,)))
        wrong = []
        for kind, conditions, query, expected in searches:
            page = await store.run(query.plan, MANY)
            keys = {(version.type, version.id) for version in page.matches}
            if keys != expected or len(page.matches) != await store.count(query.plan):
                wrong.append((described(kind, conditions), keys - expected, expected - keys))
        await store.close()
        return wrong

    assert asyncio.run(found()) == []

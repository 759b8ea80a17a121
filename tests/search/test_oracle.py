"""Random searches over real resources find by index rows what a slow evaluation by FHIRPath finds."""

from __future__ import annotations

import asyncio
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from fhir_server.definitions.registry import r4
from fhir_server.search.codes import NoCodes
from fhir_server.search.index import Indexer
from fhir_server.search.query import Query, Searcher
from fhir_server.store.protocol import Change, Content, Request, Version
from fhir_server.store.sqlite.store import SqliteStore
from tests.contracts.model import Key, State, holds
from tests.search.corpus import described, numbered, spread, written
from tests.search.naive import OWN, World
from tests.search.random_query import Condition

SEARCHES = 800
MANY = 10_000
pytestmark = pytest.mark.shared


@pytest.fixture(scope="module")
def resources(r4_examples, synthea_resources) -> list[dict[str, Any]]:
    return spread(r4_examples, synthea_resources)


@pytest.fixture(scope="module")
def indexer() -> Indexer:
    return Indexer(r4(), bases=[OWN])


@pytest.fixture(scope="module")
def searches(resources, indexer) -> list[tuple[str, tuple[Condition, ...], Query, set[Key]]]:
    """Searches with what they are to find."""
    world = World(r4(), indexer.parameters, resources)
    searcher = Searcher(indexer.parameters, codes=NoCodes(), zone=ZoneInfo("Asia/Ho_Chi_Minh"), bases=(OWN,))
    return list(written(world, searcher, SEARCHES))


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
        await store.number(numbered(resources, indexer))
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

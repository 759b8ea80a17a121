"""On a real MongoDB, no question that an index can answer looks through a whole collection.

The server in memory has neither indexes that are not unique nor `explain`, so it cannot show this.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
from pymongo import MongoClient
from pymongo.database import Database

from fhir_server.search.plan import (
    EVERYTHING,
    And,
    Chain,
    Ids,
    Include,
    Near,
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
from fhir_server.store.aggregation import join, search
from fhir_server.store.aggregation.document import collection
from fhir_server.store.aggregation.join import Asking, Query
from fhir_server.store.mongodb.store import MongoStore
from fhir_server.store.protocol import Request
from tests.contracts.resources import (
    CODE,
    DATE,
    IDENTIFIER,
    NAME,
    PARAMETERS,
    POSITION,
    SUBJECT,
    VALUE,
    change,
    matching,
)

PATIENTS, OBSERVATIONS, AT_ONCE = 300, 1500, 100
COMMITS = (PATIENTS + OBSERVATIONS) // AT_ONCE
TYPES = ("Observation", "Patient")
KNOWN = matching(IDENTIFIER, v="i7", x="urn:one")
CODED = Or((matching(CODE, v="c7"), matching(CODE + 1, v="c7")))
PLANS = {
    "id": Plan({"Patient": Ids(("p1", "p2"))}),
    "token": Plan({"Patient": KNOWN}),
    "token in two facets": Plan({"Observation": CODED}),
    "string": Plan({"Patient": Row(NAME, (Test("v", "starts", "name1"),))}),
    "part of a string": Plan({"Patient": Row(NAME, (Test("v", "contains", "me1"),))}),
    "date": Plan({"Observation": Row(DATE, (Test("v", ">=", 100), Test("v", "<", 120)))}),
    "quantity": Plan({"Observation": Row(VALUE, (Test("v", ">", 140.0), Test("x", "=", "mg")))}),
    "reference": Plan({"Observation": matching(SUBJECT, v="p7", x="Patient")}),
    "several": Plan({"Observation": And((matching(SUBJECT, v="p7", x="Patient"), CODED, Not(Row(NAME))))}),
    "present": Plan({"Patient": Present(POSITION)}),
    "near": Plan({"Patient": Near(POSITION, 10.0, 105.0, 2_000.0)}),
    "updated": Plan({"Patient": Updated(2**52)}),
    "words": Plan({"Patient": Text("content", "something")}),
    "chain": Plan({"Observation": Chain(SUBJECT, (("Patient", KNOWN),))}),
    "referrer": Plan({"Patient": Referrer(SUBJECT, "Observation", matching(CODE, v="c7"))}),
    "both, in an order": Plan(
        {"Observation": And((matching(SUBJECT, v="p7", x="Patient"), CODED))},
        (Sort("row", {"Observation": DATE}, descending=True),),
    ),
    "everything as it changed": Plan({"Patient": EVERYTHING}, (Sort("updated", descending=True),)),
    "with what it refers to": Plan(
        {"Observation": matching(SUBJECT, v="p7", x="Patient")},
        includes=(Include("Observation", (SUBJECT,)), Include("Observation", (SUBJECT,), reverse=True)),
    ),
}


@pytest.fixture(scope="module")
def database() -> Iterator[Database[Any]]:
    """A database of a real server with some hundred resources."""
    server = os.environ.get("MONGODB_URL")
    if not server:
        pytest.skip("needs a real mongod: set MONGODB_URL to a replica set")
    name = f"explain-{uuid4().hex}"
    asyncio.run(fill(f"{server}/{name}"))
    with MongoClient[Any](server) as client:
        yield client[name]
        client.drop_database(name)


async def fill(url: str) -> None:
    """Store patients and observations that differ enough for indexes to tell them apart."""
    store = await MongoStore.open(url, is_single=True)
    await store.number(PARAMETERS)
    made = [
        change(
            "Patient",
            f"p{n}",
            (IDENTIFIER, f"i{n}", "urn:one"),
            (NAME, f"name{n}", ""),
            (POSITION, 8.0 + n / 100, 105.0),
            text="something" if n == 7 else "else",
        )
        for n in range(PATIENTS)
    ] + [
        change(
            "Observation",
            f"o{n}",
            (SUBJECT, f"p{n % PATIENTS}", "Patient"),
            (CODE, f"c{n % 97}", "urn:one"),
            (DATE, n, n + 5),
            (VALUE, n / 10, "mg"),
        )
        for n in range(OBSERVATIONS)
    ]
    for start in range(0, len(made), AT_ONCE):
        await store.commit(Request(tuple(made[start : start + AT_ONCE])))
    await store.count(PLANS["words"])
    await store.close()


def asked(database: Database[Any], asking: Asking[Any]) -> list[Query]:
    """Every query of a question, each answered by the database."""
    queries: list[Query] = []
    answers: Any = None
    while True:
        try:
            some = asking.send(answers)
        except StopIteration:
            return queries
        queries += some
        answers = [list(database[collection(query.kind)].aggregate(query.pipeline)) for query in some]


def stages(explained: Any) -> Iterator[str]:
    """Every stage that a winning plan names, those of joins included."""
    if isinstance(explained, list):
        for one in explained:
            yield from stages(one)
    elif isinstance(explained, dict):
        if isinstance(explained.get("stage"), str):
            yield explained["stage"]
        if explained.get("strategy") == "NestedLoopJoin" or explained.get("collectionScans"):
            yield "COLLSCAN"
        for name, one in explained.items():
            if name != "rejectedPlans":
                yield from stages(one)


def check(database: Database[Any], queries: list[Query]) -> None:
    """No query looks through a whole collection."""
    for query in queries:
        command = {"aggregate": collection(query.kind), "pipeline": query.pipeline, "cursor": {}}
        explained = database.command("explain", command, verbosity="executionStats")
        assert "COLLSCAN" not in set(stages(explained)), query


@pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS)
def test_a_page_and_the_next_are_found_by_an_index(database, plan):
    cursors: list[str | None] = [None]

    def page(limit: int) -> Asking[None]:
        found = yield from search.page(plan, limit, cursors[-1], COMMITS, TYPES, concise=True)
        cursors.append(found.following)

    check(database, asked(database, page(1)))
    if cursors[-1] is not None:
        check(database, asked(database, page(3)))


@pytest.mark.parametrize("name", [name for name in PLANS if not name.startswith("everything")])
def test_a_condition_of_a_write_is_found_by_an_index(database, name):
    check(database, asked(database, search.find(PLANS[name], 2, COMMITS, TYPES, concise=True)))


@pytest.mark.parametrize("name", ["chain", "referrer"])
def test_the_database_joins_by_an_index(database, monkeypatch, name):
    monkeypatch.setattr(join, "MOST_PICKED", 0)
    check(database, asked(database, search.page(PLANS[name], 3, None, COMMITS, TYPES, concise=True)))


def test_the_current_version_of_a_resource_is_found_by_its_key(database):
    explained = database.command(
        "explain", {"find": collection("Patient"), "filter": {"k": "p7"}}, verbosity="queryPlanner"
    )
    assert "COLLSCAN" not in set(stages(explained))

"""A file looked after from outside."""

import asyncio

import apsw

from fhir_server.search.plan import Plan
from fhir_server.store.protocol import Request
from fhir_server.store.sqlite.store import SqliteStore
from fhir_server.store.sqlite.upkeep import examine, settle
from tests.contracts.resources import NAME, PARAMETERS, change, deletion, matching

SIZE = 1500
PLAN = Plan({"Patient": matching(NAME, v="an")})


async def filled(path):
    """Patients of whom some were changed and some deleted, and how many answer the plan."""
    store = SqliteStore(path)
    await store.number(PARAMETERS)
    everyone = tuple(change("Patient", f"p{n}", (NAME, "an", "An")) for n in range(SIZE))
    await store.commit(Request(everyone))
    await store.commit(Request((change("Patient", "p1", (NAME, "binh", "")), deletion("Patient", "p2"))))
    found = await store.count(PLAN)
    await store.close()
    return found


async def made(path):
    await SqliteStore(path).close()


async def counted(path):
    store = SqliteStore(path)
    try:
        return await store.count(PLAN)
    finally:
        await store.close()


def waits_in(path):
    """Whether versions wait to be merged."""
    connection = apsw.Connection(str(path))
    try:
        return connection.execute("SELECT (SELECT max(vid) FROM version) > merged FROM merging").get
    finally:
        connection.close()


def test_settling_leaves_nothing_to_merge_and_answers_as_they_were(tmp_path):
    path = tmp_path / "store.sqlite"
    assert asyncio.run(filled(path)) == SIZE - 2
    assert waits_in(path)
    settle(path)
    assert not waits_in(path)
    assert examine(path, thoroughly=True).is_whole
    assert asyncio.run(counted(path)) == SIZE - 2


def test_an_empty_file_is_settled(tmp_path):
    path = tmp_path / "store.sqlite"
    asyncio.run(made(path))
    settle(path)
    assert not waits_in(path)

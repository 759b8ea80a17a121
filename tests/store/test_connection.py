"""Files of older releases, and of newer ones."""

import asyncio

import apsw
import pytest

from fhir_server.store.sqlite.connection import SCHEMA, UnknownSchema
from fhir_server.store.sqlite.store import SqliteStore


async def opened_and_closed(path):
    store = SqliteStore(path)
    assert await store.keep("name", "text", None)
    await store.close()


def changed(path, *statements):
    with apsw.Connection(str(path)) as connection:
        for statement in statements:
            connection.execute(statement)
    connection.close()


def test_a_file_of_the_first_release_is_brought_up_to_date(tmp_path):
    path = tmp_path / "store.db"

    async def made():
        await SqliteStore(path).close()

    asyncio.run(made())
    changed(
        path,
        "DROP TABLE note",
        "DROP TABLE ledger",
        "DROP TABLE mention",
        "ALTER TABLE version DROP COLUMN label",
        "DROP INDEX sought_by_unit",
        "PRAGMA user_version=1",
    )
    asyncio.run(opened_and_closed(path))


def test_what_the_ledger_of_a_former_release_mentions_is_found(tmp_path):
    path = tmp_path / "store.db"

    async def recorded():
        store = SqliteStore(path)
        await store.record([b'{"l":["may"]}'])
        await store.close()

    async def found():
        store = SqliteStore(path)
        entries = await store.mentioning(["Patient/may"], 100, 10)
        await store.close()
        return [entry.number for entry in entries]

    asyncio.run(recorded())
    changed(path, "DROP TABLE mention", "PRAGMA user_version=4")
    assert asyncio.run(found()) == [1]


def test_a_file_of_a_newer_release_is_refused(tmp_path):
    path = tmp_path / "store.db"
    asyncio.run(opened_and_closed(path))
    changed(path, f"PRAGMA user_version={SCHEMA + 1}")
    with pytest.raises(UnknownSchema, match="newer release"):
        SqliteStore(path)

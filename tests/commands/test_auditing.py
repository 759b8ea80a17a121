"""`nhipcau audit`, on the ledger of a server that was asked, and then on one that somebody changed behind it."""

import asyncio
import time

import apsw
import pytest
from typer.testing import CliRunner

from fhir_server.app import DATABASE
from fhir_server.audit.trail import CHECKPOINTS_FILE, Trail
from fhir_server.cli import app
from fhir_server.store.sqlite.store import SqliteStore
from tests.access.world import World, people_of
from tests.serving import serving


@pytest.fixture
def folder(tmp_path):
    """The data of a server that was written to and read from."""
    with serving(tmp_path, organization="node") as served:
        world = World(served)
        people_of(world)
        for about in ("a1", "a2"):
            assert world.get("worker-a", f"Patient/{about}").status_code == 200
    return tmp_path


def run(*words: str) -> tuple[int, str]:
    found = CliRunner().invoke(app, ["audit", *words])
    return found.exit_code, found.output


def test_a_sealed_ledger_is_found_whole(folder):
    assert run("seal", "--data", str(folder))[0] == 0
    code, told = run("verify", "--data", str(folder))
    assert code == 0, told
    assert "checkpoints: 1" in told
    assert (folder / CHECKPOINTS_FILE).stat().st_size


@pytest.mark.parametrize("word", ["worker-a", "his-a"])
def test_what_is_changed_behind_the_server_is_named(folder, word):
    assert run("seal", "--data", str(folder))[0] == 0
    connection = apsw.Connection(str(folder / "nhipcau.sqlite"))
    found = "SELECT last, entries FROM ledger WHERE instr(entries, ?) ORDER BY last LIMIT 1"
    row = connection.execute(found, (word.encode(),)).fetchone()
    assert row is not None
    last, texts = row
    changed = texts.replace(word.encode(), b"somebody"[: len(word)].ljust(len(word), b"-"), 1)
    connection.execute("UPDATE ledger SET entries=? WHERE last=?", (changed, last))
    connection.close()
    first = last - texts.count(b"\n") + texts[: texts.index(word.encode())].count(b"\n")
    code, told = run("verify", "--data", str(folder))
    assert code == 1
    assert f"entry {first}:" in told


def test_a_folder_that_was_never_sealed_is_refused(tmp_path):
    assert run("verify", "--data", str(tmp_path))[0] != 0


async def forgotten(folder, years: float) -> tuple[int, int]:
    """Entries that are removed when it is so many years later, and the number of the first that is left."""
    store = SqliteStore(folder / DATABASE)
    try:
        count = await Trail(store, folder, lambda: time.time() + years * 365.25 * 86_400, 3653).forget()
        return count, (await store.ledger(0, 1)).entries[0].number
    finally:
        await store.close()


def test_what_is_too_old_is_removed_and_the_rest_verifies(folder):
    assert run("seal", "--data", str(folder))[0] == 0
    assert run("forget", "--data", str(folder)) == (0, "entries removed: 0\n")
    assert asyncio.run(forgotten(folder, 9.9)) == (0, 1)
    count, first = asyncio.run(forgotten(folder, 10.1))
    assert count > 3
    assert first == count + 1
    code, told = run("verify", "--data", str(folder))
    assert code == 0, told
    assert f"removed before: {count}" in told
    with serving(folder, organization="node") as served:
        world = World(served)
        world.get("worker-a", "Patient/a1")
        (event,) = world.get("admin-a", "AuditEvent?subtype=read").json()["entry"]
        assert int(event["resource"]["id"].removeprefix("ledger-")) > count
        assert world.get("admin-a", "AuditEvent/ledger-1").status_code == 404
    assert run("seal", "--data", str(folder))[0] == 0
    code, told = run("verify", "--data", str(folder))
    assert code == 0, told


def test_entries_that_somebody_else_removed_are_missed(folder):
    assert run("seal", "--data", str(folder))[0] == 0

    async def removed() -> None:
        store = SqliteStore(folder / DATABASE)
        assert await store.forget(3)
        await store.close()

    asyncio.run(removed())
    code, told = run("verify", "--data", str(folder))
    assert code == 1
    assert "no signed removal" in told

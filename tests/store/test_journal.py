"""Records that a process made durable are in the ledger once, however it ended."""

import asyncio
import multiprocessing
import os
import threading
import time
from errno import ENOSPC
from pathlib import Path

import pytest

from fhir_server.errors import NoStore
from fhir_server.store.sqlite import journal
from fhir_server.store.sqlite.store import SqliteStore


async def entries(store: SqliteStore) -> list[bytes]:
    return [entry.text for entry in (await store.ledger(0, 100_000)).entries]


def die_after(path: Path, count: int, *, entered: int) -> None:
    """Record, enter some of it, and die before the rest is entered."""

    async def recorded() -> None:
        store = SqliteStore(path)
        await store.record([b"%d" % n for n in range(entered)])
        if entered:
            await store.ledger(0, 1)
        await store.record([b"%d" % n for n in range(entered, count)])
        os._exit(7)

    asyncio.run(recorded())


def died(path: Path, count: int, entered: int) -> None:
    process = multiprocessing.get_context("fork").Process(
        target=die_after, args=(path, count), kwargs={"entered": entered}
    )
    process.start()
    process.join()
    assert process.exitcode == 7


def files(path: Path) -> list[Path]:
    return list(path.parent.glob("*.journal-*"))


async def opened_and_read(path: Path) -> list[bytes]:
    store = SqliteStore(path)
    found = await entries(store)
    await store.close()
    return found


def test_a_slow_disk_is_waited_for_by_a_thread(tmp_path, monkeypatch):
    path, waited_by, append = tmp_path / "store.db", [], journal.append

    def slow(part, lines):
        waited_by.append(threading.current_thread() is threading.main_thread())
        time.sleep(0.02)
        append(part, lines)

    monkeypatch.setattr(journal, "append", slow)

    async def recorded() -> None:
        store = SqliteStore(path)
        for n in range(5):
            await store.record([b"%d" % n])
        assert await entries(store) == [b"%d" % n for n in range(5)]
        await store.close()

    asyncio.run(recorded())
    assert waited_by == [True, False, False, False, False]


def test_what_a_killed_process_recorded_is_entered_by_the_next(tmp_path, monkeypatch):
    monkeypatch.setattr(journal, "AT_ONCE", 3)
    path = tmp_path / "store.db"
    for entered in (0, 4):
        died(path, 10, entered)
    assert files(path)
    found = asyncio.run(opened_and_read(path))
    assert sorted(found) == sorted([b"%d" % n for n in range(10)] * 2)
    assert files(path) == []
    assert asyncio.run(opened_and_read(path)) == found


def test_a_line_that_was_torn_off_is_none(tmp_path):
    path = tmp_path / "store.db"
    died(path, 2, 0)
    (left,) = files(path)
    left.write_bytes(left.read_bytes() + b"torn")
    assert asyncio.run(opened_and_read(path)) == [b"0", b"1"]


def test_a_long_journal_goes_on_in_another_file(tmp_path, monkeypatch):
    monkeypatch.setattr(journal, "MOST_IN_A_FILE", 5)
    monkeypatch.setattr(journal, "AT_ONCE", 2)
    path = tmp_path / "store.db"

    async def recorded() -> None:
        store = SqliteStore(path)
        for n in range(23):
            await store.record([b"%d" % n])
        assert len(files(path)) > 1
        assert await entries(store) == [b"%d" % n for n in range(23)]
        assert len(files(path)) <= 1
        await store.close()

    asyncio.run(recorded())
    assert files(path) == []


def test_what_a_crash_left_half_written_is_none(tmp_path):
    path = tmp_path / "store.db"
    died(path, 2, 0)
    (left,) = files(path)
    left.write_bytes(left.read_bytes().replace(b"1\n\0\0\0\0\0\0", b"1\n\0\0half", 1))
    assert asyncio.run(opened_and_read(path)) == [b"0", b"1"]


def test_a_full_disk_refuses_and_leaves_nothing_behind(tmp_path, monkeypatch):
    path = tmp_path / "store.db"
    written = journal.put

    def half_put(part: journal.Part, lines: bytes) -> None:
        os.pwrite(part.file, lines[:3], part.end)
        raise OSError(ENOSPC, "full")

    async def recorded() -> None:
        store = SqliteStore(path)
        await store.record([b"before"])
        monkeypatch.setattr(journal, "put", half_put)
        with pytest.raises(NoStore):
            await store.record([b"refused"])
        monkeypatch.setattr(journal, "put", written)
        await store.record([b"after"])
        (left,) = files(path)
        assert left.read_bytes().partition(b"\0")[0] == b"before\nafter\n"
        assert await entries(store) == [b"before", b"after"]
        await store.close()

    asyncio.run(recorded())


def test_those_who_ask_together_share_a_group(tmp_path, monkeypatch):
    groups: list[int] = []
    written = journal.append

    def counted(part: journal.Part, lines: bytes) -> None:
        groups.append(lines.count(b"\n"))
        written(part, lines)

    monkeypatch.setattr(journal, "append", counted)
    monkeypatch.setattr(journal, "PAUSE", 5.0)

    async def recorded() -> None:
        store = SqliteStore(tmp_path / "store.db")

        async def often(name: int) -> None:
            for n in range(10):
                await store.record([b"%d %d" % (name, n)])

        await often(0)
        await asyncio.gather(*(often(name) for name in range(1, 9)))
        assert len(await entries(store)) == 90
        await store.close()

    asyncio.run(recorded())
    assert groups == [1] * 10 + [8] * 10


def test_a_group_does_not_wait_long_for_who_asks_no_more(tmp_path):
    async def recorded() -> None:
        store = SqliteStore(tmp_path / "store.db")
        await asyncio.gather(*(store.record([b"%d" % n]) for n in range(8)))
        await asyncio.wait_for(store.record([b"last"]), 5)
        assert len(await entries(store)) == 9
        await store.close()

    asyncio.run(recorded())

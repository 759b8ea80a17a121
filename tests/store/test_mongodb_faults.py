"""A store on MongoDB whose network or neighbours fail: writes happen once, and the others go on."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from fhir_server.errors import Unavailable
from fhir_server.store.commit_log import Append, End, Insert, Mark, Step
from fhir_server.store.mongodb import group
from fhir_server.store.mongodb.carrier import Carrier
from fhir_server.store.mongodb.connection import Database
from fhir_server.store.mongodb.store import MongoStore
from fhir_server.store.protocol import Request, Scope
from tests.contracts.resources import change
from tests.mongodb import database_of
from tests.processes import Program, running
from tests.store.proxy import Tamed, proxied

SECONDS = 1.0
"""What others may take to go on after a death."""


@pytest.fixture
def proxy(mongodb) -> Iterator[Tamed]:
    with proxied(mongodb) as made:
        yield made


def run(story: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(story, 90))


async def opened(server: str, folder: Path, carrier: Callable[[Database], Carrier] = Carrier) -> MongoStore:
    return await MongoStore.open(database_of(folder, server), is_single=True, carrier=carrier)


async def put(store: MongoStore, *names: str) -> None:
    await asyncio.gather(*(store.commit(Request((change("Patient", n), change("Observation", n)))) for n in names))


async def names_in(store: MongoStore) -> list[str]:
    return [version.id for version in await store.history(Scope(("Patient",)), 1000)]


def test_a_reply_that_is_lost_does_not_make_a_commit_twice(proxy, mongodb, tmp_path):
    async def story() -> None:
        store = await opened(proxy.url, tmp_path)
        await put(store, "first")
        for name, word in (
            ("log", b"insert\x00\x04\x00\x00\x00log"),
            ("applied", b"applied"),
            ("Patient", b"versions.Pa"),
        ):
            lost = proxy.proxy.lost
            proxy.proxy.loses = lambda data, w=word, n=lost: w in data and proxy.proxy.lost == n
            await put(store, f"lost-{name}")
            proxy.proxy.loses = lambda _data: False
            assert proxy.proxy.lost > lost
        other = await opened(mongodb, tmp_path)
        assert await names_in(other) == ["first", "lost-log", "lost-applied", "lost-Patient"]
        assert (await other.snapshot()).t == 4
        await store.close()
        await other.close()

    run(story())


def test_lines_that_are_cut_are_made_again(proxy, tmp_path):
    async def story() -> None:
        store = await opened(proxy.url, tmp_path)

        async def write(writer: int) -> None:
            for n in range(15):
                await put(store, f"p{writer}-{n}")

        async def disturb() -> None:
            for n in range(12):
                proxy.proxy.delay = 0.02 * (n % 3)
                await asyncio.sleep(0.15)
                await asyncio.to_thread(proxy.cut)

        await asyncio.gather(disturb(), *(write(n) for n in range(6)))
        found = await names_in(store)
        assert sorted(found) == sorted(f"p{writer}-{n}" for writer in range(6) for n in range(15))
        await store.close()

    run(story())


def test_without_answers_a_write_fails_and_others_go_on(proxy, mongodb, tmp_path, monkeypatch):
    monkeypatch.setattr(group, "SECONDS_TO_COMMIT", 3.0)

    async def story() -> None:
        cut_off, other = await opened(proxy.url, tmp_path), await opened(mongodb, tmp_path)
        await put(cut_off, "before")
        proxy.proxy.swallows = True
        lost = asyncio.create_task(put(cut_off, "lost"))
        for n in range(5):
            started = time.monotonic()
            await put(other, f"other-{n}")
            assert time.monotonic() - started < SECONDS + 1
        with pytest.raises(Unavailable):
            await lost
        proxy.proxy.swallows = False
        await asyncio.to_thread(proxy.cut)
        await put(cut_off, "after")
        found = await names_in(other)
        assert len(found) == len(set(found))
        assert {"before", "after", *(f"other-{n}" for n in range(5))} <= set(found)
        await cut_off.close()
        await other.close()

    run(story())


class Dead(Carrier):
    """Stops for ever before or after a step, as a process does that is killed there."""

    def __init__(self, database: Database, step: type[Step] = Append, *, after: bool = True) -> None:
        super().__init__(database)
        self._step = step
        self._after = after
        self.is_doomed = False
        self.died = asyncio.Event()

    async def carry_out(self, step: Step, until: float) -> Any:
        dies = self.is_doomed and isinstance(step, self._step)
        reply = None if dies and not self._after else await super().carry_out(step, until)
        if dies:
            self.died.set()
            await asyncio.Event().wait()
        return reply


async def dead_store(server: str, folder: Path, step: type[Step] = Append, *, after: bool = True) -> MongoStore:
    """A store that has died while it committed a resource."""
    store = await opened(server, folder, lambda database: Dead(database, step, after=after))
    carrier: Any = store._carrier
    carrier.is_doomed = True
    committing = asyncio.create_task(put(store, "dying"))
    await carrier.died.wait()
    assert store._healing
    assert store._group._work
    tasks = (committing, store._healing, store._group._work)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return store


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("step", [Append, End, Insert, Mark])
def test_a_dead_process_holds_nobody_up(mongodb, tmp_path, step, after):
    """What it appended is applied by another who writes, within a second."""

    async def story() -> None:
        other = await opened(mongodb, tmp_path)
        await put(other, "before")
        dead = await dead_store(mongodb, tmp_path, step, after=after)
        started = time.monotonic()
        await put(other, "next")
        assert time.monotonic() - started < SECONDS
        there = [] if (step, after) == (Append, False) else ["dying"]
        assert await names_in(other) == ["before", *there, "next"]
        await dead.close()
        await other.close()

    run(story())


def test_who_only_reads_sees_what_a_dead_process_appended(mongodb, tmp_path):
    async def story() -> None:
        other = await opened(mongodb, tmp_path)
        dead = await dead_store(mongodb, tmp_path)
        started = time.monotonic()
        found: list[str] = []
        while not found:
            found = await names_in(other)
        assert time.monotonic() - started < 2 * SECONDS
        assert found == ["dying"]
        await dead.close()
        await other.close()

    run(story())


def patient(value: str) -> dict[str, Any]:
    return {"resourceType": "Patient", "identifier": [{"value": value}]}


def created(program: Program, value: str) -> httpx.Response:
    return httpx.post(f"{program.base}/Patient", json=patient(value), timeout=60)


@pytest.mark.server
def test_a_server_without_its_database_answers_503_and_the_other_goes_on(proxy, mongodb, tmp_path):
    folders = [tmp_path / name for name in ("one", "two")]
    for folder in folders:
        folder.mkdir()
    urls = [database_of(tmp_path, server) for server in (proxy.url, mongodb)]
    with (
        running(folders[0], "--store", urls[0], "--store-single") as one,
        running(folders[1], "--store", urls[1], "--store-single") as two,
    ):
        made = created(one, "a")
        assert made.status_code == 201
        assert httpx.get(f"{two.base}/Patient/{made.json()['id']}").content == made.content
        proxy.proxy.swallows = True
        refused = created(one, "b")
        assert refused.status_code == 503
        assert refused.headers["retry-after"]
        assert refused.json()["issue"][0]["code"] == "transient"
        assert created(two, "c").status_code == 201
        proxy.proxy.swallows = False
        proxy.cut()
        assert created(one, "d").status_code == 201
        found = httpx.get(f"{two.base}/Patient?_count=50").json()["entry"]
        values = [entry["resource"]["identifier"][0]["value"] for entry in found]
        assert len(values) == len(set(values))
        assert {"a", "c", "d"} <= set(values) <= {"a", "b", "c", "d"}


def test_who_is_told_to_end_while_the_database_answers_ends(mongodb, tmp_path):
    """The driver may take the end of its task for a fault of the network, and would be asked again."""

    async def follow(store: MongoStore) -> None:
        while True:
            await store.note("anything")
            await store.snapshot()

    async def story() -> None:
        store = await opened(mongodb, tmp_path)
        for n in range(60):
            followers = [asyncio.create_task(follow(store)) for _ in range(3)]
            await asyncio.sleep(n * 0.0007)
            for each in followers:
                each.cancel()
            _, running_on = await asyncio.wait(followers, timeout=10)
            assert not running_on
        await store.close()

    run(story())

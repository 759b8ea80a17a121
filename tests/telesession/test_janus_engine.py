"""What only an engine of several processes can show: one of them dies, and its sessions come back on another."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from fhir_server.errors import Conflict, Unavailable
from telesession.janus_engine import JanusEngine
from telesession.media_engine import Answer, CounterOffer, Happening, Lost, Source
from tests.telesession.janus import ADMIN_KEY, SECRET, RunningJanus, own_address, running_janus
from tests.telesession.media_client import Person, until

GREY, LIGHT = 120, 210


@pytest.fixture
def two(tmp_path) -> Iterator[list[RunningJanus]]:
    with ExitStack() as stack:
        folders = [tmp_path / "one", tmp_path / "two"]
        for folder in folders:
            folder.mkdir()
        yield [stack.enter_context(running_janus(folder)) for folder in folders]


async def meeting(engine: JanusEngine, session: str, shade: int) -> tuple[Person, Person]:
    """One who sends and one who sees it."""
    address = own_address() or ""
    sender, offerer, viewer = (Person(address=address) for _ in range(3))
    answer: Answer | CounterOffer = await engine.publish(session, Source("an"), await sender.offer_camera(shade))
    await sender.take_answer(answer.sdp)
    offer = await offerer.offer_slots(1, 0)
    await offerer.leave()
    for _ in range(50):
        try:
            answer = await engine.subscribe(session, "binh", offer)
            break
        except Conflict:
            await asyncio.sleep(0.05)
    await engine.accept(answer.connection, await viewer.answer_offer(answer.sdp))
    await until(lambda: viewer.sees(shade))
    return sender, viewer


def test_sessions_of_a_process_that_dies_come_back_on_another(two: list[RunningJanus]):
    async def scene() -> None:
        told: list[Happening] = []
        engine = JanusEngine(told.append, [each.url for each in two], SECRET, ADMIN_KEY)
        people: list[Any] = []
        sessions = [f"s{number}" for number in range(6)]
        for session in sessions[:2]:
            people += await meeting(engine, session, GREY)
        first = engine._rooms["s0"].process.url
        hit = {session for session in sessions[:2] if engine._rooms[session].process.url == first}
        next(each for each in two if each.url == first).kill()
        killed = time.monotonic()
        await until(lambda: {each.session for each in told if isinstance(each, Lost)} == hit, 5)
        for session in sorted(hit):
            people += await meeting(engine, session, LIGHT)
        assert time.monotonic() - killed < 5
        assert all(room.process.url != first for room in engine._rooms.values())
        await asyncio.gather(*(person.leave() for person in people))
        await engine.stop()

    asyncio.run(scene())


def test_sessions_are_spread_and_each_keeps_its_process():
    engine = JanusEngine(lambda _: None, ["http://one/janus", "http://two/janus", "http://three/janus"])
    chosen = {session: engine._chosen(session)[0].url for session in map(str, range(300))}
    counts = [list(chosen.values()).count(url) for url in set(chosen.values())]
    assert len(counts) == 3
    assert min(counts) > 60
    engine._down["http://two/janus"] = time.monotonic() + 60
    moved = {session for session in chosen if engine._chosen(session)[0].url != chosen[session]}
    assert moved == {session for session, url in chosen.items() if url == "http://two/janus"}


@pytest.mark.parametrize("secret", ["", "another"], ids=["none", "wrong"])
def test_a_janus_that_does_not_let_us_in_is_unavailable(two: list[RunningJanus], secret: str):
    async def scene() -> None:
        engine = JanusEngine(lambda _: None, [two[0].url], secret, ADMIN_KEY)
        person = Person()
        with pytest.raises(Unavailable):
            await engine.publish("s", Source("an"), await person.offer_camera(GREY))
        await person.leave()
        await engine.stop()

    asyncio.run(scene())

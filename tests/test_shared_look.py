"""Who is woken after something happened sees it, and those of one turn look once."""

import asyncio
from collections.abc import Callable
from itertools import count

from hypothesis import given, settings
from hypothesis import strategies as st

from fhir_server.shared_look import SharedLook


def test_those_of_one_turn_look_once():
    counted = count(1)

    async def test() -> None:
        look = SharedLook(lambda: next(counted))

        async def see() -> int:
            return look()

        assert await asyncio.gather(*(see() for _ in range(10))) == [1] * 10
        assert list(await asyncio.gather(see(), see())) == [2, 2]

    asyncio.run(test())


def test_a_change_within_a_turn_is_seen_once_it_is_said():
    async def test() -> None:
        state = ["old"]
        look = SharedLook(lambda: state[0])
        assert look() == "old"
        state[0] = "new"
        look.forget()
        assert look() == "new"

    asyncio.run(test())


@settings(max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 3), st.sampled_from(["change", "look"])), max_size=30))
def test_nobody_sees_less_than_what_woke_them(steps: list[tuple[int, str]]):
    """Changes and looks in any order over a few turns; whoever is woken by a change sees it or what came later."""
    state = [1]

    async def test() -> None:
        loop = asyncio.get_running_loop()
        look: SharedLook[int] = SharedLook(lambda: state[0])
        waiting: list[asyncio.Future[None]] = []

        def change() -> None:
            state[0] += 1
            woken: asyncio.Future[int] = loop.create_future()
            waiting.append(loop.create_task(seen(woken)))
            woken.set_result(state[0])

        async def seen(woken: asyncio.Future[int]) -> None:
            now = await woken
            assert look() >= now

        doing: dict[str, Callable[[], object]] = {"change": change, "look": look}
        for turns, word in steps:
            for _ in range(turns):
                await asyncio.sleep(0)
            loop.call_soon(doing[word])
        for _ in range(6):
            await asyncio.sleep(0)
        await asyncio.gather(*waiting)

    asyncio.run(test())

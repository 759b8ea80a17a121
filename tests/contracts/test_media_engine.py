"""What every media engine promises, held by real connections of stock aiortc."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import pytest

from fhir_server.errors import Conflict, FhirError, Invalid, NotFound, TooLarge, Unprocessable
from telesession.aiortc_engine.engine import AiortcEngine
from telesession.aiortc_engine.gathering import Ports
from telesession.janus_engine import JanusEngine
from telesession.media_engine import (
    SCREEN,
    Answer,
    CounterOffer,
    Happening,
    Heard,
    Loudest,
    MediaEngine,
    Presence,
    Published,
    Slot,
    Source,
    Unpublished,
)
from tests.telesession.janus import ADMIN_KEY, SECRET, RunningJanus, own_address, running_janus
from tests.telesession.media_client import ADDRESS, Person, until

DARK, GREY, LIGHT = 40, 120, 210
ENGINES = ("aiortc", "janus")


class Stage:
    """An engine, what it told, and people in it."""

    def __init__(self, engine: MediaEngine, told: list[Happening], address: str) -> None:
        self.engine = engine
        self.told = told
        self.address = address
        self.people: list[Person] = []

    def person(self) -> Person:
        """Somebody new."""
        self.people.append(Person(address=self.address))
        return self.people[-1]

    async def publishes(
        self, source: Source, shade: int | None, loudness: float | None = None, session: str = "s", **more: Any
    ) -> tuple[Person, str]:
        """Somebody who sends; who, and the connection."""
        person = self.person()
        answer = await self.engine.publish(session, source, await person.offer_camera(shade, loudness, **more))
        await person.take_answer(answer.sdp)
        return person, answer.connection

    async def watches(
        self, participant: str, pictures: int = 1, sounds: int = 0, session: str = "s", source: str | None = None
    ) -> tuple[Person, str]:
        """Somebody who watches; who, and the connection."""
        person = self.person()
        offer = await person.offer_slots(pictures, sounds)
        answer = await self.subscribed(session, participant, offer, source)
        if isinstance(answer, CounterOffer):
            self.people.append(person := Person(address=self.address))
            await self.engine.accept(answer.connection, await person.answer_offer(answer.sdp))
        else:
            await person.take_answer(answer.sdp)
        return person, answer.connection

    async def subscribed(self, session: str, participant: str, offer: str, source: str | None) -> Answer | CounterOffer:
        """The engine's answer, asked for again while nobody sends, as a client of WHEP does."""
        for _ in range(50):
            try:
                return await self.engine.subscribe(session, participant, offer, source)
            except Conflict:
                await asyncio.sleep(0.1)
        raise AssertionError("nobody ever sent anything")

    def heard(self, kind: type[Happening]) -> list[Any]:
        """What of a kind the engine told."""
        return [each for each in self.told if isinstance(each, kind)]


@asynccontextmanager
async def staged(janus: RunningJanus | None) -> AsyncIterator[Stage]:
    told: list[Happening] = []
    if janus is None:
        stage = Stage(AiortcEngine(told.append, Ports((ADDRESS,))), told, ADDRESS)
    else:
        stage = Stage(JanusEngine(told.append, [janus.url], SECRET, ADMIN_KEY), told, own_address() or "")
    try:
        yield stage
    finally:
        await asyncio.gather(*(person.leave() for person in stage.people))
        await stage.engine.stop()


Play = Callable[[Callable[[Stage], Coroutine[Any, Any, None]]], None]


@pytest.fixture(scope="module")
def janus(tmp_path_factory) -> Iterator[RunningJanus]:
    """One Janus for all tests of this module."""
    with running_janus(tmp_path_factory.mktemp("janus")) as running:
        yield running


@pytest.fixture(params=ENGINES)
def play(request) -> Play:
    """Plays a scene on an engine."""
    running = request.getfixturevalue("janus") if request.param == "janus" else None

    async def played(scene: Callable[[Stage], Coroutine[Any, Any, None]]) -> None:
        async with asyncio.timeout(60), staged(running) as stage:
            await scene(stage)

    return lambda scene: asyncio.run(played(scene))


def test_what_one_sends_another_sees_and_hears(play: Play):
    async def scene(stage: Stage) -> None:
        await stage.publishes(Source("an"), GREY, 0.5)
        viewer, _ = await stage.watches("binh", 1, 1)
        await until(lambda: viewer.sees(GREY))
        await until(lambda: max(viewer.loudness.values(), default=0) > 0.1)
        assert [each.source for each in stage.heard(Published)] == [Source("an")]

    play(scene)


def test_h264_is_carried_as_it_is(play: Play):
    async def scene(stage: Stage) -> None:
        person = stage.person()
        offer = await person.offer_camera(GREY, codec="video/H264")
        answer = await stage.engine.publish("s", Source("an"), offer)
        assert "H264/90000" in answer.sdp

    play(scene)


def test_who_watches_first_sees_who_comes_later(play: Play):
    async def scene(stage: Stage) -> None:
        if not stage.engine.abilities.answers_viewers:
            await stage.publishes(Source("an"), DARK)
        viewer, connection = await stage.watches("binh", 2)
        if stage.engine.abilities.answers_viewers:
            await stage.publishes(Source("an"), DARK)
        await stage.publishes(Source("cuc"), LIGHT)
        await until(lambda: viewer.sees(DARK) and viewer.sees(LIGHT))
        assert {each.source for each in await stage.engine.slots(connection)} == {"an", "cuc"}

    play(scene)


def test_nobody_is_shown_to_themselves(play: Play):
    async def scene(stage: Stage) -> None:
        await stage.publishes(Source("an"), DARK)
        await stage.publishes(Source("binh"), LIGHT)
        viewer, _ = await stage.watches("an", 1)
        await until(lambda: viewer.sees(LIGHT))

    play(scene)


def test_a_slot_switches_to_another_source_and_back_without_an_offer(play: Play):
    async def scene(stage: Stage) -> None:
        await stage.publishes(Source("an"), DARK)
        await stage.publishes(Source("cuc"), LIGHT)
        viewer, connection = await stage.watches("binh", 1)
        await until(lambda: viewer.sees(DARK))
        (mid,) = viewer.mids["video"]
        for shade, name in ((LIGHT, "cuc"), (DARK, "an"), (LIGHT, "cuc")):
            await stage.engine.switch(connection, [Slot(mid, name)])
            await until(partial(viewer.sees, shade, mid))
            assert (await stage.engine.slots(connection))[0].source == name

    play(scene)


def test_a_screen_is_a_source_beside_the_camera(play: Play):
    async def scene(stage: Stage) -> None:
        await stage.publishes(Source("an"), DARK)
        await stage.publishes(Source("an", SCREEN), LIGHT)
        viewer, _ = await stage.watches("binh", 1, source="an/screen")
        await until(lambda: viewer.sees(LIGHT))

    play(scene)


def test_the_low_quality_is_shown_where_it_is_asked_for(play: Play):
    async def scene(stage: Stage) -> None:
        await stage.publishes(Source("an"), DARK)
        await stage.publishes(Source("an", layer="low"), LIGHT)
        viewer, connection = await stage.watches("binh", 1)
        await until(lambda: viewer.sees(DARK))
        await stage.engine.switch(connection, [Slot(viewer.mids["video"][0], "an", "low")])
        await until(lambda: viewer.sees(LIGHT))

    play(scene)


def test_sound_slots_follow_the_loudest_and_say_who_it_is(play: Play):
    async def scene(stage: Stage) -> None:
        one, _ = await stage.publishes(Source("an"), None, 0.6)
        two, _ = await stage.publishes(Source("cuc"), None, 0.0)
        viewer, connection = await stage.watches("binh", 0, 1)
        await until(lambda: max(viewer.loudness.values(), default=0) > 0.2)
        assert one.voice is not None
        assert two.voice is not None
        await until(lambda: any("an" in each.sources for each in stage.heard(Loudest)))
        one.voice.loudness, two.voice.loudness = 0.0, 0.6
        await until(lambda: stage.heard(Loudest)[-1].sources[:1] == ("cuc",), 15)
        await asyncio.sleep(0.2)
        assert (await stage.engine.slots(connection))[0].source == "cuc"

    play(scene)


def test_who_is_muted_is_not_heard_until_they_may_speak_again(play: Play):
    async def scene(stage: Stage) -> None:
        await stage.publishes(Source("an"), None, 0.6)
        viewer, _ = await stage.watches("binh", 0, 1)
        await until(lambda: max(viewer.loudness.values(), default=0) > 0.2)
        await stage.engine.mute("s", "an", is_muted=True)
        await asyncio.sleep(0.5)
        heard = sum(viewer.frames.values())
        await asyncio.sleep(0.5)
        assert sum(viewer.frames.values()) - heard <= 2
        await stage.engine.mute("s", "an", is_muted=False)
        await until(lambda: sum(viewer.frames.values()) > heard + 10)

    play(scene)


def test_publishing_again_takes_the_place_of_before(play: Play):
    async def scene(stage: Stage) -> None:
        await stage.publishes(Source("an"), DARK)
        viewer, _ = await stage.watches("binh", 1)
        await until(lambda: viewer.sees(DARK))
        _, connection = await stage.publishes(Source("an"), LIGHT)
        await until(lambda: viewer.sees(LIGHT))
        await stage.engine.close(connection)

    play(scene)


def test_what_is_closed_is_gone(play: Play):
    async def scene(stage: Stage) -> None:
        _, connection = await stage.publishes(Source("an"), DARK)
        await until(lambda: stage.heard(Published))
        assert stage.engine.has(connection)
        await stage.engine.close(connection)
        assert not stage.engine.has(connection)
        with pytest.raises(NotFound):
            await stage.engine.close(connection)
        assert [each.connection for each in stage.heard(Unpublished)] == [connection]

    play(scene)


def test_who_is_removed_and_what_has_ended_is_gone(play: Play):
    async def scene(stage: Stage) -> None:
        await stage.publishes(Source("an"), DARK)
        _, one = await stage.watches("binh", 1)
        _, two = await stage.watches("cuc", 1)
        await stage.engine.remove("s", "binh")
        with pytest.raises(NotFound):
            await stage.engine.slots(one)
        await stage.engine.slots(two)
        await stage.engine.end("s")
        with pytest.raises(NotFound):
            await stage.engine.slots(two)

    play(scene)


def test_sessions_do_not_see_each_other(play: Play):
    async def scene(stage: Stage) -> None:
        await stage.publishes(Source("an"), DARK, session="one")
        await stage.publishes(Source("an"), LIGHT, session="two")
        viewer, connection = await stage.watches("binh", 1, session="two", source="an")
        await until(lambda: viewer.sees(LIGHT))
        assert len(await stage.engine.slots(connection)) == 1

    play(scene)


def test_who_falls_silent_is_noticed_within_seconds(play: Play):
    async def scene(stage: Stage) -> None:
        person, connection = await stage.publishes(Source("an"), DARK, 0.2)
        viewer, _ = await stage.watches("binh", 1)
        await until(lambda: viewer.sees(DARK))
        person.vanish()
        took = await until(lambda: stage.heard(Presence), 8)
        assert took < 5
        assert stage.heard(Presence)[0] == Presence("s", "an", connection, is_heard=False)

    play(scene)


def test_packets_can_be_tapped(play: Play):
    async def scene(stage: Stage) -> None:
        heard: list[Heard] = []
        await stage.publishes(Source("an"), DARK, 0.3)
        end = await stage.engine.tap("s", heard.append)
        await until(lambda: {each.codec for each in heard} == {"video/vp8", "audio/opus"})
        await stage.publishes(Source("cuc"), LIGHT)
        await until(lambda: {each.source.name for each in heard} == {"an", "cuc"})
        await end()
        await asyncio.sleep(0.3)
        count = len(heard)
        await asyncio.sleep(0.3)
        assert len(heard) == count

    play(scene)


@pytest.mark.parametrize(
    ("offer", "kind"),
    [
        ("", Invalid),
        ("hello", Invalid),
        ("v=0\r\nm=video x UDP/TLS/RTP/SAVPF 96\r\n", Invalid),
        ("v=0\r\n", Unprocessable),
        ("v=0\r\na=" + "x" * 70_000, TooLarge),
    ],
    ids=["empty", "no-sdp", "bad-media", "no-media", "long"],
)
def test_what_is_no_offer_is_refused_and_others_go_on(play: Play, offer: str, kind: type[FhirError]):
    async def scene(stage: Stage) -> None:
        await stage.publishes(Source("an"), DARK)
        with pytest.raises(kind):
            await stage.engine.publish("s", Source("binh"), offer)
        with pytest.raises(kind):
            await stage.engine.subscribe("s", "binh", offer)
        viewer, _ = await stage.watches("cuc", 1)
        await until(lambda: viewer.sees(DARK))

    play(scene)

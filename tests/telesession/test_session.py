"""What an engine tells, and what passes by itself, as people in a session see it."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

import pytest

from telesession.consequence import End, Mute, Order, Remove, Show
from telesession.media_engine import (
    SCREEN,
    Happening,
    Lost,
    Loudest,
    Presence,
    Published,
    Quality,
    SoundOnly,
    Source,
    Unpublished,
)
from tests.telesession.ward import Reader, Ward, until, ward

NUMBERS = count(1)


class Obedient:
    """Media that write down what they are asked."""

    def __init__(self) -> None:
        self.obeyed: list[tuple[str, Order]] = []

    async def obey(self, session: str, order: Order) -> None:
        self.obeyed.append((session, order))

    def connecting(self, _session: str, _participant: str) -> dict[str, object]:
        return {"engine": "written", "iceServers": [{"urls": "stun:one"}]}

    def of(self, session: str) -> list[Order]:
        return [order for name, order in self.obeyed if name == session]


@pytest.fixture(scope="module")
def place() -> Iterator[Ward]:
    with ward() as made:
        made.premises.sessions.media = Obedient()
        yield made


@pytest.fixture
def session(place: Ward) -> str:
    place.clock.ahead += 60
    name = place.encounter(f"live-{next(NUMBERS)}")
    place.join("doctor", name, role="host")
    return name


def tell(place: Ward, happening: Happening) -> None:
    async def told() -> None:
        place.premises.sessions.tell(happening)

    place.served.call(told)


def state_of(place: Ward, session: str, participant: str) -> str:
    seen = place.room("doctor", session)["participants"]
    return next((each["state"] for each in seen if each["id"] == participant), "left")


def test_who_sends_what_and_who_speaks_is_told(place: Ward, session: str):
    second = place.join("second", session)["id"]
    reader = Reader(place, "doctor", session)
    assert reader.sees("snapshot")["iceServers"] == [{"urls": "stun:one"}]
    tell(place, Published(session, Source(second), "c1"))
    tell(place, Published(session, Source(second, SCREEN), "c2"))
    tell(place, Published(session, Source(second, layer="low"), "c3"))
    sent = reader.sees("roster", lambda told: len(told["participants"][1]["publishes"]) == 2)
    assert sent["participants"][1]["publishes"] == ["camera", "screen"]
    tell(place, Unpublished(session, Source(second, SCREEN), "c2"))
    reader.sees("roster", lambda told: told["participants"][1]["publishes"] == ["camera"])
    tell(place, Loudest(session, (second,)))
    assert reader.sees("loudest") == {"sources": [second]}
    tell(place, Quality(session, second, "c1", 500.0, 10.0, 0.02, None, 40.0))
    assert reader.sees("quality")["roundTripMs"] == 40.0
    tell(place, SoundOnly(session, second, "c1", is_on=True, reason="Mạng yếu"))
    reader.sees("roster", lambda told: told["participants"][1]["soundOnly"] == "Mạng yếu")
    tell(place, Lost(session))
    assert "connect again" in reader.sees("reconnect")["reason"]
    tell(place, Loudest("no-such-session", ("x",)))
    reader.leave()


def test_who_falls_silent_has_dropped_though_their_stream_is_open(place: Ward, session: str):
    second = place.join("second", session)["id"]
    host, reader = Reader(place, "doctor", session), Reader(place, "second", session)
    reader.sees("snapshot")
    tell(place, Published(session, Source(second), "c1"))
    tell(place, Presence(session, second, "c2", is_heard=True))
    tell(place, Presence(session, second, "c1", is_heard=False))
    assert state_of(place, session, second) == "in-session"
    tell(place, Presence(session, second, "c2", is_heard=False))
    host.sees("roster", lambda told: any(each["state"] == "dropped" for each in told["participants"]))
    tell(place, Presence(session, second, "c2", is_heard=True))
    until(lambda: state_of(place, session, second) == "in-session")
    for each in (host, reader):
        each.leave()


def test_media_alone_keep_a_place_and_closing_them_on_purpose_says_nothing(place: Ward, session: str):
    second = place.join("second", session)["id"]
    tell(place, Presence(session, second, "c1", is_heard=True))
    host = Reader(place, "doctor", session)
    host.sees("snapshot")
    place.clock.ahead += 60
    place.join("worker", session)
    assert state_of(place, session, second) == "in-session"
    place.premises.gate.closed(session, second, "c1")
    place.clock.ahead += 5
    until(lambda: state_of(place, session, second) == "dropped")
    place.clock.ahead += 121
    until(lambda: state_of(place, session, second) == "left")
    host.leave()


def test_the_media_obey_the_room(place: Ward, session: str):
    media = place.premises.sessions.media
    assert isinstance(media, Obedient)
    second = place.join("second", session)["id"]
    place.decide("doctor", session, second, "mute")
    place.decide("second", session, second, "video", mode="off")
    place.decide("doctor", session, second, "remove")
    place.call("doctor", "POST", f"{session}/end")
    until(lambda: len(media.of(session)) == 4)
    assert media.of(session) == [Mute(second, is_muted=True), Show(second, "off"), Remove(second), End()]


def test_a_session_tells_that_its_time_is_nearly_over_and_then_ends(place: Ward, session: str):
    place.join("second", session)
    assert place.call("doctor", "PATCH", session, {"minutes": 10}).json()["limits"]["minutes"] == 10
    readers = [Reader(place, who, session) for who in ("doctor", "second")]
    for reader in readers:
        reader.sees("snapshot")
    place.clock.ahead += 301
    assert readers[0].sees("limit")["until"] > 0
    place.clock.ahead += 300
    assert [reader.sees("ended") for reader in readers] == [{"reason": "time"}] * 2


@pytest.mark.parametrize("minutes", [0, -1, 10_000, "9", None, True])
def test_a_limit_that_is_none_is_refused(place: Ward, session: str, minutes: object):
    assert place.call("doctor", "PATCH", session, {"minutes": minutes}).status_code == 400


def test_a_reader_hears_that_the_server_is_there(place: Ward, session: str):
    reader = Reader(place, "doctor", session)
    until(lambda: reader.beats > 0)
    reader.leave()

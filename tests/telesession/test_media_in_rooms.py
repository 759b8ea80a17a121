"""The room decides, the media follow: who is in is seen and heard, who is muted or removed is not."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from itertools import count

import pytest

from tests.telesession import media_client
from tests.telesession.janus import own_address
from tests.telesession.media_client import Person
from tests.telesession.ward import Reader, Ward, until, ward

NUMBERS = count(1)
GREY = 120
SDP = {"content_type": "application/sdp"}


@pytest.fixture(scope="module")
def place() -> Iterator[Ward]:
    if own_address() is None:
        pytest.skip("needs an address beside the loopback")
    with ward() as made:
        yield made


@pytest.fixture
def session(place: Ward) -> str:
    return place.encounter(f"visit-{next(NUMBERS)}")


class Connected:
    """People whose connections live on the server's loop."""

    def __init__(self, place: Ward, session: str) -> None:
        self.place = place
        self.session = session
        self.people: list[Person] = []

    def connect(self, who: str, side: str, pictures: int = 1, sounds: int = 1) -> tuple[Person, str]:
        """Publish or view as somebody; who it is, and where the connection is."""

        async def offered() -> tuple[Person, str]:
            person = Person(address=own_address() or "")
            self.people.append(person)
            made = person.offer_camera(GREY, 0.5) if side == "whip" else person.offer_slots(pictures, sounds)
            return person, await made

        person, offer = self.place.served.call(offered)
        answer = self.place.call(who, "POST", f"{self.session}/{side}", offer, **SDP)
        assert answer.status_code == 201, answer.text
        self.place.served.call(lambda: person.take_answer(answer.text))
        return person, answer.headers["location"]

    def wait(self, holds: Callable[[], object]) -> None:
        """Wait on the server's loop."""
        self.place.served.call(lambda: media_client.until(holds))

    def leave(self) -> None:
        for person in self.people:
            self.place.served.call(person.leave)


@pytest.fixture
def people(place: Ward, session: str) -> Iterator[Connected]:
    made = Connected(place, session)
    yield made
    made.leave()


def test_who_is_not_let_in_publishes_nothing(place: Ward, session: str):
    for who, status in (("may", 409), ("stranger", 404)):
        answer = place.call(who, "POST", f"{session}/whip", "v=0\r\n", **SDP)
        assert answer.status_code == status, answer.text
    place.join("may", session)
    answer = place.call("may", "POST", f"{session}/whip", "v=0\r\n", **SDP)
    assert answer.status_code == 409
    assert int(answer.headers["retry-after"]) > 0


def test_a_room_with_sound_and_pictures_from_admission_to_the_end(place: Ward, session: str, people: Connected):
    doctor = place.join("doctor", session, role="host")
    may = place.join("may", session)
    place.decide("doctor", session, may["id"], "admit")
    reader = Reader(place, "doctor", session)
    people.connect("may", "whip")
    reader.sees("roster", lambda told: any("camera" in each["publishes"] for each in told["participants"]))
    viewer, where = people.connect("doctor", "whep")
    people.wait(lambda: viewer.sees(GREY) and max(viewer.loudness.values(), default=0) > 0.1)
    reader.sees("loudest", lambda told: told["sources"] == [may["id"]])
    slots = place.call("doctor", "GET", where.partition("sessions/")[2] + "/slots").json()["slots"]
    assert {each["source"] for each in slots} == {may["id"]}

    assert place.decide("doctor", session, may["id"], "mute").status_code == 200
    sound = viewer.mids["audio"][0]
    place.served.call(lambda: asyncio.sleep(0.5))
    before = viewer.frames[sound]
    place.served.call(lambda: asyncio.sleep(0.5))
    assert viewer.frames[sound] - before <= 2

    assert place.decide("doctor", session, may["id"], "remove").status_code == 200
    assert place.call("may", "POST", f"{session}/whip", "v=0\r\n", **SDP).status_code == 403
    assert place.call("doctor", "POST", f"{session}/end").status_code == 200
    until(lambda: place.call("doctor", "GET", where.partition("sessions/")[2]).status_code in (404, 410))
    assert doctor["id"] != may["id"]


def test_who_is_cut_off_is_dropped_and_comes_back_to_their_place(place: Ward, session: str, people: Connected):
    place.join("doctor", session, role="host")
    second = place.join("second", session, role="expert")
    reader = Reader(place, "doctor", session)
    sender, _ = people.connect("second", "whip")

    def is_now(told: dict[str, list[dict[str, object]]], wanted: str) -> bool:
        return any(each["id"] == second["id"] and each["state"] == wanted for each in told["participants"])

    reader.sees("roster", lambda told: is_now(told, "in-session"))
    people.wait(lambda: sender.peer.connectionState == "connected")
    sender.vanish()
    reader.sees("roster", lambda told: is_now(told, "dropped"))
    count_before = len(reader.of("roster"))
    people.connect("second", "whip")
    until(lambda: any(is_now(told, "in-session") for told in reader.of("roster")[count_before:]))

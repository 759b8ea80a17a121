"""Times are found, held and booked, and nobody is booked twice, whoever books at the same moment."""

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telesession.availability import Actor, free, options
from telesession.extension import telesession
from tests.access.world import of, to
from tests.serving import outcome, serving
from tests.telesession.world import Country, at, facts, link, participant

AT_ONCE = 64


@pytest.fixture(scope="module", params=["sqlite", "mongodb"])
def world(request: pytest.FixtureRequest) -> Iterator[Country]:
    chosen: dict[str, Any] = {}
    if request.param == "mongodb":
        chosen["mongodb"] = request.getfixturevalue("mongodb")
    with serving(organization="node", extensions=[telesession], **chosen) as served:
        country = Country(served)
        country.people()
        yield country


def accepted(world: Country, hub: str = "hub") -> str:
    """A request of another patient, accepted by a hub."""
    patient = world.post("his", {"resourceType": "Patient"})["id"]
    request = world.request(subject=to(f"Patient/{patient}"), performer=[to(f"Organization/{hub}")])
    world.through(request, "submit")
    world.happen("coordinator" if hub == "hub" else "his-elsewhere", request, "accept")
    return request


def test_one_of_many_bookings_of_a_doctor_at_two_facilities_is_made(world: Country):
    world.put("", of("PractitionerRole", "guest-role", practitioner=to("Practitioner/doctor")))
    who = {"hub": ("coordinator", "Practitioner/doctor"), "elsewhere": ("his-elsewhere", "PractitionerRole/guest-role")}
    asks = []
    for number in range(AT_ONCE):
        hub = "hub" if number % 2 else "elsewhere"
        caller, actor = who[hub]
        minute = number % 30
        time = at(f"2027-01-04T09:{minute:02}:00Z", f"2027-01-04T10:{minute:02}:00Z")
        body = {"resourceType": "Parameters", "parameter": [*time, participant(actor, "chair")]}
        path = f"ServiceRequest/{accepted(world, hub)}/$tele-book"
        asks.append(("POST", path, body, {"authorization": f"Bearer {caller}"}))
    answers = world.served.ask_together(asks)
    assert sorted(answer.status_code for answer in answers) == [200] + [409] * (AT_ONCE - 1)
    found = world.get("", "Appointment?date=2027-01-04&status=booked").json()["entry"]
    assert len(found) == 1


def test_one_of_many_plain_bookings_of_a_slot_is_made(world: Country):
    world.put("his-hub", of("Schedule", "ward", actor=[to("Practitioner/doctor")]))
    slot = {
        "schedule": to("Schedule/ward"),
        "status": "free",
        "start": "2027-02-01T09:00:00Z",
        "end": "2027-02-01T10:00:00Z",
    }
    world.put("his-hub", of("Slot", "morning", **slot))
    asks = []
    for number in range(AT_ONCE // 4):
        body = {
            "resourceType": "Appointment",
            "status": "booked",
            "basedOn": [to(f"ServiceRequest/{accepted(world)}")],
            "slot": [to("Slot/morning")],
            "start": f"2027-02-{number % 20 + 2:02}T09:00:00Z",
            "end": f"2027-02-{number % 20 + 2:02}T10:00:00Z",
            "participant": [{"type": [{"text": "room"}], "status": "accepted"}],
        }
        asks.append(("POST", "Appointment", body, {"authorization": "Bearer coordinator"}))
    answers = world.served.ask_together(asks)
    assert sorted(answer.status_code for answer in answers) == [201] + [409] * (AT_ONCE // 4 - 1)


def test_times_are_found_when_all_are_free_and_held_and_booked(world: Country):
    world.put("his-hub", of("Schedule", "chair", actor=[to("Practitioner/coordinator")]))
    for number, status in enumerate(["free", "busy", "free", "free"]):
        times = {"start": f"2027-03-01T{8 + number:02}:00:00Z", "end": f"2027-03-01T{9 + number:02}:00:00Z"}
        world.put("his-hub", of("Slot", f"chair-{number}", schedule=to("Schedule/chair"), status=status, **times))
    request = accepted(world)
    window = (
        "start=2027-03-01T00:00:00Z&end=2027-03-02T00:00:00Z&actor=Practitioner/coordinator&actor=Practitioner/worker"
    )
    answer = world.get("coordinator", f"ServiceRequest/{request}/$tele-find?{window}&minutes=60")
    starts = [option["part"][0]["valueInstant"][:13] for option in answer.json()["parameter"]]
    assert starts == ["2027-03-01T08", "2027-03-01T10", "2027-03-01T11"]
    ten = at("2027-03-01T10:00:00Z", "2027-03-01T11:00:00Z")
    people = [participant("Practitioner/coordinator", "chair"), participant("Practitioner/worker", "presenter")]
    told = world.tell("coordinator", request, "hold", *ten, link("slot", "Slot/chair-2"), *people)
    assert told.status_code == 200, told.text
    assert world.get("his-hub", "Slot/chair-2").json()["status"] == "busy"
    answer = world.get("coordinator", f"ServiceRequest/{request}/$tele-find?{window}&minutes=60")
    assert len(answer.json()["parameter"]) == 2
    other = accepted(world)
    outcome(world.tell("coordinator", other, "book", *ten, *people), 409, "conflict")
    held = facts(told)["changed"][0]
    booked = world.happen("coordinator", request, "book", link("hold", held))
    assert (booked["appointment"], booked["state"]) == (held, "booked")
    world.happen("coordinator", request, "cancel", {"name": "reason", "valueString": "trùng lịch"})
    assert world.get("his-hub", "Slot/chair-2").json()["status"] == "free"
    assert world.happen("coordinator", other, "book", *ten, *people)["state"] == "booked"


SPANS = st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)), max_size=6)
ACTORS = st.builds(
    Actor,
    st.just("Practitioner/x"),
    st.none() | SPANS.map(lambda spans: [(f"Slot/{number}", span) for number, span in enumerate(spans)]),
    SPANS,
)


@given(st.lists(ACTORS, min_size=1, max_size=3), st.integers(1, 8))
def test_options_are_times_when_all_are_free(actors, length):
    window = (0, 40)
    for option in options(actors, window, length):
        for moment in range(*option.span):
            for actor in actors:
                offered = actor.slots is None or any(start <= moment < end for _, (start, end) in actor.slots)
                assert offered
                assert not any(start <= moment < end for start, end in actor.busy)


@given(ACTORS)
def test_what_is_free_is_all_that_is_free(actor):
    found = free(actor, (0, 40))
    for moment in range(40):
        offered = actor.slots is None or any(start <= moment < end for _, (start, end) in actor.slots)
        taken = any(start <= moment < end for start, end in actor.busy)
        assert any(start <= moment < end for start, end in found) == (offered and not taken)

"""The room: what each command makes of it, and what no sequence of commands can break."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fhir_server.errors import Conflict, Forbidden, Gone, NotFound, Throttled
from telesession import room as rooms
from telesession.consequence import End, Mute, Remove, Show, facts, notices, orders, room_json, state_of
from telesession.encounter import brought_up
from telesession.room import LAST, ROLES, STAFF_ROLES, Limits, Person, Role, Room
from telesession.room_record import owner_in, room_in, text_of

LIMITS = Limits(minutes=60, seconds_kept=120, participants=5)


def empty() -> Room:
    return Room("enc", 0.0, LIMITS)


def person(name: str, role: Role) -> Person:
    is_staff = role in STAFF_ROLES
    return Person(f"key-{name}", name, role, is_staff, f"{'Practitioner' if is_staff else 'Patient'}/{name}")


def with_all(*entering: tuple[str, Role]) -> Room:
    room = empty()
    for number, (name, role) in enumerate(entering):
        room = rooms.join(room, person(name, role), name, float(number))
    return room


def test_staff_enters_at_once_and_others_wait_in_the_order_in_which_they_came():
    room = with_all(("host", "host"), ("first", "patient"), ("second", "relative"))
    assert room.one("host").state == "in-session"
    assert [each.id for each in room.queue] == ["first", "second"]
    assert [room.position(each) for each in ("first", "second", "host")] == [1, 2, 0]


def test_who_waits_is_admitted_one_by_one_by_any_who_may():
    room = with_all(("host", "host"), ("expert", "expert"), ("first", "patient"), ("second", "guest"))
    room = rooms.admit(room, "expert", "second", 5.0)
    assert room.one("second").state == "admitted"
    assert room.one("first").state == "waiting"
    room = rooms.present(room, "second", 6.0)
    assert room.one("second").state == "in-session"
    with pytest.raises(Conflict, match="in-session"):
        rooms.admit(room, "host", "second", 7.0)


@pytest.mark.parametrize("role", ["presenter", "patient", "guest"])
def test_who_may_not_admit_is_refused(role: Role):
    room = with_all(("host", "host"), ("other", role), ("first", "patient"))
    if role not in STAFF_ROLES:
        room = rooms.present(rooms.admit(room, "host", "other", 4.0), "other", 5.0)
    with pytest.raises(Forbidden):
        rooms.admit(room, "other", "first", 6.0)


def test_who_drops_keeps_the_place_in_the_queue_and_in_the_session():
    room = with_all(("host", "host"), ("first", "patient"), ("second", "guest"))
    room = rooms.lose(room, "first", 5.0)
    room = rooms.lose(room, "host", 5.0)
    assert room.position("first") == 1
    room = rooms.join(room, person("first", "patient"), "another", 20.0)
    room = rooms.join(room, person("host", "host"), "another", 20.0)
    assert (room.one("first").state, room.position("first")) == ("waiting", 1)
    assert room.one("host").state == "in-session"
    assert "another" not in room.participants


def test_who_is_admitted_while_away_comes_back_into_the_session():
    room = with_all(("host", "host"), ("first", "patient"))
    room = rooms.admit(rooms.lose(room, "first", 3.0), "host", "first", 4.0)
    assert (room.one("first").state, room.queue) == ("dropped", ())
    assert rooms.present(room, "first", 5.0).one("first").state == "in-session"


def test_a_dropped_place_is_given_up_after_its_time_and_the_stay_ends_when_they_dropped():
    room = rooms.lose(with_all(("host", "host"), ("expert", "expert")), "expert", 10.0)
    assert rooms.pass_time(room, 129.0).one("expert").state == "dropped"
    gone = rooms.pass_time(room, 130.0).one("expert")
    assert (gone.state, gone.reason, gone.stays) == ("left", "lost", ((1.0, 10.0),))


def test_joining_twice_is_joining_once():
    room = with_all(("host", "host"))
    assert rooms.join(room, person("host", "host"), "other", 9.0) is room


def test_who_was_removed_comes_back_only_if_let_in():
    room = with_all(("host", "host"), ("guest", "guest"))
    removed = rooms.remove(room, "host", "guest", 5.0)
    assert removed.one("guest").reason == "refused"
    with pytest.raises(Forbidden):
        rooms.join(removed, person("guest", "guest"), "x", 6.0)
    again = rooms.join(rooms.admit(removed, "host", "guest", 7.0), person("guest", "guest"), "x", 8.0)
    assert again.one("guest").state == "waiting"


def test_roles_of_staff_go_to_staff():
    room = with_all(("host", "host"), ("expert", "expert"), ("guest", "guest"))
    assert rooms.assign(room, "host", "expert", "chair").one("expert").role == "chair"
    assert rooms.assign(room, "host", "guest", "interpreter").one("guest").role == "interpreter"
    with pytest.raises(Forbidden):
        rooms.assign(room, "host", "guest", "host")
    with pytest.raises(Conflict):
        rooms.assign(room, "host", "guest", "king")
    with pytest.raises(Forbidden):
        rooms.assign(room, "expert", "guest", "patient")


def test_a_host_closes_microphones_and_opens_only_their_own():
    room = with_all(("host", "host"), ("expert", "expert"))
    muted = rooms.mute(room, "host", "expert", is_muted=True)
    with pytest.raises(Forbidden):
        rooms.mute(muted, "host", "expert", is_muted=False)
    with pytest.raises(Forbidden):
        rooms.mute(room, "expert", "host", is_muted=True)
    assert list(orders(room, muted)) == [Mute("expert", is_muted=True)]
    assert not rooms.mute(muted, "expert", "expert", is_muted=False).one("expert").is_muted


def test_sound_only_comes_by_itself_is_visible_and_can_be_overridden():
    room = with_all(("host", "host"))
    dark = rooms.darken(room, "host", "The network is poor.")
    assert dark.one("host").sound_only == "The network is poor."
    bright = rooms.show(dark, "host", "on")
    assert bright.one("host").sound_only == ""
    assert rooms.darken(bright, "host", "The network is poor.").one("host").sound_only == ""
    assert list(orders(dark, bright)) == [Show("host", "on")]
    assert rooms.show(room, "host", "off").one("host").sound_only == "chosen"


def test_a_session_is_as_long_as_its_limit_counted_from_when_two_met():
    room = with_all(("host", "host"))
    assert rooms.pass_time(room, 10_000.0).ended is None
    room = rooms.join(room, person("expert", "expert"), "expert", 100.0)
    assert (room.started, room.until) == (100.0, 3700.0)
    over = rooms.pass_time(rooms.prolong(room, "host", 90), 3700.0)
    assert over.ended is None
    over = rooms.pass_time(over, 5500.0)
    assert (over.ended, over.end_reason) == (5500.0, "time")
    assert not list(over.here)


def test_a_full_room_takes_nobody():
    room = with_all(*((f"p{number}", "patient") for number in range(5)))
    with pytest.raises(Throttled):
        rooms.join(room, person("late", "patient"), "late", 9.0)


def test_nobody_enters_or_decides_after_the_end():
    room = rooms.end(with_all(("host", "host"), ("expert", "expert")), "host", 9.0)
    for command in (
        lambda: rooms.join(room, person("late", "host"), "late", 10.0),
        lambda: rooms.admit(room, "host", "expert", 10.0),
        lambda: rooms.end(room, "host", 10.0),
    ):
        with pytest.raises(Gone):
            command()


def test_who_waits_sees_their_place_and_nobody_else():
    room = with_all(("host", "host"), ("first", "patient"), ("second", "patient"))
    seen = room_json(room, "second")
    assert seen["participants"] == []
    assert seen["queue"] == {"length": 2, "position": 2}
    assert seen["me"]["rights"] == []
    assert seen["hostPresent"]
    assert "first" not in repr(seen)
    assert [each["id"] for each in room_json(room, "host")["queue"]["waiting"]] == ["first", "second"]
    assert "key-" not in repr(room_json(room, "host"))


def test_the_encounter_goes_along_with_the_room():
    encounter: dict[str, Any] = {
        "status": "planned",
        "meta": {"lastUpdated": "2026-11-23T00:00:00.000Z"},
        "participant": [{"individual": {"reference": "Practitioner/host"}, "type": [{"text": "kept"}]}],
    }
    statuses = []
    room = empty()
    steps: list[Callable[[Room], Room]] = [
        lambda each: rooms.join(each, person("patient", "patient"), "patient", 10.0),
        lambda each: rooms.join(each, person("host", "host"), "host", 20.0),
        lambda each: rooms.present(rooms.admit(each, "host", "patient", 30.0), "patient", 31.0),
        lambda each: rooms.lose(each, "patient", 40.0),
        lambda each: rooms.present(each, "patient", 50.0),
        lambda each: rooms.end(each, "host", 60.0),
    ]
    for number, step in enumerate(steps, 1):
        room = step(room)
        encounter = brought_up(encounter, facts(room), 10.0 * number)
        statuses.append(encounter["status"])
    assert statuses == ["arrived", "arrived", "in-progress", "onleave", "in-progress", "finished"]
    history = [(each["status"], each["period"]["start"][11:19], each["period"]["end"][11:19])
               for each in encounter["statusHistory"]]  # fmt: skip
    assert history[1:] == [
        ("arrived", "00:00:10", "00:00:30"), ("in-progress", "00:00:30", "00:00:40"),
        ("onleave", "00:00:40", "00:00:50"), ("in-progress", "00:00:50", "00:01:00"),
    ]  # fmt: skip
    host, patient = encounter["participant"]
    assert host["type"] == [{"text": "kept"}]
    assert host["period"]["end"].endswith("00:01:00.000Z")
    assert patient["individual"] == {"display": "patient"}
    assert brought_up(encounter, facts(room), 99.0) == encounter


def test_a_session_at_which_nobody_met_leaves_the_encounter_alone():
    room = rooms.over(with_all(("host", "host")), "closed", 9.0)
    assert brought_up({"status": "planned"}, facts(room), 10.0)["status"] == "planned"


NAMES = ("host", "chair", "expert", "patient", "guest", "relative")
commands = st.tuples(
    st.sampled_from(("join", "present", "lose", "admit", "leave", "remove", "assign", "mute", "time", "end")),
    st.sampled_from(NAMES),
    st.sampled_from(NAMES),
    st.sampled_from(ROLES),
    st.integers(0, 50),
)


def run(room: Room, command: tuple[str, str, str, str, int], now: float) -> Room:
    name, by, about, role, _ = command
    done: dict[str, Callable[[], Room]] = {
        "join": lambda: rooms.join(room, person(about, about), about, now),  # type: ignore[arg-type]
        "present": lambda: rooms.present(room, about, now),
        "lose": lambda: rooms.lose(room, about, now),
        "admit": lambda: rooms.admit(room, by, about, now),
        "leave": lambda: rooms.leave(room, about, now),
        "remove": lambda: rooms.remove(room, by, about, now),
        "assign": lambda: rooms.assign(room, by, about, role),
        "mute": lambda: rooms.mute(room, by, about, is_muted=True),
        "time": lambda: rooms.pass_time(room, now),
        "end": lambda: rooms.end(room, by, now) if room.may(by, "end") and command[4] == 0 else room,
    }
    return done[name]()


@settings(max_examples=150, deadline=None)
@given(st.lists(commands, max_size=40))
def test_any_sequence_of_commands_leaves_a_room_in_order(sequence: list[tuple[str, str, str, str, int]]):
    room, now = empty(), 0.0
    encounter: dict[str, Any] = {"status": "planned"}
    turns: dict[str, int] = {}
    for command in sequence:
        now += command[4]
        before = room
        try:
            room = run(room, command, now)
        except (Conflict, Forbidden, Gone, NotFound, Throttled):
            continue
        queue = [each.id for each in room.queue]
        # Nobody overtakes: whoever stays in the queue keeps the order.
        kept = [each for each in turns if each in queue and turns[each] == room.one(each).turn]
        assert [each for each in queue if each in kept] == sorted(kept, key=lambda each: room.one(each).turn)
        turns = {each.id: each.turn for each in room.queue}
        assert len(list(room.here)) <= LIMITS.participants
        for each in room.participants.values():
            assert each.person.is_staff or each.role not in STAFF_ROLES
            assert (each.stays and each.stays[-1][1] is None) == (
                each.state == "in-session" or (each.state == "dropped" and each.before == "in-session")
            ) or not each.stays
            assert all(end is None or end >= start for start, end in each.stays)
            assert room.ended is None or each.state == "left"
            was = before.participants.get(each.id)
            if was is not None and was.reason in LAST and was.state == "left" and command[0] != "admit":
                assert each.state == "left"
        assert room_in(text_of(room, "me", "there")) == room
        assert state_of(room) in ("open", "waiting", "in-progress", "on-hold", "ended")
        if before is not room and before != room:
            assert list(notices(before, room)) or before.turns != room.turns
        ordered = list(orders(before, room))
        assert (End() in ordered) == (room.ended is not None and before.ended is None)
        for each in before.here:
            if not room.one(each.id).is_here and room.ended is None:
                assert Remove(each.id) in ordered
        encounter = brought_up(brought_up(encounter, facts(room), now), facts(room), now)
        assert brought_up(encounter, facts(room), now) == encounter


def test_a_room_is_remembered_with_the_process_that_it_is_in():
    assert owner_in(text_of(empty(), "me", "127.0.0.1:1")) == ("me", "127.0.0.1:1")

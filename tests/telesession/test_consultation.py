"""The table of transitions: whatever is sent, in whatever order, a consultation stays in a state that has a name."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telesession.consultation import (
    ANYBODY,
    COURSES,
    ENDED,
    EVENTS,
    KINDS,
    OPEN,
    STATES,
    TASK_OF,
    TRANSITIONS,
    Consultation,
    Message,
    Refused,
    state_of,
)

FACTS = ("reason", "question", "answer", "start", "end")
SIDES = st.sampled_from([ANYBODY, frozenset({"hub"}), frozenset({"requester"}), frozenset({"patient"}), frozenset()])
MESSAGES = st.builds(
    Message,
    st.sampled_from(EVENTS),
    SIDES,
    st.sets(st.sampled_from(FACTS), min_size=3).map(frozenset),
    st.none() | st.sampled_from(["m1", "m2", "m3", "m4"]),
)
CONSULTATIONS = st.builds(Consultation, st.sampled_from(KINDS), st.booleans())
HUB = frozenset({"Organization/hub"})


def told(consultation, message):
    """The consultation after a message, which it may refuse."""
    refused = None
    try:
        consultation = consultation.after(message, HUB if message.event == "accept" else frozenset())
    except Refused as failure:
        refused = failure
    if refused is not None:
        assert set(refused.allowed) <= set(EVENTS)
        assert refused.reason != "state" or message.event not in refused.allowed
    return consultation


@given(CONSULTATIONS, st.lists(MESSAGES, max_size=25))
def test_no_sequence_of_messages_reaches_a_state_without_a_name(consultation, messages):
    for message in messages:
        consultation = told(consultation, message)
        assert consultation.state in STATES
        if consultation.state != "draft":
            assert state_of(*TASK_OF[consultation.state]) == consultation.state


@given(CONSULTATIONS, st.lists(MESSAGES, max_size=25), st.integers(0, 24))
def test_a_message_that_was_heard_changes_nothing_ever_after(consultation, messages, place):
    for message in messages:
        consultation = told(consultation, message)
    if messages:
        message = messages[place % len(messages)]
        if message.id in consultation.heard:
            assert told(consultation, message) == consultation


@given(CONSULTATIONS, st.lists(MESSAGES, max_size=25))
def test_an_event_repeated_at_once_changes_nothing(consultation, messages):
    for message in messages:
        before, consultation = consultation, told(consultation, message)
        if consultation != before:
            again = told(consultation, message)
            assert (again.state, again.grants) == (consultation.state, consultation.grants)


@given(CONSULTATIONS, st.lists(MESSAGES, max_size=25))
def test_a_record_is_open_between_acceptance_and_end_alone(consultation, messages):
    for message in messages:
        consultation = told(consultation, message)
        assert bool(consultation.grants) == (consultation.state in OPEN)
        if consultation.state in ENDED:
            assert consultation.grants == frozenset()
            assert consultation.allowed() == ()


@given(CONSULTATIONS, MESSAGES)
def test_what_is_allowed_is_taken(consultation, message):
    given_all = Message(message.event, message.sides, frozenset(FACTS))
    if message.event in consultation.allowed(message.sides):
        assert consultation.after(given_all).state in STATES


@pytest.mark.parametrize("state", STATES)
def test_every_state_can_be_reached_and_can_end(state):
    reached, ends = {"draft"}, set(ENDED)
    for _ in STATES:
        reached |= {row.target for row in TRANSITIONS if row.source in reached}
        ends |= {row.source for row in TRANSITIONS if row.target in ends}
    assert state in reached
    assert state in ends


def test_an_emergency_may_start_without_being_booked():
    assert "start" in Consultation("conference", emergency=True, state="accepted").allowed()
    assert "start" not in Consultation("conference", state="accepted").allowed()


def test_images_may_be_read_without_a_session():
    assert "finish" in Consultation("imaging", state="accepted").allowed()
    assert "finish" not in Consultation("conference", state="accepted").allowed()


@pytest.mark.parametrize(
    ("pair", "state"),
    [
        (("accepted", "requested"), "accepted"),
        (("accepted", "booked"), "booked"),
        (("in-progress", None), "in-progress"),
        (("in-progress", "finished"), "finished"),
        (("draft", None), "draft"),
        (("failed", None), "cancelled"),
        (("unheard", "of"), None),
    ],
)
def test_a_task_tells_its_state_whatever_business_status_was_left_behind(pair, state):
    assert state_of(*pair) == state


@pytest.mark.parametrize("kind", COURSES)
def test_every_status_of_a_course_is_one_of_it(kind):
    for following in COURSES[kind].values():
        assert following <= COURSES[kind].keys()

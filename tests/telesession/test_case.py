"""The resources of a consultation, whatever events come: their statuses agree, and none that is over opens a record."""

from itertools import count
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fhir_server.access.grant import grant_from
from telesession.case import STATUS_OF, Case, Given, Moment, happened, implied, settled
from telesession.consultation import COURSES, ENDED, EVENTS, OPEN, TASK_OF, Message, Refused
from telesession.notice import NOTICES, announce, recipients_of
from tests.access.world import to
from tests.telesession.world import service_request

FACTS = frozenset({"reason", "question", "answer", "start", "end"})
SITES = tuple(f"Organization/site-{number}" for number in range(30))
GIVEN = st.builds(
    Given,
    message=st.none() | st.sampled_from(["m1", "m2"]),
    reason=st.just("r"),
    question=st.just("q"),
    answer=st.just("a"),
    start=st.sampled_from(["2026-12-01T09:00:00Z", "2026-12-02T09:00:00Z"]),
    end=st.just("2026-12-02T10:00:00Z"),
    sites=st.sampled_from([(), SITES[:1], SITES]),
    participants=st.sampled_from([(), (("Practitioner/x", "chair"),)]),
)


class Course:
    """A consultation whose events are counted."""

    def __init__(self, activity: str, priority: str) -> None:
        self.numbers = count(1)
        self.case = Case("s", facilities=("station",))
        body = {**service_request(activity, priority=priority), "id": "s", "meta": {"versionId": "1"}}
        self.case.take(body)

    def moment(self) -> Moment:
        number = next(self.numbers)
        now = f"2026-11-23T{number // 3600:02}:{number // 60 % 60:02}:{number % 60:02}.000Z"
        return Moment(now, lambda: f"id-{next(self.numbers)}", "http://node/telesession/sessions")

    def tell(self, event: Any, given: Given) -> bool:
        """Whether an event was taken."""
        before = self.case.consultation
        assert before is not None
        try:
            after = before.after(Message(event, given=FACTS, id=given.message))
        except Refused:
            return False
        if after is before:
            return False
        happened(self.case, event, given, after.state, self.moment())
        assert self.case.consultation is not None
        assert self.case.consultation.state == after.state
        return True


COURSES_OF = st.builds(Course, st.sampled_from(["TVYT", "HCTV-KCB", "HC-CDHA"]), st.sampled_from(["routine", "stat"]))
EVENTS_OF = st.lists(st.tuples(st.sampled_from(EVENTS), GIVEN), max_size=30)


@settings(max_examples=60)
@given(COURSES_OF, EVENTS_OF)
def test_resources_agree_and_nothing_is_open_after_the_end(course: Course, events: Any):
    for event, facts in events:
        course.tell(event, facts)
        case = course.case
        state = implied(case)
        assert case.consultation is not None
        assert state == case.consultation.state
        if case.task is not None:
            assert case.task["status"] == TASK_OF[state][0]
        for kind, main in (("Appointment", case.appointment), ("Encounter", case.encounter)):
            if main is not None and state in STATUS_OF[kind]:
                assert main["status"] in STATUS_OF[kind][state]
        request = case.service_request, ("station",)
        grants = [grant_from(task, ("station",), request, float("inf")) for task in case.of("Task")]
        assert any(grants) == (state in OPEN)
        if state in ENDED:
            assert not any(grants)


@settings(max_examples=40)
@given(COURSES_OF, EVENTS_OF)
def test_what_is_settled_stays_as_it_is(course: Course, events: Any):
    for event, facts in events:
        course.tell(event, facts)
    for body in list(course.case.resources.values()):
        course.case.take(body)
    settled(course.case, implied(course.case), course.moment())
    assert list(course.case.changed()) == []


@settings(max_examples=40)
@given(COURSES_OF, EVENTS_OF)
def test_statuses_follow_the_courses_of_r4(course: Course, events: Any):
    known: dict[tuple[str, str], str] = {}
    for event, facts in events:
        course.tell(event, facts)
        for key, body in course.case.resources.items():
            before: str = known.get(key) or body["status"]
            if key[0] in COURSES and before != body["status"]:
                assert body["status"] in COURSES[key[0]][before]
            known[key] = body["status"]


@settings(max_examples=40)
@given(COURSES_OF, EVENTS_OF)
def test_a_notice_names_nobody_but_those_it_is_for(course: Course, events: Any):
    for event, facts in events:
        if course.tell(event, facts) and event in NOTICES:
            told = announce(course.case, NOTICES[event], course.moment())
            if told is not None:
                assert recipients_of(told)
                assert "may" not in str(told["payload"])


def test_thirty_sites_take_part_and_all_are_let_go():
    course = Course("HCTV-KCB", "routine")
    for event in ("submit", "accept", "book"):
        assert course.tell(event, Given(start="2026-12-01T09:00:00Z", end="2026-12-01T10:00:00Z", sites=SITES))
    assert course.case.consultation is not None
    assert course.case.consultation.grants == {"Organization/hub", *SITES}
    assert len(course.case.owners()) == 32
    for event in ("start", "finish", "close"):
        assert course.tell(event, Given())
    assert course.case.consultation.grants == frozenset()
    assert {task["status"] for task in course.case.of("Task")} == {"completed"}


@pytest.mark.parametrize("path", ["Group/trainees", "Patient/may"])
def test_a_training_is_about_no_patient(path: str):
    case = Case("s", facilities=("station",))
    case.take({**service_request("DTCG", subject=to(path)), "id": "s"})
    assert case.patient == ("" if path.startswith("Group") else path)

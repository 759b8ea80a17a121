"""Looking at images together, as values: who decides what is shown, and what no sequence of events can break."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fhir_server.errors import Conflict, FhirError, Forbidden, Invalid
from telesession.review import EVENTS, MOST_MARKS, By, Review, apply, cursor, review_in, review_text, without

DOCTOR, SECOND = By("d", "Bs. An", may_present=True, may_moderate=True), By("s", "Bs. Bình", True, False)  # noqa: FBT003
PATIENT = By("p", "Mây", may_present=False, may_moderate=False)
MARK = {"type": "annotate", "instance": "1.2.3", "shape": "length", "points": [[0, 0], [1.5, 2]]}


def after(*steps: tuple[By, dict[str, Any]]) -> Review:
    review = Review()
    for number, (by, event) in enumerate(steps):
        review = apply(review, by, event, f"m{number}")
    return review


def test_who_presents_decides_what_is_shown_until_they_hand_over():
    review = after((SECOND, {"type": "present"}), (SECOND, {"type": "open", "study": "1.2"}))
    assert (review.presenter, review.study, review.version) == ("s", "1.2", 2)
    with pytest.raises(Forbidden):
        apply(review, DOCTOR, {"type": "close"}, "x")
    with pytest.raises(Conflict):
        apply(review, By("o", "O", may_present=True, may_moderate=False), {"type": "present"}, "x")
    taken = apply(review, DOCTOR, {"type": "present"}, "x")
    assert taken.presenter == "d"
    assert apply(taken, DOCTOR, {"type": "yield"}, "x").presenter == ""
    assert without(taken, "d").presenter == ""
    assert without(taken, "s") is taken


def test_another_study_begins_with_its_own_view_and_keeps_what_was_drawn():
    review = after(
        (DOCTOR, {"type": "present"}),
        (DOCTOR, {"type": "open", "study": "1.2"}),
        (DOCTOR, {"type": "window", "center": 40, "width": 400}),
        (DOCTOR, {"type": "viewport", "instance": "1.2.3", "frame": 2, "zoom": 1.5, "invert": True}),
        (SECOND, MARK),
    )
    assert review.viewport == {"instance": "1.2.3", "frame": 2, "zoom": 1.5, "invert": True}
    other = apply(review, DOCTOR, {"type": "open", "study": "1.9"}, "x")
    assert (other.viewport, other.window) == ({}, {})
    assert [mark["study"] for mark in other.marks.values()] == ["1.2"]
    assert apply(other, DOCTOR, {"type": "open", "study": "1.9"}, "x") is other


def test_marks_belong_to_who_drew_them():
    review = after((DOCTOR, {"type": "present"}), (DOCTOR, {"type": "open", "study": "1.2"}), (SECOND, MARK))
    with pytest.raises(Forbidden):
        apply(review, DOCTOR, {**MARK, "id": "m2"}, "x")
    with pytest.raises(Forbidden):
        apply(review, By("o", "O", may_present=True, may_moderate=False), {"type": "erase", "id": "m2"}, "x")
    with pytest.raises(Forbidden):
        apply(review, PATIENT, MARK, "x")
    changed = apply(review, SECOND, {**MARK, "id": "m2", "text": "12 mm"}, "x")
    assert changed.marks["m2"]["text"] == "12 mm"
    assert not apply(review, DOCTOR, {"type": "erase", "id": "m2"}, "x").marks
    with pytest.raises(Conflict):
        apply(review, DOCTOR, {"type": "erase", "id": "none"}, "x")


def test_there_is_an_end_to_drawing():
    review = after((DOCTOR, {"type": "present"}), (DOCTOR, {"type": "open", "study": "1.2"}))
    for number in range(MOST_MARKS):
        review = apply(review, SECOND, {**MARK, "id": f"m{number}"}, "x")
    with pytest.raises(Conflict, match=str(MOST_MARKS)):
        apply(review, SECOND, {**MARK, "id": "more"}, "x")


def test_a_pointer_is_told_with_its_name_and_needs_a_study():
    review = after((DOCTOR, {"type": "present"}), (DOCTOR, {"type": "open", "study": "1.2"}))
    told = cursor(review, PATIENT, {"instance": "1.2.3", "x": 1, "y": 0.5})
    assert told == {"by": "p", "name": "Mây", "instance": "1.2.3", "x": 1, "y": 0.5}
    with pytest.raises(Conflict):
        cursor(Review(), PATIENT, {"instance": "1.2.3", "x": 1, "y": 0.5})
    with pytest.raises(Invalid):
        cursor(review, PATIENT, {"instance": "1.2.3", "x": "1", "y": 0.5})


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.just("1.2"),
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=6,
)
members = st.dictionaries(
    st.sampled_from(
        ("study", "id", "instance", "series", "shape", "points", "x", "y", "zoom", "center", "width", "text")
    ),
    anything,
    max_size=6,
)
events = st.tuples(st.sampled_from((DOCTOR, SECOND, PATIENT)), st.sampled_from((*EVENTS, "nonsense")), members)


@settings(max_examples=200, deadline=None)
@given(st.lists(events, max_size=20))
def test_whatever_is_sent_leaves_a_review_that_can_be_told_and_kept(sent: list[tuple[By, str, dict[str, Any]]]):
    review = after((DOCTOR, {"type": "present"}), (DOCTOR, {"type": "open", "study": "1.2"}))
    for number, (by, kind, more) in enumerate(sent):
        before = review
        try:
            review = apply(review, by, {**more, "type": kind}, f"m{number}")
        except FhirError:
            continue
        assert by.may_present or kind == "yield"
        assert review.version == before.version + (review != before)
        assert review_in(review_text(review)) == review
        assert review.hidden()["study"] is None
        assert not review.hidden()["annotations"]

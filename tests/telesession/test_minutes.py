"""Minutes as values: what a draft asks for, and what a plain write of them may do."""

from __future__ import annotations

from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telesession.case import Case
from telesession.minutes import (
    Known,
    Person,
    code_of,
    drafted,
    form,
    is_signed,
    lacking,
    questions_of,
    refusal,
    role_in,
    signed_by,
    signers_in,
)
from telesession.narrative import paragraphs, read, says, table
from telesession.vocabulary import PARTICIPATION, ROLE, concept

Json = dict[str, Any]
NOW = "2026-12-01T02:40:00Z"
PEOPLE = (Person("Practitioner/an", "BS. An", "chair"), Person("Practitioner/binh", "ĐD. Bình", "secretary"))
words = st.text(st.characters(exclude_categories=("C", "Z")), min_size=1, max_size=12)


def draft(*questions: str, people: tuple[Person, ...] = PEOPLE) -> Json:
    case = Case("r", facilities=("station",))
    case.resources["ServiceRequest", "r"] = {
        "resourceType": "ServiceRequest", "id": "r", "subject": {"reference": "Patient/may"},
        "performer": [{"reference": "Organization/hub"}], "note": [{"text": each} for each in questions],
    }  # fmt: skip
    case.resources["Encounter", "e"] = {"resourceType": "Encounter", "id": "e", "status": "finished"}
    known = Known(people, {"name": [{"text": "Mẩy"}]}, {}, ZoneInfo("Asia/Ho_Chi_Minh"))
    return drafted(case, known, "e", NOW)


def concluded(minutes: Json, *without: str) -> Json:
    for section in minutes["section"]:
        for each in section.get("section", ()) if code_of(section) == "conclusions" else ():
            if each["title"] not in without:
                each.pop("emptyReason")
                each["text"] = paragraphs("Có")
    return minutes


@given(st.lists(words, min_size=1, max_size=5, unique=True), st.data())
def test_exactly_the_questions_without_a_conclusion_are_missed(questions: list[str], data: st.DataObject):
    missing = data.draw(st.sets(st.sampled_from(questions)))
    minutes = concluded(draft(*questions), *missing)
    found = [issue.text for issue in lacking(minutes, questions)]
    assert found == [f"The question “{each}” has no conclusion." for each in questions if each in missing]


def test_minutes_need_a_chair_and_a_secretary():
    found = [issue.text for issue in lacking(concluded(draft("A?", people=PEOPLE[:1])), ["A?"])]
    assert len(found) == 1
    assert "secretary" in found[0]


def test_questions_are_details_else_notes_else_reasons():
    request: Json = {
        "reasonCode": [{"text": "C"}],
        "note": [{"text": "B"}],
        "orderDetail": [{"text": "A"}, {"text": "A"}],
    }
    assert questions_of(request) == ("A",)
    del request["orderDetail"]
    assert questions_of(request) == ("B",)
    del request["note"]
    assert questions_of(request) == ("C",)
    assert questions_of({}) == ()


def test_the_status_and_the_times_of_signing_alone_are_not_signed():
    minutes = concluded(draft("A?"))
    half = signed_by(minutes, ["professional"], NOW)
    whole = signed_by(half, ["legal"], NOW)
    assert (half["status"], is_signed(half)) == ("preliminary", False)
    assert (whole["status"], is_signed(whole)) == ("final", True)
    assert form(minutes) == form(half) == form(whole)
    for name in minutes.keys() - {"status"}:
        assert form({**minutes, name: "x"}) != form(minutes) or name == "attester"


SIGNED = signed_by(concluded(draft("A?")), ["legal", "professional"], NOW)
OPEN = {**SIGNED, "attester": form(SIGNED)["attester"]}


@pytest.mark.parametrize(
    ("former", "body", "is_refused"),
    [
        (None, draft("A?"), False),
        (None, SIGNED, True),
        (draft("A?"), concluded(draft("A?")), False),
        (draft("A?"), {**draft("A?"), "status": "final"}, True),
        (draft("A?"), {**draft("A?"), "status": "amended"}, True),
        (SIGNED, SIGNED, False),
        (SIGNED, {**SIGNED, "meta": {"versionId": "9"}}, False),
        (SIGNED, {**SIGNED, "status": "entered-in-error"}, False),
        (SIGNED, {**SIGNED, "title": "Khác"}, True),
        (SIGNED, {**OPEN, "title": "Khác", "status": "final"}, True),
        (SIGNED, {**OPEN, "title": "Khác", "status": "preliminary"}, True),
        (SIGNED, {**OPEN, "title": "Khác", "status": "amended"}, False),
        (SIGNED, {**OPEN, "status": "amended", "attester": OPEN["attester"][:1]}, True),
        (SIGNED, {**OPEN, "status": "amended", "event": []}, True),
    ],
)
def test_what_a_plain_write_may_do(former: Json | None, body: Json, *, is_refused: bool):
    assert (refusal(former, body) is not None) == is_refused


@pytest.mark.parametrize(
    ("types", "role"),
    [
        ([concept(ROLE, "secretary")], "secretary"),
        ([concept(PARTICIPATION, "PPRF")], "chair"),
        ([concept(PARTICIPATION, "SPRF")], "secretary"),
        ([concept(PARTICIPATION, "PART"), concept(ROLE, "expert")], "expert"),
        ([concept(PARTICIPATION, "PART")], ""),
        (None, ""),
    ],
)
def test_roles_are_told_by_our_code_first(types: Any, role: str):
    assert role_in(types) == role


def test_the_first_of_each_role_signs():
    assert {
        role: each.path for role, each in signers_in([*PEOPLE, Person("Practitioner/c", "C", "chair")]).items()
    } == {
        "chair": "Practitioner/an",
        "secretary": "Practitioner/binh",
    }


@given(st.lists(st.lists(words, min_size=1, max_size=3), min_size=1, max_size=4), words)
def test_narratives_say_what_was_written(rows: list[list[str]], text: str):
    assert read(table(rows, [text])) == ("", ((text,), *map(tuple, rows)))
    assert read(paragraphs(f"{text}\n\n {text}")) == (f"{text}\n{text}", ())


@given(st.text(max_size=60) | st.text("<>/ptdr &;a", max_size=60))
def test_any_narrative_is_read(div: str):
    assert isinstance(list(says({"div": div})), list)

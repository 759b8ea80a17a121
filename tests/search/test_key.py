from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_server.search.key import Chained, Own, Reverse, WrongKey, depth, parse_key


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("name", Own("name")),
        ("name:exact", Own("name", "exact")),
        ("subject:Patient", Own("subject", "Patient")),
        ("subject.name", Chained("subject", None, Own("name"))),
        ("subject:Patient.name:exact", Chained("subject", "Patient", Own("name", "exact"))),
        ("a.b:C.d", Chained("a", None, Chained("b", "C", Own("d")))),
        ("_has:Observation:patient:code:in", Reverse("Observation", "patient", Own("code", "in"))),
        (
            "_has:Observation:patient:_has:AuditEvent:entity:agent",
            Reverse("Observation", "patient", Reverse("AuditEvent", "entity", Own("agent"))),
        ),
        ("_has:Group:member:_id", Reverse("Group", "member", Own("_id"))),
        ("subject._has:Group:member:code", Chained("subject", None, Reverse("Group", "member", Own("code")))),
        ("_has:A:b:c.d", Reverse("A", "b", Chained("c", None, Own("d")))),
    ],
)  # fmt: skip
def test_names_are_taken_apart(text, key):
    assert parse_key(text) == key


@pytest.mark.parametrize(
    "text", ["", ":exact", "name:", ".name", "subject.", "subject..name", "_has", "_has:A:b", "_has:A::c"]
)
def test_a_name_with_a_part_missing_is_wrong(text):
    with pytest.raises(WrongKey):
        parse_key(text)


def test_a_name_of_endless_steps_is_wrong():
    with pytest.raises(WrongKey):
        parse_key("a." * 5000 + "b")


def test_depth_counts_the_references_that_are_followed():
    assert [depth(parse_key(text)) for text in ("a", "a.b", "_has:A:b:c.d")] == [0, 1, 2]


@given(st.text(alphabet="_has:.aB") | st.text())
def test_any_text_is_a_key_or_wrong(text):
    with suppress(WrongKey):
        parse_key(text)

import pytest

from fhir_server.search.question import Unreadable
from fhir_server.search.row import Quantity
from fhir_server.search.value_types.quantity import FORMS
from tests.search.value_types.conftest import asked

UCUM = "http://unitsofmeasure.org"
PH = "[pH]"


def read(text, question):
    """Facet and tests of each row."""
    return [(r.number, {(t.column, t.operator, t.value) for t in r.tests}) for r in asked(FORMS, text, question())]


def test_a_unit_of_ucum_is_asked_for_in_base_units(question):
    assert read(f"gt5.4|{UCUM}|mg", question) == [
        (Quantity.CANONICAL, {("v", ">", 0.0054), ("x", "=", "g")}),
        (Quantity.CANONICAL_RANGE, {("x", ">", 0.0054), ("n", "=", "g")}),
    ]


def test_precision_is_that_of_the_unit_asked_for(question):
    facet, tests = read(f"5.4|{UCUM}|mg", question)[0]
    assert (facet, tests) == (
        Quantity.CANONICAL,
        {("v", ">=", 0.00535), ("v", "<", 0.00545), ("x", "=", "g")},
    )


def test_a_scale_that_runs_downwards_turns_the_prefix_round(question):
    assert {test[1] for _, tests in read(f"gt7|{UCUM}|{PH}", question) for test in tests if test[0] in "vx"} >= {"<"}


def test_another_system_is_asked_for_as_sent(question):
    assert read("lt5|urn:s|box", question) == [
        (Quantity.SENT, {("v", "<", 5.0), ("x", "starts", "urn:s\x1fbox\x1f")}),
        (Quantity.SENT_RANGE, {("v", "<", 5.0), ("n", "starts", "urn:s\x1fbox\x1f")}),
    ]


def test_a_unit_without_system_may_be_the_code_or_what_people_read(question):
    names = {
        test for facet, tests in read("5||mg", question) for test in tests if facet == Quantity.SENT and test[0] == "x"
    }
    assert names == {("x", "contains", "\x1fmg\x1f"), ("x", "ends", "\x1fmg")}


def test_a_number_alone_is_asked_for_in_any_unit(question):
    assert read("ge5", question) == [(Quantity.SENT, {("v", ">=", 5.0)}), (Quantity.SENT_RANGE, {("x", ">=", 5.0)})]


def test_a_unit_that_ucum_does_not_know_is_asked_for_as_sent(question):
    assert {facet for facet, _ in read(f"5|{UCUM}|no such unit", question)} == {Quantity.SENT, Quantity.SENT_RANGE}


@pytest.mark.parametrize("text", ["", "mg", "5|mg", "5|a|b|c", "|a|b", "x5|a|b"])
def test_what_is_no_quantity_is_a_wrong_value(question, text):
    with pytest.raises(Unreadable):
        asked(FORMS, text, question())

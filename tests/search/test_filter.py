from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_server.search.filter import Comparison, FilterParser, FilterTooCostly, Logic, Negation, Step, WrongFilter
from fhir_server.search.limits import Limits


def parsed(text, limits=None):
    return FilterParser(text, limits or Limits()).parsed()


def one(name):
    return Comparison((Step(name),), "eq", "1")


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("a eq 1", one("a")),
        ('name co "p e)t\\""', Comparison((Step("name"),), "co", 'p e)t"')),
        ("code eq http://loinc.org|1234-5", Comparison((Step("code"),), "eq", "http://loinc.org|1234-5")),
        ("a eq 1 or b eq 1 and c eq 1", Logic("and", Logic("or", one("a"), one("b")), one("c"))),
        ("a eq 1 or (b eq 1 and c eq 1)", Logic("or", one("a"), Logic("and", one("b"), one("c")))),
        ("not (a eq 1)", Negation(one("a"))),
        ("not(a eq 1) and b eq 1", Logic("and", Negation(one("a")), one("b"))),
        ("not eq 1", one("not")),
        ("subject.name co x", Comparison((Step("subject"), Step("name")), "co", "x")),
        ("subject:Patient.name co x", Comparison((Step("subject", "Patient"), Step("name")), "co", "x")),
        ("s[a eq 1].name co x", Comparison((Step("s", None, one("a")), Step("name")), "co", "x")),
        (
            "_has:Observation:patient:code eq 1",
            Comparison((Step("patient", source="Observation"), Step("code")), "eq", "1"),
        ),
        ("  ( a   pr true )  ", Comparison((Step("a"),), "pr", "true")),
    ],
)
def test_filters_are_read(text, tree):
    assert parsed(text) == tree


@pytest.mark.parametrize(
    "text",
    ["", "a", "a eq", "a xx 1", "a eq 1 and", "a eq 1 xor b eq 1", "(a eq 1", "a eq 1)", "s[a eq 1] eq 2",
     "s[a eq 1.b eq 2", 'a eq "b', "not a eq 1", "1a eq 2", "a. eq 1"],
)  # fmt: skip
def test_a_wrong_filter_says_where(text):
    with pytest.raises(WrongFilter, match=r"at character \d+"):
        parsed(text)


@pytest.mark.parametrize(
    "text",
    [
        "(" * 30 + "a eq 1" + ")" * 30,
        " and ".join(["a eq 1"] * 300),
        "a eq " + "1" * 9000,
        "a." * 60 + "b eq 1",
        "s[" * 50,
    ],
)
def test_a_large_filter_is_too_costly(text):
    with pytest.raises(FilterTooCostly):
        parsed(text)


@given(st.text(alphabet='ab[]().:"\\ eqnotandr|_1') | st.text())
def test_any_text_is_a_filter_or_wrong(text):
    with suppress(WrongFilter, FilterTooCostly):
        parsed(text)

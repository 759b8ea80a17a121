"""Expressions are read by the grammar, and what is wrong is named with its place."""

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fhir_server.fhirpath.error import FHIRPathError
from fhir_server.fhirpath.parser import parse
from fhir_server.fhirpath.quantity import Quantity
from fhir_server.fhirpath.syntax import (
    Binary,
    Call,
    Empty,
    Index,
    Literal,
    Name,
    Polarity,
    Special,
    TypeName,
    TypeOperation,
    Variable,
    chain,
    text,
    walk,
)
from fhir_server.fhirpath.temporal import Date, DateTime, Time

names = st.text(min_size=1, max_size=8) | st.sampled_from(["given", "is", "true", "div", "contains", "day"])
letters = st.text("abcXYZ_", min_size=1, max_size=6)
numbers = st.integers(0, 2**31) | st.decimals(0, 10**9, allow_nan=False, allow_infinity=False, places=3)
dates = st.dates().map(lambda d: Date((d.year, d.month, d.day)))
moments = st.builds(
    lambda d, o: DateTime((d.year, d.month, d.day, d.hour, d.minute, d.second), "123", o),
    st.datetimes(),
    st.sampled_from([None, 0, 420, -570]),
)
times = st.times().map(lambda t: Time((t.hour, t.minute, t.second)))
quantities = st.builds(
    Quantity, st.integers(0, 9999).map(Decimal), st.text(min_size=1, max_size=6) | st.sampled_from(["day", "week"])
)
literals = st.booleans() | numbers | st.text(max_size=10) | dates | moments | times | quantities
leaves = (
    st.just(Empty(0))
    | st.builds(Literal, st.just(0), literals)
    | st.builds(Variable, st.just(0), names)
    | st.builds(Special, st.just(0), st.sampled_from(["this", "index", "total"]))
    | st.builds(Name, st.just(0), names)
)
operators = st.sampled_from("implies or xor and in contains = ~ != !~ < > <= >= | + - & * / div mod".split())
types = st.builds(TypeName, st.just(0), letters, st.sampled_from([None, "FHIR", "System"]))
trees = st.recursive(
    leaves,
    lambda inner: (
        st.builds(Name, st.just(0), names, inner)
        | st.builds(Call, st.just(0), names, st.lists(inner, max_size=3).map(tuple), st.none() | inner)
        | st.builds(Index, st.just(0), inner, inner)
        | st.builds(Polarity, st.just(0), st.sampled_from("+-"), inner)
        | st.builds(Binary, st.just(0), operators, inner, inner)
        | st.builds(TypeOperation, st.just(0), st.sampled_from(["is", "as"]), inner, types)
    ),
    max_leaves=12,
)


@settings(deadline=None)
@given(trees)
def test_text_of_a_tree_parses_to_the_tree(tree) -> None:
    assert parse(text(tree)) == tree


@settings(deadline=None)
@given(st.text(max_size=40))
def test_any_text_is_parsed_or_refused_with_a_place(source) -> None:
    refused = None
    try:
        parse(source)
    except FHIRPathError as error:
        refused = error
    if refused:
        assert refused.position is not None
        assert refused.issues[0].code == "invalid"


@pytest.mark.parametrize(
    ("source", "same"),
    [
        ("1 + 2 * 3", "1 + (2 * 3)"),
        ("-a.b", "-(a.b)"),
        ("a | b is C", "a | (b is C)"),
        ("1 > 2 is Boolean", "1 > (2 is Boolean)"),
        ("a or b and c", "a or (b and c)"),
        ("a implies b or c", "a implies (b or c)"),
        ("a = b in c", "(a = b) in c"),
        ("a.b[0].c", "((a.b)[0]).c"),
        ("7 days", "7 day"),
        ("1 // to the end\n + 2", "1 + 2"),
        ("1 /* within */ + 2", "1 + 2"),
        ("`P\\u0065ter`", "Peter"),
        ("'\\ud83d\\ude00'", "'\N{GRINNING FACE}'"),
        ("contains.as.is", "`contains`.`as`.`is`"),
        ("%'vs-x'", "%`vs-x`"),
    ],
)
def test_precedence_and_spelling(source, same) -> None:
    assert parse(source) == parse(same)


@pytest.mark.parametrize(
    ("source", "position", "message"),
    [
        ("", 0, "the end of the expression"),
        ("2 +", 3, "expected a value"),
        ("a..b", 2, "expected a name or a function"),
        ("name.where(use = 'home'", 23, "expected ','"),
        ("'open", 0, "not closed"),
        ("2 /* open", 3, "expected a value"),
        ("a # b", 2, "Unexpected character"),
        ("'\\x'", 1, "escape"),
        ("'\\ud83d'", 0, "surrogate"),
        ("@2015-13", 0, "no valid date"),
        ("@T25:00", 0, "no valid date"),
        ("@T14:34:28Z", 10, "expected a valid date"),
        ("a is 5", 5, "the name of a type"),
        ("%5", 1, "the name of a variable"),
        ("a b", 2, "expected an operator"),
    ],
)
def test_errors_say_where_and_what_was_expected(source, position, message) -> None:
    with pytest.raises(FHIRPathError, match=message.replace("(", r"\(")) as caught:
        parse(source)
    assert caught.value.position == position
    assert f"column {position + 1}" in str(caught.value)


def test_errors_show_line_and_excerpt() -> None:
    with pytest.raises(FHIRPathError) as caught:
        parse("name\n  .where(use = )")
    assert caught.value.line_and_column == (2, 16)
    assert ">>>)" in caught.value.excerpt


def test_depth_is_limited_and_chains_are_not() -> None:
    with pytest.raises(FHIRPathError, match="levels deep"):
        parse("(" * 500 + "1" + ")" * 500)
    long = parse(" or ".join(["a"] * 2000))
    assert len(chain(long, "or")) == 2000
    assert sum(1 for _ in walk(long)) == 3999
    assert text(parse(text(long))) == text(long)


def test_length_is_limited() -> None:
    with pytest.raises(FHIRPathError, match="longer than"):
        parse("a" * 100_000)

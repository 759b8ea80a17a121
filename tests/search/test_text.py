import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_server.search.question import Unreadable
from fhir_server.search.text import TextParser


@pytest.mark.parametrize(
    ("text", "expression"),
    [
        ("sốt", "sốt"),
        ("sốt cao", "sốt AND cao"),
        ('"sốt cao" OR ho*', '"sốt cao" OR ho*'),
        ("a AND (b OR NOT c)", "a AND (b OR NOT c)"),
        ("and or not", "and AND or AND not"),
    ],
)
def test_expressions_are_written_in_one_way(text, expression):
    assert TextParser(text).parsed() == expression


@pytest.mark.parametrize(
    "text", ["", "  ", "(", "a)", "()", "AND", "a OR", "NOT", '"a', '"', "-", "(a", "(" * 50 + "a"]
)
def test_what_is_no_expression_is_a_wrong_value(text):
    with pytest.raises(Unreadable):
        TextParser(text).parsed()


@given(st.text(alphabet='ab "()*ANDOR NOT') | st.text())
def test_any_text_is_an_expression_or_wrong_and_reads_again_as_itself(text):
    try:
        found = TextParser(text).parsed()
    except Unreadable:
        return
    assert TextParser(found).parsed() == found

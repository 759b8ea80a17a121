import pytest

from fhir_server.search.plan import Row, Test
from fhir_server.search.question import Unreadable
from fhir_server.search.row import String
from fhir_server.search.value_types.string import FORMS, OPERATORS
from tests.search.value_types.conftest import asked


def parts(rows):
    return [(row.number, *((test.column, test.operator, test.value) for test in row.tests)) for row in rows]


def test_a_text_is_found_by_its_start_without_case_and_accents(question):
    assert asked(FORMS, "Nguyễn V", question("string")) == (Row(String.WHOLE, (Test("v", "starts", "nguyen v"),)),)


def test_a_name_is_found_by_any_of_its_words(question):
    assert [row.number for row in asked(FORMS, "van", question("HumanName"))] == [String.WHOLE, String.WORD]


@pytest.mark.parametrize(("text", "kept"), [("Ơn", "Ơn"), ("on", "")])
def test_the_exact_text_stands_beside_the_folded_one(question, text, kept):
    assert parts(asked(FORMS, text, question(), "exact")) == [(String.WHOLE, ("v", "=", "on"), ("x", "=", kept))]


def test_a_text_may_be_asked_for_within(question):
    assert parts(asked(FORMS, r"a\,b", question(), "contains")) == [(String.WHOLE, ("v", "contains", "ab"))]


@pytest.mark.parametrize("modifier", ["", "exact", "contains"])
def test_blanks_would_find_everything(question, modifier):
    with pytest.raises(Unreadable, match="blank"):
        asked(FORMS, "  ", question(), modifier)


def test_a_filter_compares_whole_texts(question):
    assert parts(asked(OPERATORS, "An", question(), "eq")) == [(String.WHOLE, ("v", "=", "an"))]
    assert parts(asked(OPERATORS, "An", question(), "ne")) == [
        (String.WHOLE, ("v", "<", "an")),
        (String.WHOLE, ("v", ">", "an")),
    ]

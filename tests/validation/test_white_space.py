"""White space that nobody sees."""

import pytest

from tests.validation.profiled import resource
from tests.validation.verdict import errors, only_full, warnings


@pytest.mark.parametrize(
    ("code", "right"), [("a", True), ("a b", True), ("đ", True), ("a\xa0", False), ("\xa0", False)]
)
def test_a_code_has_no_white_space_of_any_alphabet_at_its_ends(code, right):
    concept = [{"code": code, "display": "A"}]
    body = resource("CodeSystem", status="active", content="complete", concept=concept)
    assert (errors(body) == []) is right
    assert right or len(only_full(body)) == 1


@pytest.mark.parametrize(("text", "count"), [("a", 0), (" a", 0), ("a\n", 0), (" ", 1), ("\n\t", 1), ("a\x07", 1)])
def test_text_that_cannot_be_seen_is_a_warning(text, count):
    body = resource("Patient", name=[{"text": text}])
    assert errors(body) == []
    assert len(warnings(body)) == count

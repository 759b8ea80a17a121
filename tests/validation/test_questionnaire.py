"""Conditions of a Questionnaire's items."""

import pytest

from tests.validation.profiled import resource
from tests.validation.verdict import errors, only_full


def asked(question):
    """A Questionnaire in which item 2, which holds 2.1, depends on a question."""
    condition = {"question": question, "operator": "exists", "answerBoolean": True}
    inner = {"linkId": "2.1", "type": "boolean"}
    second = {"linkId": "2", "type": "boolean", "enableWhen": [condition], "item": [inner]}
    return resource("Questionnaire", status="active", item=[{"linkId": "1", "type": "boolean"}, second])


def test_a_condition_may_look_at_another_question():
    assert errors(asked("1")) == []


@pytest.mark.parametrize("question", ["3", "2", "2.1"])
def test_a_condition_looks_at_a_question_that_is_there_and_elsewhere(question):
    assert len(only_full(asked(question))) == 1

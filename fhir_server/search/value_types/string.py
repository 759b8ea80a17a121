"""Values of string parameters: the start of a text, without case and accents (FHIR R4, 3.1.1.4.8 string)."""

from __future__ import annotations

from functools import partial

from fhir_server.search.escape import unescaped
from fhir_server.search.folding import fold
from fhir_server.search.plan import Operator, Row, Test
from fhir_server.search.question import Form, Question, Rows, Unreadable
from fhir_server.search.row import String


def folded(text: str) -> str:
    """A text as rows hold it; one of spaces alone would find everything."""
    found = fold(unescaped(text))
    if not found:
        raise Unreadable("it is blank; write the text to look for")
    return found


def starting(text: str, question: Question) -> Rows:
    """Texts that start so; of names that have several words, each word may be the first."""
    tests = (Test("v", "starts", folded(text)),)
    has_words = question.reads("HumanName", "HumanName.family")
    return (Row(String.WHOLE, tests), Row(String.WORD, tests)) if has_words else (Row(String.WHOLE, tests),)


def exact(text: str, question: Question) -> Rows:
    """Texts that are this one to the letter."""
    asked, plain = unescaped(text), folded(text)
    return (Row(String.WHOLE, (Test("v", "=", plain), Test("x", "=", "" if plain == asked else asked))),)


def compared(text: str, question: Question, operator: Operator) -> Rows:
    """Whole texts that stand to this one as the operator says."""
    return (Row(String.WHOLE, (Test("v", operator, folded(text)),)),)


def unequal(text: str, question: Question) -> Rows:
    """Whole texts that are another."""
    plain = folded(text)
    return (Row(String.WHOLE, (Test("v", "<", plain),)), Row(String.WHOLE, (Test("v", ">", plain),)))


FORMS = {"": Form(starting), "exact": Form(exact), "contains": Form(partial(compared, operator="contains"))}
BY_OPERATOR: dict[str, Operator] = {
    "eq": "=", "co": "contains", "sw": "starts", "ew": "ends", "gt": ">", "lt": "<", "ge": ">=", "le": "<=",
}  # fmt: skip
OPERATORS = {"ne": Form(unequal)} | {
    name: Form(partial(compared, operator=operator)) for name, operator in BY_OPERATOR.items()
}

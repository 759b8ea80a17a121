"""Answers by the Questionnaire that the response contains."""

import pytest

from fhir_server.definitions.registry import r4
from fhir_server.validation.validator import Validator
from tests.validation.profiled import resource
from tests.validation.verdict import errors, only_full, warnings

COLORS = "https://example.org/colors"
GENDERS = "http://hl7.org/fhir/administrative-gender"
QUESTIONS = [
    {"linkId": "g", "type": "group", "text": "Group", "required": True, "item": [
        {"linkId": "g.1", "type": "boolean", "text": "Well?", "required": True},
        {"linkId": "g.2", "type": "string", "maxLength": 5, "enableWhen": [
            {"question": "g.1", "operator": "=", "answerBoolean": False}], "required": True},
    ]},
    {"linkId": "c", "type": "choice", "repeats": True, "answerOption": [
        {"valueCoding": {"system": COLORS, "code": "red"}}, {"valueCoding": {"system": COLORS, "code": "blue"}}],
        "item": [{"linkId": "c.1", "type": "integer"}]},
    {"linkId": "s", "type": "choice", "answerValueSet": "http://hl7.org/fhir/ValueSet/administrative-gender"},
    {"linkId": "o", "type": "open-choice", "answerOption": [{"valueString": "x"}]},
    {"linkId": "d", "type": "display"},
    {"linkId": "n", "type": "decimal", "enableBehavior": "any", "enableWhen": [
        {"question": "c", "operator": "exists", "answerBoolean": True},
        {"question": "c.1", "operator": ">", "answerInteger": 3}]},
]  # fmt: skip


def item(name, *answers, **members):
    """An item of a response with these answers."""
    return {"linkId": name} | ({"answer": [dict(a) for a in answers]} if answers else {}) | members


def coding(code, system=COLORS, **members):
    return {"valueCoding": {"system": system, "code": code}, **members}


WELL = item("g", item=[item("g.1", {"valueBoolean": True})])


def answered(*items, status="completed"):
    questionnaire = resource("Questionnaire", id="q", status="active", item=QUESTIONS)
    return resource(
        "QuestionnaireResponse", contained=[questionnaire], questionnaire="#q", status=status, item=list(items)
    )


@pytest.mark.parametrize(
    "items",
    [
        [WELL],
        [WELL, item("c", coding("red", item=[item("c.1", {"valueInteger": 5})]), coding("blue"))],
        [WELL, item("s", coding("male", GENDERS)), item("o", {"valueString": "of my own"})],
        [item("g", item=[item("g.1", {"valueBoolean": False}), item("g.2", {"valueString": "abcde"})], text="Group")],
        [WELL, item("c", coding("red")), item("n", {"valueDecimal": 1.5})],
        [WELL, item("d")],
    ],
)
def test_right(items):
    assert errors(answered(*items)) == []


@pytest.mark.parametrize(
    "items",
    [
        [WELL, item("zz")],
        [WELL, item("g.1", {"valueBoolean": True})],
        [item("c", coding("red")), WELL],
        [WELL, WELL],
        [item("g", item=[item("g.1")])],
        [item("c", coding("red"))],
        [item("g", item=[item("g.1", {"valueString": "yes"})])],
        [item("g", item=[item("g.1", {"valueBoolean": True}, {"valueBoolean": True})])],
        [item("g", item=[item("g.1", {"valueBoolean": True}), item("g.2", {"valueString": "a"})])],
        [item("g", item=[item("g.1", {"valueBoolean": False})])],
        [item("g", item=[item("g.1", {"valueBoolean": False}), item("g.2", {"valueString": "abcdef"})])],
        [WELL, item("c", coding("green"))],
        [WELL, item("c", {"valueString": "red"})],
        [WELL, item("s", coding("man", GENDERS))],
        [WELL, item("o", {"valueInteger": 1})],
        [WELL, item("d", {"valueString": "a"})],
        [WELL, item("n", {"valueDecimal": 1.5})],
        [WELL | {"text": "Other"}],
    ],
)
def test_wrong(items):
    assert len(only_full(answered(*items))) >= 1


def test_what_is_missing_is_a_warning_while_the_response_is_under_way():
    body = answered(item("c", coding("red")), status="in-progress")
    assert errors(body) == []
    assert any("There is no answer to 'g'" in text for text in warnings(body))


def test_a_questionnaire_that_is_stored_elsewhere_is_asked_for():
    stored = resource("Questionnaire", id="q", status="active", item=QUESTIONS)
    body = resource("QuestionnaireResponse", questionnaire="https://example.org/q", status="completed", item=[])
    del body["item"]
    full = Validator(r4(), depth="full")
    assert full.validate(body).is_valid
    assert not full.validate(body, lambda reference: stored if reference == "https://example.org/q" else None).is_valid

"""Answers by their Questionnaire, where it is contained or known (FHIR R4, 10.11 QuestionnaireResponse)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from fhir_server.terminology.protocol import Terminology
from fhir_server.validation.enable_when import Enabling
from fhir_server.validation.primitive import shown
from fhir_server.validation.questionnaire import all_items, items_of
from fhir_server.validation.resolution import contained_named
from fhir_server.validation.run import Fault, Json, Rule, Run

FINISHED = frozenset({"completed", "amended"})
CHOSEN = ("valueCoding", "valueDate", "valueTime", "valueInteger", "valueString", "valueReference")
VALUES: Mapping[str, tuple[str, ...]] = {
    "boolean": ("valueBoolean",),
    "decimal": ("valueDecimal",),
    "integer": ("valueInteger",),
    "date": ("valueDate",),
    "dateTime": ("valueDateTime",),
    "time": ("valueTime",),
    "string": ("valueString",),
    "text": ("valueString",),
    "url": ("valueUri",),
    "attachment": ("valueAttachment",),
    "reference": ("valueReference",),
    "quantity": ("valueQuantity",),
    "choice": CHOSEN,
    "open-choice": CHOSEN,
}


def questionnaire_response_rule(terminology: Terminology) -> Rule:
    """The rule that a response answers its Questionnaire."""

    def rule(response: Json, run: Run) -> None:
        canonical = response.get("questionnaire")
        if canonical.__class__ is not str:
            return
        found = contained_named(canonical[1:], response) if canonical[:1] == "#" else None
        questionnaire = found.value if found is not None else run.resolver(canonical)
        if questionnaire.__class__ is dict and questionnaire.get("resourceType") == "Questionnaire":
            Answers(questionnaire, response, run, terminology).check(questionnaire, response)

    return rule


class Answers:
    """Compares one response with its Questionnaire."""

    def __init__(self, questionnaire: Json, response: Json, run: Run, terminology: Terminology) -> None:
        self._questionnaire = questionnaire
        self._run = run
        self._terminology = terminology
        self._enabling = Enabling(response)
        self._missing = "error" if response.get("status") in FINISHED else "warning"

    def check(self, asked: Json, given: Json) -> None:
        """Compare the items below an object of the response with those below their question."""
        questions = {item.get("linkId"): (order, item) for order, item in enumerate(items_of(asked))}
        groups: dict[Any, list[Json]] = {}
        last = -1
        for item in items_of(given):
            name = item.get("linkId")
            if name in questions:
                order = questions[name][0]
                if order < last:
                    self._report(item, "linkId", f"The item {shown(name)} is out of order.")
                last = order
                groups.setdefault(name, []).append(item)
            elif any(other.get("linkId") == name for other in all_items(self._questionnaire)):
                self._report(item, "linkId", f"The item {shown(name)} is in the wrong place.")
            else:
                self._report(item, "linkId", f"The Questionnaire has no item {shown(name)}.", code="not-found")
        for name, (_, question) in questions.items():
            self._group(question, groups.get(name, []), given)

    def _group(self, question: Json, items: Sequence[Json], holder: Json) -> None:
        """Compare all items for one question with it."""
        name, enabled = question.get("linkId"), self._enabling.is_enabled(question)
        if not items:
            if enabled and question.get("required") is True:
                self._report(holder, None, f"There is no answer to {shown(name)}.", self._missing, "required")
            return
        if len(items) > 1 and question.get("repeats") is not True:
            self._report(items[1], None, f"The item {shown(name)} may be there once, found {len(items)}.")
        for item in items:
            if not enabled and ("answer" in item or "item" in item):
                self._report(item, None, f"The item {shown(name)} is not enabled, so it cannot be answered.")
            self._item(question, item, enabled=enabled)

    def _item(self, question: Json, item: Json, *, enabled: bool) -> None:
        """Compare one item with its question."""
        name, kind = question.get("linkId"), question.get("type")
        if "text" in item and item["text"] != question.get("text"):
            self._report(item, "text", f"The text of {shown(name)} is not that of the Questionnaire.")
        answers = list(answers_of(item))
        if not answers and enabled and question.get("required") is True and kind != "group":
            self._report(item, None, f"There is no answer to {shown(name)}.", self._missing, "required")
        if len(answers) > 1 and question.get("repeats") is not True:
            self._report(item, "answer", f"{shown(name)} may have one answer, found {len(answers)}.")
        for answer in answers:
            self._answer(question, answer)
        if kind == "group":
            self.check(question, item)
        elif "item" in item:
            self._report(item, "item", f"Only a group has items right below it, and {shown(name)} is a {kind}.")

    def _answer(self, question: Json, answer: Json) -> None:
        """Compare one answer with its question."""
        kind = question.get("type")
        if kind in ("group", "display"):
            self._report(answer, None, f"A {kind} has no answers.")
            return
        keys = VALUES.get(str(kind), ())
        found = next((key for key in answer if key.startswith("value")), None)
        if found is not None and keys and found not in keys:
            self._report(answer, found, f"The answer must be {' or '.join(keys)}, found {found}.")
        elif found is not None and (kind == "choice" or (kind == "open-choice" and found != "valueString")):
            self._choice(question, answer, found)
        longest, text = question.get("maxLength"), answer.get("valueString")
        if longest.__class__ is int and text.__class__ is str and len(text) > longest:
            self._report(answer, "valueString", f"The answer may have at most {longest} characters.")
        self.check(question, answer)

    def _choice(self, question: Json, answer: Json, key: str) -> None:
        """Report an answer that is none of the options."""
        options: Any = question.get("answerOption")
        value = answer[key]
        if options.__class__ is list:
            if not any(x.__class__ is dict and is_same(x.get(key), value) for x in options):
                self._report(answer, key, "The answer is none of the options.", code="code-invalid")
        elif key == "valueCoding" and value.__class__ is dict:
            membership = self._terminology.membership(str(question.get("answerValueSet", "")))
            code, system = value.get("code"), value.get("system")
            if membership is not None and code.__class__ is str and membership.contains(system, code) is False:
                self._report(answer, key, f"{system}|{code} is not in the value set of answers.", code="code-invalid")

    def _report(
        self, holder: Json, key: str | None, text: str, severity: str = "error", code: str = "business-rule"
    ) -> None:
        self._run.report(Fault(holder, key, None, severity, code, text, None, None, "full"))


def answers_of(item: Json) -> Iterator[Json]:
    """The answers of an item."""
    found: Any = item.get("answer")
    yield from (x for x in (found if found.__class__ is list else ()) if x.__class__ is dict)


def is_same(option: Any, value: Any) -> bool:
    """True for an answer that is an option: of a Coding the system and the code count."""
    if option.__class__ is dict and value.__class__ is dict:
        return bool(option.get("system") == value.get("system") and option.get("code") == value.get("code"))
    return bool(option == value)

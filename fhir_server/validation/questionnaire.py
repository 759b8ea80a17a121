"""Questionnaires: conditions look at questions that are there (FHIR R4, 10.10 Questionnaire.item.enableWhen)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fhir_server.validation.primitive import shown
from fhir_server.validation.run import Fault, Json, Run


def items_of(holder: Json) -> Iterator[Json]:
    """The items right below a Questionnaire, a response, an item or an answer."""
    items: Any = holder.get("item")
    yield from (x for x in (items if items.__class__ is list else ()) if x.__class__ is dict)


def all_items(holder: Json) -> Iterator[Json]:
    """The items below at any depth, in document order."""
    for item in items_of(holder):
        yield item
        yield from all_items(item)


def conditions_of(item: Json) -> Iterator[Json]:
    """The conditions on which an item is enabled."""
    found: Any = item.get("enableWhen")
    yield from (x for x in (found if found.__class__ is list else ()) if x.__class__ is dict)


def questionnaire_rule(questionnaire: Json, run: Run) -> None:
    """Report a condition on a question that is not there, or on the item itself or one within it."""
    names: set[Any] = set()
    for item in all_items(questionnaire):
        if item.get("linkId").__class__ is str:
            names.add(item["linkId"])
    for item in all_items(questionnaire):
        for condition in conditions_of(item):
            text = condition_problem(condition, item, names)
            if text is not None:
                run.report(Fault(condition, "question", None, "error", "business-rule", text, None, None, "full"))


def condition_problem(condition: Json, item: Json, names: set[Any]) -> str | None:
    """What is wrong with the question that a condition looks at."""
    question = condition.get("question")
    if question.__class__ is not str:
        return None
    if question not in names:
        return f"No item has the linkId {shown(question)}."
    if question == item.get("linkId"):
        return "An item cannot depend on its own answer."
    if any(inner.get("linkId") == question for inner in all_items(item)):
        return f"An item cannot depend on {shown(question)}, which is within it."
    return None

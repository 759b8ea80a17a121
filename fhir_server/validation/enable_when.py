"""Whether a question is enabled by the answers to others (FHIR R4, 10.10 Questionnaire.item.enableWhen)."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from fhir_server.validation.questionnaire import conditions_of, items_of
from fhir_server.validation.run import Json

COMPARISONS: Mapping[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "!=": operator.ne,
    ">": operator.gt,
    "<": operator.lt,
    ">=": operator.ge,
    "<=": operator.le,
}


class Enabling:
    """The answers of one response, by the linkId of their item."""

    def __init__(self, response: Json) -> None:
        self._answers: dict[Any, list[Any]] = {}
        for item in given_items(response):
            self._answers.setdefault(item.get("linkId"), []).extend(values_of(item))

    def is_enabled(self, question: Json) -> bool:
        """True when a question's conditions hold: all of them, or any where it says so."""
        results = [self._holds(condition) for condition in conditions_of(question)]
        if not results:
            return True
        return any(results) if question.get("enableBehavior") == "any" else all(results)

    def _holds(self, condition: Json) -> bool:
        values = self._answers.get(condition.get("question"), [])
        wanted = next((v for k, v in condition.items() if k.startswith("answer")), None)
        name = condition.get("operator")
        if name == "exists":
            return bool(values) == (wanted is not False)
        compare = COMPARISONS.get(str(name))
        if compare is None:
            return True
        return any(holds(compare, plain(value), plain(wanted)) for value in values)


def given_items(holder: Json) -> Iterator[Json]:
    """The items of a response at any depth, those below answers included."""
    for item in items_of(holder):
        yield item
        yield from given_items(item)
        answers: Any = item.get("answer")
        for answer in answers if answers.__class__ is list else ():
            if answer.__class__ is dict:
                yield from given_items(answer)


def values_of(item: Json) -> Iterator[Any]:
    """The values of an item's answers."""
    answers: Any = item.get("answer")
    for answer in answers if answers.__class__ is list else ():
        if answer.__class__ is dict:
            yield from (value for key, value in answer.items() if key.startswith("value"))


def plain(value: Any) -> Any:
    """What is compared: of a Coding the system and the code, of a Quantity the number."""
    if value.__class__ is not dict:
        return value
    return value["value"] if "value" in value else (value.get("system"), value.get("code"))


def holds(compare: Callable[[Any, Any], bool], value: Any, wanted: Any) -> bool:
    """The comparison, false for values that have no order."""
    try:
        return bool(compare(value, wanted))
    except TypeError:
        return False

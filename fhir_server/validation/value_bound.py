"""The least and the greatest value allowed (FHIR R4, 2.32 ElementDefinition.minValue[x], maxValue[x])."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from fhir_server.definitions.structure import TypedValue
from fhir_server.validation.item import Item
from fhir_server.validation.primitive import shown
from fhir_server.validation.run import Run
from fhir_server.validation.slicing import ItemCheck, fault_at

NUMBERS = (int, float, Decimal)


def bound_check(bound: TypedValue, profile: str, *, least: bool) -> ItemCheck:
    """The check of a value against a bound; what cannot be compared is left alone."""
    word = "least" if least else "greatest"

    def check(item: Item, run: Run) -> None:
        difference = compared(item.value, bound.value)
        if difference is not None and (difference < 0 if least else difference > 0):
            text = f"{in_words(item.value)} is beyond the {word} value allowed, {in_words(bound.value)}."
            run.report(fault_at(item, "value", text, profile))

    return check


def compared(value: Any, bound: Any) -> int | None:
    """The sign of value - bound; None where they cannot be compared."""
    if value.__class__ in NUMBERS and bound.__class__ in NUMBERS:
        return sign(Decimal(str(value)), Decimal(str(bound)))
    if value.__class__ is str and bound.__class__ is str:
        return compared_text(value, bound)
    return None


def compared_text(value: str, bound: str) -> int | None:
    """The sign of the difference of two dates or times, to the precision that both have."""
    length = min(len(value), len(bound), 19)
    return sign(value[:length], bound[:length])


def sign(first: Any, second: Any) -> int:
    """-1, 0 or 1 as the first is less than, equal to or greater than the second."""
    return int(first > second) - int(first < second)


def in_words(value: Any) -> str:
    """A value in a message; a quantity with its unit."""
    if value.__class__ is dict:
        return f"{value.get('value')} {value.get('unit') or value.get('code') or ''}".strip()
    return shown(value)

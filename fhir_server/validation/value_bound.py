"""The least and the greatest value allowed (FHIR R4, 2.32 ElementDefinition.minValue[x], maxValue[x])."""

from __future__ import annotations

from typing import Any

from fhir_server.definitions.structure import TypedValue
from fhir_server.fhirpath import quantity, temporal
from fhir_server.fhirpath.node import CONVERSIONS, quantity_from
from fhir_server.fhirpath.temporal import Temporal
from fhir_server.validation.item import Item
from fhir_server.validation.primitive import shown
from fhir_server.validation.run import Run
from fhir_server.validation.slicing import ItemCheck, fault_at


def bound_check(bound: TypedValue, profile: str, *, least: bool) -> ItemCheck:
    """The check of a value against a bound; what cannot be compared is left alone."""
    word = "least" if least else "greatest"

    def check(item: Item, run: Run) -> None:
        difference = compared(item.value, bound)
        if difference is not None and (difference < 0 if least else difference > 0):
            text = f"{in_words(item.value)} is beyond the {word} value allowed, {in_words(bound.value)}."
            run.report(fault_at(item, "value", text, profile))

    return check


def compared(value: Any, bound: TypedValue) -> int | None:
    """The sign of value - bound; None where they cannot be compared."""
    if value.__class__ is dict:
        first, second = quantity_from(value), quantity_from(bound.value)
        return quantity.compare(first, second) if first is not None and second is not None else None
    convert = CONVERSIONS.get(bound.type)
    if convert is None or value.__class__ in {list, bool}:
        return None
    first, second = convert(value), convert(bound.value)
    if isinstance(first, Temporal):
        return temporal.compare(first, second) if isinstance(second, Temporal) else None
    if first is None or second is None or isinstance(first, str):
        return None
    return int(first > second) - int(first < second)


def in_words(value: Any) -> str:
    """A value in a message; a quantity with its unit."""
    if value.__class__ is dict:
        return f"{value.get('value')} {value.get('unit') or value.get('code') or ''}".strip()
    return shown(value)

"""Conversion functions (FHIRPath 2.0, section 5.5)."""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from fhir_server.fhirpath import quantity
from fhir_server.fhirpath.collection import boolean, singleton, typed
from fhir_server.fhirpath.error import FHIRPathError
from fhir_server.fhirpath.evaluation import Frame, Run
from fhir_server.fhirpath.function import Function, Table
from fhir_server.fhirpath.mathematics import in_range
from fhir_server.fhirpath.node import Node
from fhir_server.fhirpath.quantity import Quantity
from fhir_server.fhirpath.static import Static, always, system
from fhir_server.fhirpath.temporal import (
    CALENDAR_UNITS,
    Date,
    DateTime,
    Temporal,
    Time,
    parse_date,
    parse_date_time,
    parse_time,
)

INTEGER = re.compile(r"[+-]?[0-9]{1,30}\Z")
DECIMAL = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?\Z")
QUANTITY = re.compile(r"([+-]?[0-9]+(?:\.[0-9]+)?)\s*(?:'([^']+)'|([a-zA-Z]+))?\Z")
TRUE = frozenset({"true", "t", "yes", "y", "1", "1.0"})
FALSE = frozenset({"false", "f", "no", "n", "0", "0.0"})


def iif(frame: Frame, focus: list[Any], criterion: Run, true: Run, otherwise: Run | None = None) -> list[Any]:
    """One branch or the other; the branch not taken is not evaluated."""
    if len(focus) > 1:
        raise FHIRPathError(f"iif() works on a single item, found {len(focus)}")
    inner = frame if focus is frame.this else Frame(frame.evaluation, focus, frame.variables, frame.index, frame.total)
    condition = criterion(inner)
    if len(condition) == 1 and not isinstance(singleton(condition), bool):
        raise FHIRPathError("The criterion of iif() is not a boolean")
    if boolean(condition):
        return true(inner)
    return otherwise(inner) if otherwise else []


def to_boolean(value: Any) -> bool | None:
    """True, false, yes, no, 1 and 0 in their forms."""
    if isinstance(value, bool):
        return value
    if isinstance(value, int | Decimal):
        return bool(value) if value in (0, 1) else None
    if isinstance(value, str):
        text = value.lower()
        return text in TRUE if text in TRUE | FALSE else None
    return None


def to_integer(value: Any) -> int | None:
    """A whole number."""
    if isinstance(value, int):
        return int(value)
    if isinstance(value, str) and INTEGER.match(value):
        return in_range(int(value))
    return None


def to_decimal(value: Any) -> Decimal | None:
    """A number."""
    if isinstance(value, int | Decimal):
        return Decimal(value)
    if isinstance(value, str) and DECIMAL.match(value):
        return Decimal(value)
    return None


def to_string(value: Any) -> str | None:
    """The value as a literal without quotes."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, str | int | Temporal | Quantity):
        return str(value)
    return None


def to_date(value: Any) -> Date | None:
    """The date of a date, dateTime or text."""
    if isinstance(value, Date):
        return value
    if isinstance(value, DateTime):
        return Date(value.fields[:3])
    return parse_date(value) if isinstance(value, str) else None


def to_date_time(value: Any) -> DateTime | None:
    """The dateTime of a date, dateTime or text."""
    if isinstance(value, DateTime):
        return value
    if isinstance(value, Date):
        return DateTime(value.fields)
    return parse_date_time(value) if isinstance(value, str) else None


def to_time(value: Any) -> Time | None:
    """The time of a text."""
    if isinstance(value, Time):
        return value
    return parse_time(value) if isinstance(value, str) else None


def to_quantity(value: Any) -> Quantity | None:
    """A number without unit, or text such as `4 days` or `4 'mg'`."""
    if isinstance(value, bool):
        return Quantity(Decimal(1 if value else 0))
    if isinstance(value, int | Decimal):
        return Quantity(Decimal(value))
    if isinstance(value, str):
        match = QUANTITY.match(value)
        if match and (match.group(3) is None or match.group(3) in CALENDAR_UNITS):
            unit = match.group(2) or match.group(3) or "1"
            return Quantity(Decimal(match.group(1)), CALENDAR_UNITS.get(unit, unit))
    return value if isinstance(value, Quantity) else None


def in_unit(value: Quantity | None, unit: str | None) -> Quantity | None:
    """The quantity in another unit, if it has one."""
    if value is None or unit is None or value.unit == unit:
        return value
    return quantity.add(Quantity(Decimal(0), CALENDAR_UNITS.get(unit, unit)), value)


def converting(convert: Callable[[Any], Any]) -> Callable[..., list[Any]]:
    """A toX function."""

    def evaluate(frame: Frame, focus: list[Any], unit: list[Any] | None = None) -> list[Any]:
        value = singleton(focus)
        found = None if value is None or isinstance(value, Node) else convert(value)
        if unit:
            found = in_unit(found, typed(unit, str, "a unit"))
        return [] if found is None else [found]

    return evaluate


def testing(convert: Callable[[Any], Any]) -> Callable[..., list[Any]]:
    """A convertsToX function."""
    evaluate = converting(convert)

    def test(frame: Frame, focus: list[Any], unit: list[Any] | None = None) -> list[Any]:
        return [bool(evaluate(frame, focus, unit))] if focus else []

    return test


def iif_result(focus: Static, arguments: tuple[Static, ...]) -> Static:
    """Either branch."""
    branches = arguments[1:]
    result = branches[0] if branches else Static()
    for branch in branches[1:]:
        result = result.joined(branch)
    return result


CONVERSIONS: dict[str, tuple[Callable[[Any], Any], int]] = {
    "Boolean": (to_boolean, 0),
    "Integer": (to_integer, 0),
    "Decimal": (to_decimal, 0),
    "String": (to_string, 0),
    "Date": (to_date, 0),
    "DateTime": (to_date_time, 0),
    "Time": (to_time, 0),
    "Quantity": (to_quantity, 1),
}
FUNCTIONS: Table = {
    "iif": Function(iif, 2, 3, "expressions", iif_result),
    **{
        f"to{name}": Function(converting(convert), 0, most, result=always(system(name)))
        for name, (convert, most) in CONVERSIONS.items()
    },
    **{
        f"convertsTo{name}": Function(testing(convert), 0, most, result=always(system("Boolean")))
        for name, (convert, most) in CONVERSIONS.items()
    },
}

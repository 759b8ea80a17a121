"""Quantities with UCUM and calendar units (FHIRPath 2.0, sections 4.1.8, 6.1, 6.2 and 6.6)."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from fhir_server import ucum
from fhir_server.fhirpath.temporal import CALENDAR_UNITS, UCUM_DURATIONS

UCUM = "http://unitsofmeasure.org"
CALENDAR_TO_UCUM = {unit: code for code, unit in UCUM_DURATIONS.items()}
MONTHS = {"year": 12, "month": 1}
CALENDAR_EQUIVALENTS = {"year": "a", "month": "mo"}


@dataclass(frozen=True, slots=True)
class Quantity:
    """A value with a unit; `system` tells UCUM (and calendar) units from those of another or no system."""

    value: Decimal
    unit: str = "1"
    system: str = UCUM

    def __str__(self) -> str:
        return quantity_text(self)


def quantity_text(quantity: Quantity) -> str:
    """The quantity as a literal: calendar units stand bare, others in quotes."""
    value = f"{quantity.value:f}"
    if quantity.unit in CALENDAR_UNITS:
        return f"{value} {quantity.unit}{'' if quantity.value == 1 else 's'}"
    unit = quantity.unit.replace("\\", "\\\\").replace("'", "\\'")
    return f"{value} '{unit}'"


def definite(unit: str) -> str:
    """The UCUM code of a calendar unit that has one length; other units as they are."""
    name = CALENDAR_UNITS.get(unit)
    return CALENDAR_TO_UCUM.get(name, name) if name else unit


def is_calendar(unit: str) -> bool:
    """True for years and months, whose length varies."""
    return CALENDAR_UNITS.get(unit) in MONTHS


def same_scale(left: Quantity, right: Quantity) -> tuple[Decimal, Decimal] | None:
    """Both values in one unit; None when the units cannot be compared."""
    if left.unit == right.unit and left.system == right.system:
        return left.value, right.value
    if left.system != UCUM or right.system != UCUM:
        return None
    if is_calendar(left.unit) or is_calendar(right.unit):
        return in_months(left, right)
    one = ucum.canonical(left.value, definite(left.unit))
    other = ucum.canonical(right.value, definite(right.unit))
    if one is None or other is None or one[1] != other[1]:
        return None
    return one[0], other[0]


def in_months(left: Quantity, right: Quantity) -> tuple[Decimal, Decimal] | None:
    """Two calendar quantities of years or months in months."""
    one, other = (MONTHS.get(CALENDAR_UNITS.get(q.unit, "")) for q in (left, right))
    return (left.value * one, right.value * other) if one and other else None


def comparable(left: Quantity, right: Quantity) -> bool:
    """True when the units measure the same thing."""
    return same_scale(left, right) is not None


def compare(left: Quantity, right: Quantity) -> int | None:
    """-1, 0 or 1; None when the units cannot be compared."""
    values = same_scale(left, right)
    if values is None:
        return None
    one, other = values
    return (one > other) - (one < other)


def equal(left: Quantity, right: Quantity) -> bool | None:
    """True or False; None when the units cannot be compared."""
    order = compare(left, right)
    return None if order is None else order == 0


def equivalent(left: Quantity, right: Quantity) -> bool:
    """Equal when the finer value is rounded to the precision of the coarser; a year is as long as an 'a'."""
    left, right = without_calendar(left), without_calendar(right)
    values = same_scale(left, right)
    if values is None:
        return False
    step = max(step_in_scale(left, values[0]), step_in_scale(right, values[1]))
    return abs(values[0] - values[1]) <= step / 2


def without_calendar(quantity: Quantity) -> Quantity:
    """The quantity with the UCUM unit that is equivalent to its calendar unit."""
    unit = CALENDAR_EQUIVALENTS.get(CALENDAR_UNITS.get(quantity.unit, ""), definite(quantity.unit))
    return Quantity(quantity.value, unit, quantity.system)


def step_in_scale(quantity: Quantity, scaled: Decimal) -> Decimal:
    """What one unit in the last place of the quantity is in the common unit."""
    exponent = quantity.value.normalize().as_tuple().exponent
    step = Decimal(1).scaleb(min(int(exponent), 0))
    return step * (scaled / quantity.value) if quantity.value else step


def key(quantity: Quantity) -> tuple[object, ...]:
    """Equal for equal quantities, so that sets can hold them."""
    if quantity.system == UCUM:
        if is_calendar(quantity.unit):
            unit = CALENDAR_UNITS[quantity.unit]
            return ("quantity", quantity.value * MONTHS[unit], "months")
        canonical = ucum.canonical(quantity.value, definite(quantity.unit))
        if canonical is not None:
            return ("quantity", *canonical)
    return ("quantity", quantity.value, quantity.unit, quantity.system)


def add(left: Quantity, right: Quantity) -> Quantity | None:
    """The sum in the left unit; None when the units cannot be added."""
    if left.unit == right.unit and left.system == right.system:
        return Quantity(left.value + right.value, left.unit, left.system)
    if left.system != UCUM or right.system != UCUM:
        return None
    if is_calendar(left.unit) or is_calendar(right.unit):
        months = in_months(left, right)
        scale = MONTHS.get(CALENDAR_UNITS.get(left.unit, ""))
        return Quantity((months[0] + months[1]) / scale, left.unit) if months and scale else None
    moved = ucum.convert(right.value, definite(right.unit), definite(left.unit))
    return None if moved is None else Quantity(left.value + moved, left.unit)


def multiply(left: Quantity, right: Quantity) -> Quantity | None:
    """The product with the product of the units."""
    return combine(left, right, left.value * right.value, ".")


def divide(left: Quantity, right: Quantity) -> Quantity | None:
    """The quotient with the quotient of the units; None for division by zero."""
    if not right.value:
        return None
    if left.unit == right.unit and left.system == right.system:
        return Quantity(left.value / right.value)
    return combine(left, right, left.value / right.value, "/")


def combine(left: Quantity, right: Quantity, value: Decimal, operator: str) -> Quantity | None:
    """A quantity whose unit joins two units; a unit of one disappears."""
    if left.system != UCUM or right.system != UCUM:
        return None
    one, other = definite(left.unit), definite(right.unit)
    if other == "1":
        return Quantity(value, left.unit)
    if one == "1" and operator == ".":
        return Quantity(value, right.unit)
    return Quantity(value, f"{enclosed(one)}{operator}{enclosed(other)}")


def enclosed(unit: str) -> str:
    """A unit that another may be joined to."""
    return f"({unit})" if "/" in unit or "." in unit else unit

"""The values that a precision covers, and comparability (FHIRPath, sections on boundaries and comparable)."""

from __future__ import annotations

from collections.abc import Callable
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Any

from fhir_server.fhirpath import quantity, temporal
from fhir_server.fhirpath.collection import describe, integer, is_number, singleton
from fhir_server.fhirpath.error import FHIRPathError
from fhir_server.fhirpath.evaluation import Frame
from fhir_server.fhirpath.function import Function, Table
from fhir_server.fhirpath.quantity import Quantity
from fhir_server.fhirpath.static import always, same_one, system
from fhir_server.fhirpath.temporal import Temporal

DEFAULT_PLACES = 8
MOST_PLACES = 28


def boundary(*, high: bool) -> Callable[..., list[Any]]:
    """The evaluation of `lowBoundary()` or `highBoundary()`."""

    def evaluate(frame: Frame, focus: list[Any], precision: list[Any] | None = None) -> list[Any]:
        value = singleton(focus)
        digits = integer(precision, "a precision") if precision else None
        result: Any
        if value is None:
            return []
        if isinstance(value, Temporal):
            result = temporal.boundary(value, digits, high=high)
        elif isinstance(value, Quantity):
            number = decimal_boundary(value.value, digits, high=high)
            result = None if number is None else Quantity(number, value.unit, value.system)
        elif is_number(value):
            result = decimal_boundary(Decimal(value), digits, high=high)
        else:
            raise FHIRPathError(f"Expected a number, a quantity, a date or a time, found {describe(value)}")
        return [] if result is None else [result]

    return evaluate


def decimal_boundary(value: Decimal, places: int | None, *, high: bool) -> Decimal | None:
    """The edge of what rounds to the value, with so many digits after the point.

    A value without a significant digit at that precision has zero there.
    """
    places = DEFAULT_PLACES if places is None else places
    if not 0 <= places < MOST_PLACES:
        return None
    unit = Decimal(1).scaleb(-places)
    if value and value.adjusted() < -places:
        return Decimal(0).quantize(unit).copy_sign(value)
    half = Decimal(5).scaleb(min(int(value.as_tuple().exponent), 0) - 1)
    edge = value + half if high else value - half
    return edge.quantize(unit, ROUND_CEILING if high else ROUND_FLOOR)


def precision(frame: Frame, focus: list[Any]) -> list[Any]:
    """The number of digits given: of a date or time, or of a decimal after the point."""
    value = singleton(focus)
    if value is None:
        return []
    if isinstance(value, Temporal):
        return [value.precision]
    if is_number(value):
        return [max(0, -int(Decimal(value).as_tuple().exponent))]
    raise FHIRPathError(f"Expected a number, a date or a time, found {describe(value)}")


def comparable(frame: Frame, focus: list[Any], other: list[Any]) -> list[Any]:
    """True when two quantities measure the same thing."""
    left, right = singleton(focus), singleton(other, "a quantity")
    if left is None or right is None:
        return []
    if not isinstance(left, Quantity) or not isinstance(right, Quantity):
        raise FHIRPathError("comparable() compares quantities")
    return [quantity.comparable(left, right)]


FUNCTIONS: Table = {
    "lowBoundary": Function(boundary(high=False), 0, 1, result=same_one),
    "highBoundary": Function(boundary(high=True), 0, 1, result=same_one),
    "precision": Function(precision, result=always(system("Integer"))),
    "comparable": Function(comparable, 1, result=always(system("Boolean"))),
}

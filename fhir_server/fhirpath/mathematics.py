"""Math functions (FHIRPath 2.0, section 5.7)."""

from __future__ import annotations

import math
from collections.abc import Callable
from decimal import ROUND_CEILING, ROUND_FLOOR, Context, Decimal, DecimalException, localcontext
from typing import Any

from fhir_server.fhirpath.collection import describe, is_number, rounded, singleton
from fhir_server.fhirpath.error import FHIRPathError
from fhir_server.fhirpath.evaluation import Frame
from fhir_server.fhirpath.function import Evaluate, Function, Table
from fhir_server.fhirpath.quantity import Quantity
from fhir_server.fhirpath.static import Result, always, same_one, system

PRECISION = Context(prec=28)
LARGEST_INTEGER = 2**31 - 1
SMALLEST_INTEGER = -(2**31)
MOST_PLACES = 28
Number = int | Decimal
Compute = Callable[..., Number | None]


def number(items: list[Any], what: str = "a number as input") -> Number | None:
    """The only item as a number."""
    value = singleton(items, what)
    if value is not None and not is_number(value):
        raise FHIRPathError(f"Expected {what}, found {describe(value)}")
    return value  # type: ignore[no-any-return]


def on_number(compute: Callable[..., Number | None]) -> Evaluate:
    """A function on a number whose arguments are numbers; empty when one is, or when the result is undefined."""

    def evaluate(frame: Frame, focus: list[Any], *arguments: list[Any]) -> list[Any]:
        value = number(focus)
        values = [number(argument, "a number") for argument in arguments]
        if value is None or None in values:
            return []
        try:
            result = compute(value, *values)
        except (DecimalException, ValueError, OverflowError, ZeroDivisionError):
            return []
        return [] if result is None else [result]

    return evaluate


def in_range(value: int) -> int | None:
    """An Integer; None when it is too large to be one."""
    return value if SMALLEST_INTEGER <= value <= LARGEST_INTEGER else None


def absolute(frame: Frame, focus: list[Any]) -> list[Any]:
    """Without sign; a quantity keeps its unit."""
    value = singleton(focus)
    if isinstance(value, Quantity):
        return [Quantity(abs(value.value), value.unit, value.system)]
    return on_number(abs)(frame, focus)


def integral(rounding: str) -> Callable[[Number], Number | None]:
    """Rounding to an Integer."""

    def compute(value: Number) -> Number | None:
        return in_range(int(Decimal(value).to_integral_value(rounding)))

    return compute


def truncate(value: Number) -> Number | None:
    """The whole part."""
    return in_range(int(value))


def round_to(value: Number, places: Number = 0) -> Number:
    """Rounded to so many digits after the point."""
    if places < 0:
        raise FHIRPathError("round() takes no negative precision")
    return rounded(Decimal(value), min(int(places), MOST_PLACES))


def power(base: Number, exponent: Number) -> Number | None:
    """The base to the exponent; whole for whole numbers."""
    result = PRECISION.power(Decimal(base), Decimal(exponent))
    if isinstance(base, int) and isinstance(exponent, int) and exponent >= 0:
        return in_range(int(result)) if abs(result) <= LARGEST_INTEGER + 1 else None
    return result


def logarithm(value: Number, base: Number) -> Number:
    """The logarithm to a base."""
    with localcontext(prec=40):
        quotient = Decimal(value).ln() / Decimal(base).ln()
    return PRECISION.plus(quotient.quantize(Decimal(1).scaleb(-20)).normalize())


def square_root(value: Number) -> Number | None:
    """The square root; None below zero."""
    return PRECISION.sqrt(Decimal(value)) if value >= 0 else None


def exponential(value: Number) -> Number:
    """The base of natural logarithms to the value."""
    return PRECISION.exp(Decimal(value))


def natural_logarithm(value: Number) -> Number | None:
    """The logarithm to the base e; None where there is none."""
    return PRECISION.ln(Decimal(value)) if value > 0 and math.isfinite(value) else None


DECIMAL: Result = always(system("Decimal"))
INTEGER: Result = always(system("Integer"))
NUMERIC = ("Integer", "Decimal")


def row(compute: Compute, result: Result, minimum: int = 0, maximum: int | None = None) -> Function:
    """A row for a function on numbers."""
    return Function(on_number(compute), minimum, maximum, result=result, accepts=NUMERIC)


FUNCTIONS: Table = {
    "abs": Function(absolute, result=same_one, accepts=(*NUMERIC, "Quantity")),
    "ceiling": row(integral(ROUND_CEILING), INTEGER),
    "floor": row(integral(ROUND_FLOOR), INTEGER),
    "truncate": row(truncate, INTEGER),
    "exp": row(exponential, DECIMAL),
    "ln": row(natural_logarithm, DECIMAL),
    "log": row(logarithm, DECIMAL, 1),
    "power": row(power, always(system("Integer", "Decimal")), 1),
    "round": row(round_to, DECIMAL, 0, 1),
    "sqrt": row(square_root, DECIMAL),
}

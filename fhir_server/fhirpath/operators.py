"""Operators on evaluated operands (FHIRPath 2.0, section 6)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Context, Decimal, DecimalException, InvalidOperation
from typing import Any

from fhir_server.fhirpath import collection, quantity, temporal
from fhir_server.fhirpath.collection import boolean, describe, distinct, is_number, singleton
from fhir_server.fhirpath.error import FHIRPathError
from fhir_server.fhirpath.mathematics import in_range
from fhir_server.fhirpath.quantity import Quantity
from fhir_server.fhirpath.temporal import Temporal

NUMBERS = Context(prec=28)
MOST_CHARACTERS = 1_000_000

Operation = Callable[[list[Any], list[Any]], list[Any]]


def listed(value: Any) -> list[Any]:
    """A result as a collection; None is empty."""
    return [] if value is None else [value]


def equals(left: list[Any], right: list[Any]) -> list[Any]:
    """`=`."""
    return listed(collection.equal_lists(left, right))


def differs(left: list[Any], right: list[Any]) -> list[Any]:
    """`!=`."""
    same = collection.equal_lists(left, right)
    return [] if same is None else [not same]


def is_equivalent(left: list[Any], right: list[Any]) -> list[Any]:
    """`~`."""
    return [collection.equivalent_lists(left, right)]


def is_not_equivalent(left: list[Any], right: list[Any]) -> list[Any]:
    """`!~`."""
    return [not collection.equivalent_lists(left, right)]


def ordering(accept: Callable[[int], bool]) -> Operation:
    """`<`, `<=`, `>` or `>=`."""

    def evaluate(left: list[Any], right: list[Any]) -> list[Any]:
        one, other = singleton(left, "left side of a comparison"), singleton(right, "right side of a comparison")
        if one is None or other is None:
            return []
        order = collection.compare(one, other)
        return [] if order is None else [accept(order)]

    return evaluate


def union(left: list[Any], right: list[Any]) -> list[Any]:
    """`|`."""
    return distinct(left + right)


def is_in(left: list[Any], right: list[Any]) -> list[Any]:
    """`in`."""
    if not left:
        return []
    if len(left) > 1:
        raise FHIRPathError(f"Expected a single item to look for, found {len(left)}")
    return [any(collection.equal(left[0], item) for item in right)]


def contains(left: list[Any], right: list[Any]) -> list[Any]:
    """`contains`."""
    return is_in(right, left)


def and_then(left: list[Any], right: list[Any]) -> list[Any]:
    """`and`."""
    one, other = boolean(left), boolean(right)
    if one is False or other is False:
        return [False]
    return [True] if one and other else []


def or_else(left: list[Any], right: list[Any]) -> list[Any]:
    """`or`."""
    one, other = boolean(left), boolean(right)
    if one or other:
        return [True]
    return [False] if one is False and other is False else []


def either(left: list[Any], right: list[Any]) -> list[Any]:
    """`xor`."""
    one, other = boolean(left), boolean(right)
    return [] if one is None or other is None else [one is not other]


def implies(left: list[Any], right: list[Any]) -> list[Any]:
    """`implies`."""
    one, other = boolean(left), boolean(right)
    if one is False or other:
        return [True]
    return [False] if one and other is False else []


def concatenate(left: list[Any], right: list[Any]) -> list[Any]:
    """`&`: an empty operand counts as an empty string."""
    one, other = collection.string(left), collection.string(right)
    return [joined(one or "", other or "")]


def joined(left: str, right: str) -> str:
    """Two strings in one."""
    if len(left) + len(right) > MOST_CHARACTERS:
        raise FHIRPathError(f"A string would be longer than {MOST_CHARACTERS} characters")
    return left + right


def bounded(value: int | Decimal) -> int | Decimal | None:
    """A number; None for an Integer that overflows."""
    return in_range(value) if isinstance(value, int) else value


def add(left: Any, right: Any) -> Any:
    """`+` for numbers, strings, quantities, and a date or time with a quantity."""
    if is_number(left) and is_number(right):
        return bounded(left + right)
    if isinstance(left, str) and isinstance(right, str):
        return joined(left, right)
    if isinstance(left, Quantity) and isinstance(right, Quantity):
        return quantity.add(left, right)
    if isinstance(left, Temporal) and isinstance(right, Quantity):
        return temporal.add(left, right.value, right.unit)
    raise unsuitable("+", left, right)


def subtract(left: Any, right: Any) -> Any:
    """`-` for numbers, quantities, and a date or time with a quantity."""
    if is_number(left) and is_number(right):
        return bounded(left - right)
    if isinstance(right, Quantity) and isinstance(left, Quantity | Temporal):
        return add(left, Quantity(-right.value, right.unit, right.system))
    raise unsuitable("-", left, right)


def multiply(left: Any, right: Any) -> Any:
    """`*` for numbers and quantities."""
    if is_number(left) and is_number(right):
        return bounded(left * right)
    one, other = as_quantity(left), as_quantity(right)
    if one is None or other is None:
        raise unsuitable("*", left, right)
    return quantity.multiply(one, other)


def divide(left: Any, right: Any) -> Any:
    """`/`: always a decimal; nothing for division by zero."""
    if is_number(left) and is_number(right):
        return NUMBERS.divide(Decimal(left), Decimal(right)) if right else None
    one, other = as_quantity(left), as_quantity(right)
    if one is None or other is None:
        raise unsuitable("/", left, right)
    return quantity.divide(one, other)


def as_quantity(value: Any) -> Quantity | None:
    """A quantity, or a number as one without unit."""
    return Quantity(Decimal(value)) if is_number(value) else value if isinstance(value, Quantity) else None


def whole_quotient(left: Any, right: Any) -> Any:
    """`div`: the quotient without its fraction."""
    if not is_number(left) or not is_number(right):
        raise unsuitable("div", left, right)
    return in_range(int(Decimal(left) / Decimal(right))) if right else None


def remainder(left: Any, right: Any) -> Any:
    """`mod`: what truncated division leaves."""
    if not is_number(left) or not is_number(right):
        raise unsuitable("mod", left, right)
    if not right:
        return None
    result = Decimal(left) % Decimal(right)
    return int(result) if isinstance(left, int) and isinstance(right, int) else result


def unsuitable(operator: str, left: Any, right: Any) -> FHIRPathError:
    """The error that an operator does not take such operands."""
    return FHIRPathError(f"'{operator}' does not take {describe(left)} and {describe(right)}")


def arithmetic(compute: Callable[[Any, Any], Any]) -> Operation:
    """An operator on single items; empty when one side is, or when the result has no representation."""

    def evaluate(left: list[Any], right: list[Any]) -> list[Any]:
        one, other = singleton(left, "left operand"), singleton(right, "right operand")
        if one is None or other is None:
            return []
        try:
            return listed(compute(one, other))
        except (DecimalException, InvalidOperation, OverflowError):
            return []

    return evaluate


def negated(items: list[Any]) -> list[Any]:
    """`-` in front of a number or quantity."""
    value = singleton(items, "operand of '-'")
    if value is None:
        return []
    if isinstance(value, Quantity):
        return [Quantity(-value.value, value.unit, value.system)]
    if not is_number(value):
        raise FHIRPathError(f"'-' does not take {describe(value)}")
    return [-value]


def affirmed(items: list[Any]) -> list[Any]:
    """`+` in front of a number or quantity."""
    negated(items)
    return items


OPERATIONS: Mapping[str, Operation] = {
    "=": equals,
    "!=": differs,
    "~": is_equivalent,
    "!~": is_not_equivalent,
    "<": ordering(lambda order: order < 0),
    "<=": ordering(lambda order: order <= 0),
    ">": ordering(lambda order: order > 0),
    ">=": ordering(lambda order: order >= 0),
    "|": union,
    "in": is_in,
    "contains": contains,
    "and": and_then,
    "or": or_else,
    "xor": either,
    "implies": implies,
    "&": concatenate,
    "+": arithmetic(add),
    "-": arithmetic(subtract),
    "*": arithmetic(multiply),
    "/": arithmetic(divide),
    "div": arithmetic(whole_quotient),
    "mod": arithmetic(remainder),
}
POLARITIES: Mapping[str, Callable[[list[Any]], list[Any]]] = {"-": negated, "+": affirmed}
SHORT_CIRCUITS = {"and": False, "or": True, "implies": False}
"""The left side that decides alone, so that the right side is not evaluated."""
NUMERIC = frozenset({"Integer", "Decimal"})
QUANTITY = frozenset({"Quantity"})
TEMPORAL = frozenset({"Date", "DateTime", "Time"})
TEXT = frozenset({"String"})
OPERANDS: Mapping[str, tuple[tuple[frozenset[str], frozenset[str]], ...]] = {
    "+": ((NUMERIC, NUMERIC), (TEXT, TEXT), (QUANTITY, QUANTITY), (TEMPORAL, QUANTITY)),
    "-": ((NUMERIC, NUMERIC), (QUANTITY, QUANTITY), (TEMPORAL, QUANTITY)),
    "*": ((NUMERIC | QUANTITY, NUMERIC | QUANTITY),),
    "/": ((NUMERIC | QUANTITY, NUMERIC | QUANTITY),),
    "div": ((NUMERIC, NUMERIC),),
    "mod": ((NUMERIC, NUMERIC),),
    "&": ((TEXT, TEXT),),
}
"""The System types that operators take, for the check before evaluation."""

"""Single values over raw JSON: strings, numbers, dates, quantities, and their comparison."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from typing import Any

from fhir_server.fhirpath import quantity, temporal
from fhir_server.fhirpath.error import FHIRPathError
from fhir_server.fhirpath.node import CONVERSIONS, SYSTEM_TYPES, decimal_from, quantity_from
from fhir_server.fhirpath.predicate.path import Path
from fhir_server.fhirpath.predicate.surroundings import Read, Unsupported
from fhir_server.fhirpath.temporal import Temporal

NOT_CONSTANT = object()
KINDS = {
    "String": "string",
    "Boolean": "boolean",
    "Integer": "number",
    "Decimal": "number",
    "Date": "temporal",
    "DateTime": "temporal",
    "Time": "temporal",
    "Quantity": "quantity",
}
Order = Callable[[Any, Any], "int | None"]


@dataclass(frozen=True, slots=True)
class Value:
    """A value that is there once at most: its kind, how it is read, and what it is where it is written out.

    A temporal is read as its text; `type` names its FHIR type. `is_bound` is set for a lowBoundary or highBoundary.
    """

    kind: str
    read: Read
    type: str = ""
    constant: Any = NOT_CONSTANT
    bound: str = ""

    @property
    def is_constant(self) -> bool:
        """True for a literal."""
        return self.constant is not NOT_CONSTANT


def from_path(path: Path) -> Value:
    """The value of a path that yields one at most."""
    if path.one is None:
        raise Unsupported
    kinds = {KINDS.get(SYSTEM_TYPES.get(name, "")) for name in path.types}
    if len(kinds) != 1 or None in kinds:
        raise Unsupported
    kind = str(kinds.pop())
    if len(path.types) > 1 and kind != "string":
        raise Unsupported
    return Value(kind, path.one, path.types[0])


def literal(value: Any) -> Value:
    """A value written out."""
    kinds: Mapping[type, str] = {bool: "boolean", str: "string", int: "number", Decimal: "number"}
    kind = kinds.get(type(value))
    if kind is None:
        raise Unsupported
    return Value(kind, lambda item, run: value, constant=value)


def mapped(value: Value, function: Callable[[Any], Any], kind: str) -> Value:
    """What a function makes of a value that is there."""
    read = value.read

    def one(item: Any, run: Any) -> Any:
        found = read(item, run)
        return None if found is None else function(found)

    return Value(kind, one)


def bounded(value: Value, which: str) -> Value:
    """lowBoundary() or highBoundary() of a date or time."""
    if value.kind != "temporal":
        raise Unsupported
    return Value(value.kind, value.read, value.type, bound=which)


def order_of(left: Value, right: Value) -> Order:
    """How two values compare: -1, 0, 1, or None where it is open."""
    if left.kind != right.kind or left.kind not in ORDERS:
        raise Unsupported
    return ORDERS[left.kind](left, right)


def order_numbers(left: Value, right: Value) -> Order:
    """Numbers, exactly; a whole constant can be compared as it is."""
    if isinstance(left.constant, int) or isinstance(right.constant, int):
        return lambda one, other: (one > other) - (one < other)

    def order(one: Any, other: Any) -> int:
        a, b = decimal_from(one), decimal_from(other)
        assert a is not None
        assert b is not None
        return (a > b) - (a < b)

    return order


def order_strings(left: Value, right: Value) -> Order:
    """Strings by their characters."""
    return lambda one, other: (one > other) - (one < other)


def order_temporals(left: Value, right: Value) -> Order:
    """Dates and times; texts of one shape compare as texts."""
    if (left.bound == "") != (right.bound == "") or (left.bound and (left.bound, right.bound) != ("low", "high")):
        raise Unsupported
    read_left, read_right = CONVERSIONS.get(left.type), CONVERSIONS.get(right.type)
    if read_left is None or read_right is None:
        raise Unsupported

    @lru_cache(maxsize=1024)
    def slow(one: str, other: str) -> int | None:
        a, b = read_left(one), read_right(other)
        if not isinstance(a, Temporal) or not isinstance(b, Temporal):
            raise FHIRPathError(f"Cannot compare {one} with {other}")
        if left.bound:
            low = temporal.boundary(a, None, high=False)
            high = temporal.boundary(b, None, high=True)
            return None if low is None or high is None else temporal.compare(low, high)
        return temporal.compare(a, b)

    def order(one: str, other: str) -> int | None:
        return (one > other) - (one < other) if are_alike(one, other) else slow(one, other)

    def order_bounds(one: str, other: str) -> int | None:
        return (1 if one > other else -1) if one != other and are_alike(one, other) else slow(one, other)

    return order_bounds if left.bound else order


def are_alike(one: str, other: str) -> bool:
    """True for two dates, or two times in one zone, written with the same precision: these compare as texts."""
    return len(one) == len(other) and (len(one) <= 10 or one[-6:] == other[-6:] or one[-1] == "Z" == other[-1])


def order_quantities(left: Value, right: Value) -> Order:
    """Quantities; open where the units differ in kind, or one has a comparator."""

    def order(one: Any, other: Any) -> int | None:
        a, b = quantity_from(one), quantity_from(other)
        return None if a is None or b is None else quantity.compare(a, b)

    return order


ORDERS: Mapping[str, Callable[[Value, Value], Order]] = {
    "number": order_numbers,
    "string": order_strings,
    "temporal": order_temporals,
    "quantity": order_quantities,
}

"""Fixed values and patterns (FHIR R4, 2.32 ElementDefinition.fixed[x], pattern[x], minValue[x], maxValue[x])."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fhir_server.fhirpath.node import decimal_from
from fhir_server.validation.primitive import shown

UNCOMPARED = frozenset({"id", "_id"})


def is_same(value: Any, fixed: Any) -> bool:
    """True when a value is exactly the fixed one: the same members, items in the same order; ids do not count."""
    if fixed.__class__ is dict:
        if value.__class__ is not dict:
            return False
        keys = value.keys() - UNCOMPARED
        return keys == fixed.keys() - UNCOMPARED and all(is_same(value[k], fixed[k]) for k in keys)
    if fixed.__class__ is list:
        return (
            value.__class__ is list
            and len(value) == len(fixed)
            and all(is_same(v, f) for v, f in zip(value, fixed, strict=True))
        )
    return is_same_primitive(value, fixed)


def is_within(value: Any, pattern: Any) -> bool:
    """True when a value has all that a pattern has: members, and for each item of a list one that matches it."""
    if pattern.__class__ is dict:
        return value.__class__ is dict and all(
            k in value and is_within(value[k], p) for k, p in pattern.items() if k not in UNCOMPARED
        )
    if pattern.__class__ is list:
        return value.__class__ is list and all(any(is_within(v, p) for v in value) for p in pattern)
    return is_same_primitive(value, pattern)


def is_same_primitive(value: Any, fixed: Any) -> bool:
    """True for equal primitives: numbers by value, `true` is no number."""
    if value.__class__ is fixed.__class__:
        return bool(value == fixed)
    first, second = decimal_from(value), decimal_from(fixed)
    return first is not None and first == second


def difference(value: Any, wanted: Any, same: Callable[[Any, Any], bool], path: str = "") -> str:
    """The first place where a value is not as it must be, in words."""
    if wanted.__class__ is not dict or value.__class__ is not dict:
        place = f"{path}: " if path else ""
        return f"{place}found {shown(value)}, expected {shown(wanted)}"
    step = f"{path}." if path else ""
    for key, inner in wanted.items():
        if key in UNCOMPARED:
            continue
        if key not in value:
            return f"{step}{key} is missing, expected {shown(inner)}"
        if not same(value[key], inner):
            return difference(value[key], inner, same, f"{step}{key}")
    extra = next(k for k in value if k not in wanted and k not in UNCOMPARED)
    return f"{step}{extra} is not in the fixed value"

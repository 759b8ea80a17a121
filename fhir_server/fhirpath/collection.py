"""Rules for collections: singletons, booleans, equality, order (FHIRPath 2.0, sections 4.5, 6.1 and 6.2)."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import ROUND_HALF_UP, Decimal, localcontext
from typing import Any, TypeGuard

from fhir_server.fhirpath import quantity, temporal
from fhir_server.fhirpath.error import FHIRPathError
from fhir_server.fhirpath.node import Node, TypeInfo, decimal_from, system_value
from fhir_server.fhirpath.quantity import Quantity
from fhir_server.fhirpath.temporal import Temporal


def singleton(items: list[Any], what: str = "input") -> Any:
    """The System value of the only item; None when there is none; FHIRPathError for several."""
    if not items:
        return None
    if len(items) > 1:
        raise FHIRPathError(f"Expected a single item as {what}, found {len(items)}")
    return system_value(items[0])


def boolean(items: list[Any]) -> bool | None:
    """The collection as a condition: a single item that is not a boolean counts as true, one without value as none."""
    if not items:
        return None
    if len(items) > 1:
        raise FHIRPathError(f"Expected a single boolean, found {len(items)} items")
    value = system_value(items[0])
    return value if value is None or isinstance(value, bool) else True


def typed(items: list[Any], kind: type | tuple[type, ...], what: str) -> Any:
    """The only item as a System value of a class; None when there is none."""
    value = singleton(items, what)
    if value is None:
        return None
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise FHIRPathError(f"Expected {what}, found {describe(value)}")
    return value


def string(items: list[Any], what: str = "a string") -> str | None:
    """The only item as a string."""
    value: str | None = typed(items, str, what)
    return value


def integer(items: list[Any], what: str = "an integer") -> int | None:
    """The only item as an integer."""
    value: int | None = typed(items, int, what)
    return value


def describe(value: Any) -> str:
    """A value for a message."""
    if isinstance(value, Node):
        return f"an element of type {value.type or 'unknown'}"
    return f"the {type_name(value)} {value}"


def type_name(value: Any) -> str:
    """The System type of a value."""
    for kind, name in NAMES:
        if isinstance(value, kind):
            return name
    return value.name if isinstance(value, Temporal) else "TypeInfo"


NAMES: tuple[tuple[type, str], ...] = (
    (bool, "Boolean"), (int, "Integer"), (Decimal, "Decimal"), (str, "String"), (Quantity, "Quantity"),
)  # fmt: skip


def equal(left: Any, right: Any) -> bool | None:
    """True, False, or None when precision or units leave it open."""
    one, other = system_value(left), system_value(right)
    if isinstance(one, str) and isinstance(other, str):
        return bool(one == other)
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, int | Decimal) and isinstance(other, int | Decimal):
        return one == other
    if isinstance(one, Temporal) and isinstance(other, Temporal):
        return temporal.equal(one, other)
    if isinstance(one, Quantity) and isinstance(other, Quantity):
        return quantity.equal(one, other)
    if is_unconverted(left, one) and is_unconverted(right, other):
        return left.type == right.type and same_json(left.value, right.value) and same_json(left.extra, right.extra)
    if isinstance(one, TypeInfo) and isinstance(other, TypeInfo):
        return repr(one) == repr(other)
    return False


def is_unconverted(item: Any, value: Any) -> TypeGuard[Node]:
    """True for an element without a System value."""
    return isinstance(item, Node) and (value is None or value is item)


def same_json(left: Any, right: Any) -> bool:
    """Deep equality of JSON values; numbers are compared by value, whatever their Python class."""
    if left is right:
        return True
    if isinstance(left, dict):
        return (
            isinstance(right, dict)
            and left.keys() == right.keys()
            and all(same_json(value, right[key]) for key, value in left.items())
        )
    if isinstance(left, list):
        return isinstance(right, list) and len(left) == len(right) and all(map(same_json, left, right))
    if isinstance(left, bool) or isinstance(right, bool):
        return False
    if isinstance(left, int | float | Decimal) and isinstance(right, int | float | Decimal):
        return decimal_from(left) == decimal_from(right)
    return bool(left == right)


def equal_lists(left: list[Any], right: list[Any]) -> bool | None:
    """Equality of collections, item by item in order; None when one is empty or an item leaves it open."""
    if not left or not right:
        return None
    if len(left) == 1 and len(right) == 1 and (system_value(left[0]) is None or system_value(right[0]) is None):
        return equal(left[0], right[0]) if isinstance(left[0], Node) and isinstance(right[0], Node) else None
    if len(left) != len(right):
        return False
    unknown = False
    for one, other in zip(left, right, strict=True):
        same = equal(one, other)
        if same is False:
            return False
        unknown = unknown or same is None
    return None if unknown else True


def equivalent(left: Any, right: Any) -> bool:
    """The same for most purposes: case, white space, precision and order set aside."""
    one, other = system_value(left), system_value(right)
    if isinstance(one, str) and isinstance(other, str):
        return " ".join(one.casefold().split()) == " ".join(other.casefold().split())
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, int | Decimal) and isinstance(other, int | Decimal):
        return equivalent_numbers(Decimal(one), Decimal(other))
    if isinstance(one, Temporal) and isinstance(other, Temporal):
        return temporal.equivalent(one, other)
    if isinstance(one, Quantity) and isinstance(other, Quantity):
        return quantity.equivalent(one, other)
    if isinstance(left, Node) and isinstance(right, Node) and one is left and other is right:
        return left.type == right.type and equivalent_json(left.value, right.value)
    return equal(left, right) is True


def equivalent_numbers(left: Decimal, right: Decimal) -> bool:
    """Equal when rounded to the precision of the less precise; trailing zeros do not count."""
    places = min(decimal_places(left), decimal_places(right))
    return rounded(left, places) == rounded(right, places)


def decimal_places(value: Decimal) -> int:
    """Digits after the point, without trailing zeros."""
    return max(0, -int(value.normalize().as_tuple().exponent))


def rounded(value: Decimal, places: int) -> Decimal:
    """The value with so many digits after the point, halves away from zero."""
    with localcontext() as context:
        context.prec = max(28, value.adjusted() + places + 2)
        return value.quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP)


def equivalent_json(left: Any, right: Any) -> bool:
    """Equivalence of JSON values: identity of elements and the order of arrays do not count."""
    if isinstance(left, dict) and isinstance(right, dict):
        one, other = ({k: v for k, v in body.items() if k != "id"} for body in (left, right))
        return one.keys() == other.keys() and all(equivalent_json(value, other[key]) for key, value in one.items())
    if isinstance(left, list) and isinstance(right, list):
        return same_members(left, right, equivalent_json)
    if isinstance(left, dict | list) or isinstance(right, dict | list) or left is None or right is None:
        return left is right
    return equivalent(exact(left), exact(right))


def exact(value: Any) -> Any:
    """A JSON number as a decimal; other values as they are."""
    return decimal_from(value) if isinstance(value, float) else value


def same_members(left: list[Any], right: list[Any], same: Any) -> bool:
    """True when each item has a partner of its own on the other side."""
    if len(left) != len(right):
        return False
    rest = list(right)
    for one in left:
        index = next((i for i, other in enumerate(rest) if same(one, other)), None)
        if index is None:
            return False
        del rest[index]
    return True


def equivalent_lists(left: list[Any], right: list[Any]) -> bool:
    """Equivalence of collections, in any order; empty is equivalent to empty."""
    return same_members(left, right, equivalent)


def key(item: Any) -> Any:
    """A hashable value that equal items share: sets of it find what is distinct."""
    value = system_value(item)
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return ("boolean", value)
    if isinstance(value, int | Decimal):
        return value
    if isinstance(value, Temporal):
        return temporal.key(value)
    if isinstance(value, Quantity):
        return quantity.key(value)
    if isinstance(item, Node):
        return (item.type, json_key(item.value), json_key(item.extra))
    return repr(value)


def json_key(value: Any) -> Any:
    """A hashable form of a JSON value, the same for equal values."""
    if isinstance(value, dict):
        return frozenset((name, json_key(part)) for name, part in value.items())
    if isinstance(value, list):
        return tuple(json_key(part) for part in value)
    if isinstance(value, bool):
        return ("boolean", value)
    return exact(value)


def distinct(items: Iterable[Any]) -> list[Any]:
    """The items without those that equal an earlier one."""
    seen: set[Any] = set()
    found = []
    for item in items:
        mark = key(item)
        if mark not in seen:
            seen.add(mark)
            found.append(item)
    return found


def compare(left: Any, right: Any) -> int | None:
    """-1, 0 or 1 for two System values; None when precision or units leave it open; FHIRPathError for other kinds."""
    if isinstance(left, str) and isinstance(right, str):
        return (left > right) - (left < right)
    if is_number(left) and is_number(right):
        return int(left > right) - int(left < right)
    if isinstance(left, Temporal) and isinstance(right, Temporal) and left.first == right.first:
        return temporal.compare(left, right)
    if isinstance(left, Quantity) and isinstance(right, Quantity):
        return quantity.compare(left, right)
    if isinstance(left, Node) and isinstance(right, Node) and "comparator" in {**left.value, **right.value}:
        return None
    raise FHIRPathError(f"Cannot compare {describe(left)} with {describe(right)}")


def is_number(value: Any) -> bool:
    """True for integers and decimals."""
    return isinstance(value, int | Decimal) and not isinstance(value, bool)

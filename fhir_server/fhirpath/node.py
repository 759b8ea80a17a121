"""Values with their FHIR type, and what they are as System values (FHIR R4, 2.9 FHIRPath, using FHIR types)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from fhir_server.fhirpath.quantity import UCUM, Quantity
from fhir_server.fhirpath.temporal import parse_date, parse_date_time, parse_time

Json = Any
"""A JSON value as a parser gives it: dict, list, str, bool, int, float, Decimal or None."""


class Node:
    """An element of a resource: its JSON value, its type, and the `_field` object of a primitive.

    `owner` is the JSON object that holds the value under `key`, at `index` where that is an array (else -1);
    a root has no owner. A primitive with extensions but no value has the value None.
    """

    __slots__ = ("extra", "index", "key", "owner", "type", "value")

    def __init__(
        self,
        value: Json,
        type: str,  # noqa: A002 the word of the standard
        extra: dict[str, Any] | None = None,
        owner: dict[str, Any] | None = None,
        key: str = "",
        index: int = -1,
    ) -> None:
        self.value = value
        self.type = type
        self.extra = extra
        self.owner = owner
        self.key = key
        self.index = index

    def __repr__(self) -> str:
        return f"Node({self.value!r}, {self.type!r})"


class TypeInfo:
    """What `type()` returns: the namespace and name of a type, and its base type where it has one."""

    __slots__ = ("base", "name", "namespace")

    def __init__(self, namespace: str, name: str, base: str | None = None) -> None:
        self.namespace = namespace
        self.name = name
        self.base = base

    def __repr__(self) -> str:
        return f"{self.namespace}.{self.name}"


def decimal_from(value: Json) -> Decimal | None:
    """A JSON number, exactly; a float was written with the digits that Python shows."""
    if isinstance(value, Decimal):
        return value
    if isinstance(value, float):
        return Decimal(repr(value))
    if isinstance(value, int) and not isinstance(value, bool):
        return Decimal(value)
    return None


def integer_from(value: Json) -> Json:
    """A JSON integer; a number with a point stays a decimal."""
    if isinstance(value, float | Decimal):
        exact = decimal_from(value)
        return int(value) if exact == int(value) else exact
    return value


def quantity_from(value: Json) -> Quantity | None:
    """A FHIR Quantity as a System one; None with a comparator or without a value, since neither is one number."""
    if not isinstance(value, dict) or "comparator" in value:
        return None
    number = decimal_from(value.get("value"))
    if number is None:
        return None
    code, system = value.get("code"), value.get("system")
    if code is None:
        unit = value.get("unit")
        return Quantity(number) if unit is None and system is None else Quantity(number, str(unit), "")
    return Quantity(number, code, UCUM if system == UCUM else str(system))


def text_or(parse: Callable[[str], Any]) -> Callable[[Json], Any]:
    """A reader that leaves text alone which it cannot read."""

    def read(value: Json) -> Any:
        return (parse(value) or value) if isinstance(value, str) else value

    return read


CONVERSIONS: Mapping[str, Callable[[Json], Any]] = {
    "decimal": decimal_from,
    "integer": integer_from,
    "positiveInt": integer_from,
    "unsignedInt": integer_from,
    "date": text_or(parse_date),
    "dateTime": text_or(parse_date_time),
    "instant": text_or(parse_date_time),
    "time": text_or(parse_time),
    "Quantity": quantity_from,
    "Age": quantity_from,
    "Count": quantity_from,
    "Distance": quantity_from,
    "Duration": quantity_from,
    "MoneyQuantity": quantity_from,
    "SimpleQuantity": quantity_from,
}
SYSTEM_TYPES = {
    "boolean": "Boolean", "integer": "Integer", "positiveInt": "Integer", "unsignedInt": "Integer",
    "decimal": "Decimal", "date": "Date", "dateTime": "DateTime", "instant": "DateTime", "time": "Time",
    "Quantity": "Quantity", "Age": "Quantity", "Count": "Quantity", "Distance": "Quantity", "Duration": "Quantity",
    "string": "String", "code": "String", "id": "String", "uri": "String", "url": "String", "canonical": "String",
    "oid": "String", "uuid": "String", "markdown": "String", "base64Binary": "String", "xhtml": "String",
}  # fmt: skip
"""The System type that a FHIR type converts to implicitly."""


def system_value(item: Any) -> Any:
    """The System value of an item: itself, a converted primitive or quantity, None without value, else the Node."""
    if item.__class__ is not Node:
        return item
    value = item.value
    if value is None:
        return None
    convert = CONVERSIONS.get(item.type)
    if convert is not None:
        converted = convert(value)
        return item if converted is None else converted
    return item if isinstance(value, dict) else value


def plain(item: Any) -> Json:
    """An item as a plain JSON value: the raw value of a node; text of dates, times and quantities."""
    if item.__class__ is Node:
        return item.value
    if isinstance(item, bool | int | str | Decimal):
        return item
    if isinstance(item, Quantity):
        body: dict[str, Any] = {"value": item.value, "unit": item.unit}
        return body | ({"system": item.system, "code": item.unit} if item.system == UCUM else {})
    return str(item)

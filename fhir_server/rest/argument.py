"""What an operation is asked with: its parameters, from a query or a Parameters (FHIR R4, 3.2.0 operations)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from fhir_server.errors import Invalid, Issue, Unsupported
from fhir_server.rest.failure import nearest

TEXTS = frozenset({"string", "code", "uri", "canonical", "url", "id", "dateTime", "date", "instant"})
NUMBERS = frozenset({"integer", "positiveInt", "unsignedInt"})
BOOLEANS = {"true": True, "false": False}
INTEGER = re.compile(r"-?[0-9]{1,10}")
LEAST = {"positiveInt": 1, "unsignedInt": 0}
PRESENTATION = frozenset({"_format", "_pretty", "_elements", "_summary"})
"""What a query says about the form of the answer, and not to the operation."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Input:
    """A parameter of an operation: its name, its FHIR type (`parts` for one made of others), whether it may repeat.

    One that is not `supported` is in the standard, and refused here with its name; `reason` says why.
    """

    name: str
    type: str
    many: bool = False
    required: bool = False
    supported: bool = True
    reason: str = ""


class Arguments:
    """The values given, each of the type that its parameter declares; of a repeated one in the order sent."""

    def __init__(self, values: Mapping[str, Sequence[Any]]) -> None:
        self._values = values

    def one(self, name: str, kind: type[T]) -> T | None:
        """The value of a parameter that is given once; None where it is not."""
        found = self._values.get(name)
        if not found:
            return None
        assert isinstance(found[0], kind)
        return found[0]

    def text(self, name: str) -> str | None:
        """The value of a parameter that is a text."""
        return self.one(name, str)

    def flag(self, name: str) -> bool:
        """Whether a parameter is given and true."""
        return bool(self.one(name, bool))

    def resource(self, name: str) -> dict[str, Any] | None:
        """The value of a parameter that is a resource or a data type."""
        return self.one(name, dict)

    def many(self, name: str) -> Sequence[Any]:
        """All values of a parameter."""
        return self._values.get(name, ())

    def pairs(self, *, without: Iterable[str] = ()) -> list[tuple[str, str]]:
        """The names and values of all parameters but some, as a search takes them."""
        left_out = frozenset(without)
        return [(name, str(value)) for name, listed in self._values.items() if name not in left_out for value in listed]

    def __contains__(self, name: str) -> bool:
        return bool(self._values.get(name))


def from_pairs(
    inputs: Iterable[Input], pairs: Iterable[tuple[str, str]], *, others: bool = False
) -> dict[str, list[Any]]:
    """Return the values in a query; raise Invalid for a value that is not of its type.

    A name that is not known is Invalid too, unless `others` may stand beside those of the operation.
    """
    known = {each.name: each for each in inputs}
    values: dict[str, list[Any]] = {}
    for name, text in pairs:
        if name in PRESENTATION and name not in known:
            continue
        value = text if others and name not in known else _from_text(_known(name, known), text)
        values.setdefault(name, []).append(value)
    return values


def from_parameters(inputs: Iterable[Input], body: Mapping[str, Any], *, others: bool = False) -> dict[str, list[Any]]:
    """Return the values in a Parameters; raise Invalid as `from_pairs` does."""
    known = {each.name: each for each in inputs}
    values: dict[str, list[Any]] = {}
    items = body.get("parameter", ())
    for index, item in enumerate(items if isinstance(items, list) else ()):
        where = f"Parameters.parameter[{index}]"
        if not isinstance(item, dict) or not isinstance(item.get("name"), str):
            raise Invalid(Issue("error", "required", "A parameter needs a name.", (where,)))
        name = item["name"]
        each = Input(name, "string") if others and name not in known else _known(name, known)
        values.setdefault(name, []).append(_from_item(each, item, where))
    return values


def arguments_of(operation: str, inputs: Sequence[Input], values: Mapping[str, Sequence[Any]]) -> Arguments:
    """Return the arguments; raise Invalid for what is missing or repeated, Unsupported for what is not done here."""
    for each in inputs:
        given = values.get(each.name, ())
        if given and not each.supported:
            text = f"${operation} does not know the parameter {each.name} here{each.reason and ': '}{each.reason}."
            raise Unsupported(text)
        if len(given) > 1 and not each.many:
            raise Invalid(Issue("error", "value", f"${operation} takes the parameter {each.name} once."))
        if each.required and not given:
            raise Invalid(Issue("error", "required", f"${operation} needs the parameter {each.name}."))
    return Arguments(values)


def _known(name: str, known: Mapping[str, Input]) -> Input:
    if name not in known:
        raise Invalid(Issue("error", "invalid", f"There is no parameter {name[:80]} here.{nearest(name, known)}"))
    return known[name]


def _from_text(each: Input, text: str) -> Any:
    if each.type in TEXTS:
        if not text:
            raise _wrong(each, "is empty")
        return text
    if each.type == "boolean" and text in BOOLEANS:
        return BOOLEANS[text]
    if each.type in NUMBERS and INTEGER.fullmatch(text):
        return _in_range(each, int(text))
    if each.type == "boolean" or each.type in NUMBERS:
        wanted = "true or false" if each.type == "boolean" else "a whole number"
        raise _wrong(each, f"must be {wanted}, not {text[:80]!r}")
    if each.type == "Coding":  # 3.2.0.4: a Coding may stand in a URL as a token
        system, bar, code = text.rpartition("|")
        return {"system": system, "code": code} if bar and system else {"code": code}
    if each.type == "Reference" and text:
        return {"reference": text}
    raise _wrong(each, f"is a {each.type}: send it by POST, in a Parameters")


def _from_item(each: Input, item: Mapping[str, Any], where: str) -> Any:
    if each.type == "parts":
        parts = item.get("part")
        if not isinstance(parts, list) or not all(isinstance(part, dict) for part in parts):
            raise _wrong(each, "must have parts", where)
        return {part.get("name", ""): found for part in parts if (found := _value(part)) is not None}
    value = _value(item)
    if each.type == "Reference" and isinstance(value, str):
        value = {"reference": value}
    if value.__class__ is not _python_type(each.type):
        raise _wrong(each, f"must be of type {each.type}", where)
    if value == "":
        raise _wrong(each, "is empty", where)
    if isinstance(value, dict) and value.get("resourceType", each.type) != each.type != "Resource":
        raise _wrong(each, f"must be a {each.type}, not a {value['resourceType']}", where)
    return _in_range(each, value) if isinstance(value, int) and each.type in NUMBERS else value


def _python_type(kind: str) -> type:
    if kind in TEXTS:
        return str
    if kind in NUMBERS:
        return int
    return bool if kind == "boolean" else dict


def _value(item: Mapping[str, Any]) -> Any:
    if "resource" in item:
        return item["resource"]
    return next((value for key, value in item.items() if key.startswith("value")), None)


def _in_range(each: Input, number: int) -> int:
    least = LEAST.get(each.type)
    if least is not None and number < least:
        raise _wrong(each, f"must be {least} or more, not {number}")
    return number


def _wrong(each: Input, what: str, where: str | None = None) -> Invalid:
    return Invalid(Issue("error", "value", f"The parameter {each.name} {what}.", (where,) if where else ()))


Part = tuple[str, str, Any]


def parameter(name: str, kind: str, value: Any) -> dict[str, Any]:
    """Return an element of Parameters with a value of a type; `resource` and `part` are kinds too."""
    if kind in ("resource", "part"):
        return {"name": name, kind: value}
    return {"name": name, f"value{kind[0].upper()}{kind[1:]}": value}


def parameters(*items: Part | None) -> dict[str, Any]:
    """Return a Parameters of (name, type, value), without those whose value is None."""
    return {
        "resourceType": "Parameters",
        "parameter": [parameter(*item) for item in items if item is not None and item[2] is not None],
    }


def parts(*items: Part | None) -> list[dict[str, Any]]:
    """Return the parts of one parameter, as `parameters` does."""
    return [parameter(*item) for item in items if item is not None and item[2] is not None]

"""What is known about a collection before evaluation: its types and whether it may hold several items."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from fhir_server.fhirpath.model import Model
from fhir_server.fhirpath.node import SYSTEM_TYPES

SYSTEM = "System."
SYSTEM_NAMES = frozenset("Any Boolean String Integer Decimal Date DateTime Time Quantity TypeInfo".split())


@dataclass(frozen=True, slots=True)
class Static:
    """The possible types (FHIR names, or `System.` names), None when unknown; `many` when several items may come."""

    types: frozenset[str] | None = None
    many: bool = True

    def one(self) -> Static:
        """The same types, a single item at most."""
        return Static(self.types, many=False)

    def several(self) -> Static:
        """The same types, any number of items."""
        return Static(self.types, many=True)

    def joined(self, other: Static) -> Static:
        """Either of two collections."""
        types = None if self.types is None or other.types is None else self.types | other.types
        return Static(types, many=self.many or other.many)

    def system_types(self) -> frozenset[str] | None:
        """The System types that the items convert to; None when unknown or when one converts to none."""
        if self.types is None:
            return None
        return frozenset(t.removeprefix(SYSTEM) if t.startswith(SYSTEM) else SYSTEM_TYPES.get(t, t) for t in self.types)


Result = Callable[[Static, tuple[Static, ...]], Static]
"""What a function makes of its input and its arguments."""

UNKNOWN = Static()
EMPTY = Static(frozenset(), many=False)


def system(*names: str, many: bool = False) -> Static:
    """System types by name."""
    return Static(frozenset(SYSTEM + name for name in names), many=many)


def of_literal(name: str) -> Static:
    """The static type of one System value."""
    return system(name)


def always(static: Static) -> Result:
    """A result that does not depend on the input."""
    return lambda focus, arguments: static


def same(focus: Static, arguments: tuple[Static, ...]) -> Static:
    """A result of the input's types."""
    return focus


def same_one(focus: Static, arguments: tuple[Static, ...]) -> Static:
    """A single item of the input."""
    return focus.one()


def joined(focus: Static, arguments: tuple[Static, ...]) -> Static:
    """The input and the arguments together."""
    for argument in arguments:
        focus = focus.joined(argument)
    return focus.several()


def first_argument(focus: Static, arguments: tuple[Static, ...]) -> Static:
    """What the first argument yields for each item of the input."""
    return Static(arguments[0].types, many=focus.many or arguments[0].many)


def unknown(focus: Static, arguments: tuple[Static, ...]) -> Static:
    """Anything."""
    return UNKNOWN


def may_be(focus: Static, kinds: Iterable[str]) -> bool:
    """True unless it is certain that the items are of none of these System types."""
    types = focus.system_types()
    return types is None or not types or bool(types & frozenset(kinds))


def element(model: Model, focus: Static, name: str) -> Static | None:
    """The static type of an element; None when no type of the input has it."""
    if focus.types is None:
        return UNKNOWN
    found: set[str] = set()
    many = focus.many
    matched = not focus.types
    for kind in focus.types:
        if kind.startswith(SYSTEM):
            if kind == "System.TypeInfo":
                return system("String")
            continue
        steps = model.steps_of(kind).get(name)
        if steps is not None:
            matched = True
            found.update(step.type for step in steps)
            many = many or any(step.many for step in steps)
        elif not model.knows(kind) or model.is_abstract(kind):
            return Static(None, many=True)
    if not matched:
        return None
    if any(model.is_resource(kind) and model.is_abstract(kind) for kind in found):
        return Static(None, many=many)
    return Static(frozenset(found), many=many)

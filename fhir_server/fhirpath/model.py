"""Which elements a type has, prepared for navigation (FHIR R4, 2.6.2 JSON: choice keys and `_field` siblings)."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, NamedTuple

from fhir_server.definitions.datatype import Member
from fhir_server.definitions.registry import Definitions
from fhir_server.fhirpath.node import Node

UNKNOWN = ""
"""The type of an element that no definition describes."""


class Step(NamedTuple):
    """How to come from a JSON object to one of its members; `shadow` is the key of a primitive's extensions."""

    key: str
    shadow: str | None
    type: str
    many: bool
    holds_resource: bool


NO_STEPS: tuple[Step, ...] = ()
NOTHING: Mapping[str, tuple[Step, ...]] = {}


class Model:
    """The definitions as FHIRPath navigates them."""

    def __init__(self, definitions: Definitions) -> None:
        self.definitions = definitions
        self._steps: dict[str, dict[str, tuple[Step, ...]]] = {}
        self._keys: dict[str, dict[str, Step]] = {}
        self._subtypes: dict[tuple[str, str], bool] = {}

    def knows(self, name: str) -> bool:
        """True for a type or backbone that is defined."""
        return name in self._steps or (name != UNKNOWN and self.definitions.has_type(name))

    def steps_of(self, name: str) -> Mapping[str, tuple[Step, ...]]:
        """The steps from a type, by element name; nothing for an unknown type."""
        found = self._steps.get(name)
        if found is None:
            if not self.knows(name):
                return NOTHING
            names = self.definitions.type(name).names
            found = {element: tuple(self._step(m) for m in members) for element, members in names.items()}
            if self.is_primitive(name):
                found.pop("value", None)
            self._steps[name] = found
        return found

    def keys_of(self, name: str) -> Mapping[str, Step]:
        """The steps from a type, by JSON key."""
        found = self._keys.get(name)
        if found is None:
            found = {step.key: step for steps in self.steps_of(name).values() for step in steps}
            if found:
                self._keys[name] = found
        return found

    def _step(self, member: Member) -> Step:
        kind = self.definitions.type(member.type).kind if self.definitions.has_type(member.type) else ""
        shadow = "_" + member.key if kind == "primitive" else None
        return Step(member.key, shadow, member.type, member.many, kind == "resource")

    def is_primitive(self, name: str) -> bool:
        """True for string, code, date and the like."""
        return self.knows(name) and self.definitions.type(name).kind == "primitive"

    def is_resource(self, name: str) -> bool:
        """True for a type of resource, abstract ones included."""
        return self.knows(name) and self.definitions.type(name).kind == "resource"

    def is_abstract(self, name: str) -> bool:
        """True for Resource, DomainResource, Element and BackboneElement, which stand for other types."""
        return not self.knows(name) or self.definitions.type(name).abstract

    def is_subtype(self, name: str, of: str) -> bool:
        """True when a type is the other or specialises it."""
        if name == of:
            return True
        pair = (name, of)
        known = self._subtypes.get(pair)
        if known is None:
            if not self.knows(name) or not self.knows(of):
                return False
            known = self._subtypes[pair] = self.definitions.is_subtype(name, of)
        return known

    def node(self, value: Any, name: str | None = None) -> Node:
        """A root node: a resource names its own type."""
        if name is None:
            name = own_type(value, UNKNOWN) if isinstance(value, dict) else guessed_type(value)
        return Node(value, name)

    def select(self, node: Node, name: str, found: list[Any]) -> None:
        """Add the elements of a node that have a name."""
        holder = node.value if isinstance(node.value, dict) else node.extra
        if holder is None:
            return
        steps = self.steps_of(node.type)
        if steps:
            for step in steps.get(name, NO_STEPS):
                take(holder, step, found)
        elif name in holder:
            take(holder, guessed_step(holder[name], name), found)

    def children(self, node: Node) -> list[Any]:
        """All elements directly below a node, in the order of the JSON."""
        holder = node.value if isinstance(node.value, dict) else node.extra
        found: list[Any] = []
        if holder is None:
            return found
        steps = self.keys_of(node.type)
        for key in holder:
            bare = key.removeprefix("_")
            if key != bare and bare in holder:
                continue
            step = steps.get(bare) if steps else guessed_step(holder[key], bare)
            if step is not None and bare != "resourceType":
                take(holder, step, found)
        return found

    def descendants(self, items: list[Any]) -> list[Any]:
        """All elements below the nodes, the higher levels first."""
        found: list[Any] = []
        level = items
        while level:
            level = [child for item in level if item.__class__ is Node for child in self.children(item)]
            found += level
        return found


def take(holder: dict[str, Any], step: Step, found: list[Any]) -> None:
    """Add the nodes of one JSON member."""
    key, shadow, name, _, holds_resource = step
    raw = holder.get(key)
    extra = holder.get(shadow) if shadow is not None else None
    if raw is None and extra is None:
        return
    if raw.__class__ is list or extra.__class__ is list:
        take_many(holder, step, found)
        return
    if holds_resource:
        name = own_type(raw, name)
    found.append(Node(raw, name, extra if isinstance(extra, dict) else None, holder, key))


def own_type(raw: Any, name: str) -> str:
    """The type that a resource names itself."""
    own = raw.get("resourceType") if isinstance(raw, dict) else None
    return own if isinstance(own, str) else name


def take_many(holder: dict[str, Any], step: Step, found: list[Any]) -> None:
    """Add the nodes of a JSON array; a null in it is a primitive with extensions only, or nothing."""
    key, shadow, name, _, holds_resource = step
    raw = holder.get(key)
    values = raw if isinstance(raw, list) else []
    extras = holder.get(shadow) if shadow is not None else None
    extras = extras if isinstance(extras, list) else []
    for index in range(max(len(values), len(extras))):
        value = values[index] if index < len(values) else None
        extra = extras[index] if index < len(extras) else None
        if value is None and extra is None:
            continue
        own = own_type(value, name) if holds_resource else name
        found.append(Node(value, own, extra if isinstance(extra, dict) else None, holder, key, index))


def guessed_step(raw: Any, name: str) -> Step:
    """A step to a member that no definition describes."""
    first = raw[0] if isinstance(raw, list) and raw else raw
    kind = guessed_type(first)
    return Step(name, None if kind == UNKNOWN else "_" + name, kind, isinstance(raw, list), isinstance(first, dict))


def guessed_type(value: Any) -> str:
    """The primitive type that a JSON value looks like."""
    match value:
        case bool():
            return "boolean"
        case int():
            return "integer"
        case float() | Decimal():
            return "decimal"
        case str():
            return "string"
    return UNKNOWN

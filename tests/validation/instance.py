"""Small instances of profiles, and the ways to break them: what a profile demands, left out or overdone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from copy import deepcopy
from typing import Any

from fhir_server.definitions.datatype import Member
from fhir_server.definitions.registry import Definitions
from fhir_server.definitions.structure import Binding, Element, TypeRef
from fhir_server.terminology.protocol import Terminology
from fhir_server.validation.element_tree import ElementNode, tree_of

DEEPEST = 8
SAMPLES: Mapping[str, Any] = {
    "base64Binary": "AAAA",
    "boolean": True,
    "canonical": "https://example.org/canonical",
    "code": "code",
    "date": "2024-01-01",
    "dateTime": "2024-01-01",
    "decimal": 1.5,
    "id": "id",
    "instant": "2024-01-01T00:00:00Z",
    "integer": 1,
    "markdown": "text",
    "oid": "urn:oid:1.2.3",
    "positiveInt": 1,
    "string": "text",
    "time": "10:00:00",
    "unsignedInt": 1,
    "uri": "https://example.org/uri",
    "url": "https://example.org/url",
    "uuid": "urn:uuid:8d1b1c2e-54b2-4b1e-9a6d-b2c1f1c1a001",
    "xhtml": '<div xmlns="http://www.w3.org/1999/xhtml">text</div>',
}

Json = dict[str, Any]


class Instances:
    """Makes instances that have what their profile demands, and nothing else."""

    def __init__(self, definitions: Definitions, terminology: Terminology) -> None:
        self._definitions = definitions
        self._terminology = terminology

    def tree(self, canonical: str) -> ElementNode:
        """The elements of a profile."""
        structure = self._definitions.structure(canonical)
        assert structure is not None
        return tree_of(structure.elements)

    def resource(self, canonical: str) -> Json:
        """A resource that meets a profile."""
        structure = self._definitions.structure(canonical)
        assert structure is not None
        return {"resourceType": structure.type, **self.members(self.tree(canonical), structure.type, 0)}

    def members(self, node: ElementNode | None, name: str, depth: int) -> Json:
        """The members that an element of a type must have."""
        made: Json = {}
        for key, members in self._definitions.type(name).names.items():
            child = self.child(node, key)
            element = child.element if child is not None else members[0].element
            parts = [s for s in (child.slices if child is not None else ()) if (s.element.min or 0) > 0]
            values = [self.value(s, self.chosen(s, members), depth) for s in parts for _ in range(s.element.min or 0)]
            while len(values) < (element.min or 0):
                values.append(self.value(child, self.chosen(child, members), depth))
            for member, value in values:
                if member.many:
                    made.setdefault(member.key, []).append(value)
                else:
                    made[member.key] = value
        return made

    def child(self, node: ElementNode | None, name: str) -> ElementNode | None:
        """The element of a name, in the profile or in the profile of its type."""
        if node is None:
            return None
        found = node.child(name)
        profiles = [p for t in node.types for p in t.profiles]
        if found is None and profiles and self._definitions.structure(profiles[0]) is not None:
            return self.tree(profiles[0]).children.get(name)
        return found

    def chosen(self, node: ElementNode | None, members: tuple[Member, ...]) -> Member:
        """The member to make: of a choice the first type that the profile allows."""
        codes = [t.code for t in node.types] if node is not None else []
        return next((m for m in members if m.reference.code in codes), members[0])

    def value(self, node: ElementNode | None, member: Member, depth: int) -> tuple[Member, Any]:
        """A value of a member as its element wants it."""
        element = node.element if node is not None else member.element
        if element.fixed is not None:
            return member, element.fixed.value
        if member.type in SAMPLES:
            pattern = element.pattern.value if element.pattern is not None else None
            return member, pattern if pattern is not None else self.primitive(element, member)
        value = self.complex(node, member, element, depth) if depth < DEEPEST else {"id": "deep"}
        return member, with_pattern(value, element.pattern.value) if element.pattern is not None else value

    def primitive(self, element: Element, member: Member) -> Any:
        """A primitive, with a code of the value set where one is demanded."""
        code = self.code(element.binding)
        return code[1] if code is not None else SAMPLES[member.type]

    def code(self, binding: Binding | None) -> tuple[str, str] | None:
        """The first code of a value set that is demanded."""
        if binding is None or binding.strength != "required":
            return None
        membership = self._terminology.membership(binding.value_set)
        systems = sorted(membership.systems.items()) if membership is not None else []
        return next(((system, min(codes)) for system, codes in systems if codes), None)

    def complex(self, node: ElementNode | None, member: Member, element: Element, depth: int) -> Any:
        """An object of a type."""
        reference = next((t for t in element.types if t.code == member.reference.code), member.reference)
        if member.type in {"Resource", "DomainResource"}:
            return self.nested(element.types, depth)
        inner = self.profiled(node, reference)
        made = self.members(inner, member.type, depth + 1)
        code = self.code(element.binding)
        if member.type == "Reference" and not made:
            return {"reference": f"{self.target(reference)}/1"}
        if code is not None and member.type == "CodeableConcept" and not made:
            return {"coding": [{"system": code[0], "code": code[1]}]}
        if code is not None and member.type in {"Coding", "Quantity"}:
            return made | {"system": code[0], "code": code[1]}
        return made or self.anything(member.type)

    def profiled(self, node: ElementNode | None, reference: TypeRef) -> ElementNode | None:
        """Where the members of an element are said: at the element, or in the profile of its type."""
        if (node is None or not node.children) and reference.profiles:
            structure = self._definitions.structure(reference.profiles[0])
            return tree_of(structure.elements) if structure is not None else node
        return node

    def nested(self, types: tuple[TypeRef, ...], depth: int) -> Json:
        """A resource within a resource."""
        reference = types[0]
        if reference.profiles:
            return self.resource(reference.profiles[0])
        kind = "Basic" if reference.code in {"Resource", "DomainResource"} else reference.code
        return {"resourceType": kind, **self.members(None, kind, depth + 1)}

    def target(self, reference: TypeRef) -> str:
        """A type that a reference may name."""
        structure = self._definitions.structure(reference.target_profiles[0]) if reference.target_profiles else None
        return structure.type if structure is not None and structure.type != "Resource" else "Basic"

    def anything(self, name: str) -> Json:
        """An object of a type that demands nothing, with something in it."""
        for key, members in self._definitions.type(name).names.items():
            if key not in {"id", "extension", "modifierExtension"} and members[0].type in SAMPLES:
                value = self.primitive(members[0].element, members[0])
                return {members[0].key: [value] if members[0].many else value}
        return {"extension": [{"url": "https://example.org/anything", "valueBoolean": True}]}

    # Breaking

    def broken(self, canonical: str) -> Iterator[tuple[str, Json]]:
        """Instances that each lack or overdo one thing that a profile demands, with its name."""
        sound = self.resource(canonical)
        for path, holder, node in self.places(self.tree(canonical), sound, sound["resourceType"], ()):
            for name, spoil in self.faults(holder, node, sound["resourceType"]):
                body = deepcopy(sound)
                spoil(at(body, path))
                yield f"{node.label} {name}", body

    def places(
        self, node: ElementNode, holder: Json, name: str, path: tuple[Any, ...]
    ) -> Iterator[tuple[tuple[Any, ...], Json, ElementNode]]:
        """The elements of a profile that an instance has a place for: their holder, and the way to it."""
        members = self._definitions.type(name).members
        for key, child in node.children.items():
            yield path, holder, child
            for member in (m for m in members.values() if m.name == key and m.key in holder):
                values = holder[member.key]
                if member.many or values.__class__ is not dict or not child.children:
                    continue
                if "." in member.type or self._definitions.has_type(member.type):
                    yield from self.places(child, values, member.type, (*path, member.key))

    def faults(self, holder: Json, node: ElementNode, root: str) -> Iterator[tuple[str, Any]]:
        """What can be done to an object against what its element says."""
        element = node.element
        keys = [k for k in holder if k == node.name or (element.is_choice and k.startswith(node.name))]
        if (element.min or 0) > 0 and keys:
            yield "is missing", lambda o: [o.pop(k) for k in keys]
        if element.has_max and element.max == 0 and not element.is_choice and not keys:
            yield "is there", lambda o: o.update({node.name: [{"id": "x"}]})
        if (element.fixed or element.pattern) is not None and keys:
            yield "is another", lambda o: o.update({keys[0]: another(o[keys[0]])})
        if keys and holder[keys[0]].__class__ is list and element.max is not None:
            yield "is too often", lambda o: o[keys[0]].extend(o[keys[0]] * (element.max or 0))


def at(body: Any, path: tuple[Any, ...]) -> Any:
    """What stands at a path."""
    for step in path:
        body = body[step]
    return body


def with_pattern(value: Any, pattern: Any) -> Any:
    """A value that also has all that a pattern has."""
    if pattern.__class__ is dict and value.__class__ is dict:
        return {**value, **{k: with_pattern(value.get(k), p) for k, p in pattern.items()}}
    return pattern


def another(value: Any) -> Any:
    """A value of the same shape that is not the same."""
    if value.__class__ is list:
        return [another(v) for v in value]
    if value.__class__ is dict:
        return {k: another(v) if k != "resourceType" else v for k, v in value.items()}
    if value.__class__ is bool:
        return not value
    return value + 1 if value.__class__ in {int, float} else f"{value}x"

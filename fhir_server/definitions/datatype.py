"""Types as JSON objects: their members by key and by FHIRPath name (FHIR R4, 2.6.2 JSON, 2.24 datatypes)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from fhir_server.definitions.structure import Constraint, Element, Structure, TypeRef

BACKBONE = frozenset({"BackboneElement", "Element"})


@dataclass(frozen=True, slots=True)
class Member:
    """One JSON member of an object: a choice element gives one Member per allowed type.

    `type` names a FHIR type or, for a backbone, its path (`Observation.component`); `min` and `max` are the
    element's; `choice` is the element's name without `[x]`; `constraints` are those that the element adds to its type.
    """

    key: str
    name: str
    type: str
    many: bool
    min: int
    max: int | None
    reference: TypeRef
    element: Element
    choice: str | None = None
    constraints: tuple[Constraint, ...] = ()


@dataclass(frozen=True, slots=True)
class Type:
    """A resource, datatype, backbone or primitive; `base` is the name of the type that it specialises."""

    name: str
    kind: str
    base: str | None
    abstract: bool
    members: Mapping[str, Member]
    names: Mapping[str, tuple[Member, ...]]
    constraints: tuple[Constraint, ...]
    element: Element


def types_of(structure: Structure) -> Iterator[Type]:
    """The types that a specialisation's snapshot defines: itself first, then its backbones."""
    children: dict[str, list[Element]] = {}
    for element in structure.elements:
        if element.slice_name is None:
            children.setdefault(element.path.rpartition(".")[0], []).append(element)
    for element in structure.elements:
        if element.path in children and element.slice_name is None:
            yield type_of(structure, element, children)


def type_of(structure: Structure, element: Element, children: Mapping[str, list[Element]]) -> Type:
    """The type at an element that has children."""
    top = element.path == structure.type
    members: dict[str, Member] = {}
    names: dict[str, tuple[Member, ...]] = {}
    for child in children[element.path]:
        parts = tuple(members_of(child, children))
        members.update((m.key, m) for m in parts)
        names[parts[0].name if parts else child.name] = parts
    return Type(
        name=element.path,
        kind=kind_of(structure) if top else "backbone",
        base=base_of(structure) if top else (element.types[0].code if element.types else "BackboneElement"),
        abstract=structure.abstract and top,
        members=members,
        names=names,
        constraints=element.constraints,
        element=element,
    )


def kind_of(structure: Structure) -> str:
    """The short kind of a structure: resource, primitive, complex or logical."""
    return {"primitive-type": "primitive", "complex-type": "complex"}.get(structure.kind, structure.kind)


def base_of(structure: Structure) -> str | None:
    """The name of the type that a structure specialises."""
    return structure.base_definition.rpartition("/")[2] if structure.base_definition else None


def members_of(element: Element, children: Mapping[str, list[Element]]) -> Iterator[Member]:
    """The JSON members of an element: one, or one for each type of a choice."""
    many = element.max is None or element.max > 1
    low = element.min or 0
    name = element.name.removesuffix("[x]")
    if element.content_reference is not None:
        path = element.content_reference.rpartition("#")[2]
        yield Member(name, name, path, many, low, element.max, TypeRef(path), element)
        return
    for reference in element.types:
        code = reference.code
        kind = element.path if element.path in children and code in BACKBONE else code
        key = name + code[0].upper() + code[1:] if element.is_choice else name
        yield Member(
            key,
            name,
            kind,
            many,
            low,
            element.max,
            reference,
            element,
            choice=name if element.is_choice else None,
            constraints=() if kind == element.path else element.constraints,
        )

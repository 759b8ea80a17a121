"""Where an extension may stand (FHIR R4, 5.3.4 StructureDefinition.context)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fhir_server.definitions.datatype import Member
from fhir_server.definitions.registry import Definitions
from fhir_server.definitions.structure import TYPE_URL, Context
from fhir_server.validation.run import Json, Run

ANYWHERE = frozenset({"Element", "Any"})
OF_TYPE = re.compile(r"(\w+)\.ofType\((\w)(\w*)\)")

# Contexts that R4 published too narrow for what R4 itself does with these extensions.
WIDER: Mapping[str, tuple[str, ...]] = {
    f"{TYPE_URL}structuredefinition-fhir-type": ("ElementDefinition.type",),
    f"{TYPE_URL}regex": ("ElementDefinition.type",),
    f"{TYPE_URL}structuredefinition-normative-version": ("Element",),
    f"{TYPE_URL}capabilitystatement-expectation": ("Element",),
    f"{TYPE_URL}capabilitystatement-prohibited": ("Element",),
}

Step = tuple[str, str]
"""An element's name and its JSON key, which differ where it is a choice."""


@dataclass(frozen=True, slots=True)
class Site:
    """The way to an element: the types along it, the last one being its own, and the steps between them.

    `whole` is True when the way starts at a resource; else what stands above is only known in a resource.
    """

    types: tuple[str, ...]
    steps: tuple[Step, ...]
    whole: bool


def site_of(definitions: Definitions, kind: str, member: Member | None = None) -> Site:
    """The site of the objects of a type, or of the primitive that these have as a member."""
    parts = kind.split(".")
    types = tuple(".".join(parts[: n + 1]) for n in range(len(parts)))
    steps = tuple((name, name) for name in parts[1:])
    whole = definitions.type(parts[0]).kind == "resource" and not is_shared(definitions, kind)
    if member is None:
        return Site(types, steps, whole)
    return Site((*types, member.type), (*steps, (member.name, member.key)), whole)


def is_shared(definitions: Definitions, kind: str) -> bool:
    """True for a backbone whose content other elements of the resource refer to."""
    structure = definitions.structure(TYPE_URL + kind.partition(".")[0])
    references = (e.content_reference for e in structure.elements if e.content_reference) if structure else ()
    return any(f"{kind}.".startswith(f"{r.rpartition('#')[2]}.") for r in references)


class ElementContexts:
    """Decides whether an element is one that contexts of type `element` name."""

    def __init__(self, definitions: Definitions) -> None:
        self._definitions = definitions

    def allows(self, expressions: Sequence[str], site: Site) -> bool | None:
        """True or False, or None where that depends on what stands above the element."""
        answers = [self._matches(e, site) for e in expressions]
        return True if True in answers else (None if None in answers else False)

    def _matches(self, expression: str, site: Site) -> bool | None:
        if expression in ANYWHERE or expression == site.types[-1]:
            return True
        start, *names = expression.split(".")
        missing = len(names) - len(site.steps)
        if missing > 0:
            fits = not site.whole and are_steps(names[missing:], site.steps)
            return None if fits else False
        return are_steps(names, site.steps[-len(names) :] if names else ()) and self._is_kind_of(
            site.types[-len(names) - 1], start
        )

    def _is_kind_of(self, kind: str, of: str) -> bool:
        """True for the type itself, and for what it specialises; a primitive stands for itself alone."""
        if kind == of:
            return True
        known = self._definitions.has_type(kind) and self._definitions.type(kind).kind != "primitive"
        return known and self._definitions.is_subtype(kind, of)


def element_expressions(url: str, contexts: Sequence[Context]) -> tuple[str, ...]:
    """The elements and types that an extension's definition allows, choices by their JSON key."""
    own = (c.expression.rpartition("#")[2] for c in contexts if c.type == "element")
    named = (OF_TYPE.sub(lambda m: m[1] + m[2].upper() + m[3], e) for e in own)
    return (*named, *WIDER.get(url, ()))


def are_steps(names: Sequence[str], steps: Sequence[Step]) -> bool:
    """True when names mean these steps: a choice may be written `value`, `value[x]` or `valueCode`."""
    return all(n in {name, f"{name}[x]", key} for n, (name, key) in zip(names, steps, strict=True))


Place = tuple[Json, str, Step]
"""The object that holds an object, the holder's type, and the step from one to the other."""


def site_in(definitions: Definitions, resource: Json, holder: Json, kind: str, run: Run) -> Site:
    """The whole way from a resource to an object in it; `kind` is the object's type."""
    places = places_in(definitions, resource, run)
    types, steps = [kind], []
    at = holder
    while id(at) in places:
        at, above, step = places[id(at)]
        types.append(above)
        steps.append(step)
    return Site(tuple(reversed(types)), tuple(reversed(steps)), whole=True)


def places_in(definitions: Definitions, resource: Json, run: Run) -> Mapping[int, Place]:
    """Where each object of a resource stands, by identity; walked once."""
    key = "places", id(resource)
    if key not in run.memo:
        kind = str(resource.get("resourceType"))
        run.memo[key] = {id(inner): place for inner, place in walk(definitions, resource, kind)}
    return run.memo[key]  # type: ignore[no-any-return]


def walk(definitions: Definitions, value: Json, kind: str) -> Iterator[tuple[Json, Place]]:
    """Each object below an object with its place; other resources are left out."""
    members = definitions.type(kind).members if definitions.has_type(kind) else {}
    for key, inner in value.items():
        member = members.get(key.removeprefix("_"))
        if member is None:
            continue
        for item in inner if inner.__class__ is list else (inner,):
            if item.__class__ is dict and "resourceType" not in item:
                yield item, (value, kind, (member.name, member.key))
                yield from walk(definitions, item, "Element" if key[:1] == "_" else member.type)


def is_selected(found: Sequence[Any], holder: Json) -> bool:
    """True when an expression's result holds an element: its object, or the `_field` object of a primitive."""
    return any(getattr(n, "value", None) is holder or getattr(n, "extra", None) is holder for n in found)

"""ConceptMap as a typed record: what the codes of one system are in another (FHIR R4, 4.10 ConceptMap)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Dependency:
    """A value that a further element must have for a target to hold, or that the target gives such an element."""

    property: str
    system: str | None
    value: str
    display: str | None = None


@dataclass(frozen=True, slots=True)
class Target:
    """What a code may become; `code` is None where the map says that there is nothing (`unmatched`)."""

    code: str | None
    display: str | None
    equivalence: str
    depends_on: tuple[Dependency, ...] = ()
    product: tuple[Dependency, ...] = ()


@dataclass(frozen=True, slots=True)
class Unmapped:
    """What becomes of a code that a group does not list: `mode` is provided, fixed or other-map."""

    mode: str
    code: str | None = None
    display: str | None = None
    url: str | None = None


@dataclass(frozen=True, slots=True)
class Group:
    """The codes of one system with their targets in another."""

    source: str | None
    source_version: str | None
    target: str | None
    target_version: str | None
    elements: Mapping[str, tuple[Target, ...]]
    unmapped: Unmapped | None = None


@dataclass(frozen=True, slots=True)
class ConceptMap:
    """A map between two value sets (`source` and `target`, canonicals), by groups of code systems."""

    url: str
    version: str | None
    name: str
    status: str
    source: str | None
    target: str | None
    groups: tuple[Group, ...]


def dependencies_from(bodies: Iterable[Mapping[str, Any]]) -> tuple[Dependency, ...]:
    """Read ConceptMap.group.element.target.dependsOn or product."""
    return tuple(Dependency(b["property"], b.get("system"), b["value"], b.get("display")) for b in bodies)


def target_from(body: Mapping[str, Any]) -> Target:
    """Read one ConceptMap.group.element.target."""
    return Target(
        body.get("code"),
        body.get("display"),
        body.get("equivalence", "relatedto"),
        dependencies_from(body.get("dependsOn", ())),
        dependencies_from(body.get("product", ())),
    )


def elements_from(bodies: Iterable[Mapping[str, Any]]) -> dict[str, tuple[Target, ...]]:
    """The targets of each code; a code that stands there twice has those of both places."""
    elements: dict[str, tuple[Target, ...]] = {}
    for body in bodies:
        if "code" in body:
            targets = tuple(map(target_from, body.get("target", ())))
            elements[body["code"]] = elements.get(body["code"], ()) + targets
    return elements


def group_from(body: Mapping[str, Any]) -> Group:
    """Read one ConceptMap.group."""
    rest = body.get("unmapped")
    return Group(
        source=body.get("source"),
        source_version=body.get("sourceVersion"),
        target=body.get("target"),
        target_version=body.get("targetVersion"),
        elements=elements_from(body.get("element", ())),
        unmapped=Unmapped(rest["mode"], rest.get("code"), rest.get("display"), rest.get("url")) if rest else None,
    )


def concept_map_from(body: Mapping[str, Any]) -> ConceptMap:
    """Read a ConceptMap resource, or its record in the compiled tables."""
    return ConceptMap(
        url=body["url"],
        version=body.get("version"),
        name=body.get("name", ""),
        status=body.get("status", "unknown"),
        source=body.get("sourceCanonical", body.get("sourceUri")),
        target=body.get("targetCanonical", body.get("targetUri")),
        groups=tuple(map(group_from, body.get("group", ()))),
    )

"""Where a fault is: FHIRPath of JSON objects, found by one walk (FHIR R4, 2.36 OperationOutcome.issue.expression)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from fhir_server.definitions.datatype import Member
from fhir_server.definitions.registry import Definitions
from fhir_server.errors import Issue
from fhir_server.validation.run import Fault, Json

Step = str | int
Parents = dict[int, tuple[Any, Step]]
"""By identity of an object or array: what holds it, and under which key or index."""


class Locator:
    """Paths of the objects in one resource, by identity; those of `wanted` only."""

    def __init__(self, definitions: Definitions, resource: Json, wanted: Iterable[Any]) -> None:
        self._definitions = definitions
        self._parents = parents_of(resource, {id(holder) for holder in wanted})
        kind = type_named(resource)
        self._places: dict[int, tuple[str, str | None]] = {id(resource): (str(kind or "Resource"), kind)}

    def path(self, fault: Fault) -> str:
        """The FHIRPath of what a fault is about."""
        place, kind = self._place(id(fault.holder))
        if fault.key is None:
            return place
        found = step(place, fault.key, self._member(kind, fault.key)) if place else fault.key
        return found if fault.index is None else f"{found}[{fault.index}]"

    def _place(self, identity: int) -> tuple[str, str | None]:
        """The path and the type of an object or array."""
        known = self._places.get(identity)
        if known is None:
            parent = self._parents.get(identity)
            known = self._places[identity] = ("", None) if parent is None else self._below(*parent)
        return known

    def _below(self, container: Any, key: Step) -> tuple[str, str | None]:
        """The path and the type of what a container holds."""
        path, kind = self._place(id(container))
        if key.__class__ is int:
            return f"{path}[{key}]", type_within(container[key], kind)
        member = self._member(kind, str(key))
        return step(path, str(key), member), type_within(container[key], member.type if member else None)

    def _member(self, kind: str | None, key: str) -> Member | None:
        """The member of a type that a JSON key, or its `_key` sibling, stands for."""
        if kind is None:
            return None
        try:
            return self._definitions.type(kind).members.get(key.removeprefix("_"))
        except KeyError:
            return None


def parents_of(resource: Json, missing: set[int]) -> Parents:
    """What holds each object and array, level by level, until everything that is missing has been met."""
    missing.discard(id(resource))
    parents: Parents = {}
    containers: list[Any] = [resource] if missing else []
    for container in containers:
        for key, inner in container.items() if container.__class__ is dict else enumerate(container):
            if inner.__class__ is dict or inner.__class__ is list:
                identity = id(inner)
                if identity not in parents:
                    parents[identity] = container, key
                    containers.append(inner)
                    missing.discard(identity)
        if not missing:
            break
    return parents


def type_within(value: Any, declared: str | None) -> str | None:
    """The type of a value where one is declared: a resource names its own, other types may have such a member too."""
    return type_named(value) if declared in (None, "Resource", "DomainResource") else declared


def type_named(value: Any) -> str | None:
    """The type that a resource itself names."""
    kind = value.get("resourceType") if value.__class__ is dict else None
    return kind if kind.__class__ is str else None


def step(path: str, key: str, member: Member | None) -> str:
    """The path one member further; a choice names the type it chose."""
    if member is None:
        return f"{path}.{key.removeprefix('_')}"
    if member.choice is not None:
        return f"{path}.{member.name}.ofType({member.type})"
    return f"{path}.{member.name}"


def located(definitions: Definitions, resource: Json, faults: Iterable[Fault]) -> list[Issue]:
    """The faults as issues, each with its path, in the order of discovery; equal ones once."""
    once = {(f.severity, f.code, f.text, id(f.holder), f.key, f.index, f.rule, f.profile): f for f in faults}
    faults = list(once.values())
    locator = Locator(definitions, resource, (f.holder for f in faults))
    return [
        Issue(f.severity, f.code, f.text, (locator.path(f),), profile=f.profile, rule=f.rule)  # type: ignore[arg-type]
        for f in faults
    ]

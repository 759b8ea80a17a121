"""Where a fault is: FHIRPath of JSON objects, found by one walk (FHIR R4, 2.36 OperationOutcome.issue.expression)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from fhir_server.definitions.datatype import Member
from fhir_server.definitions.registry import Definitions
from fhir_server.errors import Issue
from fhir_server.validation.run import Fault, Json


class Locator:
    """Paths of the objects in one resource, by identity; those of `wanted` only."""

    def __init__(self, definitions: Definitions, resource: Json, wanted: Iterable[Any]) -> None:
        self._definitions = definitions
        self._missing = {id(holder) for holder in wanted}
        self.paths: dict[int, str] = {}
        self.types: dict[int, str | None] = {}
        kind = type_named(resource)
        self._visit(resource, str(kind or "Resource"), kind)

    def _visit(self, value: Any, path: str, kind: str | None) -> None:
        if id(value) in self._missing:
            self._missing.discard(id(value))
            self.paths[id(value)] = path
            self.types[id(value)] = kind
        if not self._missing:
            return
        if value.__class__ is dict:
            for key, inner in value.items():
                if inner.__class__ in (dict, list):
                    self._descend(inner, value, key, path, kind)
        elif value.__class__ is list:
            for index, inner in enumerate(value):
                if inner.__class__ in (dict, list):
                    self._visit(inner, f"{path}[{index}]", type_within(inner, kind))

    def _descend(self, inner: Any, holder: Json, key: str, path: str, kind: str | None) -> None:
        member = self.member(kind, key)
        self._visit(inner, step(path, key, member), type_within(inner, member.type if member else None))

    def member(self, kind: str | None, key: str) -> Member | None:
        """The member of a type that a JSON key, or its `_key` sibling, stands for."""
        if kind is None or not self._definitions.has_type(kind):
            return None
        return self._definitions.type(kind).members.get(key.removeprefix("_"))

    def path(self, fault: Fault) -> str:
        """The FHIRPath of what a fault is about."""
        place = self.paths.get(id(fault.holder), "")
        if fault.key is None:
            return place
        found = step(place, fault.key, self.member(self.types.get(id(fault.holder)), fault.key))
        return found if fault.index is None else f"{found}[{fault.index}]"


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
    """The faults as issues, each with its path, in document order of discovery; equal ones once."""
    faults = list(faults)
    locator = Locator(definitions, resource, (f.holder for f in faults))
    issues = (
        Issue(f.severity, f.code, f.text, (locator.path(f),), profile=f.profile, rule=f.rule)  # type: ignore[arg-type]
        for f in faults
    )
    return list(dict.fromkeys(issues))

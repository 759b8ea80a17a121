"""SearchParameter and CompartmentDefinition as typed records (FHIR R4, 5.6 and 5.5)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

CAST_OPERATOR = re.compile(r"\(\s*([\w.]+)\s+as\s+([\w.]+)\s*\)|(?<![\w.])([\w.]+)\s+as\s+([\w.]+)")
CAST_FUNCTION = re.compile(r"\.as\(\s*([\w.]+)\s*\)")


@dataclass(frozen=True, slots=True)
class Component:
    """One part of a composite: the parameter that defines it and where it lies below the composite's own expression."""

    definition: str
    expression: str


@dataclass(frozen=True, slots=True)
class SearchParameter:
    """What a search parameter looks at; `expression` is None for the special ones that no FHIRPath can say."""

    url: str
    version: str | None
    code: str
    type: str
    base: tuple[str, ...]
    expression: str | None
    target: tuple[str, ...]
    components: tuple[Component, ...]
    multiple_or: bool
    multiple_and: bool
    comparators: tuple[str, ...]
    modifiers: tuple[str, ...]
    chain: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Compartment:
    """Which search parameters tie each resource type to the compartment of `code`."""

    url: str
    code: str
    parameters: Mapping[str, tuple[str, ...]]


def filtered_cast(expression: str) -> str:
    """The expression with `as` read as ofType(): R4 wrote `as` where several items may be, which FHIRPath forbids."""
    text = CAST_OPERATOR.sub(lambda m: f"{m[1] or m[3]}.ofType({m[2] or m[4]})", expression)
    return CAST_FUNCTION.sub(r".ofType(\1)", text)


def search_parameter_from(body: Mapping[str, Any]) -> SearchParameter:
    """Read a SearchParameter resource, or its record in the compiled tables."""
    expression = body.get("expression")
    return SearchParameter(
        url=body["url"],
        version=body.get("version"),
        code=body["code"],
        type=body["type"],
        base=tuple(body.get("base", ())),
        expression=filtered_cast(expression) if expression else None,
        target=tuple(body.get("target", ())),
        components=tuple(Component(c["definition"], filtered_cast(c["expression"])) for c in body.get("component", ())),
        multiple_or=body.get("multipleOr", True),
        multiple_and=body.get("multipleAnd", True),
        comparators=tuple(body.get("comparator", ())),
        modifiers=tuple(body.get("modifier", ())),
        chain=tuple(body.get("chain", ())),
    )


def compartment_from(body: Mapping[str, Any]) -> Compartment:
    """Read a CompartmentDefinition resource, or its record in the compiled tables."""
    return Compartment(
        url=body["url"],
        code=body["code"],
        parameters={r["code"]: tuple(r["param"]) for r in body.get("resource", ()) if r.get("param")},
    )

"""ValueSet as a typed record: what is included and what is left out (FHIR R4, 4.9 ValueSet)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fhir_server.definitions.code_system import Designation, designation_from


@dataclass(frozen=True, slots=True)
class Filter:
    """A rule that selects concepts of a code system, `op` of the value set FilterOperator."""

    property: str
    op: str
    value: str


@dataclass(frozen=True, slots=True)
class Include:
    """One include or exclude: concepts of a system, by list, by filters or all, that are in all the value sets too.

    `concepts` is None where all are meant, else code to display and designations.
    """

    system: str | None
    version: str | None
    concepts: Mapping[str, tuple[str | None, tuple[Designation, ...]]] | None
    filters: tuple[Filter, ...]
    value_sets: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ValueSet:
    """A value set by its definition, with the expansion that it was sent with, if any (system, code pairs)."""

    url: str
    version: str | None
    name: str
    immutable: bool
    include: tuple[Include, ...]
    exclude: tuple[Include, ...]
    expansion: Mapping[tuple[str, str], str | None] | None = None
    status: str = "unknown"


def include_from(body: Mapping[str, Any]) -> Include:
    """Read a ValueSet.compose.include."""
    concepts = body.get("concept")
    return Include(
        system=body.get("system"),
        version=body.get("version"),
        concepts=None
        if concepts is None
        else {
            c["code"]: (
                c.get("display"),
                tuple(map(designation_from, c.get("designation", ()))),
            )
            for c in concepts
        },
        filters=tuple(Filter(f["property"], f["op"], f["value"]) for f in body.get("filter", ())),
        value_sets=tuple(body.get("valueSet", ())),
    )


def expansion_from(body: Mapping[str, Any]) -> dict[tuple[str, str], str | None]:
    """The (system, code) pairs with their displays of a ValueSet.expansion, nested ones included."""
    pairs: dict[tuple[str, str], str | None] = {}
    for item in body.get("contains", ()):
        if "code" in item and not item.get("abstract"):
            pairs[item.get("system", ""), item["code"]] = item.get("display")
        pairs.update(expansion_from(item))
    return pairs


def value_set_from(body: Mapping[str, Any]) -> ValueSet:
    """Read a ValueSet resource, or its record in the compiled tables."""
    compose = body.get("compose", {})
    return ValueSet(
        url=body["url"],
        version=body.get("version"),
        name=body.get("name", ""),
        immutable=body.get("immutable", False),
        include=tuple(include_from(x) for x in compose.get("include", ())),
        exclude=tuple(include_from(x) for x in compose.get("exclude", ())),
        expansion=expansion_from(body["expansion"]) if "expansion" in body else None,
        status=body.get("status", "unknown"),
    )

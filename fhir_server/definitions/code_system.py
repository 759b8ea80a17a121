"""CodeSystem as a typed record (FHIR R4, 4.8 CodeSystem)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

PROPERTY_VALUES = ("valueCode", "valueString", "valueBoolean", "valueInteger", "valueDateTime", "valueDecimal")


class Designation(NamedTuple):
    """A further text for a concept; `use` is the system and code of what it is for."""

    language: str | None
    value: str
    use: tuple[str | None, str] | None = None


@dataclass(frozen=True, slots=True)
class Concept:
    """One concept: its displays by language, the codes right above it and its properties.

    `definition` is there for systems that were added; the compiled tables have no prose.
    """

    code: str
    display: str | None = None
    designations: tuple[Designation, ...] = ()
    parents: tuple[str, ...] = ()
    properties: tuple[tuple[str, Any], ...] = ()
    definition: str | None = None


@dataclass(frozen=True, slots=True)
class CodeSystem:
    """A code system; `content` tells whether its concepts are all there are (`complete`).

    `properties` gives the type of each property that it declares.
    """

    url: str
    version: str | None
    content: str
    case_sensitive: bool
    value_set: str | None
    supplements: str | None
    hierarchy_meaning: str | None
    language: str | None
    concepts: Mapping[str, Concept]
    filters: frozenset[str] = frozenset()
    folded: Mapping[str, str] = field(default_factory=dict)
    name: str | None = None
    status: str = "unknown"
    properties: Mapping[str, str] = field(default_factory=dict)

    def concept(self, code: str) -> Concept | None:
        """The concept of a code; where case does not matter, any spelling finds it."""
        found = self.concepts.get(code)
        if found is None and not self.case_sensitive:
            spelling = self.folded.get(code.casefold())
            found = self.concepts[spelling] if spelling is not None else None
        return found


def property_value(body: Mapping[str, Any]) -> Any:
    """The plain value of a concept property; a Coding gives its code."""
    for key in PROPERTY_VALUES:
        if key in body:
            return body[key]
    return body.get("valueCoding", {}).get("code")


def designation_from(body: Mapping[str, Any]) -> Designation:
    """Read a designation of a concept, in a code system or a value set."""
    use = body.get("use", {})
    return Designation(body.get("language"), body["value"], (use.get("system"), use["code"]) if "code" in use else None)


def concept_from(body: Mapping[str, Any], parent: str | None) -> Concept:
    """Read one CodeSystem.concept below `parent`."""
    properties = tuple((p["code"], property_value(p)) for p in body.get("property", ()))
    stated = tuple(value for code, value in properties if code in {"subsumedBy", "parent"})
    return Concept(
        code=body["code"],
        display=body.get("display"),
        designations=tuple(map(designation_from, body.get("designation", ()))),
        parents=(parent, *stated) if parent is not None else stated,
        properties=properties,
        definition=body.get("definition"),
    )


def concepts_from(bodies: Sequence[Mapping[str, Any]], parent: str | None = None) -> Iterator[Concept]:
    """All concepts of a tree, each before those below it."""
    for body in bodies:
        yield concept_from(body, body.get("parent", parent))
        yield from concepts_from(body.get("concept", ()), body["code"])


def merged(first: Concept, second: Concept) -> Concept:
    """A concept that the tree names twice, under both parents."""
    return Concept(
        first.code,
        first.display or second.display,
        first.designations + second.designations,
        first.parents + tuple(p for p in second.parents if p not in first.parents),
        first.properties,
        first.definition or second.definition,
    )


def code_system_from(body: Mapping[str, Any]) -> CodeSystem:
    """Read a CodeSystem resource, or its record in the compiled tables."""
    concepts: dict[str, Concept] = {}
    for concept in concepts_from(body.get("concept", ())):
        known = concepts.get(concept.code)
        concepts[concept.code] = concept if known is None else merged(known, concept)
    sensitive = body.get("caseSensitive", False)
    return CodeSystem(
        url=body["url"],
        version=body.get("version"),
        content=body.get("content", "not-present"),
        case_sensitive=sensitive,
        value_set=body.get("valueSet"),
        supplements=body.get("supplements"),
        hierarchy_meaning=body.get("hierarchyMeaning"),
        language=body.get("language"),
        concepts=concepts,
        filters=frozenset(f["code"] for f in body.get("filter", ())),
        folded={} if sensitive else {code.casefold(): code for code in reversed(concepts)},
        name=body.get("name"),
        status=body.get("status", "unknown"),
        properties={p["code"]: p["type"] for p in body.get("property", ())},
    )

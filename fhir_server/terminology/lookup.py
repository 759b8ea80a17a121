"""All that is known of one concept (FHIR R4, CodeSystem $lookup)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fhir_server.definitions.code_system import CodeSystem, Concept, Designation
from fhir_server.terminology.display import in_language
from fhir_server.terminology.hierarchy import Hierarchy

CODE = re.compile(r"[^\s]+( [^\s]+)*")
PROPERTY_TYPES = frozenset({"code", "Coding", "string", "integer", "boolean", "dateTime", "decimal"})
TYPES_OF_VALUES: Mapping[type, str] = {bool: "boolean", int: "integer", float: "decimal"}
LINKS = frozenset({"parent", "child"})


@dataclass(frozen=True, slots=True)
class Property:
    """A property of a concept; `type` is the FHIR type of its value, `description` says what a code stands for."""

    code: str
    type: str
    value: Any
    description: str | None = None


@dataclass(frozen=True, slots=True)
class Lookup:
    """A concept as its code system and the supplements describe it; `display` is the best one for the reader."""

    system: str
    name: str
    version: str | None
    code: str
    display: str
    definition: str | None = None
    designations: tuple[Designation, ...] = ()
    properties: tuple[Property, ...] = ()


def looked_up(
    code_system: CodeSystem,
    concept: Concept,
    supplements: Sequence[CodeSystem],
    hierarchy: Hierarchy,
    languages: Sequence[str],
) -> Lookup:
    """What is known of a concept; links to others are told with the displays of those."""
    designations = tuple(all_designations(concept, supplements))
    return Lookup(
        system=code_system.url,
        name=code_system.name or code_system.url,
        version=code_system.version,
        code=concept.code,
        display=best_display(code_system, concept, designations, languages) or concept.code,
        definition=concept.definition,
        designations=designations,
        properties=(
            *links(code_system, concept, hierarchy),
            *stated(code_system, concept),
            *added(concept, supplements),
        ),
    )


def all_designations(concept: Concept, supplements: Sequence[CodeSystem]) -> Iterator[Designation]:
    """The designations of a concept, then what supplements call it."""
    yield from concept.designations
    for supplement in supplements:
        found = supplement.concept(concept.code)
        if found is not None:
            if found.display is not None:
                yield Designation(supplement.language, found.display)
            yield from found.designations


def best_display(
    code_system: CodeSystem, concept: Concept, designations: Sequence[Designation], languages: Sequence[str]
) -> str | None:
    """The display in the first wanted language that there is one in, else the system's own."""
    for language in languages:
        if concept.display is not None and code_system.language and in_language(code_system.language, (language,)):
            return concept.display
        found = next((d.value for d in designations if d.language and in_language(d.language, (language,))), None)
        if found is not None:
            return found
    return concept.display or next((d.value for d in designations), None)


def links(code_system: CodeSystem, concept: Concept, hierarchy: Hierarchy) -> Iterator[Property]:
    """The concepts right above and below."""
    for name, codes in (("parent", hierarchy.parents(concept.code)), ("child", hierarchy.children(concept.code))):
        for code in sorted(codes):
            other = code_system.concepts.get(code)
            yield Property(name, "code", code, other.display if other else None)


def stated(code_system: CodeSystem, concept: Concept) -> Iterator[Property]:
    """The properties that the system gives the concept, save the links."""
    for name, value in concept.properties:
        if name not in LINKS and value is not None:
            yield Property(name, type_of(code_system, name, value), value)


def added(concept: Concept, supplements: Sequence[CodeSystem]) -> Iterator[Property]:
    """The properties that supplements give the concept."""
    for supplement in supplements:
        found = supplement.concept(concept.code)
        yield from stated(supplement, found) if found is not None else ()


def type_of(code_system: CodeSystem, name: str, value: Any) -> str:
    """The FHIR type of a property's value: as the system declares it, or as it looks."""
    if type(value) in TYPES_OF_VALUES:
        return TYPES_OF_VALUES[type(value)]
    declared = code_system.properties.get(name)
    if declared in PROPERTY_TYPES:
        return declared
    return "code" if CODE.fullmatch(value) and " " not in value else "string"

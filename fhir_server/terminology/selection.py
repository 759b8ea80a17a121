"""Which concepts of a code system the filters of a value set select (FHIR R4, 4.9.5 include.filter)."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping

import re2

from fhir_server.definitions.code_system import CodeSystem, Concept
from fhir_server.definitions.value_set import Filter
from fhir_server.terminology.hierarchy import Hierarchy

Codes = Collection[str]
Operator = Callable[[CodeSystem, Hierarchy, Filter], Codes | None]

CODE_NAMES = frozenset({"code", "concept"})
QUIET = re2.Options()
QUIET.log_errors = False


def select(code_system: CodeSystem, hierarchy: Hierarchy, filters: tuple[Filter, ...]) -> frozenset[str] | None:
    """The codes that all the filters let through; None when one of them cannot be applied here."""
    codes = frozenset(code_system.concepts)
    for condition in filters:
        operator = OPERATORS.get(condition.op)
        chosen = operator(code_system, hierarchy, condition) if operator else None
        if chosen is None:
            return None
        codes = codes.intersection(chosen)
    return codes


def values_of(concept: Concept, hierarchy: Hierarchy, name: str) -> Iterator[str]:
    """The values of a property of a concept as text: one that the system states, or one that every system has."""
    if name in CODE_NAMES:
        yield concept.code
    elif name == "display":
        yield from () if concept.display is None else (concept.display,)
    elif name == "parent":
        yield from hierarchy.parents(concept.code)
    elif name == "child":
        yield from hierarchy.children(concept.code)
    else:
        yield from (text(value) for code, value in concept.properties if code == name)


def text(value: object) -> str:
    """A property's value as a filter writes it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def holding(code_system: CodeSystem, hierarchy: Hierarchy, name: str, test: Callable[[str], object]) -> frozenset[str]:
    """The codes of the concepts with a property value that passes the test."""
    return frozenset(
        concept.code
        for concept in code_system.concepts.values()
        if any(test(value) for value in values_of(concept, hierarchy, name))
    )


def spelled(code_system: CodeSystem, code: str) -> str:
    """The code as the system writes it."""
    concept = code_system.concept(code)
    return concept.code if concept else code


def is_a(code_system: CodeSystem, hierarchy: Hierarchy, condition: Filter) -> Codes | None:
    """The concept and all below it."""
    start = spelled(code_system, condition.value)
    return hierarchy.descendants(start) | {start}


def descendent_of(code_system: CodeSystem, hierarchy: Hierarchy, condition: Filter) -> Codes | None:
    """All concepts below the one named."""
    start = spelled(code_system, condition.value)
    return hierarchy.descendants(start) - {start}


def is_not_a(code_system: CodeSystem, hierarchy: Hierarchy, condition: Filter) -> Codes | None:
    """All concepts that are neither the one named nor below it."""
    start = spelled(code_system, condition.value)
    return code_system.concepts.keys() - hierarchy.descendants(start) - {start}


def generalizes(code_system: CodeSystem, hierarchy: Hierarchy, condition: Filter) -> Codes | None:
    """The concept and all above it."""
    start = spelled(code_system, condition.value)
    return hierarchy.ancestors(start) | {start}


def equals(code_system: CodeSystem, hierarchy: Hierarchy, condition: Filter) -> Codes | None:
    """The concepts whose property is the value."""
    wanted = condition.value
    if condition.property in CODE_NAMES:
        wanted = spelled(code_system, wanted)
    return holding(code_system, hierarchy, condition.property, lambda value: value == wanted)


def within(code_system: CodeSystem, hierarchy: Hierarchy, condition: Filter) -> Codes | None:
    """The concepts whose property is one of the values, which commas part."""
    wanted = {part.strip() for part in condition.value.split(",")}
    return holding(code_system, hierarchy, condition.property, wanted.__contains__)


def not_within(code_system: CodeSystem, hierarchy: Hierarchy, condition: Filter) -> Codes | None:
    """The concepts whose property is none of the values."""
    return code_system.concepts.keys() - frozenset(within(code_system, hierarchy, condition) or ())


def matches(code_system: CodeSystem, hierarchy: Hierarchy, condition: Filter) -> Codes | None:
    """The concepts whose property matches the whole regular expression, in linear time; None when it cannot be read."""
    try:
        pattern = re2.compile(condition.value, options=QUIET)
    except re2.error:
        return None
    return holding(code_system, hierarchy, condition.property, pattern.fullmatch)


def exists(code_system: CodeSystem, hierarchy: Hierarchy, condition: Filter) -> Codes | None:
    """The concepts that have the property, or with `false` those that have not."""
    having = holding(code_system, hierarchy, condition.property, lambda value: True)
    return having if condition.value == "true" else code_system.concepts.keys() - having


OPERATORS: Mapping[str, Operator] = {
    "=": equals,
    "is-a": is_a,
    "descendent-of": descendent_of,
    "is-not-a": is_not_a,
    "regex": matches,
    "in": within,
    "not-in": not_within,
    "generalizes": generalizes,
    "exists": exists,
}

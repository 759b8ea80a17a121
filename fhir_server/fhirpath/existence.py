"""Existence functions (FHIRPath 2.0, section 5.1)."""

from __future__ import annotations

from typing import Any

from fhir_server.fhirpath.collection import boolean, distinct, key
from fhir_server.fhirpath.error import FHIRPathError
from fhir_server.fhirpath.evaluation import Frame, Run
from fhir_server.fhirpath.function import Function, Table
from fhir_server.fhirpath.node import system_value
from fhir_server.fhirpath.static import always, same, system

BOOLEAN = always(system("Boolean"))


def empty(frame: Frame, focus: list[Any]) -> list[Any]:
    """True when there are no items."""
    return [not focus]


def exists(frame: Frame, focus: list[Any], criteria: Run | None = None) -> list[Any]:
    """True when there is an item, or one that meets the criteria."""
    if criteria is None:
        return [bool(focus)]
    frame.evaluation.charge(len(focus))
    return [any(boolean(criteria(frame.inner(item, i))) for i, item in enumerate(focus))]


def every(frame: Frame, focus: list[Any], criteria: Run) -> list[Any]:
    """True when every item meets the criteria."""
    frame.evaluation.charge(len(focus))
    return [all(boolean(criteria(frame.inner(item, i))) for i, item in enumerate(focus))]


def negation(frame: Frame, focus: list[Any]) -> list[Any]:
    """The opposite of a boolean; empty stays empty."""
    value = boolean(focus)
    return [] if value is None else [not value]


def booleans(focus: list[Any]) -> list[bool]:
    """Items that all must be booleans."""
    values = [system_value(item) for item in focus]
    for value in values:
        if not isinstance(value, bool):
            raise FHIRPathError(f"Expected booleans, found {value!r}")
    return values


def all_true(frame: Frame, focus: list[Any]) -> list[Any]:
    """True when every item is true."""
    return [all(booleans(focus))]


def any_true(frame: Frame, focus: list[Any]) -> list[Any]:
    """True when an item is true."""
    return [any(booleans(focus))]


def all_false(frame: Frame, focus: list[Any]) -> list[Any]:
    """True when every item is false."""
    return [not any(booleans(focus))]


def any_false(frame: Frame, focus: list[Any]) -> list[Any]:
    """True when an item is false."""
    return [not all(booleans(focus))]


def subset_of(frame: Frame, focus: list[Any], other: list[Any]) -> list[Any]:
    """True when every item is in the other collection."""
    return [{key(item) for item in focus} <= {key(item) for item in other}]


def superset_of(frame: Frame, focus: list[Any], other: list[Any]) -> list[Any]:
    """True when every item of the other collection is here."""
    return subset_of(frame, other, focus)


def count(frame: Frame, focus: list[Any]) -> list[Any]:
    """The number of items."""
    return [len(focus)]


def without_doubles(frame: Frame, focus: list[Any]) -> list[Any]:
    """The items, equal ones once."""
    return distinct(focus)


def is_distinct(frame: Frame, focus: list[Any]) -> list[Any]:
    """True when no two items are equal."""
    return [len({key(item) for item in focus}) == len(focus)]


FUNCTIONS: Table = {
    "empty": Function(empty, result=BOOLEAN),
    "exists": Function(exists, 0, 1, "expressions", BOOLEAN),
    "all": Function(every, 1, 1, "expressions", BOOLEAN),
    "not": Function(negation, result=BOOLEAN),
    "allTrue": Function(all_true, result=BOOLEAN),
    "anyTrue": Function(any_true, result=BOOLEAN),
    "allFalse": Function(all_false, result=BOOLEAN),
    "anyFalse": Function(any_false, result=BOOLEAN),
    "subsetOf": Function(subset_of, 1, result=BOOLEAN),
    "supersetOf": Function(superset_of, 1, result=BOOLEAN),
    "count": Function(count, result=always(system("Integer"))),
    "distinct": Function(without_doubles, result=same),
    "isDistinct": Function(is_distinct, result=BOOLEAN),
}

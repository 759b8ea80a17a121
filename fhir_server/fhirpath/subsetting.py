"""Subsetting functions (FHIRPath 2.0, section 5.3)."""

from __future__ import annotations

from typing import Any

from fhir_server.fhirpath.collection import integer, key
from fhir_server.fhirpath.error import FHIRPathError
from fhir_server.fhirpath.evaluation import Frame
from fhir_server.fhirpath.function import Function, Table
from fhir_server.fhirpath.static import same, same_one


def single(frame: Frame, focus: list[Any]) -> list[Any]:
    """The only item."""
    if len(focus) > 1:
        raise FHIRPathError(f"single() found {len(focus)} items")
    return focus


def first(frame: Frame, focus: list[Any]) -> list[Any]:
    """The first item."""
    return focus[:1]


def last(frame: Frame, focus: list[Any]) -> list[Any]:
    """The last item."""
    return focus[-1:]


def tail(frame: Frame, focus: list[Any]) -> list[Any]:
    """All but the first item."""
    return focus[1:]


def skip(frame: Frame, focus: list[Any], number: list[Any]) -> list[Any]:
    """All but the first items."""
    count = integer(number, "the number of items to skip")
    return focus[max(count or 0, 0) :]


def take(frame: Frame, focus: list[Any], number: list[Any]) -> list[Any]:
    """The first items."""
    count = integer(number, "the number of items to take")
    return focus[: max(count or 0, 0)]


def intersect(frame: Frame, focus: list[Any], other: list[Any]) -> list[Any]:
    """The items that are in both collections, each once."""
    wanted = {key(item) for item in other}
    found = []
    for item in focus:
        mark = key(item)
        if mark in wanted:
            wanted.discard(mark)
            found.append(item)
    return found


def exclude(frame: Frame, focus: list[Any], other: list[Any]) -> list[Any]:
    """The items that are not in the other collection."""
    unwanted = {key(item) for item in other}
    return [item for item in focus if key(item) not in unwanted]


FUNCTIONS: Table = {
    "single": Function(single, result=same_one),
    "first": Function(first, result=same_one, ordered=True),
    "last": Function(last, result=same_one, ordered=True),
    "tail": Function(tail, result=same, ordered=True),
    "skip": Function(skip, 1, result=same, ordered=True),
    "take": Function(take, 1, result=same, ordered=True),
    "intersect": Function(intersect, 1, result=same),
    "exclude": Function(exclude, 1, result=same),
}

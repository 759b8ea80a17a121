"""Contained resources: rows of what contains them, set apart (FHIR R4, 2.3.5 contained resources, 3.1.1.5.7).

A contained resource is found by the rows that it would have on its own. They stand among those of its container, their
numbers moved by a distance that its place in `contained` gives: no other search sees them, and conditions on one
contained resource are not met by another. A resource without contained ones has no such rows.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from fhir_server.errors import Unsupported
from fhir_server.search.plan import (
    EVERY_TYPE,
    NOTHING,
    And,
    Chain,
    Ids,
    Near,
    Not,
    Or,
    Predicate,
    Present,
    Referrer,
    Row,
    Test,
    Text,
    Updated,
)
from fhir_server.search.row import Reference, Rows
from fhir_server.search.row import Row as IndexRow

APART = 1 << 24
"""More than any number of a parameter; `number % APART` is that of the parameter."""

PLACES = 16
"""Contained resources from this one on are looked at as if they were one."""

CONTAINS = 16
"""The number, the same for all types, of the rows for what a resource contains and, not moved, for its own type."""


def place_of(index: int) -> int:
    """The place under which the rows of a contained resource stand."""
    return min(index, PLACES - 1)


def moved(number: int, place: int) -> int:
    """The number of a row of the contained resource at a place."""
    return number + (place + 1) * APART


def contained_in(body: Mapping[str, Any], known: Collection[str]) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """Yield the contained resources of known types, each with its index."""
    listed = body.get("contained")
    for index, inner in enumerate(listed if isinstance(listed, list) else ()):
        if isinstance(inner, dict) and inner.get("resourceType") in known:
            yield index, inner


def contained_rows(
    body: Mapping[str, Any], known: Collection[str], rows: Callable[[Mapping[str, Any], Mapping[str, Any]], Rows]
) -> Iterator[IndexRow]:
    """Yield the rows that a resource has for what it contains; `rows` gives those of one contained resource."""
    for index, inner in contained_in(body, known):
        place = place_of(index)
        for row in rows(inner, body):
            yield (moved(row[0], place), *row[1:])
        yield moved(CONTAINS, place), inner["resourceType"], ""
        yield CONTAINS, body["resourceType"], ""


def within(predicate: Predicate, place: int) -> Predicate:
    """What a predicate asks of the contained resource at a place; what cannot be asked of one finds nothing."""
    match predicate:
        case Row(number) | Near(number):
            return replace(predicate, number=moved(number, place))
        case Present(parameter) | Chain(parameter):
            return replace(predicate, parameter=moved(parameter, place))
        case And(items):
            return And(tuple(within(item, place) for item in items))
        case Or(items):
            return Or(tuple(within(item, place) for item in items))
        case Not(item):
            return Not(within(item, place))
        case Updated():
            return predicate
    return NOTHING


def containing(kind: str, predicate: Predicate) -> tuple[Predicate, ...]:
    """The alternatives for a resource that contains one of a type that matches."""
    asked = predicate.items if isinstance(predicate, And) else (predicate,)
    return tuple(
        And((*(within(item, place) for item in asked), Row(moved(CONTAINS, place), (Test("v", "=", kind),))))
        for place in range(PLACES)
    )


def chained(chain: Chain) -> tuple[Predicate, ...]:
    """The alternatives for a reference of a chain to a contained resource that matches (FHIR R4, 3.1.1.5.7)."""
    return tuple(
        And(
            (
                within(predicate, place),
                Row(chain.parameter + Reference.INSIDE, (Test("v", "=", place), Test("x", "=", kind))),
            )
        )
        for kind, predicate in (chain.targets if chain.inside is None else chain.inside)
        for place in range(PLACES)
    )


def arms_of(arms: Mapping[str, Predicate], asked: Mapping[str, Predicate], *, alone: bool) -> dict[str, Predicate]:
    """The arms of a search for contained resources, by what is `asked` of each type; unless `alone`, for others too.

    Resources of the types that are searched stand in arms of their own, so that none is found twice.
    """
    found = Or(tuple(item for kind, predicate in asked.items() for item in containing(kind, predicate)))
    if alone:
        return {EVERY_TYPE: found}
    own = Not(Row(CONTAINS, (Test("v", "in", tuple(arms)),)))
    both: dict[str, Predicate] = {
        kind: Or((predicate, And((found, Row(CONTAINS, (Test("v", "=", kind),)))))) for kind, predicate in arms.items()
    }
    return {**both, EVERY_TYPE: And((found, own))}


@dataclass(frozen=True, slots=True)
class Alone:
    """What contained resources must have to come back without their containers, by type.

    With `others`, resources of these types that nothing contains are asked for too.
    """

    asked: Mapping[str, Predicate]
    others: bool


def askable(predicate: Predicate, ids: int) -> Predicate:
    """What is asked of resources as it is asked of contained ones; `ids` is the number of the rows of their ids.

    Raises Unsupported for what only resources of their own have.
    """
    match predicate:
        case Ids(values):
            return Row(ids, (Test("v", "in", values),))
        case Text():
            raise Unsupported("Words are found in what contains a resource, not in what is contained.")
        case Referrer():
            raise Unsupported("What refers to a contained resource is only what contains it: leave out _has and _list.")
        case And(items) | Or(items):
            return type(predicate)(tuple(askable(item, ids) for item in items))
        case Not(item):
            return Not(askable(item, ids))
        case _:
            return predicate


def has_chain(predicate: Predicate) -> bool:
    """Whether a predicate looks at what resources refer to."""
    match predicate:
        case And(items) | Or(items):
            return any(map(has_chain, items))
        case Not(item):
            return has_chain(item)
        case _:
            return isinstance(predicate, Chain)


def leaves(predicates: Iterable[Predicate]) -> int:
    """How many conditions predicates have."""
    total = 0
    for predicate in predicates:
        match predicate:
            case And(items) | Or(items):
                total += leaves(items)
            case Not(item):
                total += leaves((item,))
            case _:
                total += 1
    return total

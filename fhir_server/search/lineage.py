"""References with `:below` and `:above`: to a resource or to what is part of it, at any level (FHIR R4, 3.1.1.4.12).

A resource is part of another of its type by one reference, such as Location.partOf; levels are followed as chains are.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from fhir_server.resource.reference import parse_reference
from fhir_server.search.escape import unescaped
from fhir_server.search.parameters import Parameter, Parameters
from fhir_server.search.plan import Chain, Ids, Or, Predicate, Referrer, Row, Test
from fhir_server.search.question import Unreadable
from fhir_server.search.row import Reference

PARENTS = ("partof", "part-of", "parent")
"""The parameters by which a resource is part of another of its type, where it has them."""

MOST_LEVELS = 6


def parent_of(parameters: Parameters, kind: str) -> Parameter | None:
    """The parameter by which resources of a type are part of each other; None where they are not."""
    known = parameters.of(kind)
    for code in PARENTS:
        if code in known and known[code].type == "reference" and kind in known[code].target:
            return known[code]
    return None


def named(values: Iterable[str], parents: Mapping[str, Parameter], bases: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """The ids that values name, by type: each type that has parts where a value is an id alone; raise Unreadable."""
    found: dict[str, dict[str, None]] = {}
    for value in values:
        text = unescaped(value)
        literal = parse_reference(text)
        if literal.type is not None and literal.id is not None and (literal.base is None or literal.base in bases):
            kinds: Sequence[str] = (literal.type,)
            identity = literal.id
        elif "/" not in text and ":" not in text:
            kinds, identity = tuple(parents), text
        else:
            raise Unreadable("write an id, as in 42 or Location/42")
        for kind in kinds:
            if kind not in parents:
                able = ", ".join(parents)
                raise Unreadable(f"a {kind} is no part of another{able and f'; of what is referred to, {able} is'}")
            found.setdefault(kind, {})[identity] = None
    if not found:
        raise Unreadable("nothing that this parameter refers to is part of another of its type")
    return {kind: tuple(ids) for kind, ids in found.items()}


def below(parameter: int, kind: str, parent: int, ids: tuple[str, ...]) -> Predicate:
    """References to resources of a type, or to what is part of them."""
    asked: Predicate = Ids(ids)
    for _ in range(MOST_LEVELS):
        asked = Or((Ids(ids), Chain(parent, ((kind, asked),))))
    return referring(parameter, kind, asked, ids)


def above(parameter: int, kind: str, parent: int, ids: tuple[str, ...]) -> Predicate:
    """References to resources of a type, or to what they are part of."""
    asked: Predicate = Ids(ids)
    for _ in range(MOST_LEVELS):
        asked = Or((Ids(ids), Referrer(parent, kind, asked)))
    return referring(parameter, kind, asked, ids)


def referring(parameter: int, kind: str, asked: Predicate, ids: tuple[str, ...]) -> Predicate:
    """References to what matches, or by these ids whether or not there is such a resource."""
    by_id = Row(parameter + Reference.LITERAL, (Test("v", "in", ids), Test("x", "=", kind)))
    return Or((by_id, Chain(parameter, ((kind, asked),))))


WAYS = {"below": below, "above": above}

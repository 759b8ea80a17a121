"""Profiles, tags and security labels in use, found by few looks at the index (OperationDefinition/Resource-meta)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any

from fhir_server.errors import TooCostly
from fhir_server.resource.parsing import parse
from fhir_server.rest.node import Node
from fhir_server.search.plan import And, Not, Plan, Predicate, Present, Row, Test
from fhir_server.search.row import Token, Uri

LISTS = ("profile", "security", "tag")
"""What operations change of meta; the rest is the server's."""

MOST = 1000

Item = Any
Name = tuple[str, str]
"""What a label goes by: code and system, or url and version."""


def identity(item: Item) -> Name:
    """What makes two labels the same, whatever they are called."""
    if isinstance(item, Mapping):
        return str(item.get("code", "")), str(item.get("system", ""))
    url, _, version = str(item).partition("|")
    return url, version


CODES: Sequence[tuple[int, Callable[[str], str]]] = ((Token.CODE, str), (Token.FOLDED, str.casefold))
FACETS: Mapping[str, Sequence[tuple[int, Callable[[str], str]]]] = {
    "profile": ((Uri.URI, str),),
    "security": CODES,
    "tag": CODES,
}
"""The facets under which labels of a list stand, and how each spells them."""


async def labels_in_use(node: Node, kind: str, name: str) -> dict[Name, Item]:
    """Return what current resources of a type have in one list of meta; raise TooCostly for very many."""
    present = node.repository.query((kind,), [(f"_{name}:missing", "false")]).plan.arms[kind]
    assert isinstance(present, Present)
    found: dict[Name, Item] = {}
    for facet, spelled in FACETS[name]:
        number = present.parameter + facet
        values: set[str] = set()
        gaps: list[tuple[str | None, str | None]] = [(None, None)]
        while gaps:
            low, high = gaps.pop()
            items = [item async for item in _labels(node, kind, name, Row(number, between(low, high)), found)]
            here = sorted({v for item in items if is_between(v := spelled(identity(item)[0]), low, high)})
            values.update(here)
            if here:
                gaps += pairwise((low, *here, high))
        for value in values:
            await _namesakes(node, kind, name, Row(number, (Test("v", "=", value),)), found)
    return found


async def _namesakes(node: Node, kind: str, name: str, row: Row, found: dict[Name, Item]) -> None:
    """Find what has the same code in another system, or the same url in another version."""
    while True:
        known = tuple(sorted({beside for _, beside in found}))
        others = And((row, Not(Row(row.number, (*row.tests, Test("x", "in", known))))))
        before = len(found)
        if not [item async for item in _labels(node, kind, name, others, found)] or len(found) == before:
            return


async def _labels(
    node: Node, kind: str, name: str, predicate: Predicate, found: dict[Name, Item]
) -> AsyncIterator[Item]:
    """Yield the labels of one resource that matches, and note them."""
    page = await node.repository.page(Plan({kind: predicate}), 1)
    for version in page.matches:
        for item in parse(version.body or b"").get("meta", {}).get(name, ()):
            found.setdefault(identity(item), item)
            yield item
    if len(found) > MOST:
        raise TooCostly(f"{kind} has more than {MOST:,} different entries of meta.{name}. Ask for one resource.")


def between(low: str | None, high: str | None) -> tuple[Test, ...]:
    """The tests that a value lies between two others."""
    return (*(() if low is None else (Test("v", ">", low),)), *(() if high is None else (Test("v", "<", high),)))


def is_between(value: str, low: str | None, high: str | None) -> bool:
    """Whether it does."""
    return (low is None or value > low) and (high is None or value < high)

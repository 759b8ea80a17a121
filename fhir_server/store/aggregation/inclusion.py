"""What comes along with the matches of a search (FHIR R4, 3.1.1.5.4 including other resources in result)."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from fhir_server.search.plan import Include, Plan, Predicate, Row, Test
from fhir_server.search.row import Reference
from fhir_server.store.aggregation.condition import condition
from fhir_server.store.aggregation.document import Document
from fhir_server.store.aggregation.join import Asking, Query, View
from fhir_server.store.inclusion import MOST_INCLUDED, MOST_ROUNDS, TooManyIncluded, pinned_only
from fhir_server.store.protocol import Version

AT_ONCE = 500
"""The ids that one query names."""


SHOWN: list[Document] = [{"$project": {"prose": 0, "refs": 0}}]


class Pointer(NamedTuple):
    """What a row points to: a resource by its id, one of its versions, or what has a canonical URL."""

    kind: str
    id: str
    version: int | None = None
    canonical: int | None = None


def included(plan: Plan, matches: Sequence[Document], view: View) -> Asking[list[Document]]:
    """The versions that come along, each once, none that is a match, and none that may not come."""
    includes: Sequence[Include] = plan.includes
    seen = {document["_id"] for document in matches}
    found: list[Document] = []
    news, active = list(matches), includes
    for _ in range(MOST_ROUNDS):
        fresh: list[Document] = []
        for include in active:
            pointed = _reverse(include, news, view) if include.reverse else _forward(plan, include, news, view)
            for document in (yield from pointed):
                if document["_id"] not in seen:
                    seen.add(document["_id"])
                    if plan.may_come is None or plan.may_come(version_of(document)):
                        fresh.append(document)
        found += fresh
        if len(found) > MOST_INCLUDED:
            raise TooManyIncluded(
                f"The page would include more than {MOST_INCLUDED:,} resources. Ask for a smaller page."
            )
        active = [include for include in includes if include.iterate]
        if not fresh or not active:
            break
        news = fresh
    return found


def version_of(document: Document) -> Version:
    """The version that a document holds; without a body where that is kept apart."""
    return Version(
        document["type"],
        document["id"],
        document["v"],
        document["_id"],
        document["at"],
        document["method"],
        document.get("body"),
        document.get("label", ""),
    )


def _forward(plan: Plan, include: Include, documents: Iterable[Document], view: View) -> Asking[list[Document]]:
    pointers = [
        pointer
        for document in documents
        if document["type"] == include.source
        for pointer in _pointers(include, document)
        if pointer.kind in view.types
    ]
    if plan.may_come is not None:
        shown = yield from _shown(plan.may_come, [pointer for pointer in pointers if pointer.version is not None])
        pointers = [pointer for pointer in pointers if pointer.version is None or pointer[:2] in shown]
    pointed = yield from _resolve(dict.fromkeys(pointers), view)
    return [document for pointer in pointers for document in pointed.get(pointer, ())]


def _shown(may_come: Callable[[Version], bool], pointers: Iterable[Pointer]) -> Asking[set[tuple[str, str]]]:
    """The resources, of those that versions are pointed to of, whose current version may come."""
    ids: dict[str, set[str]] = {}
    for pointer in pointers:
        ids.setdefault(pointer.kind, set()).add(pointer.id)
    queries = [Query(kind, [{"$match": {"k": {"$in": sorted(wanted)}}}, *SHOWN]) for kind, wanted in ids.items()]
    answers = (yield queries) if queries else []
    return {
        (query.kind, document["id"])
        for query, documents in zip(queries, answers, strict=True)
        for document in documents
        if may_come(version_of({**document, "type": query.kind}))
    }


def _pointers(include: Include, document: Document) -> Iterator[Pointer]:
    """What the references of a resource point to, as far as it is to be included."""
    held = [
        (row["p"] - parameter, row["v"], row["x"])
        for row in document["rows"]
        for parameter in include.parameters
        if parameter <= row["p"] <= parameter + Reference.CANONICAL
    ]
    versions = (v for facet, v, _ in held if facet == Reference.VERSION)
    pinned = pinned_only(versions, document.get("body") or b"")
    for facet, v, x in held:
        for pointer in _meant(include, facet, v, x):
            if include.target in (None, pointer.kind) and (facet != Reference.LITERAL or f"{x}/{v}" not in pinned):
                yield pointer


def _meant(include: Include, facet: int, v: Any, x: Any) -> Iterator[Pointer]:
    if facet == Reference.LITERAL:
        yield Pointer(x, v)
    elif facet == Reference.VERSION:
        name, resource_id, _, number = (*v.split("/"), "", "", "")[:4]
        if number.isdecimal():
            yield Pointer(name, resource_id, version=int(number))
    elif facet == Reference.CANONICAL:
        for name, parameter in include.canonicals.items():
            yield Pointer(name, v, canonical=parameter)


def _resolve(pointers: Collection[Pointer], view: View) -> Asking[Mapping[Pointer, list[Document]]]:
    """What pointers point to."""
    queries: list[Query] = []
    asked: list[dict[Any, Pointer]] = []
    groups: dict[tuple[str, bool, int | None], list[Pointer]] = {}
    for pointer in pointers:
        groups.setdefault((pointer.kind, pointer.version is not None, pointer.canonical), []).append(pointer)
    for (kind, is_version, canonical), group in groups.items():
        for start in range(0, len(group), AT_ONCE):
            some = group[start : start + AT_ONCE]
            queries.append(Query(kind, [{"$match": _asked(some, view, canonical, is_version=is_version)}, *SHOWN]))
            asked.append({(one.id, one.version): one for one in some})
    found: dict[Pointer, list[Document]] = {}
    if queries:
        answers = yield queries
        for query, named, documents in zip(queries, asked, answers, strict=True):
            for document in sorted(documents, key=lambda one: int(one["_id"])):
                document["type"] = query.kind
                for pointer in {named[key] for key in _names(document, named) if key in named}:
                    found.setdefault(pointer, []).append(document)
    return found


def _names(document: Document, named: Mapping[Any, Pointer]) -> Iterator[tuple[str, int | None]]:
    """The names by which a document may have been asked for."""
    one = next(iter(named.values()))
    if one.canonical is not None:
        yield from ((row["v"], None) for row in document["rows"] if row["p"] == one.canonical)
    else:
        yield document["id"], None if one.version is None else document["v"]


def _asked(some: Sequence[Pointer], view: View, canonical: int | None, *, is_version: bool) -> Document:
    if is_version:
        return {"dead": {"$ne": True}, "$or": [{"id": one.id, "v": one.version} for one in some]}
    named = [one.id for one in some]
    if canonical is None:
        return {"id": {"$in": named}, **view.living}
    return {**condition_of(Row(canonical, (Test("v", "in", tuple(named)),))), **view.living}


def _reverse(include: Include, documents: Iterable[Document], view: View) -> Asking[list[Document]]:
    by_type: dict[str, list[str]] = {}
    for document in documents:
        by_type.setdefault(document["type"], []).append(document["id"])
    if include.source not in view.types:
        return []
    queries = [
        Query(include.source, [{"$match": {**pointing, **view.living}}, {"$limit": MOST_INCLUDED + 1}, *SHOWN])
        for name, ids in by_type.items()
        if include.target in (None, name)
        for parameter in include.parameters
        for start in range(0, len(ids), AT_ONCE)
        for pointing in [
            condition_of(Row(parameter, (Test("x", "=", name), Test("v", "in", tuple(ids[start : start + AT_ONCE])))))
        ]
    ]
    answers = (yield queries) if queries else []
    found = []
    for documents_found in answers:
        for document in sorted(documents_found, key=lambda one: int(one["_id"])):
            document["type"] = include.source
            found.append(document)
    return found


def condition_of(predicate: Predicate) -> Document:
    """The condition of a predicate without joins."""

    def never(_: object) -> Document:
        raise AssertionError

    return condition(predicate, never)

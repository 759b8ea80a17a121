"""Plans as questions to collections: a page with its includes, a count, a condition of a write (FHIR R4, 3.1.1 Search).

Each function yields queries, which may be asked all at once, and is sent what they find. Types are asked one by one and
merged by the order of the page; of each, no more is asked for than the page holds.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import orjson

from fhir_server.search.plan import EVERY_TYPE, Plan, Predicate
from fhir_server.store.aggregation.document import Document, collection
from fhir_server.store.aggregation.inclusion import included
from fhir_server.store.aggregation.join import Asking, Joins, Matching, Query, View
from fhir_server.store.aggregation.order import Order, order_of

Keys = frozenset[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Found:
    """A page: the documents that match and those that come along, each with its `type`; and the cursor after them."""

    t: int
    matches: list[Document]
    included: list[Document]
    following: str | None


def page(
    plan: Plan, limit: int, cursor: str | None, t: int, types: Sequence[str], *, concise: bool = False
) -> Asking[Found]:
    """The first matches of a plan at a commit, or those after a cursor, which brings its commit along."""
    after = None
    if cursor is not None:
        t, after = orjson.loads(cursor)
    view = View(t, types, concise)
    order = order_of(plan)
    found: list[Document] = []
    queries = []
    for arm, kind, matching in (yield from _matchings(plan, view)):
        queries.append(Query(kind, _paged(matching, (arm, kind), order, after, limit + 1)))
    answers = (yield queries) if queries else []
    for query, documents in zip(queries, answers, strict=True):
        found += [{**document, "type": query.kind} for document in documents]
    order.sort(found)
    matches = found[:limit]
    following = None
    if len(found) > limit:
        following = orjson.dumps([t, order.values(matches[-1])]).decode()
    return Found(t, matches, (yield from included(plan, matches, view)), following)


def count(plan: Plan, t: int, types: Sequence[str], *, concise: bool = False) -> Asking[int]:
    """How many resources match at a commit."""
    matchings = yield from _matchings(plan, View(t, types, concise))
    queries = [Query(kind, [*matching.stages(), {"$count": "found"}]) for _, kind, matching in matchings]
    answers = (yield queries) if queries else []
    return sum(documents[0]["found"] for documents in answers if documents)


def find(plan: Plan, most: int, t: int, types: Sequence[str], *, concise: bool = False) -> Asking[Keys]:
    """At most so many of the resources that match at a commit."""
    matchings = yield from _matchings(plan, View(t, types, concise))
    shown: list[Document] = [{"$limit": most}, {"$project": {"_id": 0, "id": 1}}]
    queries = [Query(kind, [*matching.stages(), *shown]) for _, kind, matching in matchings]
    answers = (yield queries) if queries else []
    found = [(query.kind, one["id"]) for query, some in zip(queries, answers, strict=True) for one in some]
    return frozenset(found[:most])


def _matchings(plan: Plan, view: View) -> Asking[list[tuple[str, str, Matching]]]:
    """For each type that is searched, the arm that asks for it and how what matches is found."""
    joins = Joins(view)
    found = []
    for arm, kind, predicate in _spread(plan, view.types):
        matching = yield from joins.matching(kind, predicate)
        if not matching.is_empty:
            found.append((arm, kind, matching))
    return found


def _spread(plan: Plan, types: Sequence[str]) -> Iterator[tuple[str, str, Predicate]]:
    for arm, predicate in plan.arms.items():
        for kind in types if arm == EVERY_TYPE else (arm,):
            if kind in types:
                yield arm, kind, predicate


def _paged(
    matching: Matching, query: tuple[str, str], order: Order, after: Sequence[object] | None, limit: int
) -> list[Document]:
    """The stages of a page of one type: it is sorted before joins, so that those stop when the page is full.

    What is sorted whole, because a join follows and no index has its order, is sorted without bodies.
    """
    arm, kind = query
    beyond = order.beyond(after)
    between = order.keys(arm)
    if beyond is not None:
        between.append({"$match": beyond})
    shown: list[Document] = [{"$limit": limit}, {"$project": {"prose": 0, "refs": 0}}]
    if matching.joins and order.best:
        between.append({"$project": {"body": 0}})
        shown += [
            {"$lookup": {"from": collection(kind), "localField": "_id", "foreignField": "_id", "as": "whole"}},
            {"$addFields": {"body": {"$arrayElemAt": ["$whole.body", 0]}}},
            {"$project": {"whole": 0}},
        ]
    return [*matching.stages(*between, order.sorting), *shown]

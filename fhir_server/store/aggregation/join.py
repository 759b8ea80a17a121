"""Joins between resources: what a chain points to, or what points here (FHIR R4, 3.1.1.4.16 and 3.1.1.4.17).

Where few resources stand on the other side, they are asked for first, and the join becomes a condition on their ids.
Where they are many, the database joins: `$lookup` asks for one of them, for each candidate that is looked at.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import NamedTuple, TypeVar

from fhir_server.search.contained import chained
from fhir_server.search.plan import (
    NOTHING,
    And,
    Chain,
    Ids,
    Not,
    Or,
    Predicate,
    Referrer,
    Row,
    Test,
)
from fhir_server.search.row import Reference
from fhir_server.store.aggregation import canonical
from fhir_server.store.aggregation.condition import NEVER, all_of, any_of, checked, condition
from fhir_server.store.aggregation.document import Document, collection, reference

MOST_PICKED = 1000
"""The resources on the other side of a join that are named in a condition."""

MOST_LOOKED_AT = 10_000
"""The resources that are looked through for what they point to."""

Result = TypeVar("Result")


class Query(NamedTuple):
    """What is asked of the collection of a resource type."""

    kind: str
    pipeline: list[Document]


Answers = list[list[Document]]
Asking = Generator[list[Query], Answers, Result]
"""Yields queries, is sent the documents that each finds, and comes back with the result."""


@dataclass(frozen=True, slots=True)
class View:
    """The commit whose state is asked for, the types that have collections, and what the server can do.

    A server is `concise` if its `$lookup` takes a key and a pipeline together, and so joins by an index.
    """

    t: int
    types: Sequence[str]
    concise: bool

    @property
    def living(self) -> Document:
        """The condition that a version is current at the commit, and no deletion."""
        return {"from": {"$lte": self.t}, "to": {"$gt": self.t}, "dead": {"$ne": True}}


@dataclass(frozen=True, slots=True)
class Lookup:
    """A join in a pipeline: into `field` comes what of the other side has the key, one document at most."""

    field: str
    source: str
    key: Document
    foreign: str
    pipeline: tuple[Document, ...]

    def stages(self, *, concise: bool) -> Iterator[Document]:
        """The stages; the key is a list of ids, or the text of a reference."""
        yield {"$addFields": {self.field: self.key}}
        joined: Document = {"from": collection(self.source), "as": self.field}
        if concise:
            joined |= {"localField": self.field, "foreignField": self.foreign, "pipeline": list(self.pipeline)}
        else:
            sides = ["$id", "$$key"] if self.foreign == "id" else ["$$key", "$refs"]
            has_key = {"$match": {"$expr": {"$in": sides}}}
            joined |= {"let": {"key": f"${self.field}"}, "pipeline": [has_key, *self.pipeline]}
        yield {"$lookup": joined}


@dataclass(frozen=True, slots=True)
class Answer:
    """What a join comes down to: a condition on the resource alone, or that one of the look-ups finds something."""

    predicate: Predicate
    lookups: tuple[Lookup, ...] = ()


@dataclass(frozen=True, slots=True)
class Matching:
    """The stages that let through what matches: a condition, the joins behind it, and what they must have found."""

    first: Document
    joins: tuple[Document, ...] = ()
    rest: Document | None = None

    @property
    def is_empty(self) -> bool:
        """Nothing can match."""
        return self.first == NEVER

    def stages(self, *between: Document) -> list[Document]:
        """The stages in order, others between the first condition and the joins."""
        last = [] if self.rest is None else [{"$match": self.rest}]
        return [{"$match": self.first}, *between, *self.joins, *last]


class Joins:
    """Decides the joins of a search."""

    def __init__(self, view: View) -> None:
        self._view = view
        self._answers: dict[tuple[str, Predicate], Answer] = {}
        self._picked: dict[tuple[str, Predicate], tuple[str, ...] | None] = {}
        self._has_inside: dict[tuple[str, int], bool] = {}
        self._fields = (f"join{n}" for n in count())

    def matching(self, kind: str, predicate: Predicate) -> Asking[Matching]:
        """How the resources of a type that match are found."""
        parts = conjuncts((yield from self._reaching(kind, predicate)))
        for join in joins_in(And(tuple(parts))):
            yield from self._decide(kind, join)
        waiting = [part for part in parts if self._lookups(kind, part)]
        told = [self._condition(kind, part) for part in parts if part not in waiting]
        first = all_of([self._view.living, *told])
        if not waiting:
            return Matching(first)
        lookups = {lookup.field: lookup for part in waiting for lookup in self._lookups(kind, part)}
        stages = (stage for lookup in lookups.values() for stage in lookup.stages(concise=self._view.concise))
        return Matching(first, tuple(stages), all_of([self._condition(kind, part) for part in waiting]))

    def _condition(self, kind: str, predicate: Predicate) -> Document:
        def decided(join: Chain | Referrer) -> Document:
            answer = self._answers[kind, join]
            found = [{f"{lookup.field}.0": {"$exists": True}} for lookup in answer.lookups]
            return any_of([condition(answer.predicate, decided), *found])

        return checked(condition(predicate, decided))

    def _lookups(self, kind: str, predicate: Predicate) -> list[Lookup]:
        return [lookup for join in joins_in(predicate) for lookup in self._answers[kind, join].lookups]

    def _reaching(self, kind: str, predicate: Predicate) -> Asking[Predicate]:
        """The predicate with its joins led into contained resources and along canonicals, as far as there are any."""
        led: set[Chain | Referrer] = set()
        while fresh := list(dict.fromkeys(join for join in joins_in(predicate) if join not in led)):
            yield from self._learn(kind, sorted({join.parameter for join in fresh if isinstance(join, Chain)}))
            ways: dict[Predicate, Predicate] = {}
            for join in fresh:
                more = list(chained(join)) if isinstance(join, Chain) and self._has_inside[kind, join.parameter] else []
                if isinstance(join, Chain) and join.urls:
                    more.append((yield from self._pointing(kind, join)))
                elif isinstance(join, Referrer) and join.url is not None:
                    more.append((yield from self._meant(join, *join.url)))
                if more:
                    ways[join] = Or((join, *more))
            predicate = replaced(predicate, ways)
            led.update(fresh)
        return predicate

    def _pointing(self, kind: str, chain: Chain) -> Asking[Predicate]:
        """What a resource holds that names a target of a chain."""
        number, targets = chain.parameter + Reference.CANONICAL, dict(chain.targets)
        wanted: set[canonical.Name] = set()
        for name, url, version in chain.urls:
            if name in self._view.types:
                matching = yield from self.matching(name, targets[name])
                answers = yield [Query(name, [*matching.stages(), *canonical.held(url, version)])]
                wanted |= {(one, of.casefold()) for one, of in canonical.names(answers[0])}
        urls = {url for url, version in wanted if canonical.has_case(version)}
        spelled: set[canonical.Name] = set()
        if urls:
            matching = yield from self.matching(kind, Row(number, (Test("v", "in", tuple(sorted(urls))),)))
            answers = yield [Query(kind, [*matching.stages(), *canonical.held(number, urls=urls)])]
            spelled = canonical.names(answers[0])
        return canonical.pointing(number, wanted, spelled)

    def _meant(self, referrer: Referrer, url: int, version: int) -> Asking[Predicate]:
        """What a resource holds that is meant by a canonical of what refers."""
        if referrer.source not in self._view.types:
            return NOTHING
        number = referrer.parameter + Reference.CANONICAL
        matching = yield from self.matching(referrer.source, And((referrer.predicate, Row(number))))
        answers = yield [Query(referrer.source, [*matching.stages(), *canonical.held(number)])]
        return canonical.meant(canonical.names(answers[0]), url, version)

    def _learn(self, kind: str, parameters: Sequence[int]) -> Asking[None]:
        """Find out for which parameters any resource of a type refers to what it contains."""
        unknown = [parameter for parameter in parameters if (kind, parameter) not in self._has_inside]
        if unknown:
            asked = ({"rows": {"$elemMatch": {"p": parameter + Reference.INSIDE}}} for parameter in unknown)
            answers = yield [Query(kind, [{"$match": one}, {"$limit": 1}, {"$project": {"_id": 1}}]) for one in asked]
            self._has_inside.update(((kind, p), bool(found)) for p, found in zip(unknown, answers, strict=True))

    def _decide(self, kind: str, join: Chain | Referrer) -> Asking[None]:
        if (kind, join) in self._answers:
            return
        if isinstance(join, Chain):
            self._answers[kind, join] = yield from self._chain(join)
        else:
            self._answers[kind, join] = yield from self._referrer(kind, join)

    def _chain(self, chain: Chain) -> Asking[Answer]:
        found: list[Predicate] = []
        lookups: list[Lookup] = []
        for name, predicate in chain.targets:
            ids = yield from self._pick(name, predicate)
            if ids is None:
                lookups.append((yield from self._towards(chain.parameter, name, predicate)))
            elif ids:
                found.append(Row(chain.parameter, (Test("x", "=", name), Test("v", "in", ids))))
        return Answer(Or(tuple(found)), tuple(lookups))

    def _pick(self, name: str, predicate: Predicate) -> Asking[tuple[str, ...] | None]:
        """The ids of a type that match; None if they are too many to be named."""
        if name not in self._view.types:
            return ()
        if (name, predicate) not in self._picked:
            matching = yield from self.matching(name, predicate)
            stages = matching.stages()
            answers = yield [Query(name, [*stages, {"$limit": MOST_PICKED + 1}, {"$project": {"_id": 0, "id": 1}}])]
            ids = tuple(document["id"] for document in answers[0])
            self._picked[name, predicate] = ids if len(ids) <= MOST_PICKED else None
        return self._picked[name, predicate]

    def _towards(self, parameter: int, name: str, predicate: Predicate) -> Asking[Lookup]:
        """The look-up of one that a reference points to."""
        matching = yield from self.matching(name, predicate)
        is_asked = {"$and": [{"$eq": ["$$r.p", parameter]}, {"$eq": ["$$r.x", name]}]}
        held = {"$filter": {"input": "$rows", "as": "r", "cond": is_asked}}
        key = {"$map": {"input": held, "as": "r", "in": "$$r.v"}}
        return self._lookup(name, key, "id", matching)

    def _referrer(self, kind: str, referrer: Referrer) -> Asking[Answer]:
        source, parameter = referrer.source, referrer.parameter
        if source not in self._view.types:
            return Answer(NOTHING)
        pointing = And((referrer.predicate, Row(parameter, (Test("x", "=", kind),))))
        matching = yield from self.matching(source, pointing)
        is_asked = {"$and": [{"$eq": ["$$r.p", parameter]}, {"$eq": ["$$r.x", kind]}]}
        pipeline = [
            *matching.stages(),
            {"$limit": MOST_LOOKED_AT + 1},
            {"$project": {"rows": {"$filter": {"input": "$rows", "as": "r", "cond": is_asked}}}},
            {"$unwind": "$rows"},
            {"$group": {"_id": "$rows.v", "times": {"$sum": 1}}},
            {"$limit": MOST_PICKED + 1},
        ]
        answers = yield [Query(source, pipeline)]
        looked_at = sum(document["times"] for document in answers[0])
        if len(answers[0]) <= MOST_PICKED and looked_at <= MOST_LOOKED_AT:
            return Answer(Ids(tuple(sorted(document["_id"] for document in answers[0]))))
        key = {"$concat": [reference(parameter, kind, ""), "$id"]}
        return Answer(NOTHING, (self._lookup(source, key, "refs", matching),))

    def _lookup(self, source: str, key: Document, foreign: str, matching: Matching) -> Lookup:
        one: tuple[Document, ...] = (*matching.stages(), {"$limit": 1}, {"$project": {"_id": 1}})
        return Lookup(next(self._fields), source, key, foreign, one)


def conjuncts(predicate: Predicate) -> list[Predicate]:
    """What must all hold."""
    if isinstance(predicate, And):
        return [part for item in predicate.items for part in conjuncts(item)]
    return [predicate]


def joins_in(predicate: Predicate) -> Iterator[Chain | Referrer]:
    """Every join that a predicate asks for, but not those that stand within joins."""
    match predicate:
        case And(items) | Or(items):
            for item in items:
                yield from joins_in(item)
        case Not(item):
            yield from joins_in(item)
        case Chain() | Referrer():
            yield predicate


def replaced(predicate: Predicate, ways: Mapping[Predicate, Predicate]) -> Predicate:
    """The predicate with some of its joins replaced."""
    match predicate:
        case And(items) | Or(items):
            return type(predicate)(tuple(replaced(item, ways) for item in items))
        case Not(item):
            return Not(replaced(item, ways))
        case _:
            return ways.get(predicate, predicate)

"""The order of a page: the fields that matches are compared by, and what follows a cursor (FHIR R4, 3.1.1.5.1 _sort).

A key is a field that every document has, or the best row of a parameter: the least when ascending, the greatest when
descending, those without one last either way. Behind the keys of the plan, resources stand as they were born.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fhir_server.search.plan import EVERY_TYPE, And, Chain, Ids, Near, Or, Plan, Predicate, Referrer, Row, Sort, Text
from fhir_server.store.aggregation.document import Document, rows_of
from fhir_server.store.aggregation.join import conjuncts

PLACE, BORN, ID = "_id", "born", "id"


@dataclass(frozen=True, slots=True)
class Field:
    """A field that documents are compared by; where it is mixed, some have numbers and others text in it."""

    name: str
    descending: bool = False
    is_mixed: bool = False

    def value(self, document: Document) -> Any:
        """What a document has in it."""
        found: Any = document
        for name in self.name.split("."):
            found = found.get(name) if isinstance(found, dict) else None
        return found

    def beyond(self, value: Any) -> Document | None:
        """The condition that a document stands after one with a value; None where nothing does: it has none.

        Numbers come before text. A plain comparison would leave out the other kind.
        """
        if value is None:
            return None
        if self.is_mixed:
            return {self.name: {"$not": {"$gte" if self.descending else "$lte": value}}}
        return {self.name: {"$lt" if self.descending else "$gt": value}}

    def comparable(self, document: Document) -> tuple[bool, Any]:
        """The value with numbers before text; a missing one stands among missing ones only."""
        value = self.value(document)
        return (True, value) if isinstance(value, str) else (False, 0 if value is None else value)


@dataclass(frozen=True, slots=True)
class Order:
    """The fields in order, and for those that are the best row of a parameter, its number by resource type."""

    fields: tuple[Field, ...]
    best: tuple[tuple[str, Sort], ...] = ()

    def keys(self, arm: str) -> list[Document]:
        """The stages that put the best rows of a type into their fields."""
        held = {name: rows_of(sort.numbers.get(arm)) for name, sort in self.best}
        found: Document = {}
        for name, sort in self.best:
            found[f"{name}_missing"] = {"$cond": [{"$eq": [{"$size": f"${name}"}, 0]}, 1, 0]}
            found[name] = {"$max" if sort.descending else "$min": f"${name}"}
        return [{"$addFields": held}, {"$addFields": found}] if self.best else []

    def beyond(self, after: Sequence[Any] | None) -> Document | None:
        """The condition that a document stands after these values."""
        if after is None:
            return None
        options = []
        for n, field in enumerate(self.fields):
            further = field.beyond(after[n])
            if further is not None:
                same = ({before.name: {"$eq": value}} for before, value in zip(self.fields[:n], after, strict=False))
                options.append({"$and": [*same, further]})
        return {"$or": options}

    @property
    def sorting(self) -> Document:
        """The stage that sorts."""
        return {"$sort": {field.name: -1 if field.descending else 1 for field in self.fields}}

    def values(self, document: Document) -> list[Any]:
        """What a document is ordered by."""
        return [field.value(document) for field in self.fields]

    def sort(self, documents: list[Document]) -> None:
        """Put documents of several types in order."""
        for field in reversed(self.fields):
            documents.sort(key=field.comparable, reverse=field.descending)


def order_of(plan: Plan) -> Order:
    """The order of a plan: its keys up to one that no two resources share."""
    if not plan.sort:
        return Order((Field(BORN),) if is_in_order_of_birth(plan) else (Field(PLACE),))
    fields: list[Field] = []
    best: list[tuple[str, Sort]] = []
    is_single = len(plan.arms) == 1 and EVERY_TYPE not in plan.arms
    for n, key in enumerate(plan.sort):
        if key.by == "updated":
            return Order((*fields, Field(PLACE, key.descending)), tuple(best))
        if key.by == "id":
            fields.append(Field(ID, key.descending))
            if is_single:
                return Order(tuple(fields), tuple(best))
            continue
        name = f"key{n}"
        best.append((name, key))
        fields += [Field(f"{name}_missing"), Field(f"{name}.v", key.descending, is_mixed=True)]
        if len(plan.sort) == 1:
            fields.append(Field(f"{name}.x", key.descending, is_mixed=True))
    return Order((*fields, Field(BORN)), tuple(best))


def is_in_order_of_birth(plan: Plan) -> bool:
    """Whether an index finds what a plan for one type without keys asks for, in the order of birth mostly.

    It depends on nothing but the plan, so that each page decides alike.
    """
    return len(plan.arms) == 1 and any(
        kind != EVERY_TYPE and any(map(is_indexed, conjuncts(predicate))) for kind, predicate in plan.arms.items()
    )


def is_indexed(predicate: Predicate) -> bool:
    """Whether an index finds what matches."""
    match predicate:
        case Or(items):
            return all(map(is_indexed, items))
        case And(items):
            return any(map(is_indexed, items))
        case _:
            return isinstance(predicate, Row | Near | Ids | Text | Chain | Referrer)

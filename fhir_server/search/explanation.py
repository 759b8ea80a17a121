"""A plan said in the words of the search parameters that it came from, for `_explain` and `nhipcau explain`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from fhir_server.search import row
from fhir_server.search.contained import APART, CONTAINS
from fhir_server.search.parameters import Parameters
from fhir_server.search.plan import (
    And,
    Chain,
    Ids,
    Include,
    Near,
    Not,
    Or,
    Plan,
    Predicate,
    Present,
    Referrer,
    Row,
    Sort,
    Test,
    Text,
    Updated,
)
from fhir_server.search.row import FACETS
from fhir_server.search.served import reach_of, unserved

Facets = Mapping[str, type[row.Token | row.String | row.Range | row.Quantity | row.Reference | row.Uri | row.Composite]]
NAMED: Facets = {
    "token": row.Token,
    "string": row.String,
    "date": row.Range,
    "number": row.Range,
    "quantity": row.Quantity,
    "reference": row.Reference,
    "uri": row.Uri,
    "composite": row.Composite,
}
MOST_VALUES = 20
RANGED = frozenset({"date", "number"})


class Explanation:
    """Says plans as JSON."""

    def __init__(self, parameters: Parameters, kinds: Iterable[str]) -> None:
        self._names = {number: key.partition(":")[0] for key, number in parameters.numbers.items()}
        self._parameters = parameters
        self._ranges = frozenset(
            parameter.number
            for kind in kinds
            if kind in parameters.definitions.resource_types
            for parameter in parameters.of(kind).values()
            if parameter.type in RANGED
        )

    def of(self, plan: Plan) -> dict[str, Any]:
        """The plan as JSON: a condition for each resource type, the order, and what is included."""
        found: dict[str, Any] = {"find": {kind: self.predicate(predicate) for kind, predicate in plan.arms.items()}}
        found["looks through"] = {kind: reach_of(predicate, self._ranges) for kind, predicate in plan.arms.items()}
        left = {kind: unserved(predicate, self._ranges) for kind, predicate in plan.arms.items()}
        if any(left.values()):
            found["without an index"] = {
                kind: list(map(self.predicate, parts)) for kind, parts in left.items() if parts
            }
        if plan.sort:
            found["sort"] = [self.sort(key) for key in plan.sort]
        if plan.includes:
            found["include"] = [self.include(include) for include in plan.includes]
        return found

    def name(self, number: int) -> str:
        """The parameter of a number as `Type.code`, and the facet where it is not the first."""
        if number >= APART:
            return f"{self.name(number % APART)} of contained resource {number // APART}"
        if number == CONTAINS:
            return "what is contained"
        facet = number % FACETS
        key = self._names.get(number - facet, str(number - facet))
        kind, _, code = key.partition(".")
        if not facet:
            return key
        parameter = self._parameters.of(kind).get(code) if kind in self._parameters.definitions.resource_types else None
        facets = NAMED.get(parameter.type) if parameter else None
        return f"{key} ({facets(facet).name.lower() if facets else facet})"

    def predicate(self, predicate: Predicate) -> Any:
        """A condition as JSON."""
        match predicate:
            case Row(number, tests):
                return {"row": self.name(number), "where": [self.test(test) for test in tests]}
            case Present(parameter):
                return {"any row": self.name(parameter)}
            case Ids(ids):
                return {"id": shortened(ids)}
            case Updated(low, high):
                return {"last updated": {"from": low, "before": high}}
            case Text(within, expression):
                return {"text": within, "expression": expression}
            case Near(number, latitude, longitude, metres):
                return {"near": self.name(number), "point": [latitude, longitude], "metres": metres}
            case Chain(parameter, targets):
                pointed = {kind: self.predicate(inner) for kind, inner in targets}
                return {"refers by": self.name(parameter), "to": pointed}
            case Referrer(parameter, source, inner):
                return {"is referred to by": self.name(parameter), "of": source, "that": self.predicate(inner)}
            case And(items):
                return {"all": [self.predicate(item) for item in items]} if items else "everything"
            case Or(items):
                return {"any": [self.predicate(item) for item in items]} if items else "nothing"
            case Not(item):
                return {"not": self.predicate(item)}

    def test(self, test: Test) -> list[Any]:
        """A test of a column as JSON."""
        return [test.column, test.operator, shortened(test.value) if isinstance(test.value, tuple) else test.value]

    def sort(self, key: Sort) -> dict[str, Any]:
        """A key of the order as JSON."""
        by: Any = {"updated": "last updated", "id": "id"}.get(key.by) or [self.name(n) for n in key.numbers.values()]
        return {"by": by, "descending": key.descending}

    def include(self, include: Include) -> dict[str, Any]:
        """An include as JSON."""
        found: dict[str, Any] = {
            "what refers here" if include.reverse else "what is referred to": [self.name(n) for n in include.parameters]
        }
        if include.target is not None:
            found["type"] = include.target
        return found | ({"again": True} if include.iterate else {})


def shortened(values: tuple[Any, ...]) -> list[Any]:
    """The values, or the first of them and how many more there are."""
    if len(values) <= MOST_VALUES:
        return list(values)
    return [*values[:MOST_VALUES], f"and {len(values) - MOST_VALUES} more"]


def explain(plan: Plan, parameters: Parameters) -> dict[str, Any]:
    """The plan as JSON, in the names of the parameters."""
    return Explanation(parameters, plan.arms).of(plan)

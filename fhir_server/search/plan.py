r"""What a store is asked to find, in terms of index rows alone (FHIR R4, 3.1.1 Search).

A Plan knows no URL and no database: parameters are numbers with facets, values are what `fhir_server.search.row`
writes. It is a predicate for each resource type, an order, and what to include. Names (systems, units, types of
references) stand in it as text. How each form of search is said:

| search | predicate |
|---|---|
| `code=s\|c` | `Row(n, (Test("v", "=", c), Test("x", "=", s)))` |
| `name=an`, `name:contains=an` | `Row(n, (Test("v", "starts", "an"),))`, `Row(n, (Test("v", "contains", "an"),))` |
| `date=ge2024` | `Row(n, (Test("x", ">", first_millisecond),))` |
| `value=a,b`; `code=x&code=y`; `:not` | `Or`; `And`; `Not` |
| `:in` a value set | `Or` of one `Row` for each system, its codes in one `in` |
| `x:missing=true` | `Not(Present(n))` |
| `subject:Patient.name=an` | `Chain(n, (("Patient", predicate),))` |
| `_has:Observation:patient:code=c` | `Referrer(n, "Observation", predicate)` |
| `_list=42`, a Group's members | `Referrer(n of List.item, "List", Ids(("42",)))` |
| a compartment | `Or` of a `Row` for each parameter that ties the type to it |
| `_id`, `_lastUpdated`, `_text`, `_content`, `near` | `Ids`, `Updated`, `Text`, `Near` |
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from fhir_server.search.row import Value

Column = Literal["v", "x", "y", "n"]
Operator = Literal["=", "<", "<=", ">", ">=", "starts", "ends", "contains", "in"]


@dataclass(frozen=True, slots=True)
class Test:
    """A comparison of one column of a row; `in` compares with each of a tuple, text operators are for text."""

    __test__ = False  # pytest would take the name for a test class

    column: Column
    operator: Operator
    value: Value | tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class Row:
    """The resource has a row of this number (parameter and facet) that passes every test at once."""

    number: int
    tests: tuple[Test, ...] = ()


@dataclass(frozen=True, slots=True)
class Present:
    """The resource has a row of any facet of the parameter."""

    parameter: int


@dataclass(frozen=True, slots=True)
class Ids:
    """The resource has one of these logical ids."""

    ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Updated:
    """The resource was last updated at or after `low` and before `high` (milliseconds since 1970)."""

    low: int | None = None
    high: int | None = None


@dataclass(frozen=True, slots=True)
class Text:
    """The narrative, or all text of the resource, has what the expression asks for.

    The expression is words and "quoted phrases"; AND, OR, NOT and parentheses between them; a word may end with `*`.
    """

    within: Literal["narrative", "content"]
    expression: str


@dataclass(frozen=True, slots=True)
class Near:
    """A position row of this number lies within so many metres of a point (degrees, WGS 84)."""

    number: int
    latitude: float
    longitude: float
    metres: float


@dataclass(frozen=True, slots=True)
class Chain:
    """A literal reference of the parameter points to a resource of a type, and that matches its predicate.

    A reference to a contained resource counts too, by rows of the resource itself: `fhir_server.search.contained` says
    which (`chained`); `inside` is what is asked of it, where that is not what is asked of a target. Where the parameter
    holds canonicals, `urls` has type, number of the rows of `url` and number of the rows of `version` (in casefold) of
    each target: a canonical with a version points to that version alone, one without to every version.
    """

    parameter: int
    targets: tuple[tuple[str, Predicate], ...]
    urls: tuple[tuple[str, int, int], ...] = ()
    inside: tuple[tuple[str, Predicate], ...] | None = None


@dataclass(frozen=True, slots=True)
class Referrer:
    """A resource of type `source` that matches points to this one by a literal reference of the parameter.

    Where the parameter holds canonicals, `url` has the numbers of the rows of `url` and `version` of this one.
    """

    parameter: int
    source: str
    predicate: Predicate
    url: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class And:
    """Every item holds; without items, everything matches."""

    items: tuple[Predicate, ...] = ()


@dataclass(frozen=True, slots=True)
class Or:
    """Some item holds; without items, nothing matches."""

    items: tuple[Predicate, ...] = ()


@dataclass(frozen=True, slots=True)
class Not:
    """The item does not hold."""

    item: Predicate


Predicate = Row | Present | Ids | Updated | Text | Near | Chain | Referrer | And | Or | Not

EVERY_TYPE = "Resource"
EVERYTHING = And()
NOTHING = Or()


@dataclass(frozen=True, slots=True)
class Sort:
    """One key of the order.

    `by` is "row" for a parameter: `numbers` gives, for each resource type of the plan, the number (with facet) whose
    rows are compared, by the least v when ascending and by the greatest when descending; resources without such a row
    come last either way. "updated" and "id" are _lastUpdated and _id.
    """

    by: Literal["row", "updated", "id"] = "row"
    numbers: Mapping[str, int] = field(default_factory=dict)
    descending: bool = False


@dataclass(frozen=True, slots=True)
class Include:
    """Resources that come along with the matches.

    Forward: what the literal references of `parameters` in resources of type `source` point to, only of type `target`
    where one is named; a reference to a version brings that version and not the current one, unless the resource refers
    to that as well; canonicals are looked up by `canonicals`, the
    numbers of the parameter `url` of each type that may be meant. Reverse: resources of type `source` whose
    `parameters` refer to a match. With `iterate` it is applied to what was included as well, until nothing new comes.
    """

    source: str
    parameters: tuple[int, ...]
    target: str | None = None
    reverse: bool = False
    iterate: bool = False
    canonicals: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Plan:
    """A predicate for each resource type that is searched, the order of the matches, and what comes with them.

    EVERY_TYPE stands for all types at once. Its predicate is about rows whose numbers do not depend on the type (what
    resources refer to, what they contain), joined by And, Or and Not, and about when resources were updated; some row
    is always asked for. Such a plan is sorted by "updated" or "id" only, and may have arms of types beside it.

    Without `sort` the store chooses an order that it can follow without sorting; any order is total, and the same on
    every page. Of what would be included, only what `may_come` says comes along, and is followed further.
    """

    arms: Mapping[str, Predicate]
    sort: tuple[Sort, ...] = ()
    includes: tuple[Include, ...] = ()
    may_come: Callable[[Any], bool] | None = field(default=None, compare=False)

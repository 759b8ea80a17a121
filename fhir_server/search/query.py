"""The door to search: the parameters of a URL become a Query (FHIR R4, 3.1.1 Search)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import tzinfo
from typing import Any

from fhir_server import ucum
from fhir_server.errors import FhirError, Invalid, Issue, TooCostly, Unsupported
from fhir_server.search.codes import CodeDoor, Consulted
from fhir_server.search.contained import Alone, arms_of, askable, has_chain, leaves
from fhir_server.search.explanation import explain
from fhir_server.search.filtering import Filtering
from fhir_server.search.key import Key, Own, WrongKey, parse_key
from fhir_server.search.leaf import Context
from fhir_server.search.limits import Limits
from fhir_server.search.param_types.date import span_in
from fhir_server.search.parameters import Parameters
from fhir_server.search.plan import EVERYTHING, Plan, Predicate
from fhir_server.search.planner import OFFERED, Planner, UnknownParameter
from fhir_server.search.reach import Reach
from fhir_server.search.result_parameters import RESULT_PARAMETERS, Results, Summary, Total, take
from fhir_server.search.row import Memo
from fhir_server.search.selectivity import conjunction
from fhir_server.search.suggestion import nearest

Pair = tuple[str, str]
FILTER, TYPE, CONTAINED = "_filter", "_type", "_contained"
MOST_NAMED = 10
MOST_KEPT = 1024
MOST_INCLUDES_KEPT = 4
APPROXIMATELY = "ap"
"""The prefix, and the operator of `_filter`, whose meaning changes with the time."""


@dataclass(frozen=True, slots=True)
class Query:
    """What a search asks for.

    `applied` are the pairs that had an effect, in order and as sent, for the self link; `ignored` says why others had
    none. `count` is already lowered to the limit, None where it was not asked for; `total` is None likewise. `cursor`
    is what `_cursor` said, `explain` is true where the plan was asked for; `alone` is there where contained resources
    are to come back without what contains them.
    """

    plan: Plan
    applied: tuple[Pair, ...] = ()
    ignored: tuple[Issue, ...] = ()
    count: int | None = None
    total: Total | None = None
    summary: Summary = "false"
    elements: tuple[str, ...] = ()
    cursor: str | None = None
    explain: bool = False
    alone: Alone | None = None

    @property
    def is_specific(self) -> bool:
        """Whether it asks something of what it finds, with all that was sent.

        A value that a client left empty by mistake must not make a conditional interaction find whatever there is.
        """
        return not self.ignored and EVERYTHING not in self.plan.arms.values()


class Searcher:
    """Reads searches; what it compiled is renewed when the definitions grow.

    `zone` is where dates without a zone are, and `bases` are this server's own base URLs: both as the Indexer has them.
    """

    def __init__(
        self,
        parameters: Parameters,
        *,
        codes: CodeDoor,
        zone: tzinfo,
        bases: tuple[str, ...] = (),
        limits: Limits | None = None,
    ) -> None:
        self.parameters = parameters
        self.limits = limits or Limits()
        self.codes = codes
        self._zone = zone
        self._bases = frozenset(base.rstrip("/") for base in bases)
        self._renew()

    def _renew(self) -> None:
        definitions = self.parameters.definitions
        self._generation = definitions.generation
        self._context = Context(definitions, self._bases, ucum.canonical, span_in(self._zone))
        self._reaches: dict[int, Reach] = {}
        self._known = Memo(MOST_KEPT)

    def query(
        self,
        types: tuple[str, ...],
        pairs: Sequence[Pair],
        *,
        lenient: bool = False,
        compartment: tuple[str, str] | None = None,
        now: int,
    ) -> Query:
        """What these pairs ask of some resource types, or of all where none is named and `_type` names none.

        `compartment` is its type and id; `now` is in milliseconds since 1970. Raises Invalid, Unsupported or TooCostly,
        with an issue for each pair that is wrong; `lenient` leaves out what is Invalid or Unsupported and reports it in
        `ignored`.
        """
        if self._generation != self.parameters.definitions.generation:
            self._renew()
        if len(pairs) > self.limits.pairs:
            raise TooCostly(f"The search has {len(pairs)} parameters; it may have {self.limits.pairs}.")
        asked = (types, tuple(pairs), compartment, lenient)
        known: Query | None = self._known.get(asked)
        if known is not None:
            return known
        codes = Consulted(self.codes)
        planner = Planner(self.parameters, self._context, codes, self.limits, now, self._reaches)
        found = Reading(planner, types, compartment, lenient=lenient).query(pairs)
        depends_on_now = any(APPROXIMATELY in value for _, value in pairs)
        is_small = len(found.plan.arms) == 1 and len(found.plan.includes) <= MOST_INCLUDES_KEPT
        if is_small and not codes.was_asked and not depends_on_now:
            self._known.keep(asked, found)
        return found

    def explain(self, query: Query) -> dict[str, Any]:
        """The plan of a query as JSON, in the names of the parameters."""
        return explain(query.plan, self.parameters)


class Reading:
    """The reading of one search."""

    def __init__(
        self, planner: Planner, types: tuple[str, ...], compartment: tuple[str, str] | None, *, lenient: bool
    ) -> None:
        self.planner = planner
        self.lenient = lenient
        self.asked_types = types
        self.compartment = compartment
        self.types: tuple[str, ...] = ()
        self.filtering = Filtering(planner)
        self.failures: list[FhirError] = []
        self.applied: list[Pair] = []
        self.ignored: list[Issue] = []

    def query(self, pairs: Sequence[Pair]) -> Query:
        """The query of all pairs."""
        given = [pair for pair in pairs if self.is_given(pair)]
        self.types = self.searched_types([value for name, value in given if name == TYPE])
        results = Results(self.types, self.planner)
        criteria: dict[str, list[Predicate]] = {kind: self.scope(kind) for kind in self.types}
        for pair in given:
            try:
                self.read(pair, results, criteria)
                self.applied.append(pair)
            except (Invalid, Unsupported, TooCostly) as error:
                self.fail(error, pair)
        single = self.planner.single
        arms = {kind: conjunction(found, single) for kind, found in criteria.items()}
        alone = None
        if results.contained != "false":
            try:
                arms, alone = self.contained(arms, results)
            except (Unsupported, TooCostly) as error:
                self.fail(error, (CONTAINED, results.contained))
                self.applied = [pair for pair in self.applied if not pair[0].startswith(CONTAINED)]
        if self.failures:
            first = self.failures[0]
            raise type(first)(*(issue for failure in self.failures for issue in failure.issues))
        return Query(
            Plan(arms, results.sort, results.includes),
            tuple(self.applied),
            tuple(self.ignored),
            results.count,
            results.total,
            results.summary,
            results.elements,
            results.cursor,
            results.explain,
            alone,
        )

    def contained(self, arms: dict[str, Predicate], results: Results) -> tuple[dict[str, Predicate], Alone | None]:
        """The arms that find contained resources, and what those must have if they are to come back alone."""
        limits, parameters = self.planner.limits, self.planner.parameters
        if len(arms) > limits.contained_types:
            raise TooCostly(
                f"Name the types of the contained resources, {limits.contained_types} at most, as in _type=."
            )
        if any(sort.by == "row" for sort in results.sort):
            raise Unsupported("What contains a resource is sorted by _lastUpdated or _id.")
        asked = {kind: askable(p, parameters.of(kind)["_id"].number) for kind, p in arms.items()}
        if leaves(asked.values()) > limits.contained_conditions:
            raise TooCostly(f"It has more than {limits.contained_conditions} conditions.")
        alone = None
        if results.contained_type == "contained":
            if any(map(has_chain, asked.values())):
                raise Unsupported("With a chain, what contains the resource comes back: leave out _containedType.")
            if results.summary == "count" or results.count == 0 or results.total in ("accurate", "estimate"):
                raise Unsupported("What contains them can be counted: leave out _containedType.")
            alone = Alone(asked, others=results.contained == "both")
        return arms_of(arms, asked, alone=results.contained == "true"), alone

    def is_given(self, pair: Pair) -> bool:
        """Whether a pair has a value; one without is no error and asks nothing."""
        if pair[1]:
            return True
        text = f"{pair[0][:100]} has no value and was ignored."
        self.ignored.append(Issue("warning", "incomplete", text, expression_of(pair[0])))
        return False

    def fail(self, error: FhirError, pair: Pair) -> None:
        """Note what is wrong with a pair."""
        label = f"{pair[0][:100]}={pair[1][:200]}"
        issues = [replace(i, text=f"{label}: {i.text}", expression=expression_of(pair[0])) for i in error.issues]
        if self.lenient and not isinstance(error, TooCostly):
            self.ignored += (replace(issue, severity="warning", text=f"Ignored: {issue.text}") for issue in issues)
        elif isinstance(error, TooCostly):
            raise TooCostly(*issues)
        else:
            kind = Invalid if isinstance(error, Invalid) else Unsupported
            self.failures.append(kind(*issues))

    # ---- which types

    def searched_types(self, named: Sequence[str]) -> tuple[str, ...]:
        """The types that are searched: those of the address, those that `_type` names, or all that there are."""
        for kind in self.asked_types:
            self.planner.resource_type(kind)
        if self.asked_types:
            return self.asked_types
        possible = self.possible_types()
        found: list[str] = []
        for name in (name for text in named for name in text.split(",") if name):
            try:
                found.append(self.member_type(name, possible))
            except Invalid as error:
                self.fail(error, (TYPE, name))
        return tuple(dict.fromkeys(found)) or possible

    def possible_types(self) -> tuple[str, ...]:
        """All types, or those of the compartment."""
        known = self.planner.parameters.definitions.resource_types
        if self.compartment is None:
            return tuple(sorted(known))
        kind = self.compartment[0]
        definition = self.planner.parameters.definitions.compartment(kind)
        if definition is None:
            raise Invalid(f"There is no compartment of {kind}.")
        return tuple(sorted({kind, *definition.parameters} & known))

    def member_type(self, name: str, possible: Sequence[str]) -> str:
        """A type that `_type` names."""
        self.planner.resource_type(name)
        if name not in possible:
            assert self.compartment is not None
            raise Invalid(f"{name} is not in the compartment of {self.compartment[0]}.")
        return name

    def scope(self, kind: str) -> list[Predicate]:
        """What the address asks of a type."""
        return [] if self.compartment is None else [self.planner.within(kind, self.compartment)]

    # ---- what is asked of them

    def read(self, pair: Pair, results: Results, criteria: dict[str, list[Predicate]]) -> None:
        """Read one pair into the results or the criteria."""
        name, value = pair
        if name == TYPE:
            if self.asked_types:
                raise Invalid("The address names the type already.")
            return
        code, _, modifier = name.partition(":")
        if code in RESULT_PARAMETERS:
            take(results, code, modifier or None, value)
            return
        asked = self.predicates(name, value)
        for kind in self.types:
            criteria[kind].append(asked[kind])

    def predicates(self, name: str, value: str) -> dict[str, Predicate]:
        """What a pair asks of each type."""
        planner = self.planner
        if name == FILTER:
            tree = self.filtering.parsed(value)
            return self.of_each(lambda kind: self.filtering.predicate(kind, tree))
        key = self.key(name)
        return self.of_each(lambda kind: planner.criterion(kind, key, value))

    def key(self, name: str) -> Key:
        """The tree of a parameter's name; Invalid where it cannot be read, or is nearly that of a result parameter."""
        try:
            key = parse_key(name)
        except WrongKey as error:
            raise Invalid(f"The name of the parameter cannot be read: {error}.") from None
        if isinstance(key, Own) and key.code[:1] == "_" and key.code not in self.planner.parameters.of(self.types[0]):
            meant = nearest(key.code, (*RESULT_PARAMETERS, *OFFERED))
            if meant in RESULT_PARAMETERS:
                raise Invalid(f"There is no parameter {key.code[:100]}. Did you mean {meant}?")
        return key

    def of_each(self, read: Callable[[str], Predicate]) -> dict[str, Predicate]:
        """What a reader says for each type; where some types do not have a parameter, which."""
        found: dict[str, Predicate] = {}
        failure: UnknownParameter | None = None
        for kind in self.types:
            try:
                found[kind] = read(kind)
            except UnknownParameter as error:
                failure = failure or error
        if failure is None:
            return found
        if not found or len(self.types) == 1:
            raise failure
        able = ", ".join(list(found)[:MOST_NAMED])
        raise Invalid(f"Not all types that are searched have it; search those that do, as with _type={able}.")


def expression_of(name: str) -> tuple[str, ...]:
    """Where an issue about a parameter is (FHIR R4, 2.36.3 OperationOutcome.issue.expression)."""
    return (f"http.{name[:100]}",)

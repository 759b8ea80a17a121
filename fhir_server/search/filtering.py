"""From `_filter` to predicates (FHIR R4, 3.1.3 Filter parameter)."""

from __future__ import annotations

from fhir_server.errors import Invalid, InvalidValue, TooCostly, Unsupported
from fhir_server.search.filter import (
    Comparison,
    Filter,
    FilterParser,
    FilterTooCostly,
    Logic,
    Negation,
    Step,
    WrongFilter,
)
from fhir_server.search.key import Chained, Own, Reverse
from fhir_server.search.plan import And, Not, Or, Predicate, Updated
from fhir_server.search.planner import SPECIAL, Planner, any_of
from fhir_server.search.prefix import PREFIXES
from fhir_server.search.question import Question, Unreadable
from fhir_server.search.value_types.date import updated
from fhir_server.search.values import OPERATORS

PRESENT = "pr"
OF_COMPOSITES = ("eq", PRESENT)


class Filtering:
    """Makes the predicates of a filter."""

    def __init__(self, planner: Planner) -> None:
        self.planner = planner

    def parsed(self, text: str) -> Filter:
        """The tree of a filter; Invalid says where it is wrong."""
        try:
            return FilterParser(text, self.planner.limits).parsed()
        except WrongFilter as error:
            raise Invalid(f"The filter cannot be read: {error}.") from None
        except FilterTooCostly as error:
            raise TooCostly(f"The filter is too large: {error}.") from None

    def predicate(self, resource_type: str, tree: Filter) -> Predicate:
        """What a filter asks of resources of a type."""
        match tree:
            case Logic(word=word, left=left, right=right):
                both = (self.predicate(resource_type, left), self.predicate(resource_type, right))
                return And(both) if word == "and" else Or(both)
            case Negation(filter=inner):
                return Not(self.predicate(resource_type, inner))
            case Comparison(path=path):
                return self.along(resource_type, path, tree)

    def along(self, resource_type: str, path: tuple[Step, ...], test: Comparison) -> Predicate:
        """What the end of a path must be, seen from its start."""
        step, rest = path[0], path[1:]
        if not rest:
            if step.type is not None:
                raise Invalid(f"{step.code}:{step.type} is followed by no further name.")
            return self.compared(resource_type, step.code, test)
        last = Own("")
        if step.source is not None:
            return self.planner.referrer(
                resource_type, Reverse(step.source, step.code, last), lambda kind: self.along(kind, rest, test)
            )
        return self.planner.chained(
            resource_type, Chained(step.code, step.type, last), lambda kind: self.target(kind, step, rest, test)
        )

    def target(self, resource_type: str, step: Step, rest: tuple[Step, ...], test: Comparison) -> Predicate:
        """What a followed resource must be."""
        found = self.along(resource_type, rest, test)
        if step.filter is None:
            return found
        return And((self.predicate(resource_type, step.filter), found))

    def compared(self, resource_type: str, code: str, test: Comparison) -> Predicate:
        """What a parameter of the resource itself must be."""
        if test.operator == PRESENT:
            if test.value not in ("true", "false"):
                raise InvalidValue(f"{code} pr is followed by true or false, not by {test.value[:100]!r}.")
            return self.planner.missing(resource_type, code, "false" if test.value == "true" else "true")
        if code in SPECIAL:
            return self.special(resource_type, code, test)
        parameter = self.planner.indexed(self.planner.parameter(resource_type, code))
        if parameter.type == "composite":
            if test.operator != "eq":
                raise self.wrong_operator(code, "composite", test.operator, OF_COMPOSITES)
            return self.planner.composite(parameter, Own(code), [test.value])
        forms = OPERATORS[parameter.type]
        if test.operator not in forms:
            raise self.wrong_operator(code, parameter.type, test.operator, (*forms, PRESENT))
        return self.planner.answered(parameter, forms[test.operator], [test.value])

    def wrong_operator(self, code: str, kind: str, operator: str, known: tuple[str, ...]) -> Invalid:
        """The failure of an operator that a type of parameter does not have."""
        return Invalid(f"{code} is a {kind}, which has no operator {operator}; it has {' '.join(known)}.")

    def special(self, resource_type: str, code: str, test: Comparison) -> Predicate:
        """What a parameter without index rows must be."""
        if code == "_lastUpdated" and test.operator in PREFIXES:
            return self.last_updated(test)
        if test.operator not in ("eq", "ne"):
            raise self.wrong_operator(code, "special parameter", test.operator, ("eq", "ne", PRESENT))
        read, _ = SPECIAL[code]
        try:
            found = any_of(read(self.planner, resource_type, test.value))
        except Unreadable as error:
            raise InvalidValue(f"{test.value[:100]!r} cannot be searched for: {error}.") from None
        return Not(found) if test.operator == "ne" else found

    def last_updated(self, test: Comparison) -> Predicate:
        """When the resource was last changed."""
        question = Question(self.planner.context, self.planner.codes, self.planner.now)
        for prefix in PREFIXES:
            if prefix == test.operator:
                try:
                    return any_of(tuple(Updated(*range_) for range_ in updated(test.value, question, prefix)))
                except Unreadable as error:
                    raise InvalidValue(f"{test.value[:100]!r} cannot be searched for: {error}.") from None
        raise Unsupported(f"_lastUpdated has no operator {test.operator}.")

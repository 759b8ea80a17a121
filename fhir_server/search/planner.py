"""From the criteria of a query to predicates over index rows (FHIR R4, 3.1.1.4 search criteria)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from fhir_server.errors import Invalid, InvalidValue, TooCostly, Unsupported
from fhir_server.search.codes import CodeDoor
from fhir_server.search.escape import split, unescaped
from fhir_server.search.key import Chained, Key, Own, Reverse, depth
from fhir_server.search.leaf import Context
from fhir_server.search.limits import Limits
from fhir_server.search.lineage import MOST_LEVELS, WAYS, named, parent_of
from fhir_server.search.parameters import Parameter, Parameters
from fhir_server.search.plan import (
    EVERYTHING,
    NOTHING,
    And,
    Chain,
    Ids,
    Not,
    Or,
    Predicate,
    Present,
    Referrer,
    Row,
    Test,
    Text,
    Updated,
)
from fhir_server.search.question import Form, Question, Rows, UnansweredValue, Unreadable
from fhir_server.search.reach import Reach, reach
from fhir_server.search.row import Reference, Token, Uri
from fhir_server.search.suggestion import hint
from fhir_server.search.text import TextParser
from fhir_server.search.value_types.date import updated
from fhir_server.search.values import FORMS, composite_rows, described

MISSING = "missing"
OFFERED = frozenset({"_id", "_lastUpdated", "_text", "_content", "_list", "_has", "_filter"})
RANGED = ("date", "number")
TRUTH = {"true": True, "false": False}


class UnknownParameter(Invalid):
    """A resource type has no search parameter of a name."""

    code = "invalid"


@dataclass(slots=True)
class Spent:
    """What the criteria of one search have used up so far."""

    joins: int = 0


class Planner:
    """Makes the predicates of one search; `reaches` remembers, by number, what is known of parameters.

    `single` collects the parameters asked for of which a resource has at most one value.
    """

    def __init__(
        self,
        parameters: Parameters,
        context: Context,
        codes: CodeDoor,
        limits: Limits,
        now: int,
        reaches: dict[int, Reach],
    ) -> None:
        self.parameters = parameters
        self.context = context
        self.codes = codes
        self.limits = limits
        self.now = now
        self.reaches = reaches
        self.spent = Spent()
        self.single: set[int] = set()

    # ---- names

    def parameter(self, resource_type: str, code: str) -> Parameter:
        """The parameter of a resource type; UnknownParameter names the nearest."""
        known = self.parameters.of(resource_type)
        if code in known:
            return known[code]
        names = sorted({name for name, parameter in known.items() if parameter.expression is not None} | OFFERED)
        raise UnknownParameter(
            f"{resource_type} has no search parameter {code[:100]!r}.{hint(code, names)}"
            f" {resource_type} is searched by {', '.join(names)}."
        )

    def resource_type(self, name: str) -> str:
        """The name, if it is that of a resource type; Invalid names the nearest."""
        known = self.parameters.definitions.resource_types
        if name not in known:
            raise Invalid(f"{name[:100]!r} is not a resource type.{hint(name, known)}")
        return name

    def reference(self, resource_type: str, code: str) -> Parameter:
        """A parameter that refers to resources, as chains and `_has` need."""
        parameter = self.parameter(resource_type, code)
        if parameter.type != "reference":
            others = ", ".join(
                sorted(p.code for p in self.parameters.of(resource_type).values() if p.type == "reference")
            )
            raise Invalid(
                f"{code} of {resource_type} is a {parameter.type} and refers to nothing;"
                f" the references of {resource_type} are {others or 'none'}."
            )
        return self.indexed(parameter)

    def indexed(self, parameter: Parameter) -> Parameter:
        """The parameter, if there are rows for it."""
        if parameter.expression is None:
            raise Unsupported(
                f"{parameter.code} of {parameter.resource_type} cannot be searched by: it {parameter.reason}."
            )
        return parameter

    def reach(self, parameter: Parameter) -> Reach:
        """What is known of a parameter."""
        found = self.reaches.get(parameter.number)
        if found is None:
            found = self.reaches[parameter.number] = reach(parameter, self.context)
        return found

    def targets(self, parameter: Parameter) -> tuple[str, ...]:
        """The resource types that a reference may point to."""
        known = self.parameters.definitions.resource_types
        named = tuple(target for target in parameter.target if target in known)
        return named or tuple(sorted(known))

    # ---- criteria

    def criterion(self, resource_type: str, key: Key, value: str) -> Predicate:
        """What `key=value` asks of resources of a type."""
        if depth(key) > self.limits.depth:
            raise TooCostly(f"It follows {depth(key)} references; a search may follow {self.limits.depth}.")
        match key:
            case Own():
                return self.own(resource_type, key, value)
            case Chained():
                return self.chained(resource_type, key, lambda target: self.criterion(target, key.rest, value))
            case Reverse():
                return self.referrer(resource_type, key, lambda source: self.criterion(source, key.rest, value))

    def own(self, resource_type: str, key: Own, value: str) -> Predicate:
        """What a parameter of the resource itself asks."""
        if key.modifier == MISSING:
            return self.missing(resource_type, key.code, value)
        if key.code in SPECIAL:
            return self.special(resource_type, key, value)
        parameter = self.indexed(self.parameter(resource_type, key.code))
        values = self.values(value)
        if parameter.type == "composite":
            return self.composite(parameter, key, values)
        if parameter.type in RANGED and self.reach(parameter).single:
            self.single.add(parameter.number)
        if parameter.type == "reference" and key.modifier in WAYS and self.reads_references(parameter):
            return self.lineal(parameter, key.modifier, values)
        form, only = self.form(parameter, key.modifier)
        return self.answered(parameter, form, values, only)

    def reads_references(self, parameter: Parameter) -> bool:
        """Whether a parameter refers to resources by where they are."""
        kinds = self.reach(parameter).kinds
        return kinds is None or "Reference" in kinds

    def lineal(self, parameter: Parameter, modifier: str, values: Sequence[str]) -> Predicate:
        """What `:below` and `:above` ask of references."""
        parents = {kind: parent for kind in parameter.target if (parent := parent_of(self.parameters, kind))}
        try:
            ids = named(values, parents, self.context.bases)
        except Unreadable as error:
            raise InvalidValue(f"It cannot be searched for: {error}.") from None
        self.join(len(ids) * (MOST_LEVELS + 1))
        find = WAYS[modifier]
        return any_of(tuple(find(parameter.number, kind, parents[kind].number, named_) for kind, named_ in ids.items()))

    def values(self, text: str) -> list[str]:
        """The values with commas between them, empty ones left out."""
        found = [value for value in split(text, ",") if value]
        if len(found) > self.limits.values:
            raise TooCostly(f"It has {len(found)} values; {self.limits.values} may stand in one parameter.")
        if not found:
            raise InvalidValue("It has no value.")
        return found

    def form(self, parameter: Parameter, modifier: str | None) -> tuple[Form, str | None]:
        """How values are read with a modifier, and the resource type that the modifier names."""
        forms = FORMS[parameter.type]
        if modifier is None:
            return forms[""], None
        if modifier in forms:
            return forms[modifier], None
        if parameter.type == "reference" and modifier in self.parameters.definitions.resource_types:
            targets = self.targets(parameter)
            if modifier not in targets:
                raise Invalid(f"{parameter.code} does not refer to {modifier}; it refers to {', '.join(targets)}.")
            return forms[""], modifier
        raise self.wrong_modifier(
            parameter.type, modifier, self.targets(parameter) if parameter.type == "reference" else ()
        )

    def wrong_modifier(self, kind: str, modifier: str, targets: Sequence[str] = ()) -> Invalid:
        """The failure of a modifier that a type of parameter does not have."""
        known = [*FORMS.get(kind, ()), MISSING, *targets]
        types = f", and the types {', '.join(targets)}" if targets else ""
        return Invalid(
            f"A {kind} parameter has no modifier :{modifier[:100]}.{hint(modifier, filter(None, known))}"
            f" It takes {described(kind)}{types}."
        )

    def question(self, parameter: Parameter, only: str | None = None) -> Question:
        """What values are read for."""
        targets = self.targets(parameter) if parameter.type == "reference" and parameter.target else ()
        return Question(self.context, self.codes, self.now, self.reach(parameter).kinds, targets, only)

    def answered(self, parameter: Parameter, form: Form, values: Sequence[str], only: str | None = None) -> Predicate:
        """What a form of a parameter asks with any of some values."""
        question = self.question(parameter, only)
        found = self.rows(parameter, lambda value: form.read(value, question), values)
        if not form.negated:
            return found
        return And((Present(parameter.number), Not(found))) if form.among_present else Not(found)

    def rows(self, parameter: Parameter, read: Callable[[str], Rows], values: Sequence[str]) -> Predicate:
        """Any alternative of any value, as rows of a parameter."""
        found: dict[Predicate, None] = {}
        for value in values:
            try:
                rows = read(value)
            except Unreadable as error:
                raise InvalidValue(f"{value[:100]!r} cannot be searched for: {error}.") from None
            except UnansweredValue as error:
                raise Unsupported(f"{value[:100]!r} cannot be searched for: {error}.") from None
            found.update((replace(row, number=parameter.number + row.number), None) for row in rows)
        self.check_codes(found)
        return any_of(tuple(found))

    def check_codes(self, rows: Mapping[Predicate, None]) -> None:
        """TooCostly where value sets stand for too many codes."""
        asked = (test.value for row in rows if isinstance(row, Row) for test in row.tests if test.operator == "in")
        total = sum(len(value) for value in asked if isinstance(value, tuple))
        if total > self.limits.codes:
            raise TooCostly(f"It stands for {total} codes; a search may look for {self.limits.codes}.")

    def composite(self, parameter: Parameter, key: Own, values: Sequence[str]) -> Predicate:
        """What a composite asks: each value has a part for each component."""
        if key.modifier is not None:
            raise self.wrong_modifier("composite", key.modifier)
        components = tuple(
            (kind, Question(self.context, self.codes, self.now, kinds, is_part=True))
            for kind, kinds in self.reach(parameter).components
        )
        return self.rows(parameter, lambda value: composite_rows(value, components), values)

    def missing(self, resource_type: str, code: str, value: str) -> Predicate:
        """Whether a resource has any value."""
        if value not in TRUTH:
            raise InvalidValue(f":missing is either true or false, not {value[:100]!r}.")
        if code in ("_id", "_lastUpdated"):
            return NOTHING if TRUTH[value] else EVERYTHING
        if code in SPECIAL:
            raise Invalid(f"{code} takes no modifier :missing.")
        parameter = self.indexed(self.parameter(resource_type, code))
        present = Present(parameter.number)
        return Not(present) if TRUTH[value] else present

    # ---- joins

    def join(self, count: int = 1) -> None:
        """Spend joins; TooCostly when there are none left."""
        self.spent.joins += count
        if self.spent.joins > self.limits.joins:
            raise TooCostly(
                f"It joins resources of more than {self.limits.joins} types with each other;"
                " name the type in each chain, as in subject:Patient.name, or fewer types in _type."
            )

    def chained(self, resource_type: str, key: Chained, rest: Callable[[str], Predicate]) -> Predicate:
        """What the target of a reference must have, for each type of target that can have it."""
        parameter = self.reference(resource_type, key.code)
        allowed = self.targets(parameter)
        if key.type is not None:
            self.resource_type(key.type)
            if key.type not in allowed:
                raise Invalid(f"{key.code} does not refer to {key.type}; it refers to {', '.join(allowed)}.")
            allowed = (key.type,)
        found = self.found_targets(allowed, rest)
        if len(found) > self.limits.targets:
            raise TooCostly(
                f"{key.code} may refer to {len(found)} types of resources that have this parameter;"
                f" name one, as in {key.code}:{found[0][0]}."
            )
        self.join(len(found) + 1)
        urls = tuple((kind, *numbers) for kind, _ in found if (numbers := self.urls(parameter, kind)))
        return Chain(parameter.number, found, urls)

    def found_targets(
        self, allowed: Sequence[str], rest: Callable[[str], Predicate]
    ) -> tuple[tuple[str, Predicate], ...]:
        """The types of target that have what is asked; where none has, the failure of the first."""
        found: list[tuple[str, Predicate]] = []
        failure: UnknownParameter | None = None
        for target in allowed:
            spent = self.spent.joins
            try:
                found.append((target, rest(target)))
            except UnknownParameter as error:
                self.spent.joins = spent
                failure = failure or error
        if not found and failure is not None:
            raise failure
        return tuple(found)

    def urls(self, parameter: Parameter, target: str) -> tuple[int, int] | None:
        """Where the url and the version stand by which canonicals of a parameter mean resources of a type."""
        kinds = self.reach(parameter).kinds
        known = self.parameters.of(target)
        url, version = known.get("url"), known.get("version")
        if (kinds is not None and kinds.isdisjoint({"canonical", "uri"})) or url is None or url.type != "uri":
            return None
        return url.number + Uri.URI, 0 if version is None else version.number + Token.FOLDED

    def referrer(self, resource_type: str, key: Reverse, rest: Callable[[str], Predicate]) -> Predicate:
        """What a resource that refers here must have."""
        source = self.resource_type(key.source)
        parameter = self.reference(source, key.code)
        if resource_type not in self.targets(parameter):
            able = [p.code for p in self.parameters.of(source).values() if resource_type in p.target]
            raise Invalid(
                f"{key.code} of {source} does not refer to {resource_type}."
                f" {', '.join(able) if able else 'No parameter of it'} does."
            )
        self.join(2)
        return Referrer(parameter.number, source, rest(source), self.urls(parameter, resource_type))

    # ---- parameters of all resources that have no rows of their own

    def special(self, resource_type: str, key: Own, value: str) -> Predicate:
        """What a parameter without index rows asks."""
        read, modifiers = SPECIAL[key.code]
        negated = key.modifier == "not"
        if key.modifier is not None and key.modifier not in modifiers:
            allowed = " ".join(f":{modifier}" for modifier in modifiers) or "none"
            raise Invalid(f"{key.code} has no modifier :{key.modifier[:100]}. It takes {allowed}.")
        try:
            found = any_of(tuple(part for one in self.values(value) for part in read(self, resource_type, one)))
        except Unreadable as error:
            raise InvalidValue(f"{value[:100]!r} cannot be searched for: {error}.") from None
        return Not(found) if negated else found

    def ids(self, resource_type: str, value: str) -> tuple[Predicate, ...]:
        """A logical id, perhaps with its type before it."""
        kind, slash, identity = unescaped(value).rpartition("/")
        if slash and kind != resource_type:
            raise Unreadable(f"_id is a logical id such as 42, without {kind}/")
        return (Ids((identity,)),)

    def last_updated(self, resource_type: str, value: str) -> tuple[Predicate, ...]:
        """When a resource was last changed."""
        question = Question(self.context, self.codes, self.now)
        return tuple(Updated(low, high) for low, high in updated(value, question))

    def narrative(self, resource_type: str, value: str) -> tuple[Predicate, ...]:
        """What the narrative says."""
        if "_text" not in self.parameters.of(resource_type):
            return ()
        return (Text("narrative", TextParser(unescaped(value)).parsed()),)

    def content(self, resource_type: str, value: str) -> tuple[Predicate, ...]:
        """What any text of the resource says."""
        return (Text("content", TextParser(unescaped(value)).parsed()),)

    def listed(self, resource_type: str, value: str) -> tuple[Predicate, ...]:
        """The items of a List."""
        asked = unescaped(value)
        if asked.startswith("$"):
            raise Unsupported(
                f"The functional list {asked[:100]} is not kept here; search for the resources themselves,"
                " as in Condition?clinical-status=active, or name the id of a List."
            )
        kind, slash, identity = asked.rpartition("/")
        if slash and kind != "List":
            raise Unreadable("write the id of a List, as in _list=42")
        self.join(2)
        return (Referrer(self.parameter("List", "item").number, "List", Ids((identity,))),)

    # ---- compartments

    def within(self, resource_type: str, compartment: tuple[str, str]) -> Predicate:
        """What ties a resource type to a compartment; Invalid where nothing does."""
        kind, identity = compartment
        definition = self.parameters.definitions.compartment(kind)
        if definition is None:
            raise Invalid(f"There is no compartment of {kind}.{hint(kind, ('Patient', 'Encounter', 'Practitioner'))}")
        codes = [
            code for code in definition.parameters.get(resource_type, ()) if code in self.parameters.of(resource_type)
        ]
        tests = (Test("v", "=", identity), Test("x", "=", kind))
        found: list[Predicate] = [
            Row(self.parameters.of(resource_type)[code].number + Reference.LITERAL, tests) for code in codes
        ]
        if resource_type == kind:
            found.insert(0, Ids((identity,)))
        if not found:
            members = ", ".join(sorted(definition.parameters))
            raise Invalid(f"{resource_type} is not in the compartment of {kind}, which holds {members}.")
        return any_of(tuple(found))


def any_of(items: tuple[Predicate, ...]) -> Predicate:
    """Some item holds; ids are put together."""
    if len(items) > 1 and all(isinstance(item, Ids) for item in items):
        return Ids(tuple(dict.fromkeys(one for item in items if isinstance(item, Ids) for one in item.ids)))
    return items[0] if len(items) == 1 else Or(items)


SpecialReader = Callable[[Planner, str, str], tuple[Predicate, ...]]
SPECIAL: Mapping[str, tuple[SpecialReader, tuple[str, ...]]] = {
    "_id": (Planner.ids, ("not", MISSING)),
    "_lastUpdated": (Planner.last_updated, (MISSING,)),
    "_text": (Planner.narrative, ()),
    "_content": (Planner.content, ()),
    "_list": (Planner.listed, ()),
}
"""Parameters that no index row answers: how one value is read, and the modifiers."""

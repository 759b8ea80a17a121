"""Parameters that say what comes back rather than what is found (FHIR R4, 3.1.1.5 managing returned resources)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, cast, get_args

from fhir_server.errors import Invalid, InvalidValue, TooCostly
from fhir_server.search.parameters import Parameter
from fhir_server.search.plan import Include, Sort
from fhir_server.search.planner import OFFERED, Planner
from fhir_server.search.row import Quantity, Range, Reference, String, Token, Uri
from fhir_server.search.suggestion import hint

Total = Literal["none", "estimate", "accurate"]
Summary = Literal["true", "text", "data", "count", "false"]
Contained = Literal["false", "true", "both"]
ContainedType = Literal["container", "contained"]
MOST_DIGITS = 9
EVERY = "*"
ITERATE = ("iterate", "recurse")


@dataclass(slots=True)
class Results:
    """What the result parameters of one search say; `types` are those that are searched."""

    types: tuple[str, ...]
    planner: Planner
    count: int | None = None
    total: Total | None = None
    summary: Summary = "false"
    contained: Contained = "false"
    contained_type: ContainedType = "container"
    elements: tuple[str, ...] = ()
    sort: tuple[Sort, ...] = ()
    includes: tuple[Include, ...] = ()
    cursor: str | None = None
    explain: bool = False
    seen: set[str] = field(default_factory=set)


def one_of(value: str, known: Sequence[str]) -> str:
    """The value, if it is one of those known."""
    if value not in known:
        raise InvalidValue(f"{value[:100]!r} is not one of {', '.join(known)}.{hint(value, known)}")
    return value


def take_count(results: Results, value: str, modifier: str | None) -> None:
    """How many matches a page has; 0 asks for their number only."""
    if not (value.isascii() and value.isdigit()):
        raise InvalidValue(f"{value[:100]!r} is not a number of resources, such as 50.")
    asked = int(value) if len(value) <= MOST_DIGITS else 10**MOST_DIGITS
    results.count = min(asked, results.planner.limits.count)


def take_total(results: Results, value: str, modifier: str | None) -> None:
    """Whether the number of all matches is wanted."""
    results.total = cast("Total", one_of(value, get_args(Total)))


def take_total_method(results: Results, value: str, modifier: str | None) -> None:
    """The same in the words of another server, which some clients say whatever server they talk to."""
    results.total = TOTAL_METHODS[one_of(value, tuple(TOTAL_METHODS))]


def take_summary(results: Results, value: str, modifier: str | None) -> None:
    """Which part of each resource is wanted."""
    results.summary = cast("Summary", one_of(value, get_args(Summary)))


def take_contained(results: Results, value: str, modifier: str | None) -> None:
    """Whether contained resources are searched."""
    results.contained = cast("Contained", one_of(value, get_args(Contained)))


def take_contained_type(results: Results, value: str, modifier: str | None) -> None:
    """What comes back for a contained resource that matches."""
    results.contained_type = cast("ContainedType", one_of(value, get_args(ContainedType)))


def take_elements(results: Results, value: str, modifier: str | None) -> None:
    """Which elements of each resource are wanted."""
    definitions = results.planner.parameters.definitions
    known = {name for kind in results.types for name in definitions.type(kind).names}
    found = [name.strip() for name in value.split(",") if name.strip()]
    for name in found:
        if name not in known:
            places = results.types[0] if len(results.types) == 1 else "any resource that is searched"
            raise Invalid(f"{name[:100]!r} is no element of {places}.{hint(name, known)}")
    results.elements = tuple(dict.fromkeys((*results.elements, *found)))


def take_cursor(results: Results, value: str, modifier: str | None) -> None:
    """Where an earlier page ended."""
    results.cursor = value


def take_explain(results: Results, value: str, modifier: str | None) -> None:
    """Whether the plan is wanted instead of what it finds."""
    results.explain = one_of(value, ("true", "false")) == "true"


def take_nothing(results: Results, value: str, modifier: str | None) -> None:
    """What the form of the reply is, which is decided elsewhere."""


# ---- sorting


def take_sort(results: Results, value: str, modifier: str | None) -> None:
    """The keys of the order, each with a minus sign where the greatest comes first."""
    keys = [key.strip() for key in value.split(",")] if value.strip() else []
    if len(keys) + len(results.sort) > results.planner.limits.sorts:
        raise TooCostly(f"A search may be sorted by {results.planner.limits.sorts} parameters.")
    results.sort += tuple(sort_key(results, key) for key in keys)


def sort_key(results: Results, key: str) -> Sort:
    """One key of the order."""
    code, descending = key.removeprefix("-"), key.startswith("-")
    if code == "_id":
        return Sort("id", descending=descending)
    if code == "_lastUpdated":
        return Sort("updated", descending=descending)
    if code in OFFERED:
        raise Invalid(f"{code} has no order to sort by.")
    if not code or ":" in code or "." in code:
        raise Invalid(f"{key[:100]!r} is no key to sort by: write a search parameter, with - before it to descend.")
    planner = results.planner
    numbers = {}
    for kind in results.types:
        parameter = planner.indexed(planner.parameter(kind, code))
        numbers[kind] = parameter.number + sort_facet(planner, parameter)
    return Sort("row", numbers, descending)


def sort_facet(planner: Planner, parameter: Parameter) -> int:
    """The facet whose values have an order that people expect."""
    reach = planner.reach(parameter)
    kinds = reach.kinds
    match parameter.type:
        case "token":
            return Token.FOLDED if reach.folded else Token.CODE
        case "quantity":
            return Quantity.SENT if kinds == MONEY else Quantity.CANONICAL
        case "reference":
            return Reference.CANONICAL if kinds and kinds <= {"canonical", "uri"} else Reference.LITERAL
        case "string":
            return String.WHOLE
        case "date" | "number":
            return Range.RANGE
        case "uri":
            return Uri.URI
    raise Invalid(f"{parameter.code} of {parameter.resource_type} is {parameter.type}: it has no order to sort by.")


TOTAL_METHODS: Mapping[str, Total] = {"count": "accurate", "estimate": "estimate", "none": "none"}
MONEY = frozenset({"Money"})

# ---- includes


def take_include(results: Results, value: str, modifier: str | None) -> None:
    """What the matches refer to: `Type:parameter`, `Type:parameter:Target`, `Type:*` or `*`."""
    iterate = iterates(modifier)
    source, code, target = include_parts(results, value)
    sources = results.types if source == EVERY else (source,)
    if source not in (EVERY, *results.types) and not iterate:
        raise Invalid(
            f"{source} is not searched, so that no match is one; with _include:iterate it is applied to what"
            " other includes bring."
        )
    for kind in sources:
        parameters = references(results.planner, kind, code, (target,) if target else None)
        if parameters:
            add(results, forward(results.planner, kind, parameters, target, iterate=iterate))


def take_revinclude(results: Results, value: str, modifier: str | None) -> None:
    """What refers to the matches: `Type:parameter`, `Type:parameter:Target`, `Type:*` or `*`."""
    iterate = iterates(modifier)
    source, code, target = include_parts(results, value)
    planner = results.planner
    targets = (target,) if target else results.types
    if not iterate and set(targets).isdisjoint(results.types):
        raise Invalid(f"{target} is not searched, so that nothing refers to a match of that type.")
    known = sorted(planner.parameters.definitions.resource_types) if source == EVERY else (source,)
    found = [(kind, references(planner, kind, code, None if iterate else targets)) for kind in known]
    if not any(parameters for _, parameters in found):
        raise Invalid(f"{value[:100]} refers to none of the types that are searched: {', '.join(targets)}.")
    for kind, parameters in found:
        if parameters:
            numbers = tuple(parameter.number for parameter in parameters)
            canonicals = canonical_numbers(planner, parameters)
            add(results, Include(kind, numbers, target, reverse=True, iterate=iterate, canonicals=canonicals))


def add(results: Results, include: Include) -> None:
    """One include more, if it is not there yet."""
    if include not in results.includes:
        results.includes += (include,)
    if len(results.includes) > results.planner.limits.includes:
        raise TooCostly(f"A search may include {results.planner.limits.includes} kinds of resources.")


def iterates(modifier: str | None) -> bool:
    """Whether what was included is followed as well."""
    if modifier is not None and modifier not in ITERATE:
        raise Invalid(f"It has no modifier :{modifier[:100]}; it takes :iterate.")
    return modifier is not None


def include_parts(results: Results, value: str) -> tuple[str, str, str | None]:
    """Source, parameter and target of an include."""
    parts = value.split(":")
    if value in (EVERY, "*:*"):
        return EVERY, EVERY, None
    if not 2 <= len(parts) <= 3 or not all(parts):
        raise Invalid(f"{value[:100]!r} is not written as Type:parameter or Type:parameter:Target.")
    planner = results.planner
    source = planner.resource_type(parts[0])
    target = planner.resource_type(parts[2]) if parts[2:] else None
    if parts[1] != EVERY:
        parameter = planner.reference(source, parts[1])
        if target is not None and target not in planner.targets(parameter):
            allowed = ", ".join(planner.targets(parameter))
            raise Invalid(f"{parts[1]} of {source} does not refer to {target}; it refers to {allowed}.")
    return source, parts[1], target


def references(planner: Planner, source: str, code: str, targets: Sequence[str] | None) -> tuple[Parameter, ...]:
    """The reference parameters that an include names, of those that may refer to some types."""
    if code != EVERY:
        named = [planner.reference(source, code)]
    else:
        named = [
            p for p in planner.parameters.of(source).values() if p.type == "reference" and p.expression is not None
        ]
    return tuple(p for p in named if targets is None or not set(targets).isdisjoint(planner.targets(p)))


def forward(
    planner: Planner, source: str, parameters: Sequence[Parameter], target: str | None, *, iterate: bool
) -> Include:
    """An include of what some parameters refer to."""
    numbers = tuple(parameter.number for parameter in parameters)
    return Include(source, numbers, target, iterate=iterate, canonicals=canonical_numbers(planner, parameters))


def canonical_numbers(planner: Planner, parameters: Sequence[Parameter]) -> dict[str, int]:
    """Where the urls stand of the types that canonicals among the parameters may mean."""
    found = {}
    for parameter in parameters:
        kinds = planner.reach(parameter).kinds
        if kinds is not None and kinds.isdisjoint({"canonical", "uri"}):
            continue
        for kind in planner.targets(parameter):
            url = planner.parameters.of(kind).get("url")
            if url is not None and url.type == "uri":
                found[kind] = url.number + Uri.URI
    return found


Take = Callable[[Results, str, str | None], None]
RESULT_PARAMETERS: Mapping[str, Take] = {
    "_count": take_count,
    "_sort": take_sort,
    "_include": take_include,
    "_revinclude": take_revinclude,
    "_total": take_total,
    "_totalMethod": take_total_method,
    "_summary": take_summary,
    "_elements": take_elements,
    "_contained": take_contained,
    "_containedType": take_contained_type,
    "_cursor": take_cursor,
    "_explain": take_explain,
    "_format": take_nothing,
    "_pretty": take_nothing,
}
REPEATED = frozenset({"_sort", "_include", "_revinclude", "_elements", "_format", "_pretty"})
MODIFIED = frozenset({"_include", "_revinclude"})


def take(results: Results, name: str, modifier: str | None, value: str) -> None:
    """Note one result parameter; Invalid where it contradicts another."""
    if modifier is not None and name not in MODIFIED:
        raise Invalid(f"{name} takes no modifier.")
    if name in results.seen and name not in REPEATED:
        raise Invalid(f"{name} is given twice.")
    results.seen.add(name)
    RESULT_PARAMETERS[name](results, value, modifier)

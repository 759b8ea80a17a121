"""What a bulk export is asked for, read from its parameters (Bulk Data Access 3.0, 2.4 kick-off request)."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from fhir_server.access.caller import LOCAL, Caller
from fhir_server.errors import Forbidden, Invalid, Issue, NotFound, Unsupported
from fhir_server.jobs.folder import caller_as_json, caller_from
from fhir_server.repository.history import Window
from fhir_server.resource.instant import instant as instant_of
from fhir_server.resource.query_string import pairs_in
from fhir_server.resource.reference import parse_reference
from fhir_server.rest.argument import Arguments, Input
from fhir_server.rest.compartment import PATIENT, members
from fhir_server.rest.exchange import Exchange
from fhir_server.rest.failure import ScopeMissing, nearest
from fhir_server.rest.node import Node
from fhir_server.search.plan import Or, Predicate
from fhir_server.store.pending import is_own
from fhir_server.store.protocol import PLACES, Scope

FORMATS = frozenset({"application/fhir+ndjson", "application/ndjson", "ndjson"})
ASSOCIATED = {
    "LatestProvenanceResources": "Provenance",
    "RelevantProvenanceResources": "Provenance",
}
MOST_MEMBERS = 100_000
SENT_SINCE = re.compile(r".*\.[0-9]{3}([0-9]{12})(?:Z|[+-][0-9]{2}:[0-9]{2})").fullmatch
"""A transaction time of this server: behind its milliseconds stands the number of the last commit."""

NEXT_FILTER = re.compile(r",(?=[A-Z][A-Za-z]+\?)")
IN_FILTERS = frozenset({"_include", "_revinclude", "_sort", "_elements", "_summary", "_count", "_total", "_contained"})

INPUTS = (
    Input("_outputFormat", "string"),
    Input("_since", "instant"),
    Input("_until", "instant"),
    Input("_type", "string", many=True),
    Input("_elements", "string", many=True),
    Input("patient", "Reference", many=True),
    Input("includeAssociatedData", "code", many=True),
    Input("_typeFilter", "string", many=True),
    Input("organizeOutputBy", "string"),
    Input("allowPartialManifests", "boolean"),
)
KNOWN = frozenset(each.name for each in INPUTS)


@dataclass(frozen=True, slots=True)
class Wish:
    """A bulk export: `types` (none: every type), of `patients` (None: of anybody) where it is of compartments.

    Versions with `after < place < before` are looked at, those at or behind `until` are left out. `asked` is the URL of
    the kick-off, `moment` the transaction time, `notes` what was asked for and is not done.
    """

    asked: str
    moment: str
    types: tuple[str, ...]
    before: int
    after: int = 0
    until: int | None = None
    has_since: bool = False
    of_patients: bool = False
    patients: tuple[str, ...] | None = None
    elements: tuple[str, ...] = ()
    filters: tuple[str, ...] = ()
    separate: bool = False
    notes: tuple[str, ...] = ()
    caller: Caller = field(default=LOCAL)

    def as_json(self) -> dict[str, Any]:
        """The wish as it is kept in a file."""
        return {**asdict(replace(self, caller=LOCAL)), "caller": caller_as_json(self.caller)}


def from_json(body: Mapping[str, Any]) -> Wish:
    """Return a wish that was kept."""
    kept: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in body.items()}
    return Wish(**{**kept, "caller": caller_from(body["caller"])})


async def read_wish(node: Node, exchange: Exchange, arguments: Arguments, given: Collection[str]) -> Wish:
    """Return what a kick-off asks for; raise a FhirError for what cannot be done, unless lenient."""
    lenient = exchange.preference.lenient
    notes = list(_unknown(given, lenient=lenient))
    asked_format = arguments.text("_outputFormat")
    if asked_format is not None and asked_format.replace(" ", "+").lower() not in FORMATS:
        raise Invalid(Issue("error", "value", f"_outputFormat is one of {', '.join(sorted(FORMATS))}."))
    of_patients = exchange.type in (PATIENT, "Group")
    types, more = _types(node, exchange, arguments, of_patients=of_patients, lenient=lenient)
    notes += more
    types = await visible_types(node, types, named=bool(arguments.many("_type")))
    filters, more = _filters(node, arguments, types, lenient=lenient)
    notes += more
    notes += _left_out(arguments, of_patients=of_patients, lenient=lenient)
    present = await node.repository.window(None, None, None)
    before = present.before or PLACES
    since, until = arguments.text("_since"), arguments.text("_until")
    commit = before // PLACES - 1
    return Wish(
        asked=_url(exchange),
        moment=moment_of(present.at or int(node.clock() * 1000), commit),
        types=types,
        before=before,
        after=0 if since is None else await _after(node, since, commit),
        until=None if until is None else (await node.repository.window(until, None, None)).after + 1,
        has_since=since is not None,
        of_patients=of_patients,
        patients=await _patients(node, exchange, arguments, lenient=lenient) if of_patients else None,
        elements=tuple(_commas(arguments.many("_elements"))),
        filters=filters,
        separate="separate-export-status" in (exchange.header(b"prefer") or ""),
        notes=tuple(notes),
        caller=exchange.caller,
    )


def moment_of(at: int, commit: int) -> str:
    """Return a transaction time: the moment of the last commit in milliseconds, and its number behind them.

    Two commits may have one moment; with the number a client that gives it back as `_since` misses and repeats nothing.
    """
    return f"{instant_of(at)[:-1]}{commit:012d}Z"


def check_granted(caller: Caller, types: Collection[str]) -> None:
    """Raise ScopeMissing where the caller may not export these types (none: every type)."""
    if caller.kind == "local":
        return
    wide = [scope for scope in caller.scopes.resources if scope.context == "system" and not scope.query]
    for kind in types or ("*",):
        found = "".join(scope.letters for scope in wide if scope.type in ("*", kind))
        if not {"r", "s"} <= set(found):
            wanted = f"system/{kind}.rs"
            raise ScopeMissing(f"Exporting takes the scope {wanted}; given were: {caller.scopes.text}", wanted)


def predicates(node: Node, wish: Wish) -> Mapping[str, Predicate]:
    """Return what resources of a type must match, for each type with a filter."""
    asked: dict[str, list[Predicate]] = {}
    for text in wish.filters:
        kind, _, query = text.partition("?")
        asked.setdefault(kind, []).append(node.repository.query((kind,), pairs_in(query)).plan.arms[kind])
    return {kind: Or(tuple(each)) for kind, each in asked.items()}


async def visible_types(node: Node, types: tuple[str, ...], *, named: bool) -> tuple[str, ...]:
    """The types of which the caller's role sees anything; raise Forbidden where one of the others was asked for."""
    found = []
    for kind in types:
        try:
            await node.repository.versions(Scope((kind,)), Window(before=1), 1)
        except Forbidden:
            if named:
                raise
            continue
        found.append(kind)
    if types and not found:
        raise Forbidden("You may see nothing that could be exported.")
    return tuple(found)


def _unknown(given: Collection[str], *, lenient: bool) -> Iterator[str]:
    for name in given:
        if name not in KNOWN:
            text = f"$export does not know the parameter {name[:80]}.{nearest(name, KNOWN)}"
            if not lenient:
                raise Invalid(Issue("error", "invalid", text))
            yield text


def _types(
    node: Node, exchange: Exchange, arguments: Arguments, *, of_patients: bool, lenient: bool
) -> tuple[tuple[str, ...], list[str]]:
    """The types to export: those asked for, or all that the caller may; and what is wrong with the others."""
    possible = frozenset(node.definitions.resource_types)
    if of_patients:
        compartment = node.definitions.compartment(PATIENT)
        possible = frozenset({PATIENT, *(compartment.parameters if compartment else ())})
    found: dict[str, None] = {}
    notes: list[str] = []
    for name in _commas(arguments.many("_type")):
        if name in possible:
            found[name] = None
            continue
        where = "the compartment of a patient" if name in node.definitions.resource_types else "R4"
        text = f"_type: {name[:80]} is no type of {where}.{nearest(name, possible)}"
        if not lenient:
            raise Invalid(Issue("error", "value", text))
        notes.append(text)
    for extra in arguments.many("includeAssociatedData"):
        if found and extra in ASSOCIATED and ASSOCIATED[extra] in possible:
            found[ASSOCIATED[extra]] = None
    types = tuple(found)
    if notes and not types:
        raise Invalid(Issue("error", "value", notes[0]))
    if types:
        check_granted(exchange.caller, types)
        return types, notes
    return _granted(exchange.caller, possible, all_types=not of_patients), notes


def _granted(caller: Caller, possible: frozenset[str], *, all_types: bool) -> tuple[str, ...]:
    """The types that a caller may export who names none."""
    found = []
    for kind in sorted(possible):
        try:
            check_granted(caller, (kind,))
        except ScopeMissing:
            continue
        found.append(kind)
    if not found:
        check_granted(caller, ())
    return () if all_types and len(found) == len(possible) else tuple(found)


def _filters(
    node: Node, arguments: Arguments, types: Sequence[str], *, lenient: bool
) -> tuple[tuple[str, ...], list[str]]:
    found: list[str] = []
    notes: list[str] = []
    for text in (part for each in arguments.many("_typeFilter") for part in NEXT_FILTER.split(each)):
        wrong = _wrong_filter(node, text, types)
        if wrong is None:
            found.append(text)
        elif lenient:
            notes.append(str(wrong))
        else:
            raise wrong
    return tuple(found), notes


def _wrong_filter(node: Node, text: str, types: Sequence[str]) -> Invalid | Unsupported | None:
    kind, mark, query = text.partition("?")
    if not mark or kind not in node.definitions.resource_types or (types and kind not in types):
        return Invalid(Issue("error", "value", f"_typeFilter: {text[:80]!r} is not Type?query of a type exported."))
    try:
        pairs = pairs_in(query)
        named = {name.partition(":")[0] for name, _ in pairs} & IN_FILTERS
        if named:
            return Invalid(Issue("error", "value", f"_typeFilter does not take {', '.join(sorted(named))}."))
        plan = node.repository.query((kind,), pairs).plan
    except (Invalid, Unsupported) as error:
        return error
    if not is_own(plan.arms[kind]):
        return Unsupported(f"_typeFilter: {text[:80]!r} asks for more than the resource itself, such as a chain.")
    return None


def _left_out(arguments: Arguments, *, of_patients: bool, lenient: bool) -> list[str]:
    """What is optional in the standard and not done here; refused unless the client is lenient."""
    wrong = [f"includeAssociatedData: {each[:60]} is not known here."
             for each in arguments.many("includeAssociatedData") if each not in ASSOCIATED]  # fmt: skip
    if not of_patients and "patient" in arguments:
        wrong.append("patient is for the exports of patients: Patient/$export and Group/[id]/$export.")
    if "organizeOutputBy" in arguments:
        wrong.append("organizeOutputBy is not done here: files are organised by type.")
    if wrong and not lenient:
        raise Unsupported(wrong[0])
    return wrong


async def _patients(node: Node, exchange: Exchange, arguments: Arguments, *, lenient: bool) -> tuple[str, ...] | None:
    """The ids of the patients that are asked for; None where it is all."""
    group = None
    if exchange.type == "Group":
        group = await members(node.repository, exchange.base, exchange.id, MOST_MEMBERS)
    listed: Sequence[Mapping[str, Any]] = arguments.many("patient")
    if not listed:
        return group
    if exchange.method != "POST":
        raise Invalid(Issue("error", "value", "patient is sent by POST, in a Parameters."))
    found: dict[str, None] = {}
    for each in listed:
        text = str(each.get("reference", ""))
        parsed = parse_reference(text)
        if parsed.type != PATIENT or parsed.id is None:
            raise Invalid(Issue("error", "value", f"patient is a reference such as Patient/123, not {text[:80]!r}."))
        if await _is_there(node, parsed.id) and (group is None or parsed.id in group):
            found[parsed.id] = None
        elif not lenient:
            where = "here" if group is None else f"in Group/{exchange.id}"
            raise NotFound(f"There is no Patient/{parsed.id} {where}.")
    return tuple(found)


async def _is_there(node: Node, patient: str) -> bool:
    try:
        await node.repository.read(PATIENT, patient)
    except NotFound:
        return False
    return True


async def _after(node: Node, since: str, commit: int) -> int:
    """The last place that a client has: exactly, where it gives back a time of this server."""
    text = since.replace(" ", "+")
    known = SENT_SINCE(text)
    if known is not None and int(known[1]) <= commit:
        return (int(known[1]) + 1) * PLACES - 1
    return (await node.repository.window(text, None, None)).after


def _commas(values: Sequence[str]) -> Iterator[str]:
    for text in values:
        yield from filter(None, (part.strip() for part in text.split(",")))


def _url(exchange: Exchange) -> str:
    query = f"?{exchange.query}" if exchange.query else ""
    return f"{exchange.base}/{'/'.join(exchange.path)}{query}"

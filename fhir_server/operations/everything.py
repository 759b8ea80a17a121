"""The operation $everything: a record whole (FHIR R4, OperationDefinition/Patient-everything, Encounter-everything)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from fhir_server.errors import Invalid, Issue, Unprocessable
from fhir_server.repository.intake import REFERRING
from fhir_server.resource.instant import epoch_milliseconds
from fhir_server.rest.argument import Arguments, Input
from fhir_server.rest.bundle import bundle, link, match_entry
from fhir_server.rest.compartment import PATIENT, SOMEBODY, members, of_patients
from fhir_server.rest.cursor import PARAMETER
from fhir_server.rest.exchange import Exchange, Reply
from fhir_server.rest.failure import nearest
from fhir_server.rest.linked import Links
from fhir_server.rest.node import Node
from fhir_server.rest.operation import Operation
from fhir_server.search.plan import And, Or, Plan, Predicate, Row, Test, Updated
from fhir_server.store.protocol import Version

MOST_ON_A_PAGE = 5000
EVERY_TYPE = "Resource"
MOST_MEMBERS = 1000
CARE_DATES = {
    "AllergyIntolerance": "date",
    "Appointment": "date",
    "CarePlan": "date",
    "Claim": "created",
    "ClinicalImpression": "date",
    "Communication": "sent",
    "Composition": "date",
    "Condition": "recorded-date",
    "DiagnosticReport": "date",
    "DocumentReference": "date",
    "Encounter": "date",
    "EpisodeOfCare": "date",
    "ExplanationOfBenefit": "created",
    "ImagingStudy": "started",
    "Immunization": "date",
    "MedicationAdministration": "effective-time",
    "MedicationDispense": "whenhandedover",
    "MedicationRequest": "authoredon",
    "MedicationStatement": "effective",
    "Observation": "date",
    "Procedure": "date",
    "ServiceRequest": "authored",
}
"""The search parameter that says when the care took place that a resource is about."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What of a record is wanted: types (all without any), changed since (milliseconds), of care between two dates."""

    types: tuple[str, ...] = ()
    since: int | None = None
    start: str | None = None
    end: str | None = None

    def takes(self, version: Version) -> bool:
        """Whether a resource is of a type that is wanted, and new enough."""
        return (not self.types or version.type in self.types) and (self.since is None or version.at >= self.since)


async def everything(node: Node, exchange: Exchange, arguments: Arguments) -> Reply:
    """Return a Bundle of the resource, its compartment and what that refers to; the link `next` goes on."""
    about = f"{exchange.type}/{exchange.id}/$everything"
    focus = await node.repository.read(exchange.type, exchange.id)
    wish = _wish(node, arguments)
    asked = arguments.one("_count", int)
    limit = min(asked or MOST_ON_A_PAGE, MOST_ON_A_PAGE)
    continued = arguments.text(PARAMETER)
    cursor = node.cursors.read(continued, about) if continued else None
    first = [focus] if cursor is None and wish.takes(focus) else []
    page = await node.repository.page(_plan(node, exchange, wish), max(limit - len(first), 1), cursor)
    matches = [*first, *(each for each in page.matches if (each.type, each.id) != (focus.type, focus.id))]
    included = await _referred(node, exchange.base, focus, matches, wish)
    pairs = arguments.pairs(without=(PARAMETER,))
    links = [("self", link(exchange.base, about, [*pairs, *([(PARAMETER, continued)] if continued else [])]))]
    if page.following:
        following = node.cursors.sign(page.following, about)
        links.append(("next", link(exchange.base, about, [*pairs, (PARAMETER, following)])))
    total = len(matches) if cursor is None and not page.following else None
    return Reply(200, bundle("searchset", _entries(exchange.base, matches, included), links=links, total=total))


async def everything_of_all(node: Node, exchange: Exchange, arguments: Arguments) -> Reply:
    """Return a page of the records of all patients: the patients, their compartments and what those refer to."""
    return await _of_several(node, exchange, arguments, None)


async def everything_of_group(node: Node, exchange: Exchange, arguments: Arguments) -> Reply:
    """Return a page of the records of the patients in a Group; raise NotFound, Gone or Unprocessable for the Group."""
    return await _of_several(node, exchange, arguments, await _members(node, exchange))


async def _members(node: Node, exchange: Exchange) -> tuple[str, ...]:
    """The ids of the patients in a Group; raise Unprocessable where there is none."""
    found = await members(node.repository, exchange.base, exchange.id, MOST_MEMBERS)
    if not found:
        text = f"Group/{exchange.id} has no member that is a patient of this server."
        raise Unprocessable(Issue("error", "not-found", text, ("Group.member",)))
    return found


async def _of_several(node: Node, exchange: Exchange, arguments: Arguments, ids: tuple[str, ...] | None) -> Reply:
    about = "/".join(exchange.path)
    wish = _wish(node, arguments)
    continued = arguments.text(PARAMETER)
    cursor = node.cursors.read(continued, about) if continued else None
    most = node.settings.largest_page_entries
    limit = min(arguments.one("_count", int) or most, most)
    page = await node.repository.page(_plan_of(node, ids, wish), limit, cursor)
    links = Links(node.repository, exchange.base, node.definitions.resource_types)
    bodies = [each.body for each in page.matches if each.body is not None]
    known = {(each.type, each.id) for each in page.matches}
    # What names a patient is of a record, and comes with it.
    included = [each for each in await links.closure(bodies, known, ()) if wish.takes(each)]
    pairs = arguments.pairs(without=(PARAMETER,))
    shown = [("self", link(exchange.base, about, [*pairs, *([(PARAMETER, continued)] if continued else [])]))]
    if page.following:
        following = node.cursors.sign(page.following, about)
        shown.append(("next", link(exchange.base, about, [*pairs, (PARAMETER, following)])))
    total = len(page.matches) if cursor is None and not page.following else None
    return Reply(200, bundle("searchset", _entries(exchange.base, page.matches, included), links=shown, total=total))


def _plan_of(node: Node, ids: tuple[str, ...] | None, wish: Wish) -> Plan:
    """What finds the records of these patients, or of all."""
    arms = _arms(node, (PATIENT, SOMEBODY), wish)
    return Plan({name: _new_enough(of_patients(predicate, ids), wish) for name, predicate in arms.items()})


def _wish(node: Node, arguments: Arguments) -> Wish:
    types = tuple(name.strip() for text in arguments.many("_type") for name in text.split(","))
    for name in types:
        if name not in node.definitions.resource_types:
            hint = nearest(name, node.definitions.resource_types)
            raise Invalid(Issue("error", "value", f"_type: R4 has no resource type {name[:80]!r}.{hint}"))
    since = arguments.text("_since")
    return Wish(
        types, None if since is None else epoch_milliseconds(since), arguments.text("start"), arguments.text("end")
    )


def _plan(node: Node, exchange: Exchange, wish: Wish) -> Plan:
    """What finds the compartment: for all types at once, by the rows of references; for some, by their parameters."""
    if not wish.types and not wish.start and not wish.end:
        tests = (Test("v", "=", exchange.id), Test("x", "=", exchange.type))
        return Plan({EVERY_TYPE: _new_enough(Row(REFERRING, tests), wish)})
    arms = _arms(node, (exchange.type, exchange.id), wish)
    return Plan({name: _new_enough(predicate, wish) for name, predicate in arms.items()})


def _arms(node: Node, owner: tuple[str, str], wish: Wish) -> dict[str, Predicate]:
    """What ties each type that is wanted to a compartment, with the dates of care that are asked for."""
    compartment = node.definitions.compartment(owner[0])
    tied = dict.fromkeys((owner[0], *(compartment.parameters if compartment else ())))
    arms: dict[str, Predicate] = {}
    for name in tied:
        if wish.types and name not in wish.types:
            continue
        arms[name] = node.repository.query((name,), _care_dates(name, wish), compartment=owner).plan.arms[name]
        if name in CARE_DATES and (wish.start or wish.end):
            undated = [(f"{CARE_DATES[name]}:missing", "true")]
            more = node.repository.query((name,), undated, compartment=owner)
            arms[name] = Or((arms[name], more.plan.arms[name]))
    return arms


def _new_enough(predicate: Predicate, wish: Wish) -> Predicate:
    return predicate if wish.since is None else And((predicate, Updated(low=wish.since)))


def _care_dates(name: str, wish: Wish) -> Sequence[tuple[str, str]]:
    if name not in CARE_DATES:
        return ()
    bounds = (("ge", wish.start), ("le", wish.end))
    return [(CARE_DATES[name], f"{prefix}{date}") for prefix, date in bounds if date]


async def _referred(node: Node, base: str, focus: Version, matches: Iterable[Version], wish: Wish) -> list[Version]:
    """What the matches refer to outside of themselves, as far as it belongs to nobody else."""
    links = Links(node.repository, base, node.definitions.resource_types)
    bodies = [each.body for each in matches if each.body is not None]
    patients = frozenset({focus.id}) if focus.type == PATIENT else links.patients_of(focus.body or b"")
    known = {(each.type, each.id) for each in matches} | {(focus.type, focus.id)}
    return [each for each in await links.closure(bodies, known, patients) if wish.takes(each)]


def _entries(base: str, matches: Iterable[Version], included: Iterable[Version]) -> Iterator[bytes]:
    for mode, versions in (("match", matches), ("include", included)):
        for version in versions:
            if version.body is not None:
                yield match_entry(base, version, version.body, mode)


PAGING = (
    Input("_since", "instant"),
    Input("_type", "code", many=True),
    Input("_count", "positiveInt"),
    Input(PARAMETER, "string"),
)
CARE = (Input("start", "date"), Input("end", "date"), *PAGING)
OPERATIONS = (
    Operation(
        "everything",
        "http://hl7.org/fhir/OperationDefinition/Patient-everything",
        ("instance",),
        everything,
        types=("Patient",),
        inputs=CARE,
    ),
    Operation(
        "everything",
        "http://hl7.org/fhir/OperationDefinition/Encounter-everything",
        ("instance",),
        everything,
        types=("Encounter",),
        inputs=PAGING,
    ),
    Operation(
        "everything",
        "http://hl7.org/fhir/OperationDefinition/Patient-everything",
        ("type",),
        everything_of_all,
        types=("Patient",),
        inputs=CARE,
    ),
    Operation(
        "everything",
        "http://hl7.org/fhir/OperationDefinition/Group-everything",
        ("instance",),
        everything_of_group,
        types=("Group",),
        inputs=CARE,
    ),
)

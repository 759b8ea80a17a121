"""Who is busy when: nobody is booked twice at one time, whichever facility books (Law 15/2023/QH15, article 36)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from fhir_server.errors import Conflict, Invalid, Issue
from fhir_server.repository.check import Around
from fhir_server.resource.instant import epoch_milliseconds, instant
from telesession.case import TAKING_TIME
from telesession.vocabulary import HOLD, Body, extensions, objects, path_of

BOOKED_ONCE = frozenset({"Patient", "Practitioner", "PractitionerRole", "Location", "Device"})
"""Actors that are at one meeting at a time."""
LONGEST = 24 * 3600 * 1000
"""In milliseconds: no Appointment is longer, so none that began before that reaches into another."""
STATUSES = ",".join(sorted(TAKING_TIME))

Span = tuple[int, int]


def span_of(appointment: Body) -> Span | None:
    """The milliseconds that an Appointment takes; None for one that has no time yet."""
    try:
        span = epoch_milliseconds(str(appointment.get("start"))), epoch_milliseconds(str(appointment.get("end")))
    except Invalid:
        return None
    return span if span[0] < span[1] else None


def takes_time(appointment: Body, now: int) -> bool:
    """Whether an Appointment keeps its actors from others: booked, under way, or held and not yet given up."""
    if appointment.get("status") not in TAKING_TIME:
        return False
    return appointment.get("status") != "pending" or held_until(appointment) > now


def held_until(appointment: Body) -> float:
    """When a held Appointment is given up, in milliseconds; never where nothing says so."""
    said = next(extensions(appointment, HOLD), None)
    try:
        return float("inf") if said is None else epoch_milliseconds(str(said.get("valueInstant")))
    except Invalid:
        return float("inf")


def actors(appointment: Body) -> Iterator[str]:
    """Who an Appointment needs, as references."""
    for each in objects(appointment, "participant"):
        path = path_of(each.get("actor"))
        if path.partition("/")[0] not in BOOKED_ONCE:
            continue
        if each.get("status") != "declined" and each.get("required") != "information-only":
            yield path


def overlaps(one: Span, other: Span) -> bool:
    """Whether two spans have time in common."""
    return one[0] < other[1] and other[0] < one[1]


async def refuse_double(appointment: Body, own_id: str, around: Around, now: int) -> None:
    """Raise Conflict where somebody, or a Slot, is taken for the time of an Appointment."""
    span = span_of(appointment)
    if span is None or not takes_time(appointment, now):
        return
    for path in dict.fromkeys(actors(appointment)):
        for other in await _near(await same_as(path, around), span, around):
            taken = span_of(other)
            if other.get("id") != own_id and taken is not None and overlaps(span, taken) and takes_time(other, now):
                text = f"{path} is booked from {instant(taken[0])} to {instant(taken[1])}."
                fix = "Choose another time ($tele-find names those when all are free), or somebody else."
                raise Conflict(Issue("error", "conflict", text, ("Appointment.participant",), fix=fix))
    for slot in map(path_of, objects(appointment, "slot")):
        for other in await around.found("Appointment", [("slot", slot), ("status", STATUSES)]):
            if other.get("id") != own_id and takes_time(other, now):
                raise Conflict(Issue("error", "conflict", f"{slot} is taken.", ("Appointment.slot",)))


async def same_as(path: str, around: Around) -> Sequence[str]:
    """The references that mean the same as an actor: a person, and each role of the person."""
    kind, _, resource_id = path.partition("/")
    person = path if kind == "Practitioner" else ""
    if kind == "PractitionerRole":
        role = await around.read(kind, resource_id)
        person = path_of(role.get("practitioner")) if role is not None else ""
    if not person:
        return (path,)
    roles = await around.found("PractitionerRole", [("practitioner", person)])
    return tuple(dict.fromkeys((path, person, *(f"PractitionerRole/{each['id']}" for each in roles))))


async def _near(references: Sequence[str], span: Span, around: Around) -> Sequence[Body]:
    times = [("date", f"lt{instant(span[1])}"), ("date", f"gt{instant(span[0] - LONGEST)}")]
    return await around.found("Appointment", [("actor", ",".join(references)), ("status", STATUSES), *times])

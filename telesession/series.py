"""Regular sessions, such as a weekly case conference or a course: Appointments of one series (FHIR R4, 8.15).

R4 has no recurrence: each session is an Appointment of its own, which can be moved or cancelled alone, and all of them
have the series' identifier. Nobody is booked twice, by a series as little as by a consultation.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from fhir_server.errors import Invalid, Issue, Unprocessable
from fhir_server.extension import Extension, Surroundings
from fhir_server.repository.check import Around, WriteCheck, Written
from fhir_server.repository.write import Write
from fhir_server.resource.identity import time_ordered_ids
from fhir_server.resource.instant import Clock, epoch_milliseconds, instant
from fhir_server.rest.argument import Arguments, Input, parameters
from fhir_server.rest.exchange import Exchange
from fhir_server.rest.node import Node
from fhir_server.rest.operation import Operation
from telesession.calendar import LONGEST, Span, refuse_double
from telesession.consultation import KIND_OF
from telesession.gathering import sent_of
from telesession.vocabulary import ACTIVITY, ROLE, SERIES, Json, concept, objects, path_of, reference

WEEK = 7 * 24 * 3600 * 1000
MOST_SESSIONS = 60
MOST_WEEKS = 52
INPUTS = (
    Input("start", "instant", required=True),
    Input("end", "instant", required=True),
    Input("count", "positiveInt", required=True),
    Input("weeks", "positiveInt"),
    Input("activity", "code"),
    Input("title", "string"),
    Input("participant", "parts", many=True, required=True),
)


def times(first: Span, weeks: int, count: int) -> Iterator[Span]:
    """Yield when the sessions of a series are, in milliseconds."""
    for place in range(count):
        yield first[0] + place * weeks * WEEK, first[1] + place * weeks * WEEK


async def plan(node: Node, exchange: Exchange, arguments: Arguments) -> dict[str, Any]:
    """Book all sessions of a series or none; return its identifier and them. Raise Conflict where somebody is taken."""
    await node.repository.read("Organization", exchange.id)
    span = epoch_milliseconds(arguments.text("start") or ""), epoch_milliseconds(arguments.text("end") or "")
    count, weeks = arguments.one("count", int) or 1, arguments.one("weeks", int) or 1
    activity = arguments.text("activity") or "HCTV-KCB"
    if not 0 < span[1] - span[0] <= LONGEST:
        raise Unprocessable("end is after start, by a day at most.")
    if count > MOST_SESSIONS or weeks > MOST_WEEKS:
        raise Invalid(f"A series has {MOST_SESSIONS} sessions at most, {MOST_WEEKS} weeks apart at most.")
    if activity not in KIND_OF:
        raise Invalid(Issue("error", "value", f"activity is one of {', '.join(KIND_OF)}."))
    new_id = time_ordered_ids(node.clock)
    series = new_id()
    people = list(_people(arguments.many("participant")))
    body: Json = {
        "resourceType": "Appointment",
        "identifier": [{"system": SERIES, "value": series}],
        "status": "booked",
        "serviceType": [concept(ACTIVITY, activity)],
        "supportingInformation": [reference(f"Organization/{exchange.id}")],
        "participant": people,
    }
    if arguments.text("title"):
        body["description"] = arguments.text("title")
    made = [
        {**body, "id": new_id(), "start": instant(start), "end": instant(end)}
        for start, end in times(span, weeks, count)
    ]
    await node.repository.write(
        [
            Write("PUT", "Appointment", each["id"], sent=sent_of(each), unless_exists=True, place=place)
            for place, each in enumerate(made)
        ]
    )
    listed = (("appointment", "Reference", reference(f"Appointment/{each['id']}")) for each in made)
    return parameters(("series", "string", series), *listed)


def _people(given: Sequence[Any]) -> Iterator[Json]:
    for each in given:
        path, role = path_of(each.get("actor")), str(each.get("role") or "")
        if not path:
            raise Invalid(Issue("error", "value", "Each participant has an actor, a Reference."))
        kind = {"type": [concept(ROLE, role)]} if role else {}
        yield {**kind, "actor": reference(path), "status": "accepted"}


class OfSeries:
    """The check of writes."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    async def check(self, written: Written, around: Around) -> Sequence[Issue]:
        """Raise Conflict where a session of a series takes somebody who is taken."""
        body = written.body
        if body is not None and any(each.get("system") == SERIES for each in objects(body, "identifier")):
            await refuse_double(body, written.id, around, int(self._clock() * 1000))
        return ()


def series(surroundings: Surroundings) -> Extension:
    """Return the extension."""
    definition = "urn:nhipcau:OperationDefinition:tele-series"
    row = Operation(
        "tele-series", definition, ("instance",), plan, types=("Organization",), inputs=INPUTS, scope="u", by_post=True
    )
    check = WriteCheck(frozenset({"Appointment"}), OfSeries(surroundings.clock).check)
    return Extension("series", operations=(row,), checks=(check,))

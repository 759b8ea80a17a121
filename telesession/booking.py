"""Finding a time for several people and holding it, before it is booked (IHE ITI Scheduling: $find, $hold, $book)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import Any

from fhir_server.errors import Conflict, Invalid, Issue, NotFound, PreconditionFailed, Unprocessable
from fhir_server.repository.repository import Repository
from fhir_server.resource.instant import epoch_milliseconds, instant
from fhir_server.rest.argument import Arguments, Input, parameters, parts
from fhir_server.rest.exchange import Exchange
from fhir_server.rest.node import Node
from fhir_server.rest.operation import Operation
from telesession import calendar
from telesession.availability import Actor, options
from telesession.calendar import Span, held_until, span_of, takes_time
from telesession.case import changed_status, hold
from telesession.gathering import Unwatched, found_by, gathered, of_server, stored
from telesession.vocabulary import path_of
from telesession.workflow import ATTEMPTS, DEFINITION, Workflow, given_in, refuse_taken_slots, told

LENGTH = 30
LONGEST_WINDOW = 31 * 24 * 3600 * 1000
MOST_OPTIONS = 50
HELD_MINUTES = 10
MOST_ACTORS = 64


class Booking:
    """The operations that come before $tele-book."""

    def __init__(self, workflow: Workflow) -> None:
        self._workflow = workflow

    def operations(self) -> Sequence[Operation]:
        """The rows of the table of operations."""
        time = (Input("start", "instant", required=True), Input("end", "instant", required=True))
        return (
            Operation(
                "tele-find",
                DEFINITION.format("find"),
                ("instance",),
                self.find,
                types=("ServiceRequest",),
                inputs=(*time, Input("actor", "string", many=True, required=True), Input("minutes", "positiveInt")),
            ),
            Operation(
                "tele-hold",
                DEFINITION.format("hold"),
                ("instance",),
                self.hold,
                types=("ServiceRequest",),
                inputs=(*time, Input("slot", "Reference", many=True), Input("participant", "parts", many=True)),
                scope="u",
                by_post=True,
            ),
        )

    async def find(self, node: Node, exchange: Exchange, arguments: Arguments) -> dict[str, Any]:
        """Times when all actors are free; raise NotFound for a request that the caller does not see."""
        await node.repository.read("ServiceRequest", exchange.id)
        window = window_in(arguments)
        named = list(dict.fromkeys(map(str, arguments.many("actor"))))
        if len(named) > MOST_ACTORS:
            raise Invalid(f"$tele-find takes {MOST_ACTORS} actors at most.")
        now = int(node.clock() * 1000)
        actors = [await actor_of(of_server(node), path, window, now) for path in named]
        length = (arguments.one("minutes", int) or LENGTH) * 60_000
        found = islice(options(actors, window, length), MOST_OPTIONS)
        return parameters(
            *(
                (
                    "option",
                    "part",
                    parts(
                        ("start", "instant", instant(each.span[0])),
                        ("end", "instant", instant(each.span[1])),
                        *(("slot", "Reference", {"reference": slot}) for slot in each.slots),
                    ),
                )
                for each in found
            )
        )

    async def hold(self, node: Node, exchange: Exchange, arguments: Arguments) -> dict[str, Any]:
        """Keep a time for ten minutes; raise Conflict where somebody is not free."""
        await node.repository.read("ServiceRequest", exchange.id)
        given = given_in(arguments, exchange.caller)
        window_in(arguments)
        until = instant(int(node.clock() * 1000) + HELD_MINUTES * 60_000)
        for _ in range(ATTEMPTS):
            case = await gathered(node, exchange.id, given.slots)
            sides = await self._workflow.sides(node, exchange.caller, case)
            self._workflow.refuse_unless(case, "book", sides)
            refuse_taken_slots(case, given)
            held = hold(case, given, until, self._workflow.moment(node))
            try:
                await stored(node, case)
            except PreconditionFailed:
                continue
            return told(case, sides, [f"Appointment/{held['id']}"])
        raise Conflict("Others book the same again and again; nothing was written. Try again.")


def window_in(arguments: Arguments) -> Span:
    """The time asked for; raise Invalid or Unprocessable for one that is none, or too long."""
    window = epoch_milliseconds(arguments.text("start") or ""), epoch_milliseconds(arguments.text("end") or "")
    if not 0 < window[1] - window[0] <= LONGEST_WINDOW:
        raise Unprocessable("end is after start, by 31 days at most.")
    return window


async def actor_of(repository: Repository, path: str, window: Span, now: int) -> Actor:
    """When somebody is free, as their Slots and Appointments say; raise NotFound for nobody."""
    kind, slash, resource_id = path.partition("/")
    if not slash or kind not in calendar.BOOKED_ONCE:
        text = f"{path[:80]!r} is not one of {', '.join(sorted(calendar.BOOKED_ONCE))}, such as Practitioner/x."
        raise Invalid(Issue("error", "value", text))
    await repository.read(kind, resource_id)
    same = ",".join(await calendar.same_as(path, Unwatched(repository)))
    before = instant(window[0] - calendar.LONGEST)
    times = [("date", f"lt{instant(window[1])}"), ("date", f"gt{before}")]
    booked = await found_by(repository, "Appointment", [("actor", same), ("status", calendar.STATUSES), *times])
    busy = [span for each in booked if takes_time(each, now) and (span := span_of(each)) is not None]
    starts = [("start", f"lt{instant(window[1])}"), ("start", f"gt{before}")]
    slots = await found_by(repository, "Slot", [("schedule.actor", same), *starts])
    offered = [
        (f"Slot/{each['id']}", span) for each in slots if each.get("status") == "free" and (span := span_of(each))
    ]
    return Actor(path, offered if slots else None, busy)


async def release(node: Node, workflow: Workflow) -> int:
    """Give up what was held for too long; return how many times were."""
    now, released = int(node.clock() * 1000), 0
    for each in await found_by(of_server(node), "Appointment", [("status", "pending")]):
        request = next((path_of(it) for it in each.get("basedOn", ()) if path_of(it)), "").partition("/")[2]
        if held_until(each) > now or not request:
            continue
        try:
            case = await gathered(node, request)
            appointment = case.resources["Appointment", each["id"]]
            changed_status(appointment, "cancelled", workflow.moment(node))
            await stored(node, case)
        except (NotFound, KeyError, PreconditionFailed):
            continue
        released += 1
    return released

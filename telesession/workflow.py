"""The operations of a consultation, $tele-submit to $tele-close: each one transaction (FHIR R4, 3.2.0 operations)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from fhir_server.access.caller import Caller
from fhir_server.errors import Conflict, Issue, NotFound, PreconditionFailed, Unprocessable
from fhir_server.resource.identity import time_ordered_ids
from fhir_server.resource.instant import epoch_milliseconds, instant
from fhir_server.rest.argument import Arguments, Input, Part, parameters
from fhir_server.rest.exchange import Exchange
from fhir_server.rest.node import Node
from fhir_server.rest.operation import Operation
from fhir_server.settings import Settings
from telesession.case import Case, Given, Moment, happened, implied, settled
from telesession.consultation import EVENTS, Consultation, Event, Message, Refused, Side
from telesession.demand import unmet
from telesession.gathering import gathered, stored
from telesession.legality import failure_of, sides_of
from telesession.notice import NOTICES, announce
from telesession.relay import Relay
from telesession.vocabulary import objects, path_of

ATTEMPTS = 10
DEFINITION = "urn:nhipcau:OperationDefinition:tele-{}"
INPUTS: dict[Event, tuple[Input, ...]] = {
    "submit": (Input("owner", "Reference"),),
    "reject": (Input("reason", "string"),),
    "ask": (Input("question", "string"),),
    "answer": (Input("answer", "string"), Input("info", "Reference", many=True)),
    "book": (
        Input("start", "instant"),
        Input("end", "instant"),
        Input("slot", "Reference", many=True),
        Input("participant", "parts", many=True),
        Input("site", "Reference", many=True),
        Input("hold", "Reference"),
    ),
    "reschedule": (
        Input("start", "instant"),
        Input("end", "instant"),
        Input("slot", "Reference", many=True),
        Input("reason", "string"),
    ),
    "cancel": (Input("reason", "string"),),
}
MESSAGE = Input("message", "id")


class Workflow:
    """The operations on consultations of one node; `sessions` is the URL below which their rooms are."""

    def __init__(self, sessions: str, settings: Settings | None = None) -> None:
        self._sessions = sessions
        self.relay = Relay(settings or Settings(), self.moment)

    def operations(self) -> Sequence[Operation]:
        """The rows of the table of operations."""
        return (
            Operation("tele-state", DEFINITION.format("state"), ("instance",), self.state, types=("ServiceRequest",)),
            *(
                Operation(
                    f"tele-{event}",
                    DEFINITION.format(event),
                    ("instance",),
                    partial(self.bring, event),
                    types=("ServiceRequest",),
                    inputs=(*INPUTS.get(event, ()), MESSAGE),
                    scope="u",
                    by_post=True,
                )
                for event in EVENTS
            ),
        )

    def moment(self, node: Node) -> Moment:
        """The present, as resources have it."""
        return Moment(instant(int(node.clock() * 1000)), time_ordered_ids(node.clock), self._sessions)

    async def state(self, node: Node, exchange: Exchange, _arguments: Arguments) -> dict[str, Any]:
        """Where a consultation is, and what the caller may do next."""
        await node.repository.read("ServiceRequest", exchange.id)
        case = await gathered(node, exchange.id)
        _known(case)
        settled(case, implied(case), self.moment(node))
        return told(case, await self.sides(node, exchange.caller, case), ())

    async def bring(self, event: Event, node: Node, exchange: Exchange, arguments: Arguments) -> dict[str, Any]:
        """Let an event happen; return what came of it. Raise Conflict, Forbidden or Unprocessable where it may not."""
        await node.repository.read("ServiceRequest", exchange.id)
        given = given_in(arguments, exchange.caller)
        again = False
        for _ in range(ATTEMPTS):
            case = await gathered(node, exchange.id, given.slots)
            given = as_held(case, given)
            sides = await self.sides(node, exchange.caller, case)
            if await self.relay.forwarded(node, case, event, given):
                return told(await gathered(node, exchange.id), sides, ())
            try:
                self._happen(node, case, event, given, sides)
                changed = [f"{each['resourceType']}/{each['id']}" for each in case.changed()]
                await stored(node, case)
            except PreconditionFailed:
                continue
            except Conflict:
                # Perhaps another did the same meanwhile: then that is what there is now, else it is refused again.
                if again:
                    raise
                again = True
                continue
            return told(case, sides, changed)
        raise Conflict("Others change the same consultation again and again; nothing was written. Try again.")

    async def sides(self, node: Node, caller: Caller, case: Case) -> frozenset[Side]:
        """The sides of a consultation that a caller stands on."""
        return sides_of(caller, await node.repository.identities(), case)

    def refuse_unless(self, case: Case, event: Event, sides: frozenset[Side]) -> None:
        """Raise Conflict or Forbidden unless these sides may bring an event now."""
        consultation = replace(_known(case), state=implied(case))
        if event not in consultation.allowed(sides):
            try:
                consultation.after(Message(event, sides, frozenset({"start", "end"})))
            except Refused as refused:
                raise failure_of(refused, case) from None

    def _happen(self, node: Node, case: Case, event: Event, given: Given, sides: frozenset[Side]) -> None:
        consultation = _known(case)
        moment = self.moment(node)
        settled(case, implied(case), moment)
        consultation = case.consultation or consultation
        message = Message(event, sides, given.names, given.message)
        try:
            after = consultation.after(message)
        except Refused as refused:
            raise failure_of(refused, case) from None
        _refuse_unfit(case, event, given, consultation)
        if after is not consultation:
            happened(case, event, given, after.state, moment)
            if event in NOTICES:
                announce(case, NOTICES[event], moment)


def _known(case: Case) -> Consultation:
    consultation = case.consultation
    if consultation is None:
        text = f"{case.path} is no consultation: its category names none of the activities of Circular 49/2017."
        fix = "Give it a category of urn:nhipcau:CodeSystem:tele-activity, such as HCTV-KCB."
        raise Unprocessable(Issue("error", "business-rule", text, ("ServiceRequest.category",), fix=fix))
    return consultation


def _refuse_unfit(case: Case, event: Event, given: Given, consultation: Consultation) -> None:
    """Raise for facts that contradict what there is."""
    if event == "submit":
        request = dict(case.service_request)
        if given.owner:
            request["performer"] = [{"reference": given.owner}]
        if lacking := list(unmet(request, consultation.kind)):
            raise Unprocessable(*lacking)
    if given.start or given.end:
        start, end = epoch_milliseconds(given.start), epoch_milliseconds(given.end)
        if start >= end:
            raise Unprocessable("A session ends after it starts: end is not after start.")
        appointment = case.appointment
        if event == "book" and consultation.state == "booked" and appointment is not None:
            booked = [epoch_milliseconds(str(appointment.get(name))) for name in ("start", "end")]
            if booked != [start, end]:
                text = f"{case.path} is booked for {appointment.get('start')} already."
                raise Conflict(Issue("error", "conflict", text, fix="To move it, call $tele-reschedule."))
    refuse_taken_slots(case, given)


def refuse_taken_slots(case: Case, given: Given) -> None:
    """Raise NotFound for a Slot that is none, Conflict for one that is not free."""
    own = {path_of(slot) for each in case.of("Appointment") for slot in objects(each, "slot")}
    for path in given.slots:
        slot = case.resources.get(("Slot", path.partition("/")[2]))
        if slot is None:
            raise NotFound(f"There is no {path}.")
        if slot.get("status") != "free" and path not in own:
            raise Conflict(Issue("error", "conflict", f"{path} is {slot.get('status')}.", ("Appointment.slot",)))


def given_in(arguments: Arguments, caller: Caller) -> Given:
    """What came with an event."""

    def text(name: str) -> str:
        return (arguments.text(name) or "").strip() if name in arguments else ""

    def paths(name: str) -> tuple[str, ...]:
        return tuple(filter(None, map(path_of, arguments.many(name))))

    people = [(path_of(each.get("actor")), str(each.get("role") or "")) for each in arguments.many("participant")]
    return Given(
        message=arguments.text("message"),
        reason=text("reason"),
        question=text("question"),
        answer=text("answer"),
        start=text("start"),
        end=text("end"),
        owner=next(iter(paths("owner")), ""),
        author=caller.fhir_user or "",
        info=paths("info"),
        slots=paths("slot"),
        sites=paths("site"),
        participants=tuple(each for each in people if each[0]),
        hold=next(iter(paths("hold")), ""),
    )


def as_held(case: Case, given: Given) -> Given:
    """What came with an event, the time of what is held included; raise NotFound where nothing is."""
    if not given.hold:
        return given
    held = case.resources.get(("Appointment", given.hold.partition("/")[2]))
    if held is None:
        raise NotFound(f"{given.hold} holds no time for {case.path}.")
    slots = tuple(path_of(each) for each in objects(held, "slot"))
    start, end = given.start or str(held.get("start")), given.end or str(held.get("end"))
    return replace(given, start=start, end=end, slots=given.slots or slots)


def told(case: Case, sides: frozenset[Side], changed: Sequence[str]) -> dict[str, Any]:
    """The answer of an operation: the state, what may follow, and the resources."""
    consultation = case.consultation
    assert consultation is not None
    main = (("task", case.task), ("appointment", case.appointment), ("encounter", case.encounter))
    items: list[Part] = [("state", "code", consultation.state), ("kind", "code", consultation.kind)]
    items += [("allowed", "code", event) for event in consultation.allowed(sides)]
    items += [
        (name, "Reference", {"reference": f"{body['resourceType']}/{body['id']}"})
        for name, body in main
        if body is not None
    ]
    items += [("changed", "Reference", {"reference": path}) for path in changed]
    return parameters(*items)

"""What plain writes may do to the resources of consultations: the steps of the table, and no others."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from fhir_server.access.caller import Caller
from fhir_server.errors import Conflict, FhirError, Forbidden, Issue, Unprocessable
from fhir_server.repository.check import Around, WriteCheck, Written
from fhir_server.resource.instant import Clock
from telesession.calendar import refuse_double
from telesession.case import TAKING_TIME, Case, implied
from telesession.consultation import COURSES, OPEN, Consultation, Refused, Side, State, state_of
from telesession.demand import unmet
from telesession.gathering import SEARCHED
from telesession.peer import MIRROR
from telesession.vocabulary import ACTIVITY, STATE, Body, code, codes, objects, path_of

ALL: frozenset[Side] = frozenset({"requester", "hub", "patient"})
ENDED_TASKS = frozenset({"rejected", "cancelled", "failed", "entered-in-error"})
TYPES = frozenset({"ServiceRequest", "Task", "Appointment", "Encounter"})

STATE_OF: Mapping[str, Mapping[str, State]] = {
    "ServiceRequest": {"revoked": "cancelled", "completed": "closed"},
    "Appointment": {"pending": "accepted", "booked": "booked"},
    "Encounter": {"in-progress": "in-progress", "onleave": "in-progress", "finished": "finished"},
}
"""The state of the consultation that a resource's new status tells of; other statuses tell of none."""


def failure_of(refused: Refused, case: Case) -> FhirError:
    """The failure that tells of a refused event, with the allowed ones."""
    allowed = ", ".join(refused.allowed) or "none"
    fix = f"Events that you may bring now: {allowed}."
    where = (case.path,)
    if refused.reason == "side":
        return Forbidden(Issue("error", "forbidden", refused.text, where, fix=fix))
    if refused.reason == "missing":
        return Unprocessable(Issue("error", "required", refused.text, fix=fix))
    return Conflict(Issue("error", "conflict", refused.text, where, fix=fix))


def sides_of(caller: Caller, identities: frozenset[str], case: Case) -> frozenset[Side]:
    """The sides of a consultation that a caller stands on; whoever runs the server stands on all."""
    if caller.kind == "local":
        return ALL
    found: set[Side] = set()
    if any(f"Organization/{each}" in identities for each in case.facilities[:1]):
        found.add("requester")
    if case.hub in identities:
        found.add("hub")
    if "patient" in caller.roles and case.patient and case.patient in (caller.fhir_user, f"Patient/{caller.patient}"):
        found.add("patient")
    return frozenset(found)


class Legality:
    """The check of writes."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def checks(self) -> Sequence[WriteCheck]:
        """The rows for the door of the server."""
        return (WriteCheck(TYPES, self.check),)

    async def check(self, written: Written, around: Around) -> Sequence[Issue]:
        """Raise Conflict or Forbidden for what the table does not have."""
        request = _request_of(written)
        if request is None or (written.caller.subject == MIRROR and written.caller.kind == "local"):
            return ()
        asked = (written.body or written.former) if written.type == "ServiceRequest" else None
        known = asked if asked is not None else await around.read("ServiceRequest", request)
        if known is None or not any(codes(known.get("category"), ACTIVITY)):
            return ()
        case = await self._case(request, written, around)
        if case.consultation is None:
            return ()
        if written.body is None:
            _refuse_removal(case, written)
            return ()
        _refuse_course(written)
        sides = sides_of(written.caller, await around.identities(), case)
        await CHECKS[written.type](written, case, sides, around)
        if written.type == "Appointment":
            await refuse_double(written.body, written.id, around, int(self._clock() * 1000))
        return ()

    @staticmethod
    async def _case(request: str, written: Written, around: Around) -> Case:
        """The consultation as the whole request leaves it, but for what is checked, which is as it was."""
        case = Case(request, facilities=await around.owners("ServiceRequest", request))
        own = written.type, written.id
        first = written.former or written.body if own[0] == "ServiceRequest" else None
        service_request = first or await around.read("ServiceRequest", request)
        case.resources["ServiceRequest", request] = dict(service_request or {})
        for kind, parameter in SEARCHED:
            for body in await around.found(kind, [(parameter, f"ServiceRequest/{request}")]):
                if (kind, body["id"]) != own:
                    case.resources[kind, str(body["id"])] = dict(body)
        if written.former is not None:
            case.resources[own] = dict(written.former)
        return case


def _request_of(written: Written) -> str | None:
    """The id of the ServiceRequest that something is, or is about."""
    if written.type == "ServiceRequest":
        return written.id
    for body in (written.body, written.former):
        if body is None:
            continue
        named = [path_of(body.get("focus"))] if written.type == "Task" else map(path_of, objects(body, "basedOn"))
        for path in named:
            if path.startswith("ServiceRequest/"):
                return path.partition("/")[2]
    return None


def _refuse_removal(case: Case, written: Written) -> None:
    consultation = case.consultation
    assert consultation is not None
    if consultation.state not in ("draft", "requested"):
        text = f"{written.type}/{written.id} belongs to a consultation that is {consultation.state}: it is kept."
        raise Conflict(Issue("error", "business-rule", text, fix="To end it, cancel the consultation."))


def _refuse_course(written: Written) -> None:
    """Raise Conflict for a status that does not follow the one before."""
    former, body = written.former, written.body
    course = COURSES.get(written.type)
    if course is None or former is None or body is None or former.get("status") == body.get("status"):
        return
    following = course.get(str(former.get("status")), frozenset())
    if body.get("status") not in following:
        text = f"{written.type}/{written.id} is {former.get('status')} and does not become {body.get('status')}."
        fix = f"It may become: {', '.join(sorted(following)) or 'nothing else'}."
        raise Conflict(Issue("error", "conflict", text, (f"{written.type}.status",), fix=fix))


def _present(case: Case) -> Consultation:
    consultation = case.consultation
    assert consultation is not None
    return replace(consultation, state=implied(case))


def _refuse_step(case: Case, target: State, sides: frozenset[Side]) -> None:
    consultation = _present(case)
    if consultation.may_become(target, sides):
        return
    allowed = consultation.allowed(sides)
    if consultation.may_become(target, ALL):
        text = f"That the consultation becomes {target} is for the other side to say."
        raise failure_of(Refused("side", text, allowed), case)
    text = f"A consultation that is {consultation.state} does not become {target}."
    raise failure_of(Refused("state", text, allowed), case)


async def _check_request(written: Written, case: Case, sides: frozenset[Side], _around: Around) -> None:
    target = STATE_OF[written.type].get(str(_body(written).get("status")))
    if target is not None and written.former is not None and _changes(written):
        _refuse_step(case, target, sides)


async def _check_task(written: Written, case: Case, sides: frozenset[Side], _around: Around) -> None:
    body = _body(written)
    target = state_of(body.get("status"), code(body.get("businessStatus"), STATE))
    if target is None:
        text = f"The Task of a consultation is never {body.get('status')}."
        raise Conflict(Issue("error", "conflict", text, ("Task.status",)))
    if list(objects(body, "partOf")):
        _refuse_site(written, case, sides)
        return
    if written.former is None:
        _refuse_second(case)
        if lacking := list(unmet(case.service_request, _present(case).kind)):
            raise Unprocessable(*lacking)
        if written.caller.kind == "local" or target == "draft":
            return
    _refuse_step(case, target, sides)


def _refuse_second(case: Case) -> None:
    """Raise Conflict where a hub has the request already."""
    for task in case.of("Task"):
        if not list(objects(task, "partOf")) and task.get("status") not in ENDED_TASKS:
            text = f"{case.path} is with {path_of(task.get('owner')) or 'a hub'} already: Task/{task.get('id')}."
            raise Conflict(Issue("error", "conflict", text, ("Task.focus",)))


def _refuse_site(written: Written, case: Case, sides: frozenset[Side]) -> None:
    """Raise for the Task of a further site that somebody else than the hub invites, or while nothing is open."""
    if written.former is not None:
        return
    if "hub" not in sides:
        raise Forbidden("Further sites are invited by the hub.")
    if _present(case).state not in OPEN:
        raise Conflict(f"{case.path} is not open: no further site takes part.")


async def _check_appointment(written: Written, case: Case, sides: frozenset[Side], _around: Around) -> None:
    former, body = written.former, _body(written)
    status = str(body.get("status"))
    target = STATE_OF["Appointment"].get(status)
    if former is not None and not _changes(written):
        if status in TAKING_TIME and _is_moved(written) and sides.isdisjoint({"hub", "requester"}):
            raise Forbidden("An Appointment is moved by the facilities.")
        return
    if target is not None and not (target == "accepted" and _present(case).state == "booked"):
        _refuse_step(case, target, sides)


async def _check_encounter(written: Written, case: Case, sides: frozenset[Side], _around: Around) -> None:
    target = STATE_OF["Encounter"].get(str(_body(written).get("status")))
    if target is not None and (written.former is None or _changes(written)):
        _refuse_step(case, target, sides)


def _body(written: Written) -> Body:
    assert written.body is not None
    return written.body


def _changes(written: Written) -> bool:
    return written.former is not None and written.former.get("status") != _body(written).get("status")


def _is_moved(written: Written) -> bool:
    former: Body = written.former or {}
    return any(former.get(name) != _body(written).get(name) for name in ("start", "end", "participant"))


CHECKS: Mapping[str, Callable[[Written, Case, frozenset[Side], Around], Any]] = {
    "ServiceRequest": _check_request,
    "Task": _check_task,
    "Appointment": _check_appointment,
    "Encounter": _check_encounter,
}

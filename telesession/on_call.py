"""Work by the clock: emergencies ring until somebody accepts, sessions are announced, held times are given up."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence

from fhir_server.errors import FhirError, Invalid
from fhir_server.resource.instant import epoch_milliseconds, instant
from fhir_server.rest.node import Node
from telesession import vocabulary as words
from telesession.booking import release
from telesession.case import Case
from telesession.gathering import Unwatched, gathered, of_server, stored
from telesession.notice import RING, STARTING, announce
from telesession.peer import is_sent
from telesession.vocabulary import Body, Json, codes, extensions, objects, path_of
from telesession.workflow import Workflow

ON_CALL = "on-call"
"""The code, of the system of consultation Tasks, that a Schedule of who is on call has as its serviceType."""
SECONDS_BETWEEN_LOOKS = 1.0
RING_MINUTES = 5
"""How long one person may take to accept an emergency, before the next on call is rung."""
STARTING_MINUTES = 10
EMERGENCIES = ",".join(sorted(words.EMERGENCY))
MOST = 500


class OnCall:
    """The work of one process; of several at once, one does each thing."""

    def __init__(self, workflow: Workflow) -> None:
        self._workflow = workflow

    async def work(self, node: Node) -> None:
        """Look again and again."""
        while True:
            await self.look(node)
            await asyncio.sleep(SECONDS_BETWEEN_LOOKS)

    async def look(self, node: Node) -> None:
        """Do what is due now."""
        around = Unwatched(of_server(node))
        for task in await around.found("Task", [("status", "requested"), ("priority", EMERGENCIES)], MOST):
            if is_due(task, int(node.clock() * 1000)) and not is_sent(task):
                await self._ring(node, path_of(task.get("focus")))
        now = int(node.clock() * 1000)
        soon = [("date", f"ge{instant(now)}"), ("date", f"le{instant(now + STARTING_MINUTES * 60_000)}")]
        for appointment in await around.found("Appointment", [("status", "booked"), *soon], MOST):
            if not list(extensions(appointment, words.ANNOUNCED)):
                await self._announce(node, appointment)
        await release(node, self._workflow)

    async def _ring(self, node: Node, path: str) -> None:
        kind, _, request = path.partition("/")
        if kind != "ServiceRequest":
            return
        try:
            case = await gathered(node, request)
            if case.consultation is None or case.task is None or case.consultation.state != "requested":
                return
            now = int(node.clock() * 1000)
            if not is_due(case.task, now):
                return
            people = on_call(await self._schedules(node), await self._roles(node, case), now)
            rung = next_of(people, rung_last(case.task))
            self._note_ring(case, case.task, rung, now)
            announce(case, RING, self._workflow.moment(node), _same(rung))
            await stored(node, case)
        except FhirError:
            # Somebody else was first, or accepted meanwhile: what is due then is seen at the next look.
            return

    @staticmethod
    def _note_ring(case: Case, task: Json, rung: Json | None, now: int) -> None:
        person = path_of(rung) if rung is not None else case.hub
        until = instant(now + RING_MINUTES * 60_000)
        parts = [
            {"url": "called", "valueReference": {"reference": person}},
            {"url": "until", "valueInstant": until},
        ]
        words.extended(task, [{"url": words.RING, "extension": parts}], instead_of=words.RING)

    @staticmethod
    async def _schedules(node: Node) -> Sequence[Body]:
        asked = [("service-type", f"{words.TASK}|{ON_CALL}")]
        return await Unwatched(of_server(node)).found("Schedule", asked, MOST)

    @staticmethod
    async def _roles(node: Node, case: Case) -> Sequence[Body]:
        return await Unwatched(of_server(node)).found("PractitionerRole", [("organization", case.hub)], MOST)

    async def _announce(self, node: Node, appointment: Body) -> None:
        request = next(filter(None, map(path_of, objects(appointment, "basedOn"))), "").partition("/")[2]
        if not request:
            return
        try:
            case = await gathered(node, request)
            body = case.resources.get(("Appointment", str(appointment.get("id"))))
            if case.consultation is None or body is None or list(extensions(body, words.ANNOUNCED)):
                return
            moment = self._workflow.moment(node)
            words.extended(body, [{"url": words.ANNOUNCED, "valueInstant": moment.now}])
            announce(case, STARTING, moment)
            await stored(node, case)
        except FhirError:
            return


def is_due(task: Body, now: int) -> bool:
    """Whether nobody has been rung for a Task, or whoever was did not accept in time."""
    for ring in extensions(task, words.RING):
        until = next((str(part.get("valueInstant")) for part in extensions(ring, "until")), "")
        try:
            return epoch_milliseconds(until) <= now
        except Invalid:
            return True
    return True


def rung_last(task: Body) -> str:
    """Who was rung last for a Task; empty where nobody was."""
    for ring in extensions(task, words.RING):
        for part in extensions(ring, "called"):
            return path_of(part.get("valueReference"))
    return ""


def on_call(schedules: Iterable[Body], roles: Iterable[Body], now: int) -> list[Json]:
    """The roles of a hub that are on call now: those whose Schedules have begun first, first."""
    known = {f"PractitionerRole/{each['id']}": each for each in roles}
    found: list[tuple[str, str, Json]] = []
    for schedule in schedules:
        if schedule.get("active") is False or ON_CALL not in codes(schedule.get("serviceType"), words.TASK):
            continue
        horizon = schedule.get("planningHorizon")
        start, end = (str((horizon or {}).get(name, "")) for name in ("start", "end"))
        if not _within(start, end, now):
            continue
        for actor in map(path_of, objects(schedule, "actor")):
            if actor in known:
                person = {"reference": actor, "practitioner": path_of(known[actor].get("practitioner"))}
                found.append((start, str(schedule.get("id")), person))
    found.sort(key=lambda each: each[:2])
    return [person for _, _, person in found]


def _within(start: str, end: str, now: int) -> bool:
    try:
        begun = not start or epoch_milliseconds(start) <= now
        return begun and (not end or now < epoch_milliseconds(end))
    except Invalid:
        return False


def next_of(people: Sequence[Json], last: str) -> Json | None:
    """Who is rung after somebody: the next in the row, and after the last the first again; None where nobody is."""
    if not people:
        return None
    places = [place for place, person in enumerate(people) if person["reference"] == last]
    return people[(places[0] + 1) % len(people)] if places else people[0]


def _same(person: Json | None) -> tuple[str, ...]:
    """The references that mean somebody: the role, and the person in it."""
    return () if person is None else tuple(filter(None, (person["reference"], person["practitioner"])))

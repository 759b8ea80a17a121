"""What plain writes imply is completed: the Task is brought on, sessions are planned, Slots taken, all is closed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Protocol

from fhir_server.errors import FhirError, NotFound, PreconditionFailed
from fhir_server.extension import Listener
from fhir_server.resource.parsing import parse
from fhir_server.rest.node import Node
from telesession.case import Case, Moment, implied, settled
from telesession.consultation import Event, State
from telesession.gathering import NO_LIMITS, gathered, stored
from telesession.notice import NOTICES, announce
from telesession.vocabulary import objects, path_of

ATTEMPTS = 5
BROUGHT: Mapping[State, Event] = {"booked": "book", "finished": "finish", "cancelled": "cancel"}
"""The event of a state that other resources than the Task may tell of first."""
FOLLOWED = frozenset({"ServiceRequest", "Task", "Appointment", "Encounter"})


class Told(Protocol):
    """What a listener is told of a version; `body` is None for a deletion."""

    @property
    def type(self) -> str:
        """The type of the resource."""
        ...

    @property
    def id(self) -> str:
        """Its id."""
        ...

    @property
    def version(self) -> int:
        """Its number, counted from 1."""
        ...

    @property
    def body(self) -> bytes | None:
        """Its JSON."""
        ...


class Following:
    """The listener to writes of the resources of consultations."""

    def __init__(self, moment: Callable[[Node], Moment]) -> None:
        self._moment = moment

    def listener(self) -> Listener:
        """The row for the door of the server."""
        return Listener("consultations", self.hear)

    async def hear(self, node: Node, versions: Sequence[Told]) -> None:
        """Complete the consultations that these versions are of."""
        for request in dict.fromkeys(request for version in versions for request in requests_of(version)):
            await self.complete(node, request)

    async def complete(self, node: Node, request: str) -> None:
        """Bring all resources of a consultation to what they tell of together."""
        for _ in range(ATTEMPTS):
            try:
                case = await gathered(node, request)
            except NotFound:
                return
            if not self._completed(node, case):
                return
            try:
                await stored(node, case)
            except PreconditionFailed:
                continue
            except FhirError:
                # What is not sound by itself, such as a resource that its profile refuses, is left to people.
                return
            return

    def _completed(self, node: Node, case: Case) -> bool:
        if case.consultation is None:
            return False
        before, after = case.consultation.state, implied(case)
        moment = self._moment(node)
        settled(case, after, moment)
        if before != after and after in BROUGHT:
            announce(case, NOTICES[BROUGHT[after]], moment)
        return any(case.changed())


def requests_of(version: Told) -> Iterator[str]:
    """Yield the ids of the ServiceRequests that a version is, or is about."""
    if version.type not in FOLLOWED or version.body is None:
        return
    if version.type == "ServiceRequest":
        yield version.id
        return
    body = parse(version.body, NO_LIMITS)
    for value in (body.get("focus"), *objects(body, "basedOn")):
        kind, _, resource_id = path_of(value).partition("/")
        if kind == "ServiceRequest":
            yield resource_id

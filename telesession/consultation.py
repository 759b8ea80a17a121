"""The course of a consultation as one table: states, events, who may, what is demanded (Circular 49/2017/TT-BYT).

A consultation is asked for by a lower site, triaged by a hub, booked, held, and closed. Its state is told by its Task
(FHIR R4, 12.1.4 Task state machine, with businessStatus where that has fewer states). Nothing here reads or writes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

State = Literal[
    "draft", "requested", "asked", "accepted", "held", "booked", "in-progress", "finished", "closed", "rejected",
    "cancelled",
]  # fmt: skip
Event = Literal[
    "submit", "accept", "reject", "ask", "answer", "book", "reschedule", "cancel", "start", "finish", "close",
]  # fmt: skip
Kind = Literal["visit", "conference", "imaging", "training"]
Side = Literal["requester", "hub", "patient"]

STATES: tuple[State, ...] = get_args(State)
EVENTS: tuple[Event, ...] = get_args(Event)
KINDS: tuple[Kind, ...] = get_args(Kind)

KIND_OF: Mapping[str, Kind] = {
    "TVYT": "visit",
    "HCTV-KCB": "conference",
    "HC-PT": "conference",
    "HC-CDHA": "imaging",
    "HC-GPB": "imaging",
    "DTCG": "training",
}
"""The kind of consultation that each activity of Circular 49/2017 is."""

OPEN: frozenset[State] = frozenset({"accepted", "held", "booked", "in-progress", "finished"})
"""Between acceptance and end: what the patient's facility keeps is open to the sites that take part."""

ENDED: frozenset[State] = frozenset({"closed", "cancelled"})

BOTH: frozenset[Side] = frozenset({"requester", "hub"})
HUB: frozenset[Side] = frozenset({"hub"})
ASKING: frozenset[Side] = frozenset({"requester", "patient"})
ANYBODY: frozenset[Side] = frozenset({"requester", "hub", "patient"})
EVERY_KIND = frozenset(KINDS)


@dataclass(frozen=True, slots=True)
class Transition:
    """A row: in the state `source` the event leads to `target`, if one of the sides `by` brings it.

    `needs` names what must come with it. A row of some `kinds` is for those alone, one with `emergency` for
    emergencies.
    """

    event: Event
    source: State
    target: State
    by: frozenset[Side]
    needs: tuple[str, ...] = ()
    kinds: frozenset[Kind] = EVERY_KIND
    emergency: bool = False


TRANSITIONS: tuple[Transition, ...] = (
    Transition("submit", "draft", "requested", ASKING),
    Transition("submit", "rejected", "requested", ASKING),
    Transition("accept", "requested", "accepted", HUB),
    Transition("accept", "asked", "accepted", HUB),
    Transition("reject", "requested", "rejected", HUB, ("reason",)),
    Transition("reject", "asked", "rejected", HUB, ("reason",)),
    Transition("ask", "requested", "asked", HUB, ("question",)),
    Transition("ask", "accepted", "held", HUB, ("question",)),
    Transition("answer", "asked", "requested", ASKING, ("answer",)),
    Transition("answer", "held", "accepted", ASKING, ("answer",)),
    Transition("book", "accepted", "booked", HUB, ("start", "end")),
    Transition("reschedule", "booked", "booked", BOTH, ("start", "end")),
    Transition("cancel", "requested", "cancelled", ASKING, ("reason",)),
    Transition("cancel", "asked", "cancelled", ASKING, ("reason",)),
    Transition("cancel", "rejected", "cancelled", ASKING),
    Transition("cancel", "accepted", "cancelled", ANYBODY, ("reason",)),
    Transition("cancel", "held", "cancelled", ANYBODY, ("reason",)),
    Transition("cancel", "booked", "cancelled", ANYBODY, ("reason",)),
    Transition("start", "booked", "in-progress", BOTH),
    Transition("start", "accepted", "in-progress", BOTH, emergency=True),
    Transition("finish", "in-progress", "finished", BOTH),
    Transition("finish", "accepted", "finished", HUB, kinds=frozenset({"imaging"})),
    Transition("close", "finished", "closed", BOTH),
)

Pair = tuple[str, str]
TASK_OF: Mapping[State, Pair] = {
    "requested": ("requested", "requested"),
    "asked": ("received", "asked"),
    "accepted": ("accepted", "accepted"),
    "held": ("on-hold", "held"),
    "booked": ("accepted", "booked"),
    "in-progress": ("in-progress", "in-progress"),
    "finished": ("in-progress", "finished"),
    "closed": ("completed", "closed"),
    "rejected": ("rejected", "rejected"),
    "cancelled": ("cancelled", "cancelled"),
}
"""Status and businessStatus of the Task in each state; a draft has no Task, or one that is a draft too."""

_STATE_OF: Mapping[Pair, State] = {pair: state for state, pair in TASK_OF.items()}
_STATE_OF_STATUS: Mapping[str, State] = {
    "draft": "draft",
    "failed": "cancelled",
    "entered-in-error": "cancelled",
    **{pair[0]: state for state, pair in reversed(tuple(TASK_OF.items()))},
}


def state_of(status: Any, business: Any = None) -> State | None:
    """The state that a Task tells of by its status and the code of its businessStatus; None where it is in none.

    A business status that does not go with the status is one that a client left behind: the status counts.
    """
    return _STATE_OF.get((str(status), str(business))) or _STATE_OF_STATUS.get(str(status))


class Refused(Exception):
    """An event that may not happen now; `allowed` may. `reason` says whether the state, the side, or a fact forbids."""

    def __init__(self, reason: Literal["state", "side", "missing"], text: str, allowed: tuple[Event, ...]) -> None:
        super().__init__(text)
        self.reason = reason
        self.text = text
        self.allowed = allowed


@dataclass(frozen=True, slots=True)
class Message:
    """An event as somebody sends it, from these sides, with the facts named in `given`.

    Who sends one with an `id` may send it again and again: it happens once.
    """

    event: Event
    sides: frozenset[Side] = ANYBODY
    given: frozenset[str] = frozenset()
    id: str | None = None


@dataclass(frozen=True, slots=True)
class Consultation:
    """Where a consultation is: `sites` are the facilities to which it opens the record, `heard` the messages so far."""

    kind: Kind
    emergency: bool = False
    state: State = "draft"
    sites: frozenset[str] = frozenset()
    heard: frozenset[str] = frozenset()

    @property
    def grants(self) -> frozenset[str]:
        """The facilities to which the record is open now."""
        return self.sites if self.state in OPEN else frozenset()

    def row(self, event: Event) -> Transition | None:
        """What an event does now; None where it does nothing."""
        return next((row for row in self._rows() if row.event == event), None)

    def allowed(self, sides: frozenset[Side] = ANYBODY) -> tuple[Event, ...]:
        """The events that these sides may bring now, in the order of the table."""
        return tuple(row.event for row in self._rows() if not row.by.isdisjoint(sides))

    def is_repeated(self, message: Message) -> bool:
        """Whether a message was heard before, or asks for what it has led to already."""
        if message.id is not None:
            return message.id in self.heard
        if self.row(message.event) is not None:
            return False
        return any(row.event == message.event and row.target == self.state for row in TRANSITIONS)

    def after(self, message: Message, sites: frozenset[str] = frozenset()) -> Consultation:
        """The consultation after a message that adds these sites; itself where it is repeated. Raise Refused."""
        if self.is_repeated(message):
            return self
        row = self.row(message.event)
        if row is None:
            text = f"A consultation that is {self.state} takes no {message.event}."
            raise Refused("state", text, self.allowed(message.sides))
        if row.by.isdisjoint(message.sides):
            text = f"{message.event} is for the side of the {' or the '.join(sorted(row.by))}."
            raise Refused("side", text, self.allowed(message.sides))
        lacking = [name for name in row.needs if name not in message.given]
        if lacking:
            text = f"{message.event} needs {' and '.join(lacking)}."
            raise Refused("missing", text, self.allowed(message.sides))
        heard = self.heard if message.id is None else self.heard | {message.id}
        return replace(self, state=row.target, sites=self.sites | sites, heard=heard)

    def may_become(self, target: State, sides: frozenset[Side]) -> bool:
        """Whether one event, brought by these sides, leads to a state, or it is there already."""
        if target == self.state:
            return True
        return any(row.target == target and not row.by.isdisjoint(sides) for row in self._rows())

    def _rows(self) -> Iterator[Transition]:
        for row in TRANSITIONS:
            if row.source == self.state and self.kind in row.kinds and (self.emergency or not row.emergency):
                yield row


Course = Mapping[str, frozenset[str]]
"""Of each status of a resource, those that may follow it."""


def _course(text: str) -> Course:
    rows = (line.partition(":") for line in text.strip().splitlines())
    return {status.strip(): frozenset(following.split()) for status, _, following in rows}


COURSES: Mapping[str, Course] = {
    "ServiceRequest": _course("""
        draft: active revoked entered-in-error
        active: on-hold revoked completed entered-in-error
        on-hold: active revoked completed entered-in-error
        revoked: entered-in-error
        completed: entered-in-error
        unknown: draft active on-hold revoked completed entered-in-error
        entered-in-error:
    """),
    "Appointment": _course("""
        proposed: pending booked waitlist cancelled entered-in-error
        pending: proposed booked waitlist cancelled entered-in-error
        waitlist: proposed pending booked cancelled entered-in-error
        booked: arrived checked-in fulfilled cancelled noshow entered-in-error
        arrived: checked-in fulfilled cancelled noshow entered-in-error
        checked-in: fulfilled cancelled noshow entered-in-error
        fulfilled: entered-in-error
        noshow: entered-in-error
        cancelled: entered-in-error
        entered-in-error:
    """),
    "Encounter": _course("""
        planned: arrived triaged in-progress cancelled entered-in-error
        arrived: triaged in-progress cancelled entered-in-error
        triaged: in-progress cancelled entered-in-error
        in-progress: onleave finished entered-in-error
        onleave: in-progress finished entered-in-error
        finished: entered-in-error
        cancelled: entered-in-error
        unknown: planned arrived triaged in-progress onleave finished cancelled entered-in-error
        entered-in-error:
    """),
}
"""The statuses that may follow one another in the resources of a consultation, whoever writes them."""

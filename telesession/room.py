"""The room of one consultation as a value: who waits, who is in, who dropped out, and who may decide about whom.

Every command takes a room and the time in seconds, and returns the next room or raises a kind of FhirError. What the
media must do, what the Encounter says and what viewers are told are functions of rooms (`telesession.consequence`), so
that nothing can be decided and not told.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, get_args

from fhir_server.errors import Conflict, Forbidden, Gone, NotFound, Throttled
from telesession.media_engine import Mode

Role = Literal["host", "presenter", "chair", "secretary", "expert", "patient", "relative", "interpreter", "guest"]
State = Literal["waiting", "admitted", "in-session", "dropped", "left"]
Sign = Literal["admit", "arrive", "lose", "leave"]
Right = Literal["admit", "moderate", "end", "record", "present", "invite"]
Reason = Literal["", "left", "refused", "removed", "lost", "ended"]

ROLES: tuple[Role, ...] = get_args(Role)

EVERY_RIGHT: frozenset[Right] = frozenset(get_args(Right))
RIGHTS: Mapping[Role, frozenset[Right]] = {
    "host": EVERY_RIGHT,
    "chair": EVERY_RIGHT,
    "secretary": frozenset({"admit", "record", "invite"}),
    "presenter": frozenset({"present", "invite"}),
    "expert": frozenset({"admit", "present", "invite"}),
    "patient": frozenset(),
    "relative": frozenset(),
    "interpreter": frozenset(),
    "guest": frozenset(),
}
"""What each role may do. Several may admit: they share one queue."""

STAFF_ROLES = frozenset({"host", "presenter", "chair", "secretary", "expert"})
"""Roles that only staff of a facility of the consultation can have, who do not wait to be admitted."""

TRANSITIONS: Mapping[tuple[State, Sign], State] = {
    ("waiting", "admit"): "admitted",
    ("waiting", "lose"): "dropped",
    ("waiting", "leave"): "left",
    ("admitted", "arrive"): "in-session",
    ("admitted", "lose"): "dropped",
    ("admitted", "leave"): "left",
    ("in-session", "lose"): "dropped",
    ("in-session", "leave"): "left",
    ("dropped", "leave"): "left",
}
"""The states of a participant. Who dropped comes back to the state that they had (`before`)."""

MOST_PARTICIPANTS = 100
MOST_STAYS = 100
LAST = ("removed", "refused")
"""Reasons after which somebody comes back only if they are let in again."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How long a session may last, a dropped one's place is kept, and how many may be in a room."""

    minutes: int = 120
    seconds_kept: int = 120
    participants: int = MOST_PARTICIPANTS


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who asks to enter: `key` tells them from others and is told to nobody, `reference` is a resource."""

    key: str
    name: str
    role: Role
    is_staff: bool = False
    reference: str = ""
    device: str = ""


@dataclass(frozen=True, slots=True)
class Participant:
    """Somebody in the room, or who was. `stays` are times in session, the last one without an end while it goes on.

    `turn` orders the queue. `since` is when the state began; `before` is the state of who dropped. `mode` says whether
    pictures are wanted, `sound_only` why they are not shown now (empty: they are).
    """

    id: str
    person: Person
    state: State
    since: float
    turn: int = 0
    before: State = "waiting"
    reason: Reason = ""
    stays: tuple[tuple[float, float | None], ...] = ()
    publishes: tuple[str, ...] = ()
    is_muted: bool = False
    mode: Mode = "auto"
    sound_only: str = ""

    @property
    def role(self) -> Role:
        """The role."""
        return self.person.role

    @property
    def is_here(self) -> bool:
        """Whether they have a place in the room."""
        return self.state != "left"

    @property
    def is_in(self) -> bool:
        """Whether they have been let in."""
        return self.state in ("admitted", "in-session") or (self.state == "dropped" and self.before != "waiting")

    @property
    def is_queuing(self) -> bool:
        """Whether they are in the queue."""
        return self.state == "waiting" or (self.state == "dropped" and self.before == "waiting")


@dataclass(frozen=True, slots=True)
class Room:
    """A room. `turns` counts places given out in the queue; `started` is when two were in session at once."""

    id: str
    made: float
    limits: Limits = Limits()
    participants: Mapping[str, Participant] = field(default_factory=dict)
    turns: int = 0
    started: float | None = None
    ended: float | None = None
    end_reason: str = ""
    recording: str = ""

    @property
    def here(self) -> Iterator[Participant]:
        """Those with a place in the room."""
        return (each for each in self.participants.values() if each.is_here)

    @property
    def queue(self) -> tuple[Participant, ...]:
        """Those who wait, in their order; who dropped out of it keeps the place."""
        return tuple(sorted((each for each in self.here if each.is_queuing), key=lambda each: each.turn))

    @property
    def until(self) -> float | None:
        """When the time is over."""
        return None if self.started is None else self.started + self.limits.minutes * 60

    def position(self, participant: str) -> int:
        """The place in the queue, from 1; 0 for who is not in it."""
        return next((place for place, each in enumerate(self.queue, 1) if each.id == participant), 0)

    def of(self, key: str) -> Participant | None:
        """The participant who somebody is."""
        return next((each for each in self.participants.values() if each.person.key == key), None)

    def one(self, participant: str) -> Participant:
        """A participant by id; raise NotFound."""
        found = self.participants.get(participant)
        if found is None:
            raise NotFound("There is no such participant in this session.")
        return found

    def may(self, participant: str, right: Right) -> bool:
        """Whether a participant who is in session may do something."""
        found = self.participants.get(participant)
        return found is not None and found.state == "in-session" and right in RIGHTS[found.role]


def join(room: Room, person: Person, new_id: str, now: float) -> Room:
    """Let somebody in, or into the queue; who is here already, or dropped, has the place that they had."""
    _refuse_ended(room)
    known = room.of(person.key)
    if known is None:
        if sum(1 for _ in room.here) >= room.limits.participants:
            raise Throttled(f"The session is full: {room.limits.participants} are in it.")
        return _entered(room, Participant(new_id, person, "left", now), now)
    if known.state == "dropped":
        return present(room, known.id, now)
    if known.is_here:
        return room
    if known.reason in LAST:
        raise Forbidden("You were asked to leave this session; somebody in it can let you in again.")
    return _entered(room, replace(known, person=replace(person, role=known.role)), now)


def _entered(room: Room, participant: Participant, now: float) -> Room:
    fresh = replace(participant, reason="", publishes=(), is_muted=False, sound_only="")
    if participant.role in STAFF_ROLES:
        return _started(_with(room, _in_session(fresh, now)), now)
    waiting = replace(fresh, state="waiting", since=now, turn=room.turns)
    return replace(_with(room, waiting), turns=room.turns + 1)


def present(room: Room, participant: str, now: float) -> Room:
    """Note a sign of life: who was admitted is in session, who dropped is back."""
    known = room.one(participant)
    if known.state == "dropped":
        known = replace(known, state=known.before, since=now)
    if known.state == "admitted":
        known = _in_session(known, now)
    return room if known == room.one(participant) else _started(_with(room, known), now)


def lose(room: Room, participant: str, now: float) -> Room:
    """Note that somebody is not heard of any more; the place is kept for a while."""
    known = room.one(participant)
    if TRANSITIONS.get((known.state, "lose")) is None:
        return room
    return _with(room, replace(known, state="dropped", before=known.state, since=now))


def admit(room: Room, by: str, participant: str, now: float) -> Room:
    """Let somebody in who waits, let who was sent away come back; raise Forbidden, or Conflict for who is in."""
    _needs(room, by, "admit")
    known = room.one(participant)
    if known.state == "left" and known.reason in LAST:
        return _with(room, replace(known, reason="left"))
    if known.state == "dropped" and known.before == "waiting":
        return _with(room, replace(known, before="admitted"))
    return _with(room, _moved(known, "admit", now))


def leave(room: Room, participant: str, now: float) -> Room:
    """Give up a place; who has none loses nothing."""
    known = room.one(participant)
    return room if not known.is_here else _with(room, _gone(known, "left", now))


def remove(room: Room, by: str, participant: str, now: float) -> Room:
    """Send somebody out of the room, or refuse who waits: they do not come back by themselves."""
    known = room.one(participant)
    _needs(room, by, "admit" if known.is_queuing else "moderate")
    if not known.is_here:
        raise Conflict("This participant has left already.")
    if participant == by:
        raise Conflict("Leave the session instead of removing yourself.")
    return _with(room, _gone(known, "refused" if known.is_queuing else "removed", now))


def expel(room: Room, participant: str, now: float) -> Room:
    """Send somebody out whose leave to be here was taken back, whoever decided it."""
    known = room.one(participant)
    return room if not known.is_here else _with(room, _gone(known, "removed", now))


def mute(room: Room, by: str, participant: str, *, is_muted: bool) -> Room:
    """Stop a microphone for all others; only its owner opens it again."""
    known = room.one(participant)
    if by != participant:
        _needs(room, by, "moderate")
        if not is_muted:
            raise Forbidden("Only the participant opens their own microphone again.")
    return _with(room, replace(known, is_muted=is_muted))


def assign(room: Room, by: str, participant: str, role: str) -> Room:
    """Give a participant another role; those of staff go to staff alone."""
    _needs(room, by, "moderate")
    known = room.one(participant)
    if role not in ROLES:
        raise Conflict(f"There is no role {role[:40]!r}: {', '.join(ROLES)}.")
    if role in STAFF_ROLES and not known.person.is_staff:
        raise Forbidden(f"Only staff of the consultation's facilities can be {role}.")
    return _with(room, replace(known, person=replace(known.person, role=role)))


def show(room: Room, participant: str, mode: Mode) -> Room:
    """Say whether a participant wants pictures: always, never, or as the network allows."""
    known = room.one(participant)
    sound_only = {"on": "", "off": "chosen", "auto": known.sound_only if known.sound_only != "chosen" else ""}[mode]
    return _with(room, replace(known, mode=mode, sound_only=sound_only))


def darken(room: Room, participant: str, reason: str) -> Room:
    """Note why a participant has sound only now (empty: pictures are back); who wants pictures always keeps them."""
    known = room.one(participant)
    return room if known.mode != "auto" else _with(room, replace(known, sound_only=reason))


def publish(room: Room, participant: str, source: str, *, is_on: bool) -> Room:
    """Note what a participant sends: `camera`, `screen`."""
    known = room.one(participant)
    others = tuple(each for each in known.publishes if each != source)
    return _with(room, replace(known, publishes=(*others, source) if is_on else others))


def record(room: Room, recording: str) -> Room:
    """Note that the session is recorded, by whom; empty: it is not."""
    return replace(room, recording=recording)


def prolong(room: Room, by: str, minutes: int) -> Room:
    """Set how long the session may last."""
    _needs(room, by, "moderate")
    return replace(room, limits=replace(room.limits, minutes=minutes))


def end(room: Room, by: str, now: float) -> Room:
    """End the session for all."""
    _needs(room, by, "end")
    return over(room, "ended", now)


def over(room: Room, reason: str, now: float) -> Room:
    """End the session, whoever decided it; one that is over stays as it is."""
    if room.ended is not None:
        return room
    gone = {key: _gone(each, "ended", now) if each.is_here else each for key, each in room.participants.items()}
    return replace(room, participants=gone, ended=now, end_reason=reason, recording="")


def pass_time(room: Room, now: float) -> Room:
    """Give up the places of who dropped too long ago, and end what has lasted too long."""
    if room.ended is not None:
        return room
    if room.until is not None and now >= room.until:
        return over(room, "time", now)
    for each in tuple(room.here):
        if each.state == "dropped" and now - each.since >= room.limits.seconds_kept:
            room = _with(room, _gone(each, "lost", each.since))
    return room


def _gone(participant: Participant, reason: Reason, now: float) -> Participant:
    moved = _moved(participant, "leave", now)
    # Who dropped was in session until then.
    end_of_stay = participant.since if participant.state == "dropped" else now
    return replace(moved, reason=reason, stays=_closed(participant.stays, end_of_stay), publishes=(), sound_only="")


def _closed(stays: tuple[tuple[float, float | None], ...], now: float) -> tuple[tuple[float, float | None], ...]:
    return (*stays[:-1], (stays[-1][0], now)) if stays and stays[-1][1] is None else stays


def _in_session(participant: Participant, now: float) -> Participant:
    stays = participant.stays
    if not stays or stays[-1][1] is not None:
        stays = (*stays, (now, None))[-MOST_STAYS:]
    return replace(participant, state="in-session", since=now, stays=stays)


def _moved(participant: Participant, sign: Sign, now: float) -> Participant:
    state = TRANSITIONS.get((participant.state, sign))
    if state is None:
        raise Conflict(f"A participant who is {participant.state} cannot be asked to {sign}.")
    return replace(participant, state=state, since=now)


def _started(room: Room, now: float) -> Room:
    together = sum(1 for each in room.here if each.state == "in-session")
    return replace(room, started=now) if room.started is None and together > 1 else room


def _with(room: Room, participant: Participant) -> Room:
    return replace(room, participants={**room.participants, participant.id: participant})


def _needs(room: Room, by: str, right: Right) -> None:
    _refuse_ended(room)
    if not room.may(by, right):
        raise Forbidden(f"Your role in this session does not let you {right}.")


def _refuse_ended(room: Room) -> None:
    if room.ended is not None:
        raise Gone("The session is over.")

"""What follows from a room that became another: orders to the media, notices to viewers, facts of the Encounter."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from telesession.media_engine import Mode
from telesession.room import RIGHTS, Participant, Role, Room

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Remove:
    """End all connections of a participant."""

    participant: str


@dataclass(frozen=True, slots=True)
class Mute:
    """Stop a microphone, or let it be heard again."""

    participant: str
    is_muted: bool


@dataclass(frozen=True, slots=True)
class Show:
    """Give a viewer pictures always, never, or as the network allows."""

    participant: str
    mode: Mode


@dataclass(frozen=True, slots=True)
class End:
    """End all connections of the session."""


Order = Remove | Mute | Show | End


def orders(before: Room, after: Room) -> Iterator[Order]:
    """Yield what the media must do."""
    if after.ended is not None:
        if before.ended is None:
            yield End()
        return
    for each in after.participants.values():
        was = before.participants.get(each.id)
        if was is None:
            continue
        if was.is_here and not each.is_here:
            yield Remove(each.id)
        if was.is_muted != each.is_muted:
            yield Mute(each.id, each.is_muted)
        if was.mode != each.mode:
            yield Show(each.id, each.mode)


def notices(before: Room, after: Room) -> Iterator[Literal["roster", "recording", "ended"]]:
    """Yield the kinds of events that viewers are told."""
    if after.ended is not None:
        if before.ended is None:
            yield "ended"
        return
    if before.participants != after.participants or before.limits != after.limits or before.started != after.started:
        yield "roster"
    if before.recording != after.recording:
        yield "recording"


def person_json(participant: Participant) -> Json:
    """A participant as others in the session see them."""
    return {
        "id": participant.id,
        "name": participant.person.name,
        "role": participant.role,
        "state": participant.state,
        "since": participant.since,
        "isStaff": participant.person.is_staff,
        "publishes": list(participant.publishes),
        "isMuted": participant.is_muted,
        "mode": participant.mode,
        "soundOnly": participant.sound_only or None,
        "device": participant.person.device or None,
    }


def room_json(room: Room, viewer: str) -> Json:
    """The room as a participant sees it. Who waits sees their own place, and nobody's name."""
    me = room.participants.get(viewer)
    told: Json = {
        "id": room.id,
        "state": state_of(room),
        "me": None if me is None else own_json(room, me),
        "participants": [],
        "queue": {"length": len(room.queue), "position": room.position(viewer) or None},
        "limits": {"minutes": room.limits.minutes, "until": room.until, "participants": room.limits.participants,
                   "secondsKept": room.limits.seconds_kept},
        "started": room.started,
        "ended": room.ended,
        "endReason": room.end_reason or None,
        "hostPresent": any(each.state == "in-session" and "admit" in RIGHTS[each.role] for each in room.here),
        "recording": room.recording or None,
    }  # fmt: skip
    if me is not None and me.is_in:
        told["participants"] = [person_json(each) for each in room.here if each.is_in]
        if "admit" in RIGHTS[me.role]:
            told["queue"]["waiting"] = [
                {**person_json(each), "position": place} for place, each in enumerate(room.queue, 1)
            ]
    return told


def own_json(room: Room, me: Participant) -> Json:
    """What somebody is told of themselves: also what they may do, and why they are out."""
    rights = sorted(RIGHTS[me.role]) if me.state == "in-session" else []
    place = room.position(me.id)
    return {**person_json(me), "rights": rights, "reason": me.reason or None, "position": place or None}


def state_of(room: Room) -> Literal["open", "waiting", "in-progress", "on-hold", "ended"]:
    """How the session is: nobody there, somebody waiting or alone, under way, interrupted, over."""
    if room.ended is not None:
        return "ended"
    if room.started is None:
        return "waiting" if any(room.here) else "open"
    together = sum(1 for each in room.here if each.state == "in-session")
    lost = any(each.role == "patient" and each.state == "dropped" and each.before == "in-session" for each in room.here)
    return "in-progress" if together > 1 and not lost else "on-hold"


ENCOUNTER_STATUS: Mapping[str, str] = {
    "waiting": "arrived", "in-progress": "in-progress", "on-hold": "onleave", "ended": "finished",
}  # fmt: skip
"""The status of the Encounter in each state of the room (FHIR R4, Encounter.status)."""

PARTICIPANT_TYPE: Mapping[Role, tuple[str, str, str]] = {
    "host": ("http://terminology.hl7.org/CodeSystem/v3-ParticipationType", "PPRF", "primary performer"),
    "chair": ("http://terminology.hl7.org/CodeSystem/v3-ParticipationType", "PPRF", "primary performer"),
    "presenter": ("http://terminology.hl7.org/CodeSystem/v3-ParticipationType", "REF", "referrer"),
    "secretary": ("http://terminology.hl7.org/CodeSystem/v3-ParticipationType", "SPRF", "secondary performer"),
    "expert": ("http://terminology.hl7.org/CodeSystem/v3-ParticipationType", "CON", "consultant"),
    "interpreter": ("http://terminology.hl7.org/CodeSystem/participant-type", "translator", "Translator"),
    "patient": ("http://terminology.hl7.org/CodeSystem/v3-ParticipationType", "PART", "Participation"),
    "relative": ("http://terminology.hl7.org/CodeSystem/v3-ParticipationType", "PART", "Participation"),
    "guest": ("http://terminology.hl7.org/CodeSystem/v3-ParticipationType", "PART", "Participation"),
}
"""Encounter.participant.type of each role (encounter-participant-type)."""


@dataclass(frozen=True, slots=True)
class Stay:
    """One time that somebody was in session; `id` is the same each time it is told."""

    id: str
    role: Role
    name: str
    reference: str
    start: float
    end: float | None


@dataclass(frozen=True, slots=True)
class Facts:
    """What an Encounter should say: its status (empty: as it is), the stays in session, when it was over."""

    status: str
    stays: tuple[Stay, ...]
    started: float | None
    ended: float | None


def facts(room: Room) -> Facts:
    """What the room makes of its Encounter. A session at which nobody met leaves the Encounter's status alone."""
    status = ENCOUNTER_STATUS.get(state_of(room), "")
    if room.ended is not None and room.started is None:
        status = ""
    stays = tuple(
        Stay(f"stay-{each.id}-{number}", each.role, each.person.name, each.person.reference, start, end)
        for each in room.participants.values()
        for number, (start, end) in enumerate(each.stays, 1)
    )
    return Facts(status, stays, room.started, room.ended)

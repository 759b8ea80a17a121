"""The Encounter of a session, brought up to what the room says (FHIR R4, 8.11 Encounter)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fhir_server.resource.instant import instant
from telesession.consequence import PARTICIPANT_TYPE, Facts, Stay

Json = dict[str, Any]

FINAL = frozenset({"finished", "cancelled", "entered-in-error"})
"""Statuses that a room does not change."""

BEFORE = frozenset({"planned", "arrived", "triaged"})
"""Statuses that lead to others by way of `in-progress` alone."""

INDIVIDUALS = ("Practitioner/", "PractitionerRole/", "RelatedPerson/")
"""What Encounter.participant.individual may refer to; a patient is its subject."""


def brought_up(encounter: Mapping[str, Any], facts: Facts, now: float) -> Json:
    """The next step to the Encounter as it should be: equal to the one given where the room has nothing new."""
    body: Json = dict(encounter)
    if encounter.get("status") not in FINAL:
        _set_status(body, facts, now)
    listed = [dict(each) for each in encounter.get("participant", ())]
    for stay in facts.stays:
        _set_stay(listed, stay)
    if listed:
        body["participant"] = listed
    return body


def _set_status(body: Json, facts: Facts, now: float) -> None:
    was = body.get("status")
    period = dict(body.get("period") or {})
    if facts.started is not None:
        period.setdefault("start", moment(facts.started))
    status = "in-progress" if was in BEFORE and facts.status in ("onleave", "finished") else facts.status
    if status and status != was:
        history = list(body.get("statusHistory", ()))
        since = _since(history, body)
        history.append({"status": was, "period": {**({"start": since} if since else {}), "end": moment(now)}})
        body["statusHistory"] = history
        body["status"] = status
        if status == "finished" and facts.ended is not None:
            period["end"] = moment(facts.ended)
    if period:
        body["period"] = period


def _since(history: list[Json], body: Json) -> str | None:
    """When the status that ends now began: when the one before it ended, or else when this was first written."""
    ends = [each["period"]["end"] for each in history if (each.get("period") or {}).get("end")]
    found = ends[-1] if ends else (body.get("meta") or {}).get("lastUpdated")
    return None if found is None else str(found)


def _set_stay(listed: list[Json], stay: Stay) -> None:
    period = {"start": moment(stay.start)} | ({} if stay.end is None else {"end": moment(stay.end)})
    known = next((each for each in listed if each.get("id") == stay.id), None)
    if known is None:
        known = next((each for each in listed if _is_announced(each, stay)), None)
    if known is None:
        known = {}
        listed.append(known)
    type_ = [_type_of(stay)]
    members = {"id": stay.id, "type": known.get("type") or type_, "period": period, "individual": _individual(stay)}
    known.update(members)


def _is_announced(participant: Json, stay: Stay) -> bool:
    """Whether this was written before the session about who came now."""
    named = (participant.get("individual") or {}).get("reference")
    return bool(stay.reference) and named == stay.reference and "period" not in participant


def _individual(stay: Stay) -> Json:
    named: Json = {"reference": stay.reference} if stay.reference.startswith(INDIVIDUALS) else {}
    return {**named, "display": stay.name}


def _type_of(stay: Stay) -> Json:
    system, code, display = PARTICIPANT_TYPE[stay.role]
    return {"coding": [{"system": system, "code": code, "display": display}]}


def moment(seconds: float) -> str:
    """A moment as FHIR writes it."""
    return instant(int(seconds * 1000))

"""What Tasks open: a consultation a patient's record to who accepted it, broken glass one record for an hour.

A consultation's Task opens only what the facility that wrote it owns, so that nobody can open for themselves what
belongs to others (FHIR R4, 12.1 Task). Tasks of broken glass are written by the server alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Json = Mapping[str, Any]
Key = tuple[str, str]

ACCEPTED = frozenset({"accepted", "in-progress", "on-hold"})
"""Statuses of a Task between its acceptance and its end."""

RUNNING = frozenset({"active", "on-hold"})
"""Statuses of a ServiceRequest that is not over."""

SYSTEM = "urn:nhipcau:access"
BREAK_GLASS = "break-glass"
SUBJECT = "subject"
MINUTES = 60

KEPT_BY_ADDRESSEES = ("identifier", "basedOn", "partOf", "focus", "for", "encounter", "requester", "code", "input",
                      "restriction", "owner", "intent")  # fmt: skip
"""What whoever a Task is addressed to leaves as it is: it decides what the Task opens, and for whom."""


@dataclass(frozen=True, slots=True)
class Grant:
    """A consultation under way: what `facility` owns of `patient`, and what is named, is open to `receivers`."""

    facility: str
    patient: str
    receivers: frozenset[str]
    named: frozenset[Key] = frozenset()
    until: float = float("inf")


@dataclass(frozen=True, slots=True)
class Glass:
    """A record opened in an emergency: to whom (a caller's subject), and from when until when in milliseconds."""

    patient: str
    subject: str
    start: float
    until: float


def focus_of(task: Json) -> Key | None:
    """The ServiceRequest that an accepted Task is about."""
    if task.get("status") not in ACCEPTED:
        return None
    named = [_key(task.get("focus")), *map(_key, _objects(task, "basedOn"))]
    return next((key for key in named if key is not None and key[0] == "ServiceRequest"), None)


def grant_from(
    task: Json, owners: Sequence[str], request: tuple[Json, Sequence[str]] | None, until: float
) -> Grant | None:
    """What a Task opens; None for one that opens nothing.

    `owners` are the facilities of the Task, its writer's first; `request` is the ServiceRequest that it is about, with
    those of it, and must be of the same facility and patient, and not over.
    """
    receiver, patient = task.get("owner"), _key(task.get("for"))
    if task.get("status") not in ACCEPTED or not owners or patient is None or patient[0] != "Patient":
        return None
    key = _key(receiver)
    if key is None or is_of_server(task):
        return None
    named = {each for item in _objects(task, "input") if (each := _key(item.get("valueReference"))) is not None}
    if focus_of(task) is not None:
        if request is None:
            return None
        body, facilities = request
        if body.get("status") not in RUNNING or _key(body.get("subject")) != patient or facilities[:1] != owners[:1]:
            return None
        named.update(each for item in _objects(body, "supportingInfo") if (each := _key(item)) is not None)
    return Grant(owners[0], patient[1], frozenset({"/".join(key)}), frozenset(named), until)


def glass_from(task: Json, start: float, until: float) -> Glass | None:
    """What a Task of broken glass opens; None for another, and for one that was taken back."""
    patient = _key(task.get("for"))
    if not is_of_server(task) or task.get("status") in ("cancelled", "rejected", "entered-in-error") or patient is None:
        return None
    for item in _objects(task, "input"):
        if SUBJECT in _codes(item.get("type")):
            return Glass(patient[1], str(item.get("valueString")), start, until)
    return None


def is_of_server(task: Json) -> bool:
    """Whether a Task has a code that only the server may give it."""
    return bool(_codes(task.get("code")))


def period_of(task: Json) -> tuple[str | None, str | None]:
    """The start and the end that a Task is restricted to."""
    restriction = task.get("restriction")
    period = restriction.get("period") if isinstance(restriction, Mapping) else None
    if not isinstance(period, Mapping):
        return None, None
    start, end = period.get("start"), period.get("end")
    return start if isinstance(start, str) else None, end if isinstance(end, str) else None


def _codes(concept: Any) -> set[str]:
    codings = concept.get("coding") if isinstance(concept, Mapping) else None
    listed = codings if isinstance(codings, list) else []
    return {str(c.get("code")) for c in listed if isinstance(c, Mapping) and c.get("system") == SYSTEM}


def _key(reference: Any) -> Key | None:
    text = reference.get("reference") if isinstance(reference, Mapping) else None
    kind, slash, identity = text.partition("/") if isinstance(text, str) else ("", "", "")
    return (kind, identity) if slash and "/" not in identity else None


def _objects(body: Json, name: str) -> Iterator[Json]:
    listed = body.get(name)
    yield from (each for each in listed if isinstance(each, Mapping)) if isinstance(listed, list) else ()

"""The Task by which a person learns that images wait for them, and what the images say of whose they are."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from dicom_bridge.imaging_study import identifier_of
from dicom_bridge.matching import Header, NoMatch
from dicom_bridge.study_note import Problem

SYSTEM = "urn:nhipcau:imaging"
RESOLVE = "resolve-study"
ACCESSION, PATIENT_ID = f"{SYSTEM}:accession", f"{SYSTEM}:patient-id"
URGENCY: dict[Problem, str] = {"unmatched": "urgent", "wrong-person": "stat", "two-patients": "stat"}


@dataclass(frozen=True, slots=True)
class Waiting:
    """A study that waits: the id of its Task, what it says, why it waits, and since when (an instant).

    `facility` is the id of the Organization that has to do something, empty where there is none.
    """

    task: str
    study: str
    facility: str
    header: Header
    reason: NoMatch
    since: str


def task_of(waiting: Waiting) -> dict[str, Any]:
    """Return the Task. It is for no patient, so that it opens nobody's record."""
    header, reason = waiting.header, waiting.reason
    body: dict[str, Any] = {
        "resourceType": "Task",
        "id": waiting.task,
        "identifier": list(_identifiers(waiting)),
        "status": "requested",
        "statusReason": {"coding": [{"system": SYSTEM, "code": reason.problem}], "text": reason.why},
        "intent": "order",
        "priority": URGENCY[reason.problem],
        "code": {"coding": [{"system": SYSTEM, "code": RESOLVE}], "text": "Say whose images these are"},
        "description": f"Images are shown to nobody until a person says whose they are. {reason.why}",
        "authoredOn": waiting.since,
        "lastModified": waiting.since,
        "input": [
            *(_text(name, value) for name, value in _said(header) if value),
            *(_text(f"{each.what}-differs", f"{each.image} / {each.record}") for each in reason.differences),
            *(_input("candidate", valueReference={"reference": f"Patient/{each}"}) for each in reason.patients),
        ],
    }
    if waiting.facility:
        body["owner"] = {"reference": f"Organization/{waiting.facility}"}
    if not body["input"]:
        del body["input"]
    return body


def ended(task: dict[str, Any], status: str, at: str, **outputs: str) -> dict[str, Any]:
    """Return a Task that came to its end, with references to what came of it."""
    made = [_input(name, valueReference={"reference": reference}) for name, reference in outputs.items()]
    body = {**task, "status": status, "lastModified": at}
    body.pop("output", None)
    return {**body, "output": made} if made else body


def is_waiting(task: dict[str, Any]) -> bool:
    """Whether a Task is still to be done."""
    return task.get("status") not in ("completed", "cancelled", "rejected", "failed", "entered-in-error")


def study_of(task: dict[str, Any]) -> str:
    """Return the StudyInstanceUID that a Task is about; empty for another Task."""
    codes = {(each.get("system"), each.get("code")) for each in task.get("code", {}).get("coding", ())}
    if (SYSTEM, RESOLVE) not in codes:
        return ""
    found = (each.get("value", "") for each in task.get("identifier", ()) if each.get("system") == "urn:dicom:uid")
    return str(next(found, "")).removeprefix("urn:oid:")


def _identifiers(waiting: Waiting) -> Iterator[dict[str, str]]:
    yield identifier_of(waiting.study)
    yield from ({"system": ACCESSION, "value": each} for each in waiting.header.orders)
    numbers = dict.fromkeys((waiting.header.patient_id, *waiting.header.others))
    yield from ({"system": PATIENT_ID, "value": each} for each in numbers if each)


def _said(header: Header) -> Iterator[tuple[str, str]]:
    yield "name", header.said
    yield "birthDate", header.birth_date
    yield "gender", header.sex
    yield "patient-id", header.patient_id
    yield "issuer", header.issuer
    yield "accession", header.accession


def _text(name: str, value: str) -> dict[str, Any]:
    return _input(name, valueString=value)


def _input(name: str, **value: Any) -> dict[str, Any]:
    return {"type": {"coding": [{"system": SYSTEM, "code": name}]}, **value}

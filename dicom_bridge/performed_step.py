"""What a modality tells of a step that it performs (MPPS, PS3.4, F.7), as changes of a Task. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from dicom_bridge.dicom_json import Json, text_of
from dicom_bridge.worklist import UID_SYSTEM, Order

STATES: Mapping[str, str] = {"IN PROGRESS": "in-progress", "COMPLETED": "completed", "DISCONTINUED": "failed"}
FINAL = frozenset({"completed", "failed"})


@dataclass(frozen=True, slots=True)
class Told:
    """What one message says: the state (empty: nothing new), the order that it is about, times, words."""

    state: str
    study: str = ""
    step: str = ""
    began: str = ""
    ended: str = ""
    description: str = ""
    reason: str = ""


def told(message: Json, zone: ZoneInfo) -> Told:
    """Return what the data set of an N-CREATE or N-SET says (PS3.4, table F.7.2-1)."""
    (scheduled, *_) = message.get("00400270", {}).get("Value", None) or [{}]
    (reason, *_) = message.get("00400281", {}).get("Value", None) or [{}]
    return Told(
        STATES.get(text_of(message, "00400252"), ""),
        text_of(scheduled, "0020000D"),
        text_of(scheduled, "00400009"),
        moment(message, "00400244", "00400245", zone),
        moment(message, "00400250", "00400251", zone),
        text_of(message, "00400254"),
        text_of(reason, "00080104"),
    )


def moment(message: Json, date: str, time: str, zone: ZoneInfo) -> str:
    """Return a date and time of a message as an instant with an offset; empty where it is none."""
    text = text_of(message, date) + (text_of(message, time).partition(".")[0] + "000000")[:6]
    try:
        return datetime.strptime(text, "%Y%m%d%H%M%S").replace(tzinfo=zone).isoformat()
    except ValueError:
        return ""


def identifier(uid: str) -> dict[str, str]:
    """Return the identifier of a performed step."""
    return {"system": UID_SYSTEM, "value": f"urn:oid:{uid}"}


def begun(task: Mapping[str, Any] | None, order: Order | None, uid: str, what: Told) -> dict[str, Any]:
    """Return the Task of a step that begins: the scheduled one, or one of its own where nothing was scheduled."""
    body: dict[str, Any] = dict(task or {"resourceType": "Task", "intent": "order"})
    if order is not None and task is None:
        body["focus"] = {"reference": f"ServiceRequest/{order.request['id']}"}
        body["for"] = order.request["subject"]
    if what.description:
        body.setdefault("description", what.description)
    body["identifier"] = [*body.get("identifier", ()), identifier(uid)]
    return changed(body, what)


def changed(task: Mapping[str, Any], what: Told) -> dict[str, Any]:
    """Return a Task with what is told of its step."""
    body = dict(task)
    if what.state:
        body["status"] = what.state
    period = {**body.get("executionPeriod", {})}
    if what.began:
        period["start"] = what.began
    if what.ended:
        period["end"] = what.ended
    if period:
        body["executionPeriod"] = period
    if what.state == "failed" and what.reason:
        body["statusReason"] = {"text": what.reason}
    return body

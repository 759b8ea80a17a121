"""Breaking the glass: a record opened to one person for an hour, with a reason, a review and a notice.

What it makes is written in one commit: a Task, which opens the record while its period lasts and asks the facility that
keeps the record to review it, and a Communication that tells the patient.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from fhir_server.access.caller import Caller
from fhir_server.access.grant import BREAK_GLASS, MINUTES, SUBJECT, SYSTEM
from fhir_server.access.role import BY_CODE
from fhir_server.errors import Forbidden
from fhir_server.repository.sent import Sent
from fhir_server.repository.write import Write
from fhir_server.resource.instant import instant

REASONS = "http://terminology.hl7.org/CodeSystem/v3-ActReason"
HOURS_TO_REVIEW = 48
MILLISECONDS_A_MINUTE = 60_000


def refuse_without_right(caller: Caller, opened: frozenset[str], patient: str) -> None:
    """Raise Forbidden for who may not break glass, or has another record open."""
    if not any(BY_CODE[role].breaks_glass for role in caller.roles if role in BY_CODE):
        raise Forbidden("Your role does not open records in an emergency.")
    if opened - {patient}:
        raise Forbidden("Another record is open to you in an emergency: one at a time.")


def writes(caller: Caller, patient: str, keeper: str | None, reason: str, text: str, at: int) -> list[Write]:
    """The Task and the notice; `keeper` is the facility that keeps the record, `at` is in milliseconds."""
    who = {"identifier": {"value": caller.subject}, "display": caller.fhir_user or caller.subject}
    now, until = instant(at), instant(at + MINUTES * MILLISECONDS_A_MINUTE)
    review = instant(at + HOURS_TO_REVIEW * 60 * MILLISECONDS_A_MINUTE)
    why = {"coding": [{"system": REASONS, "code": reason}], "text": text}
    task: dict[str, Any] = {
        "resourceType": "Task",
        "status": "requested",
        "intent": "order",
        "priority": "urgent",
        "code": coded(BREAK_GLASS),
        "description": f"Review that a record was opened in an emergency, before {review}",
        "for": {"reference": f"Patient/{patient}"},
        "authoredOn": now,
        "lastModified": now,
        "requester": who,
        "reasonCode": why,
        "restriction": {"period": {"start": now, "end": until}},
        "input": [{"type": coded(SUBJECT), "valueString": caller.subject}],
    }
    notice: dict[str, Any] = {
        "resourceType": "Communication",
        "status": "completed",
        "priority": "urgent",
        "subject": {"reference": f"Patient/{patient}"},
        "recipient": [{"reference": f"Patient/{patient}"}],
        "sent": now,
        "sender": who,
        "reasonCode": [why],
        "payload": [{"contentString": f"Your record was opened in an emergency: {text}"}],
    }
    if keeper is not None:
        organization = {"reference": f"Organization/{keeper}"}
        task["owner"] = organization
        notice["recipient"].append(organization)
    return [writing(task), writing(notice)]


def coded(code: str) -> dict[str, Any]:
    """A concept that only the server gives."""
    return {"coding": [{"system": SYSTEM, "code": code}]}


def writing(body: Mapping[str, Any]) -> Write:
    """The creation of a resource."""
    raw = orjson.dumps(body)
    return Write("POST", body["resourceType"], sent=Sent(orjson.loads(raw), raw, members_counted=True))

"""What people leave of a session as resources: chat, files, what they thought of it, what they drew (FHIR R4)."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from fhir_server.errors import Invalid, TooLarge
from fhir_server.rest.failure import UnknownMediaType
from telesession.room import Participant

Json = dict[str, Any]

CATEGORY = "urn:nhipcau:CodeSystem:session-communication"
DOCUMENT = "urn:nhipcau:CodeSystem:session-document"
SURVEY = "urn:nhipcau:Questionnaire:session-survey"
SENDERS = ("Practitioner/", "PractitionerRole/", "Patient/", "RelatedPerson/")
LONGEST_MESSAGE = 4000
LARGEST_FILE = 20_000_000
ISSUES = (
    "no-sound", "echo", "low-volume", "noise", "freezes", "blurred", "no-picture", "out-of-sync", "could-not-join",
    "ended-unexpectedly", "had-to-rejoin", "long-wait",
)  # fmt: skip
"""What can have gone wrong, as call surveys ask."""


def is_text(data: bytes) -> bool:
    """Whether these bytes are text."""
    try:
        return "\x00" not in data.decode()
    except UnicodeDecodeError:
        return False


SIGNATURES: Mapping[str, Callable[[bytes], bool]] = {
    "application/pdf": lambda data: data.startswith(b"%PDF-"),
    "image/png": lambda data: data.startswith(b"\x89PNG\r\n\x1a\n"),
    "image/jpeg": lambda data: data.startswith(b"\xff\xd8\xff"),
    "image/webp": lambda data: data.startswith(b"RIFF") and data[8:12] == b"WEBP",
    "text/plain": is_text,
    "application/dicom": lambda data: data[128:132] == b"DICM",
    "audio/ogg": lambda data: data.startswith(b"OggS"),
}
"""The kinds of files that are taken, and how each begins: what a browser could run is none of them."""


def media_type_of(header: str | None) -> str:
    """The type of a file that is taken; raise UnknownMediaType for others."""
    name = (header or "").partition(";")[0].strip().lower()
    if name not in SIGNATURES:
        raise UnknownMediaType(f"Files of a session are of the types {', '.join(SIGNATURES)}, not {name[:60]!r}.")
    return name


def check_file(media_type: str, data: bytes) -> None:
    """Raise UnknownMediaType where a file is not what it says it is, Invalid for an empty one."""
    if not data:
        raise Invalid("The file is empty.")
    if not SIGNATURES[media_type](data):
        raise UnknownMediaType(f"This is no {media_type}.")


def text_in(body: Mapping[str, Any]) -> str:
    """The text of a message; raise Invalid for none, TooLarge."""
    text = body.get("text")
    if not isinstance(text, str) or not text.strip() or "\x00" in text:
        raise Invalid("text must be what the message says.", expression=("text",))
    if len(text) > LONGEST_MESSAGE:
        raise TooLarge(f"A message is at most {LONGEST_MESSAGE:,} characters long.", expression=("text",))
    return text


def communication(encounter: Mapping[str, Any], sender: Participant, payload: Json, at: str) -> Json:
    """A message of somebody in a session."""
    return {
        "resourceType": "Communication",
        "status": "completed",
        "category": [coded(CATEGORY, "chat" if "contentString" in payload else "file")],
        **_subject(encounter),
        "encounter": {"reference": f"Encounter/{encounter['id']}"},
        "sent": at,
        "sender": who(sender),
        "payload": [payload],
    }


def binary(encounter: Mapping[str, Any], media_type: str, data: bytes) -> Json:
    """A file; it is seen by who sees the patient's record."""
    body: Json = {"resourceType": "Binary", "contentType": media_type, "data": b64encode(data).decode()}
    subject = (encounter.get("subject") or {}).get("reference")
    if subject:
        body["securityContext"] = {"reference": subject}
    return body


def document(encounter: Mapping[str, Any], author: Participant | None, code: str, attachment: Json, at: str) -> Json:
    """What says of a file what it is."""
    body: Json = {
        "resourceType": "DocumentReference",
        "status": "current",
        "type": coded(DOCUMENT, code),
        **_subject(encounter),
        "date": at,
        "content": [{"attachment": attachment}],
        "context": {"encounter": [{"reference": f"Encounter/{encounter['id']}"}]},
    }
    if author is not None:
        body["author"] = [who(author)]
    return body


def survey(encounter: Mapping[str, Any], author: Participant, answers: Mapping[str, Any], at: str) -> Json:
    """What somebody thought of a session; raise Invalid for answers that are none."""
    rating, issues, text = answers.get("rating"), answers.get("issues", []), answers.get("text", "")
    if isinstance(rating, bool) or not isinstance(rating, int) or not 1 <= rating <= 5:
        raise Invalid("rating must be 1 to 5.", expression=("rating",))
    if not isinstance(issues, list) or not all(each in ISSUES for each in issues):
        raise Invalid(f"issues must be some of: {', '.join(ISSUES)}.", expression=("issues",))
    if not isinstance(text, str) or len(text) > LONGEST_MESSAGE:
        raise Invalid(f"text must be a string of at most {LONGEST_MESSAGE:,} characters.", expression=("text",))
    items: list[Json] = [{"linkId": "rating", "answer": [{"valueInteger": rating}]}]
    if issues:
        items.append({"linkId": "issues", "answer": [{"valueString": each} for each in dict.fromkeys(issues)]})
    if text.strip():
        items.append({"linkId": "text", "answer": [{"valueString": text}]})
    named = author.person.reference
    return {
        "resourceType": "QuestionnaireResponse",
        "questionnaire": SURVEY,
        "status": "completed",
        **_subject(encounter),
        "encounter": {"reference": f"Encounter/{encounter['id']}"},
        "authored": at,
        **({"source": {"reference": named}} if named.startswith(SENDERS) else {}),
        "item": items,
    }


def message_json(body: Mapping[str, Any]) -> Json:
    """A message as viewers are told it."""
    payload: Sequence[Mapping[str, Any]] = body.get("payload") or ({},)
    sender = body.get("sender") or {}
    attachment = payload[0].get("contentReference") or {}
    return {
        "id": body["id"],
        "sent": body.get("sent"),
        "name": sender.get("display"),
        "text": payload[0].get("contentString"),
        "document": attachment.get("reference"),
        "title": attachment.get("display"),
    }


def who(participant: Participant) -> Json:
    """A participant as a Reference; a guest, of whom there is no resource, by name."""
    named = participant.person.reference
    found: Json = {"reference": named} if named.startswith(SENDERS) else {}
    return {**found, "display": participant.person.name}


def coded(system: str, code: str) -> Json:
    """A CodeableConcept of one code."""
    return {"coding": [{"system": system, "code": code}]}


def _subject(encounter: Mapping[str, Any]) -> Json:
    subject = (encounter.get("subject") or {}).get("reference")
    return {"subject": {"reference": subject}} if subject else {}

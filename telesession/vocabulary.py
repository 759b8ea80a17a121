"""The words of consultations in FHIR resources: code systems, extensions, and the elements made of them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

Json = dict[str, Any]
Body = Mapping[str, Any]

ACTIVITY = "urn:nhipcau:CodeSystem:tele-activity"
"""The six activities of Circular 49/2017/TT-BYT: a category of the ServiceRequest; that makes it a consultation."""
MODE = "urn:nhipcau:CodeSystem:tele-mode"
"""The four legal modes (Law 15/2023/QH15, article 80; Decree 96/2023/ND-CP): another category."""
STATE = "urn:nhipcau:CodeSystem:consultation-state"
ROLE = "urn:nhipcau:CodeSystem:consultation-role"
TASK = "urn:nhipcau:CodeSystem:consultation-task"
NOTICE = "urn:nhipcau:CodeSystem:consultation-notice"
VISIT_TYPE = "urn:nhipcau:CodeSystem:ma-loai-kcb"
"""Kinds of visit (Decision 1804/QD-BYT): 14 is remote care."""
REMOTE_CARE = "14"

ACT = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
VIRTUAL = "VR"
PARTICIPATION = "http://terminology.hl7.org/CodeSystem/v3-ParticipationType"
PARTICIPATION_OF = {"chair": "PPRF", "expert": "CON", "presenter": "REF", "secretary": "ATND"}

MESSAGE = "urn:nhipcau:StructureDefinition:consultation-message"
ANNOUNCED = "urn:nhipcau:StructureDefinition:start-announced"
HOLD = "urn:nhipcau:StructureDefinition:held-until"
SENT = "urn:nhipcau:StructureDefinition:sent-to-node"
RING = "urn:nhipcau:StructureDefinition:on-call-ring"
VIRTUAL_SERVICE = "http://hl7.org/fhir/5.0/StructureDefinition/extension-Appointment.virtualService"
SERIES = "urn:nhipcau:session-series"
"""The system of the identifier that the Appointments of one series have."""
JOINING = "urn:nhipcau:CodeSystem:joining-state"
STEP = "urn:nhipcau:StructureDefinition:joining-step"
SURVEY_OF_SITES = "urn:nhipcau:Questionnaire:site-survey"
CHANNEL = "urn:nhipcau:CodeSystem:tele-channel"

EMERGENCY = frozenset({"asap", "stat"})
PEOPLE = frozenset({"Practitioner", "PractitionerRole", "RelatedPerson"})


def concept(system: str, code: str) -> Json:
    """A CodeableConcept of one code."""
    return {"coding": [{"system": system, "code": code}]}


def reference(path: str) -> Json:
    """A Reference to a resource here."""
    return {"reference": path}


def objects(body: Body, name: str) -> Iterator[Json]:
    """The objects in a list of a resource, whatever it was sent as."""
    listed = body.get(name)
    yield from (each for each in listed if isinstance(each, dict)) if isinstance(listed, list) else ()


def path_of(value: Any) -> str:
    """Where a Reference leads; empty where it leads nowhere here."""
    text = value.get("reference") if isinstance(value, Mapping) else None
    return text if isinstance(text, str) else ""


def codes(value: Any, system: str) -> Iterator[str]:
    """The codes of a system in a CodeableConcept, or in a list of them."""
    for each in value if isinstance(value, list) else [value]:
        for coding in objects(each, "coding") if isinstance(each, Mapping) else ():
            if coding.get("system") == system:
                yield str(coding.get("code"))


def code(value: Any, system: str) -> str | None:
    """The first code of a system."""
    return next(codes(value, system), None)


def extensions(body: Body, url: str) -> Iterator[Json]:
    """The extensions with a URL."""
    yield from (each for each in objects(body, "extension") if each.get("url") == url)


def extended(body: Json, more: Sequence[Json], *, instead_of: str | Collection[str] = ()) -> None:
    """Give a resource further extensions, in the place of those with one of some URLs."""
    gone = (instead_of,) if isinstance(instead_of, str) else instead_of
    kept = [each for each in objects(body, "extension") if each.get("url") not in gone]
    listed = [*kept, *more]
    if listed:
        body["extension"] = listed
    else:
        body.pop("extension", None)


def virtual_service(url: str) -> Json:
    """The extension that says where a meeting is, with no secret in it (R5 Appointment.virtualService, in R4)."""
    return {
        "url": VIRTUAL_SERVICE,
        "extension": [
            {"url": "_datatype", "valueString": "VirtualServiceDetail"},
            {"url": "channelType", "valueCoding": {"system": CHANNEL, "code": "webrtc-whip"}},
            {"url": "additionalInfo", "valueUrl": url},
        ],
    }

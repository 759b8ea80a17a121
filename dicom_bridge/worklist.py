"""Orders as entries of the modality worklist, and what a modality asks for among them (PS3.4, K.6.1).

An entry is DICOM JSON, made of an imaging order (ServiceRequest), its scheduled step (Task) and its patient, as the
HL7 guide of imaging orders maps them. Nothing is read or written here.
"""

from __future__ import annotations

import unicodedata
from base64 import b32encode
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha1
from typing import Any
from uuid import UUID, uuid5
from zoneinfo import ZoneInfo

from dicom_bridge.dicom_json import Json
from dicom_bridge.matching_key import matches

IMAGING = "363679005"
SNOMED = "http://snomed.info/sct"
DCM = "http://dicom.nema.org/resources/ontology/DCM"
UID_SYSTEM = "urn:dicom:uid"
MODALITY = "121139"
STATION = "110119"
SHORT = 16
LONG = 64
WAITING = frozenset({"requested", "received", "accepted", "ready"})
"""States of a Task whose step is still to be done."""

STEPS = "00400100"
STUDY_UID = "0020000D"
PRIORITIES = {"stat": "STAT", "asap": "HIGH", "urgent": "HIGH", "routine": "ROUTINE"}
SEXES = {"male": "M", "female": "F", "other": "O"}
SCHEMES = {DCM: "DCM", SNOMED: "SCT", "http://loinc.org": "LN"}
LOCAL_SCHEME = "99LOCAL"
CODECS: Mapping[str, str] = {"ISO_IR 192": "utf-8", "ISO_IR 100": "latin-1", "ISO_IR 6": "ascii"}
"""Character sets that answers are written in (PS3.3, C.12.1.1.2)."""
MARKED = str.maketrans({"đ": "d", "Đ": "D"})


@dataclass(frozen=True, slots=True)
class Order:
    """An imaging order as resources: the ServiceRequest, its patient, the Task of the step where there is one.

    `namespace` is what this server's UIDs are made in, and `zone` that of the hospital.
    """

    request: Mapping[str, Any]
    patient: Mapping[str, Any]
    task: Mapping[str, Any] | None
    namespace: str
    zone: ZoneInfo


def is_imaging(request: Mapping[str, Any]) -> bool:
    """Whether a ServiceRequest orders imaging: its category says so."""
    return any(
        coding.get("code") == IMAGING and coding.get("system") == SNOMED
        for category in request.get("category", ())
        for coding in category.get("coding", ())
    )


def study_uid(request: Mapping[str, Any], namespace: str) -> str:
    """Return the UID of an order's study: the one that it names, or one made of its id (PS3.5, B.2)."""
    for identifier in request.get("identifier", ()):
        if identifier.get("system") == UID_SYSTEM and str(identifier.get("value", "")).startswith("urn:oid:"):
            return str(identifier["value"]).removeprefix("urn:oid:")
    return f"2.25.{uuid5(UUID(namespace), request['id']).int}"


def accession_of(request: Mapping[str, Any]) -> str:
    """Return the accession number of an order; empty where it has none."""
    return _typed(request, "ACSN")


def short_id(text: str) -> str:
    """Return an id that fits a short string of DICOM: the same for the same, and another for another."""
    return text if len(text) <= SHORT else b32encode(sha1(text.encode()).digest()).decode()[:SHORT]  # noqa: S324


def is_scheduled(order: Order) -> bool:
    """Whether an order is to be done: it is active, and its step not begun."""
    return order.request.get("status") == "active" and (order.task is None or order.task.get("status") in WAITING)


def entry_of(order: Order) -> Json:
    """Return the worklist entry of an order (PS3.4, table K.6-1)."""
    request, patient = order.request, order.patient
    return {
        "00080050": _element("SH", accession_of(request)[:SHORT]),
        "00080090": _name(request.get("requester", {}).get("display", "")),
        "00100010": _name(name_of(patient)),
        "00100020": _element("LO", patient_number(patient)[0][:LONG]),
        "00100021": _element("LO", patient_number(patient)[1][:LONG]),
        "00100030": _element("DA", str(patient.get("birthDate", "")).replace("-", "") if _is_day(patient) else ""),
        "00100040": _element("CS", SEXES.get(patient.get("gender", ""), "")),
        STUDY_UID: _element("UI", study_uid(request, order.namespace)),
        "00321032": _name(request.get("requester", {}).get("display", "")),
        "00321060": _element("LO", words_of(request.get("code", {}))[:LONG]),
        "00321064": _codes(request.get("code", {})),
        "00401001": _element("SH", short_id(_typed(request, "FILL") or _typed(request, "PLAC") or request["id"])),
        "00401003": _element("SH", PRIORITIES.get(request.get("priority", "routine"), "ROUTINE")),
        "00402016": _element("LO", _typed(request, "PLAC")[:LONG]),
        "00402017": _element("LO", _typed(request, "FILL")[:LONG]),
        STEPS: {"vr": "SQ", "Value": [_step(order)]},
    }


def step_id(order: Order) -> str:
    """Return the id of an order's scheduled step."""
    return short_id((order.task or order.request)["id"])


def _step(order: Order) -> Json:
    task = order.task or {}
    began = start_of(order)
    code = task.get("code") or order.request.get("code", {})
    return {
        "00080060": _element("CS", modality_of(order)[:SHORT]),
        "00400001": _element("AE", _input(task, STATION)[:SHORT]),
        "00400002": _element("DA", began.strftime("%Y%m%d")),
        "00400003": _element("TM", began.strftime("%H%M%S")),
        "00400006": _name(task.get("owner", {}).get("display", "")),
        "00400007": _element("LO", (task.get("description") or words_of(code))[:LONG]),
        "00400008": _codes(code),
        "00400009": _element("SH", step_id(order)),
        "00400020": _element("CS", "SCHEDULED"),
    }


def modality_of(order: Order) -> str:
    """Return the modality that an order is for: of the step's input, or the order's code or details."""
    concepts = [order.request.get("code", {}), *order.request.get("orderDetail", ())]
    codings = [coding for concept in concepts for coding in concept.get("coding", ())]
    found = (coding.get("code", "") for coding in codings if coding.get("system") == DCM)
    return _input(order.task or {}, MODALITY) or next(found, "")


def start_of(order: Order) -> datetime:
    """Return when a step is to begin, in the zone of the hospital."""
    task, request = order.task or {}, order.request
    told = (
        task.get("restriction", {}).get("period", {}).get("start"),
        task.get("executionPeriod", {}).get("start"),
        request.get("occurrenceDateTime"),
        request.get("occurrencePeriod", {}).get("start"),
        request.get("authoredOn"),
    )
    for text in filter(None, told):
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            continue
        return moment.astimezone(order.zone) if moment.tzinfo else moment.replace(tzinfo=order.zone)
    return datetime.fromtimestamp(0, order.zone)


def name_of(person: Mapping[str, Any]) -> str:
    """Return a person's name in the parts of DICOM: family, and all given names together, as Vietnamese has them."""
    names: Sequence[Mapping[str, Any]] = person.get("name", ())
    for name in sorted(names, key=lambda each: each.get("use") != "official"):
        if name.get("family"):
            return f"{name['family']}^{' '.join(name.get('given', ()))}".rstrip("^")
        if name.get("text"):
            return str(name["text"])
    return ""


def patient_number(patient: Mapping[str, Any]) -> tuple[str, str]:
    """Return a patient's number and who issued it: the medical record's, or the first that there is."""
    identifiers = sorted(patient.get("identifier", ()), key=lambda each: "MR" not in _type_codes(each))
    for each in identifiers:
        if each.get("value"):
            return str(each["value"]), str(each.get("assigner", {}).get("display") or each.get("system", ""))
    return str(patient.get("id", "")), ""


def words_of(concept: Mapping[str, Any]) -> str:
    """Return what a concept is called."""
    displays = (coding["display"] for coding in concept.get("coding", ()) if coding.get("display"))
    return str(concept.get("text") or next(displays, ""))


def _is_day(patient: Mapping[str, Any]) -> bool:
    return len(str(patient.get("birthDate", ""))) == len("2026-11-23")


def _typed(resource: Mapping[str, Any], code: str) -> str:
    found = (each.get("value", "") for each in resource.get("identifier", ()) if code in _type_codes(each))
    return str(next(found, ""))


def _type_codes(identifier: Mapping[str, Any]) -> list[str]:
    return [coding.get("code", "") for coding in identifier.get("type", {}).get("coding", ())]


def _input(task: Mapping[str, Any], code: str) -> str:
    for each in task.get("input", ()):
        if any(coding.get("code") == code for coding in each.get("type", {}).get("coding", ())):
            codings = each.get("valueCodeableConcept", {}).get("coding", ()) or [each.get("valueCoding", {})]
            return str(each.get("valueString") or each.get("valueCode") or codings[0].get("code", ""))
    return ""


def _element(vr: str, value: str) -> Json:
    return {"vr": vr, "Value": [value]} if value else {"vr": vr}


def _name(text: str) -> Json:
    return {"vr": "PN", "Value": [{"Alphabetic": text[:LONG]}]} if text else {"vr": "PN"}


def _codes(concept: Mapping[str, Any]) -> Json:
    items = [
        {
            "00080100": _element("SH", coding["code"]),
            "00080102": _element("SH", SCHEMES.get(coding.get("system", ""), LOCAL_SCHEME)),
            "00080104": _element("LO", (coding.get("display") or words_of(concept) or coding["code"])[:LONG]),
        }
        for coding in concept.get("coding", ())
        if 0 < len(coding.get("code", "")) <= SHORT
    ]
    return {"vr": "SQ", "Value": items} if items else {"vr": "SQ"}


def answers(entries: Sequence[Json], asked: Json) -> Iterator[Json]:
    """Yield what is asked for of each entry that matches."""
    for entry in entries:
        if matches(entry, asked):
            yield answer(entry, asked)


def answer(entry: Json, asked: Json) -> Json:
    """Return an entry with the attributes that are asked for, empty ones for those that are not known."""
    found: Json = {}
    for tag, key in asked.items():
        known = entry.get(tag, {"vr": key["vr"]})
        items = key.get("Value", ())
        if known["vr"] == "SQ" and items and isinstance(items[0], dict) and items[0]:
            known = {"vr": "SQ", "Value": [answer(item, items[0]) for item in known.get("Value", ())]}
        found[tag] = known
    return found


def written_in(entry: Json, character_set: str) -> Json:
    """Return an entry in a character set: what it has no letters for is written without accents, nothing is lost."""
    codec = CODECS[character_set]
    return {
        tag: {**element, "Value": [_written(value, codec) for value in element["Value"]]}
        if "Value" in element
        else element
        for tag, element in entry.items()
    }


def _written(value: Any, codec: str) -> Any:
    if isinstance(value, str):
        return fitting(value, codec)
    if isinstance(value, dict):
        fit: Callable[[Any], Any] = lambda inner: _written(inner, codec)  # noqa: E731 -- the same for each member
        return {
            name: {**inner, "Value": [fit(each) for each in inner["Value"]]}
            if isinstance(inner, dict) and "Value" in inner
            else fit(inner)
            for name, inner in value.items()
        }
    return value


def fitting(text: str, codec: str) -> str:
    """Return a text that a codec can write: as it is, else without accents, else with question marks for the rest."""
    text = unicodedata.normalize("NFC", text)
    try:
        text.encode(codec)
    except UnicodeEncodeError:
        bare = unicodedata.normalize("NFD", text.translate(MARKED))
        plain = "".join(letter for letter in bare if not unicodedata.combining(letter))
        return plain.encode(codec, "replace").decode(codec)
    return text

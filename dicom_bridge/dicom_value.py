"""Values of DICOM JSON as those of FHIR: text, numbers, moments, names, codes. What cannot be one is left out."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

Json = Mapping[str, Any]
DCM = "http://dicom.nema.org/resources/ontology/DCM"
SNOMED = "http://snomed.info/sct"
LARGEST_NUMBER = 2_147_483_647

SCHEMES: Mapping[str, str] = {
    "DCM": DCM,
    "SCT": SNOMED,
    "LN": "http://loinc.org",
    "UCUM": "http://unitsofmeasure.org",
    "RADLEX": "http://radlex.org",
    "I10": "http://hl7.org/fhir/sid/icd-10",
    "ICD10": "http://hl7.org/fhir/sid/icd-10",
    "I11": "http://id.who.int/icd/release/11/mms",
    "FMA": "http://purl.org/sig/ont/fma",
}
"""The URIs of coding schemes (PS3.16, 8); a code of another scheme keeps its words alone."""

ANATOMY: Mapping[str, tuple[str, str]] = {
    "ABDOMEN": ("818983003", "Abdomen"),
    "ABDOMENPELVIS": ("818982008", "Abdomen and pelvis"),
    "ANKLE": ("70258002", "Ankle joint"),
    "ARM": ("40983000", "Upper arm"),
    "BRAIN": ("12738006", "Brain"),
    "BREAST": ("76752008", "Breast"),
    "CHEST": ("816094009", "Chest"),
    "CSPINE": ("122494005", "Cervical spine"),
    "ELBOW": ("16953009", "Elbow joint"),
    "EYE": ("81745001", "Eye"),
    "FEMUR": ("71341001", "Femur"),
    "FOOT": ("56459004", "Foot"),
    "HAND": ("85562004", "Hand"),
    "HEAD": ("69536005", "Head"),
    "HEART": ("80891009", "Heart"),
    "HIP": ("24136001", "Hip joint"),
    "KIDNEY": ("64033007", "Kidney"),
    "KNEE": ("72696002", "Knee"),
    "LIVER": ("10200004", "Liver"),
    "LSPINE": ("122496007", "Lumbar spine"),
    "NECK": ("45048000", "Neck"),
    "PELVIS": ("816092008", "Pelvis"),
    "SHOULDER": ("16982005", "Shoulder"),
    "SKULL": ("89546000", "Skull"),
    "SPINE": ("421060004", "Spine"),
    "THYROID": ("69748006", "Thyroid"),
    "TSPINE": ("122495006", "Thoracic spine"),
    "WHOLEBODY": ("38266002", "Entire body"),
    "WRIST": ("74670003", "Wrist joint"),
}
"""Body parts as they are examined most (PS3.16, Annex L)."""

SIDES: Mapping[str, tuple[str, str]] = {
    "L": ("7771000", "Left"),
    "R": ("24028007", "Right"),
    "B": ("51440002", "Right and left"),
}

UNSEEN = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]+")
IS_DATE = re.compile(r"(\d{4})\.?(\d{2})\.?(\d{2})").fullmatch
IS_TIME = re.compile(r"(\d{2}):?(\d{2})(?::?(\d{2})(\.\d{1,6})?)?").fullmatch
IS_OFFSET = re.compile(r"([+-])(\d{2})(\d{2})").fullmatch
LARGEST_OFFSET = timedelta(hours=14)


def clean(value: object) -> str:
    """Return text as FHIR has strings: nothing unseen in it, no blanks around it, none twice (FHIR R4, 2.24.0.1)."""
    return " ".join(UNSEEN.sub(" ", value).split()) if isinstance(value, str) else ""


def values_of(data_set: Json, tag: str) -> list[Any]:
    """Return the values of an element; none where it is not there."""
    element = data_set.get(tag)
    found = element.get("Value") if isinstance(element, Mapping) else None
    return found if isinstance(found, list) else []


def text_of(data_set: Json, tag: str) -> str:
    """Return the first value of an element as text; empty where there is none."""
    for value in values_of(data_set, tag):
        return clean(str(value) if isinstance(value, int | float) else value)
    return ""


def number_of(data_set: Json, tag: str) -> int | None:
    """Return the first value as a number that FHIR's unsignedInt has: 7, and "7.0", but nothing else."""
    for value in values_of(data_set, tag):
        try:
            number = float(value)
        except (TypeError, ValueError, OverflowError):
            return None
        return int(number) if 0 <= number <= LARGEST_NUMBER and number == int(number) else None
    return None


def items_of(data_set: Json, tag: str) -> list[Json]:
    """Return the items of a sequence."""
    return [each for each in values_of(data_set, tag) if isinstance(each, Mapping)]


def names_of(data_set: Json, tag: str) -> list[str]:
    """Return the names of people as they are spoken in Viet Nam: family, middle, given."""
    found = []
    for value in values_of(data_set, tag):
        groups = value if isinstance(value, Mapping) else {}
        for group in ("Alphabetic", "Ideographic", "Phonetic"):
            if name := spoken(groups.get(group)):
                found.append(name)
                break
    return found


def spoken(name: object) -> str:
    """Return a name of five parts (family, given, middle, prefix, suffix) as people say it (PS3.5, 6.2.1)."""
    parts = [*(clean(part) for part in str(name or "").split("^")), "", "", "", "", ""]
    family, given, middle, prefix, suffix = parts[:5]
    return " ".join(part for part in (prefix, family, middle, given, suffix) if part)


def date_of(data_set: Json, tag: str) -> str | None:
    """Return a date as FHIR has it; None for what is none."""
    found = IS_DATE(text_of(data_set, tag))
    if found is None:
        return None
    try:
        return datetime(*map(int, found.groups())).date().isoformat()  # type: ignore[arg-type] # noqa: DTZ001 -- a day
    except ValueError:
        return None


def moment_of(data_set: Json, date: str, time: str, zone: ZoneInfo) -> str | None:
    """Return a date with its time, at the offset that the data set says, else that of a zone; without a time, the date.

    A time that is wrong, or of hours alone, is none.
    """
    day = date_of(data_set, date)
    found = IS_TIME(text_of(data_set, time))
    if day is None or found is None:
        return day
    hours, minutes, seconds, fraction = found.groups()
    try:
        local = datetime.fromisoformat(f"{day}T{hours}:{minutes}:{seconds or '00'}")
        said = offset_of(data_set)
        offset = zone.utcoffset(local) if said is None else said
    except (ValueError, OverflowError):
        return day
    if offset is None:
        return day
    sign, rest = ("-", -offset) if offset < timedelta(0) else ("+", offset)
    shown = f"{sign}{rest.seconds // 3600:02}:{rest.seconds // 60 % 60:02}"
    return f"{local.isoformat()}{fraction or ''}{shown}"


def offset_of(data_set: Json) -> timedelta | None:
    """Return the offset from UTC that a data set says (0008,0201); None where it says none."""
    found = IS_OFFSET(text_of(data_set, "00080201"))
    if found is None:
        return None
    sign, hours, minutes = found.groups()
    offset = timedelta(hours=int(hours), minutes=int(minutes))
    if int(minutes) > 59 or offset > LARGEST_OFFSET:
        return None
    return -offset if sign == "-" else offset


def earliest(data_set: Json, zone: ZoneInfo) -> str | None:
    """Return the first of the moments of a series, an acquisition, a content, that a data set says."""
    for date, time in (("00080021", "00080031"), ("00080022", "00080032"), ("00080023", "00080033")):
        if found := moment_of(data_set, date, time, zone):
            return found
    return None


def coded(system: str, code: str, display: str = "") -> dict[str, str]:
    """Return a Coding."""
    return {"system": system, "code": code, **({"display": display} if display else {})}


def concepts_of(data_set: Json, tag: str) -> Iterator[dict[str, Any]]:
    """Yield the concepts of a sequence of codes (PS3.3, 8.8)."""
    for item in items_of(data_set, tag):
        coding, meaning = coding_of(item), text_of(item, "00080104")
        concept = {"coding": [coding] if coding else None, "text": meaning}
        if found := {name: value for name, value in concept.items() if value}:
            yield found


def coding_of(item: Json) -> dict[str, str]:
    """Return the code of an item as a Coding; empty for one of a scheme that has no URI here."""
    code = text_of(item, "00080100") or text_of(item, "00080119")
    system = SCHEMES.get(text_of(item, "00080102"))
    return coded(system, code, text_of(item, "00080104")) if code and system else {}


def anatomy_of(data_set: Json) -> dict[str, str] | None:
    """Return what was examined as a Coding: by code, by a name that has one, else by the name."""
    for item in items_of(data_set, "00082218"):
        if found := coding_of(item):
            return found
    name = text_of(data_set, "00180015")
    known = ANATOMY.get(name.upper().replace(" ", ""))
    if known is not None:
        return coded(SNOMED, *known)
    return {"display": name} if name else None


def laterality_of(data_set: Json) -> dict[str, str] | None:
    """Return the side as a Coding."""
    side = SIDES.get(text_of(data_set, "00200060") or text_of(data_set, "00200062"))
    return coded(SNOMED, *side) if side else None

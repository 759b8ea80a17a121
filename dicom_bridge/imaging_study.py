"""A study's data sets as an ImagingStudy, element by element (FHIR R4, ImagingStudy, DICOM mapping; IHE RAD IMR).

What VN Core, IHE IMR and SMART Imaging Access ask for together: identifiers of study and accession, modality, started,
both counts, one Endpoint. Nothing is read or written here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal
from uuid import NAMESPACE_URL, uuid5
from zoneinfo import ZoneInfo

from dicom_bridge.dicom_value import (
    DCM,
    Json,
    anatomy_of,
    coded,
    concepts_of,
    earliest,
    items_of,
    laterality_of,
    moment_of,
    names_of,
    number_of,
    text_of,
)

Status = Literal["registered", "available", "cancelled", "entered-in-error", "unknown"]
UID_SYSTEM = "urn:dicom:uid"
IDENTIFIER_TYPE = "http://terminology.hl7.org/CodeSystem/v2-0203"
PARTICIPATION = "http://terminology.hl7.org/CodeSystem/v3-ParticipationType"
URI = "urn:ietf:rfc:3986"
UNKNOWN_MODALITY = "OT"

NOT_ACQUIRED = frozenset(
    "ANN ASMT CTPROTOCOL DOC FID KO M3D PLAN PR REG RTDOSE RTINTENT RTPLAN RTRAD RTRECORD RTSEGANN RTSTRUCT RWV SEG SMR"
    " SR STAIN TEXTUREMAP XAPROTOCOL".split()
)
"""Modalities of what is made from images, not by an acquisition (PS3.3, C.7.3.1.1.1; the others are PS3.16 CID 29)."""


@dataclass(frozen=True, slots=True)
class Setting:
    """What a study's data sets do not say: whose the study is, and where it stands.

    `subject`, `encounter`, `endpoint` and the orders `based_on` are relative references; `facility` is the id of the
    Organization that numbers accessions where they do not say it, or empty; `zone` that of times without an offset.
    """

    subject: str
    zone: ZoneInfo
    endpoint: str = ""
    facility: str = ""
    encounter: str = ""
    based_on: tuple[str, ...] = ()
    status: Status = "available"


Make = Callable[[Json, Setting], Any]


@dataclass(frozen=True, slots=True)
class Element:
    """An element of the resource and what it is made of: the first data set that has it gives it."""

    name: str
    make: Make


def imaging_study_id(study: str) -> str:
    """Return the id that the ImagingStudy of a study has, made of its UID, so that retries make one."""
    return str(uuid5(NAMESPACE_URL, f"urn:oid:{study}"))


def identifier_of(study: str) -> dict[str, str]:
    """Return the identifier of a study by its UID."""
    return {"system": UID_SYSTEM, "value": f"urn:oid:{study}"}


def imaging_study(study: str, data_sets: Sequence[Json], setting: Setting) -> dict[str, Any]:
    """Return the ImagingStudy of the data sets of all instances of a study, in DICOM JSON; of none, a bare one."""
    series = list(grouped(data_sets, "0020000E"))
    body: dict[str, Any] = {
        "resourceType": "ImagingStudy",
        "id": imaging_study_id(study),
        "identifier": list(identifiers(study, data_sets, setting)),
        "status": setting.status,
        "modality": [coded(DCM, code) for code in modalities(data_sets)],
        "subject": {"reference": setting.subject},
        "encounter": {"reference": setting.encounter} if setting.encounter else None,
        **elements(STUDY, data_sets, setting),
        "basedOn": [{"reference": each} for each in setting.based_on],
        "endpoint": [{"reference": setting.endpoint}] if setting.endpoint else None,
        "numberOfSeries": len(series),
        "numberOfInstances": len(data_sets),
        "series": [one_series(uid, each, setting) for uid, each in series],
    }
    return {name: value for name, value in body.items() if value not in (None, [], {})}


def one_series(uid: str, data_sets: Sequence[Json], setting: Setting) -> dict[str, Any]:
    """Return ImagingStudy.series of the data sets of a series."""
    body = {
        "uid": uid,
        "modality": coded(DCM, text_of(data_sets[0], "00080060") or UNKNOWN_MODALITY),
        **elements(SERIES, data_sets, setting),
        "numberOfInstances": len(data_sets),
        "instance": [one_instance(each, setting) for each in sorted(data_sets, key=numbered)],
    }
    return {name: value for name, value in body.items() if value not in (None, [])}


def one_instance(data_set: Json, setting: Setting) -> dict[str, Any]:
    """Return ImagingStudy.series.instance of a data set."""
    return {"uid": text_of(data_set, "00080018"), **elements(INSTANCE, (data_set,), setting)}


def numbered(data_set: Json) -> tuple[float, str]:
    """Return what instances are put in order by."""
    number = number_of(data_set, "00200013")
    return (float("inf") if number is None else number, text_of(data_set, "00080018"))


def elements(table: Sequence[Element], data_sets: Sequence[Json], setting: Setting) -> dict[str, Any]:
    """Return the elements of a table that data sets have."""
    made = {each.name: first(each.make(data_set, setting) for data_set in data_sets) for each in table}
    return {name: value for name, value in made.items() if value is not None}


def first(values: Iterable[Any]) -> Any:
    """Return the first value that is there; None where none is."""
    return next((value for value in values if value not in (None, "", [], {})), None)


def grouped(data_sets: Sequence[Json], tag: str) -> Iterator[tuple[str, list[Json]]]:
    """Yield the series of data sets by their numbers, each with its UID."""
    found: dict[str, list[Json]] = {}
    for each in data_sets:
        found.setdefault(text_of(each, tag), []).append(each)

    def order(entry: tuple[str, list[Json]]) -> tuple[float, str]:
        number = number_of(entry[1][0], "00200011")
        return (float("inf") if number is None else number, entry[0])

    yield from sorted(found.items(), key=order)


def modalities(data_sets: Sequence[Json]) -> list[str]:
    """Return the modalities that acquired images, sorted; where none did, those there are (IHE IMR asks for one)."""
    found = sorted({text_of(each, "00080060") or UNKNOWN_MODALITY for each in data_sets})
    return [each for each in found if each not in NOT_ACQUIRED] or found


def identifiers(study: str, data_sets: Sequence[Json], setting: Setting) -> Iterator[dict[str, Any]]:
    """Yield the study's UID, its accession number with who gave it, and its own number."""
    yield {"use": "official", **identifier_of(study)}
    accession = first(text_of(each, "00080050") or None for each in data_sets)
    if accession:
        named = {"type": {"coding": [coded(IDENTIFIER_TYPE, "ACSN")]}, "value": accession}
        yield named | first((*(issuer(each) for each in data_sets), assigner(setting), {"use": "usual"}))
    number = first(text_of(each, "00200010") or None for each in data_sets)
    if number:
        yield {"use": "secondary", "type": {"text": "Study ID"}, "value": number}


def issuer(data_set: Json) -> dict[str, str]:
    """Return the system that the issuer of an accession number stands for (PS3.3, 10.14); empty where it is local."""
    for item in items_of(data_set, "00080051"):
        universal, kind = text_of(item, "00400032"), text_of(item, "00400033")
        if universal and kind in ("ISO", "URI", "URL", "UUID"):
            prefix = {"ISO": "urn:oid:", "UUID": "urn:uuid:"}.get(kind, "")
            return {"system": f"{prefix}{universal}"} if " " not in universal else {}
    return {}


def assigner(setting: Setting) -> dict[str, Any]:
    """Return the facility as the one that gave a number."""
    return {"assigner": {"reference": f"Organization/{setting.facility}"}} if setting.facility else {}


def started_of(data_set: Json, setting: Setting) -> str | None:
    """Return when a study began; where it does not say, what of it is dated first."""
    return moment_of(data_set, "00080020", "00080030", setting.zone) or earliest(data_set, setting.zone)


def title_of(data_set: Json, _setting: Setting) -> str | None:
    """Return what an instance calls itself, where it is a document, a report, or a state of presentation."""
    titles = (concept.get("text", "") for concept in concepts_of(data_set, "0040A043"))
    told = (text_of(data_set, "00420010"), *titles, text_of(data_set, "00700080"))
    return next((each for each in told if each), None)


def sop_class(data_set: Json, _setting: Setting) -> dict[str, str] | None:
    """Return the class of an instance as a Coding."""
    uid = text_of(data_set, "00080016")
    return coded(URI, f"urn:oid:{uid}") if uid else None


def performers(data_set: Json, _setting: Setting) -> list[dict[str, Any]]:
    """Return who made a series: the physicians, then the operators."""
    return [
        {"function": {"coding": [coded(PARTICIPATION, code)]}, "actor": {"display": name}}
        for tag, code in (("00081050", "PRF"), ("00081070", "SPRF"))
        for name in names_of(data_set, tag)
    ]


def reasons(data_set: Json, _setting: Setting) -> list[dict[str, Any]]:
    """Return why a study was asked for."""
    text = text_of(data_set, "00401002")
    return [*concepts_of(data_set, "0040100A"), *([{"text": text}] if text else [])]


def specimens(data_set: Json, _setting: Setting) -> list[dict[str, Any]]:
    """Return the specimens of a series by their identifiers (PS3.3, C.7.6.22)."""
    found = [text_of(item, "00400551") for item in items_of(data_set, "00400560")]
    return [{"identifier": {"value": each}} for each in found if each]


def text(tag: str) -> Make:
    """Return what makes a string of an element."""
    return lambda data_set, _setting: text_of(data_set, tag) or None


def displayed(*tags: str) -> Make:
    """Return what makes a reference without an address, by the first name or text of some elements."""
    return lambda data_set, _setting: first(
        {"display": name} for tag in tags for name in (*names_of(data_set, tag), text_of(data_set, tag)) if name
    )


STUDY: Sequence[Element] = (
    Element("started", started_of),
    Element("referrer", displayed("00080090")),
    Element("interpreter", lambda d, _: [{"display": name} for name in names_of(d, "00081060")]),
    Element("procedureCode", lambda d, _: list(concepts_of(d, "00081032"))),
    Element("location", displayed("00081040", "00400243")),
    Element("reasonCode", reasons),
    Element("description", text("00081030")),
)
SERIES: Sequence[Element] = (
    Element("number", lambda d, _: number_of(d, "00200011")),
    Element("description", text("0008103E")),
    Element("bodySite", lambda d, _: anatomy_of(d)),
    Element("laterality", lambda d, _: laterality_of(d)),
    Element("specimen", specimens),
    Element("started", lambda d, setting: moment_of(d, "00080021", "00080031", setting.zone)),
    Element("performer", performers),
)
INSTANCE: Sequence[Element] = (
    Element("sopClass", sop_class),
    Element("number", lambda d, _: number_of(d, "00200013")),
    Element("title", title_of),
)

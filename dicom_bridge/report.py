"""A radiologist's report as values: what a draft lacks, the final one, who signed it (FHIR R4, DiagnosticReport)."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha1
from typing import Any

from fhir_server.errors import Issue
from fhir_server.page import Block, Facts, Heading, Text, Title
from fhir_server.resource.person import GENDERS, name_of

Body = dict[str, Any]
TITLE = "Kết quả chẩn đoán hình ảnh"
UNSIGNED = frozenset({"registered", "partial", "preliminary", "amended", "corrected", "appended"})
AFTERWARDS = frozenset({"amended", "corrected", "appended"})
DIAGNOSTIC_SERVICE = "http://terminology.hl7.org/CodeSystem/v2-0074"
PARTICIPANT = "http://terminology.hl7.org/CodeSystem/provenance-participant-type"
PURPOSE = "urn:iso-astm:E1762-95:2013"
TAGS = re.compile(r"<[^>]+>")


@dataclass(frozen=True, slots=True)
class Reader:
    """Who signs: a relative reference, the name, the number of the permit to practise, and the facility or empty."""

    reference: str
    name: str
    licence: str
    facility: str


def faults(report: Body) -> Iterator[Issue]:
    """Yield what a report lacks to be signed."""
    if report.get("status") not in UNSIGNED:
        yield Issue("error", "conflict", f"A report that is {report.get('status')} is not signed.")
    if not str(report.get("conclusion", "")).strip():
        yield Issue("error", "required", "The report has no conclusion.", ("DiagnosticReport.conclusion",))
    if not studies_of(report):
        text = "The report names no study of images."
        yield Issue("error", "required", text, ("DiagnosticReport.imagingStudy",))


def studies_of(report: Body) -> list[str]:
    """Return the ids of the studies that a report is about."""
    found = [str(each.get("reference", "")) for each in report.get("imagingStudy", ())]
    return [each.removeprefix("ImagingStudy/") for each in found if each.startswith("ImagingStudy/")]


def final(report: Body, studies: Sequence[Body], reader: Reader, moment: str) -> Body:
    """Return the report as it is signed, but for the form that it is presented in."""
    orders = dict.fromkeys(each["reference"] for study in studies for each in study.get("basedOn", ()))
    body = {
        "category": [{"coding": [{"system": DIAGNOSTIC_SERVICE, "code": "RAD"}]}],
        **report,
        "status": report["status"] if report["status"] in AFTERWARDS else "final",
        "issued": moment,
        "resultsInterpreter": [{"reference": reader.reference, "display": reader.name}],
    }
    if orders:
        body.setdefault("basedOn", [{"reference": each} for each in orders])
    if reader.facility:
        body.setdefault("performer", [{"reference": f"Organization/{reader.facility}"}])
    started = next((study["started"] for study in studies if "started" in study), None)
    if started and not any(name.startswith("effective") for name in report):
        body["effectiveDateTime"] = started
    return body


def presented(pdf: bytes, title: str, moment: str) -> Body:
    """Return a PDF as an Attachment, with its length and hash."""
    return {
        "contentType": "application/pdf",
        "language": "vi",
        "data": b64encode(pdf).decode(),
        "size": len(pdf),
        "hash": b64encode(sha1(pdf, usedforsecurity=False).digest()).decode(),
        "title": title,
        "creation": moment,
    }


def page(report: Body, patient: Body, studies: Sequence[Body], reader: Reader, moment: str) -> list[Block]:
    """Return what is printed: a title, who and what it is about, what was seen (the narrative), and the conclusion."""
    narrative = " ".join(TAGS.sub(" ", str(report.get("text", {}).get("div", ""))).split())
    texts = [("Mô tả", narrative), ("Kết luận", str(report.get("conclusion", "")))]
    printed: list[Block] = [Title(TITLE), Facts(facts(patient, studies, reader, moment))]
    for heading, text in texts:
        printed += [Heading(heading), Text(text)] if text.strip() else []
    return printed


def facts(patient: Body, studies: Sequence[Body], reader: Reader, moment: str) -> list[tuple[str, str]]:
    """Return what a page says before the text."""
    number = next((str(each.get("value", "")) for each in patient.get("identifier", ())), "")
    return [
        ("Họ và tên người bệnh", name_of(patient)),
        ("Ngày sinh", str(patient.get("birthDate", ""))),
        ("Giới tính", GENDERS.get(str(patient.get("gender", "")), "")),
        ("Mã người bệnh", number),
        *(("Kỹ thuật", f"{each.get('description', '')} ({each.get('started', '')})") for each in studies),
        ("Bác sĩ đọc kết quả", reader.name),
        ("Số giấy phép hành nghề", reader.licence),
        ("Thời điểm ký", moment),
    ]


def provenance(report: Body, version: int, studies: Sequence[tuple[str, int]], reader: Reader, jws: str) -> Body:
    """Return who signed which version of a report, and which versions of studies they saw (FHIR R4, Provenance)."""
    who = {"reference": reader.reference, "display": reader.name}
    identified = who | {"identifier": {"type": {"text": "Số giấy phép hành nghề"}, "value": reader.licence}}
    agent: Body = {"type": {"coding": [{"system": PARTICIPANT, "code": "legal"}]}, "who": identified}
    if reader.facility:
        agent["onBehalfOf"] = {"reference": f"Organization/{reader.facility}"}
    return {
        "resourceType": "Provenance",
        "target": [{"reference": f"DiagnosticReport/{report['id']}/_history/{version}"}],
        "recorded": report["issued"],
        "activity": {
            "coding": [{"system": "http://terminology.hl7.org/CodeSystem/v3-DocumentCompletion", "code": "LA"}]
        },
        "agent": [agent],
        "entity": [
            {"role": "source", "what": {"reference": f"ImagingStudy/{identity}/_history/{number}"}}
            for identity, number in studies
        ],
        "signature": [
            {
                "type": [{"system": PURPOSE, "code": "1.2.840.10065.1.12.1.1", "display": "Author's Signature"}],
                "when": report["issued"],
                "who": who,
                "targetFormat": "application/fhir+json",
                "sigFormat": "application/jose",
                "data": b64encode(jws.encode()).decode(),
            }
        ],
    }

"""Consultations as a province stores them: a few that are counted by hand, and any number by a seeded generator."""

from __future__ import annotations

from random import Random
from typing import Any

Json = dict[str, Any]

VN = "http://fhir.hl7.org.vn/core/StructureDefinition/"
ACT = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
DISPOSITION = "http://terminology.hl7.org/CodeSystem/discharge-disposition"
MODES = ("DIRECT_TO_PATIENT", "VIA_RECEIVING_FACILITY", "INTER_FACILITY_SUPPORT", "TELECONSULT_MDT")
TIERS = ("BAN_DAU", "CO_BAN", "CHUYEN_SAU")


def facility(name: str, tier: str, province: tuple[str, str | None] = ("15", "2025-07-01"), **more: Any) -> Json:
    """A facility of a tier in a province: its code, and the version of its list."""
    code, version = province
    coding = {"system": "urn:nhipcau:CodeSystem:province", "code": code} | ({"version": version} if version else {})
    return {
        "resourceType": "Organization", "id": name, "name": f"Cơ sở {name}", "active": True,
        "extension": [{"url": f"{VN}vn-ext-facility-care-level",
                       "valueCodeableConcept": {"coding": [{"system": f"{VN}tier", "code": tier}]}}],
        "address": [{"extension": [{"url": f"{VN}vn-ext-province", "valueCoding": coding}], "state": "Lào Cai"}],
        **more,
    }  # fmt: skip


def patient(name: str, gender: str, born: str, ward: tuple[str, str] = ("02647", "2025-07-01")) -> Json:
    """Somebody with a name, a number and a home."""
    coding = {"system": "urn:nhipcau:CodeSystem:commune", "code": ward[0], "version": ward[1]}
    return {
        "resourceType": "Patient", "id": name, "gender": gender, "birthDate": born,
        "name": [{"family": "Giàng", "given": [f"Seo {name.title()}"]}],
        "identifier": [{"system": "http://fhir.hl7.org.vn/core/sid/cccd", "value": f"0152900{sum(name.encode()):05}"}],
        "address": [{"extension": [{"url": f"{VN}vn-ext-ward", "valueCoding": coding}]}],
    }  # fmt: skip


def asked(name: str, who: str, site: str, mode: str, at: str, activity: str = "HCTV-KCB", **more: Any) -> Json:
    """A request for a consultation."""
    return {
        "resourceType": "ServiceRequest", "id": name, "status": "active", "intent": "order", "priority": "routine",
        "category": [
            {"coding": [{"system": "urn:nhipcau:CodeSystem:tele-activity", "code": activity}]},
            {"coding": [{"system": "urn:nhipcau:CodeSystem:tele-mode", "code": mode}]},
        ],
        "subject": {"reference": f"Patient/{who}"}, "requester": {"reference": f"Organization/{site}"},
        "authoredOn": at, **more,
    }  # fmt: skip


def met(name: str, who: str, site: str, request: str, start: str, end: str, sent: str = "", **more: Any) -> Json:
    """A session of remote care; `sent` is where the patient went."""
    disposition = {"dischargeDisposition": {"coding": [{"system": DISPOSITION, "code": sent}]}}
    return {
        "resourceType": "Encounter", "id": name, "status": "finished", "class": {"system": ACT, "code": "VR"},
        "type": [{"coding": [{"system": "urn:nhipcau:CodeSystem:ma-loai-kcb", "code": "14"}]}],
        "serviceType": {"coding": [{"system": "urn:nhipcau:CodeSystem:specialty", "code": "cardiology"}]},
        "subject": {"reference": f"Patient/{who}"}, "serviceProvider": {"reference": f"Organization/{site}"},
        "basedOn": [{"reference": f"ServiceRequest/{request}"}], "period": {"start": start, "end": end},
        **({"hospitalization": disposition} if sent else {}), **more,
    }  # fmt: skip


def bundle(*bodies: Json) -> Json:
    """All of it in one transaction."""
    entries = [
        {"resource": body, "request": {"method": "PUT", "url": f"{body['resourceType']}/{body['id']}"}}
        for body in bodies
    ]
    return {"resourceType": "Bundle", "type": "transaction", "entry": entries}


def story() -> list[Json]:
    """March 2026: four finished consultations, one of April's UTC night, a training, a wait and a cancellation."""
    image = {"resourceType": "ImagingStudy", "id": "i1", "status": "available", "subject": {"reference": "Patient/an"},
             "started": "2026-03-02T07:30:00+07:00"}  # fmt: skip
    minutes = {
        "resourceType": "Composition", "id": "m1", "status": "final", "type": {"text": "Biên bản"}, "title": "Biên bản",
        "date": "2026-03-02T09:00:00+07:00", "author": [{"display": "BS"}], "encounter": {"reference": "Encounter/e1"},
        "attester": [{"mode": "legal"}],
    }  # fmt: skip
    diagnosis = {
        "resourceType": "Condition", "id": "c4", "subject": {"reference": "Patient/chi"},
        "encounter": {"reference": "Encounter/e4"},
        "code": {"coding": [{"system": "http://hl7.org/fhir/sid/icd-10", "code": "I10.9"}]},
    }  # fmt: skip
    prescription = {
        "resourceType": "MedicationRequest", "id": "p4", "status": "active", "intent": "order",
        "subject": {"reference": "Patient/chi"}, "encounter": {"reference": "Encounter/e4"},
        "medicationCodeableConcept": {"text": "Amlodipin 5 mg"},
    }  # fmt: skip
    read = {
        "resourceType": "DiagnosticReport", "id": "d1", "status": "final", "code": {"text": "X-quang"},
        "category": [{"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0074", "code": "RAD"}]}],
        "subject": {"reference": "Patient/an"}, "encounter": {"reference": "Encounter/e1"},
        "issued": "2026-03-02T08:00:00+07:00", "performer": [{"reference": "Organization/hospital"}],
    }  # fmt: skip
    booked = {
        "resourceType": "Appointment", "id": "a1", "status": "fulfilled", "created": "2026-03-01T10:30:00+07:00",
        "basedOn": [{"reference": "ServiceRequest/r1"}], "start": "2026-03-02T08:00:00+07:00",
        "end": "2026-03-02T08:30:00+07:00", "participant": [{"actor": {"display": "An"}, "status": "accepted"}],
    }  # fmt: skip
    paused = [
        {"status": "in-progress", "period": {"start": "2026-03-03T08:00:00+07:00", "end": "2026-03-03T08:10:00+07:00"}},
        {"status": "onleave", "period": {"start": "2026-03-03T08:10:00+07:00", "end": "2026-03-03T08:14:00+07:00"}},
    ]
    return [
        facility("station", "BAN_DAU"), facility("clinic", "BAN_DAU"), facility("hospital", "CHUYEN_SAU"),
        facility("closed", "BAN_DAU", active=False),
        patient("an", "female", "1990-05-17"), patient("binh", "male", "2023-01-01", ("00004", "2024")),
        patient("chi", "female", "1950-11-30"),
        asked("r1", "an", "station", MODES[2], "2026-03-01T10:00:00+07:00", "HC-CDHA",
              supportingInfo=[{"reference": "ImagingStudy/i1"}]),
        asked("r2", "binh", "station", MODES[2], "2026-03-02T10:00:00+07:00"),
        asked("r3", "an", "clinic", MODES[3], "2026-03-05T08:00:00+07:00", status="completed"),
        asked("r4", "chi", "clinic", MODES[0], "2026-03-31T12:00:00+07:00"),
        asked("r5", "chi", "clinic", MODES[0], "2026-03-20T12:00:00+07:00", status="revoked"),
        asked("r6", "an", "station", MODES[0], "2026-03-21T12:00:00+07:00"),
        asked("r7", "an", "hospital", MODES[3], "2026-03-22T08:00:00+07:00", "DTCG"),
        asked("r8", "an", "station", MODES[0], "2026-03-31T12:00:00+07:00"),
        image, booked,
        met("e1", "an", "station", "r1", "2026-03-02T08:00:00+07:00", "2026-03-02T08:30:00+07:00", "home"),
        met("e2", "binh", "station", "r2", "2026-03-03T08:00:00+07:00", "2026-03-03T08:20:00+07:00", "other-hcf",
            statusHistory=paused),
        met("e3", "an", "clinic", "r3", "2026-03-06T08:00:00+07:00", "2026-03-06T08:10:00+07:00"),
        # 20:00 on 31 March in UTC is April in Viet Nam, and 16:59 is not yet.
        met("e4", "chi", "clinic", "r4", "2026-03-31T16:59:00Z", "2026-03-31T17:20:00Z", "home"),
        met("e8", "an", "station", "r8", "2026-03-31T20:00:00Z", "2026-03-31T20:10:00Z", "home"),
        met("e7", "an", "hospital", "r7", "2026-03-23T08:00:00+07:00", "2026-03-23T10:00:00+07:00"),
        minutes, diagnosis, prescription, read,
    ]  # fmt: skip


def made(seed: int, count: int, month: str, province: str) -> list[Json]:
    """Consultations of a month by a generator: the same for the same seed."""
    random = Random(seed)
    sites = [facility(f"s{n}", TIERS[n % 3], (province, "2025-07-01")) for n in range(6)]
    bodies: list[Json] = list(sites)
    for number in range(count):
        day = f"{month}-{random.randint(1, 28):02}"
        site, who = f"s{random.randint(0, 5)}", f"p{number}"
        mode = random.choice(MODES)
        born = f"{random.randint(1940, 2024)}-{random.randint(1, 12):02}-{random.randint(1, 28):02}"
        sent = random.choice(("home", "home", "other-hcf", ""))
        bodies += [
            patient(who, random.choice(("female", "male")), born),
            asked(f"r{number}", who, site, mode, f"{day}T07:00:00+07:00"),
            met(f"e{number}", who, site, f"r{number}", f"{day}T08:00:00+07:00", f"{day}T08:30:00+07:00", sent),
        ]
    return bodies

"""A consultation that is booked: a station asks, the hospital accepts and books, each by its own system."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
from joserfc.jwk import ECKey

from tests.auth.node import assertion_of, own_request
from tests.e2e import story
from tests.e2e.conftest import KEY, PASSWORD, nhipcau
from tests.processes import Program

STATION_KEY = ECKey.generate_key("P-384", auto_kid=True)
STATION_CLIENT = "HIS-tram"
WORKER = ("mai", "Nguyễn Thị Mai", "commune-worker", story.STATION)
DOCTOR = ("hai", "BS. Vũ Thị Thanh Hải", "doctor", story.HOSPITAL)
PATIENT = "Hoàng Thị Xuân"
QUESTION = "Ban đỏ ở cẳng tay hai tuần, chưa đỡ. Có cần chuyển tuyến?"


@dataclass(frozen=True, slots=True)
class Consultation:
    """Ids of what was made."""

    request: str
    session: str
    patient: str


def people(program: Program) -> None:
    """Let the station's system in, its worker, and a doctor of the hospital."""
    jwks = program.folder / "station.json"
    jwks.write_text(json.dumps({"keys": [STATION_KEY.as_dict(private=False)]}))
    nhipcau(program, "client", "add", STATION_CLIENT, "--jwks", str(jwks), "--scope", "system/*.cruds",
            "--organization", story.STATION)  # fmt: skip
    for login, name, role, facility in (WORKER, DOCTOR):
        client, key = (STATION_CLIENT, STATION_KEY) if facility == story.STATION else ("HIS", KEY)
        with system(program, client, key) as own:
            made = own.put(f"Practitioner/{login}", json={
                "resourceType": "Practitioner", "id": login, "name": [{"text": name}]})  # fmt: skip
            assert made.status_code == 201, made.text
        nhipcau(program, "user", "add", login, "--name", name, "--role", role, "--organization", facility,
                "--fhir-user", f"Practitioner/{login}", "--ask-password", typed=f"{PASSWORD}\n")  # fmt: skip


def system(program: Program, client: str, key: ECKey) -> httpx.Client:
    """The system of a facility, with its token."""
    root = program.base.removesuffix("/fhir")
    proof = assertion_of(client, key, aud=f"{root}/auth/token")
    answer = httpx.post(f"{root}/auth/token", data=own_request("system/*.cruds", client, proof))
    headers = {"authorization": f"Bearer {answer.json()['access_token']}", "content-type": "application/fhir+json"}
    return httpx.Client(base_url=f"{program.base}/", headers=headers, timeout=60)


def post(client: httpx.Client, path: str, body: dict[str, Any]) -> dict[str, Any]:
    answer = client.post(path, json=body)
    assert answer.status_code in (200, 201), answer.text
    return dict(answer.json())


def parameters(*parts: dict[str, Any]) -> dict[str, Any]:
    return {"resourceType": "Parameters", **({"parameter": list(parts)} if parts else {})}


def told(answer: dict[str, Any], name: str) -> str:
    found = next(each for each in answer["parameter"] if each["name"] == name)
    value = next(found[key] for key in found if key.startswith("value"))
    return str(value["reference"] if isinstance(value, dict) else value)


def patient(client: httpx.Client, name: str = PATIENT) -> str:
    """A patient of the station, who agrees that the hospital sees the record."""
    made = post(client, "Patient", {
        "resourceType": "Patient", "name": [{"text": name}], "gender": "female", "birthDate": "1990-03-08",
    })["id"]  # fmt: skip
    post(client, "Consent", {
        "resourceType": "Consent", "status": "active", "patient": {"reference": f"Patient/{made}"},
        "scope": story.coded("consentscope", "patient-privacy"),
        "category": [{"coding": [{"system": "http://loinc.org", "code": "59284-0"}]}],
        "policyRule": {"text": "Đồng ý hội chẩn từ xa"},
        "provision": {"type": "permit", "actor": [{
            "role": story.coded("v3-ParticipationType", "IRCP"),
            "reference": {"reference": f"Organization/{story.HOSPITAL}"}}]},
    })  # fmt: skip
    return str(made)


def booked(program: Program) -> Consultation:
    """Make a consultation that begins now."""
    with system(program, STATION_CLIENT, STATION_KEY) as asking, system(program, "HIS", KEY) as hub:
        subject = patient(asking)
        request = post(asking, "ServiceRequest", {
            "resourceType": "ServiceRequest", "status": "draft", "intent": "order", "priority": "urgent",
            "category": [{"coding": [{"system": "urn:nhipcau:CodeSystem:tele-activity", "code": "HCTV-KCB"}]}],
            "subject": {"reference": f"Patient/{subject}"},
            "requester": {"reference": f"Organization/{story.STATION}"},
            "performer": [{"reference": f"Organization/{story.HOSPITAL}"}], "reasonCode": [{"text": QUESTION}],
        })["id"]  # fmt: skip
        post(asking, f"ServiceRequest/{request}/$tele-submit", parameters())
        post(hub, f"ServiceRequest/{request}/$tele-accept", parameters())
        start = datetime.now(UTC).replace(microsecond=0)
        answer = post(hub, f"ServiceRequest/{request}/$tele-book", parameters(
            {"name": "start", "valueInstant": start.isoformat()},
            {"name": "end", "valueInstant": (start + timedelta(minutes=30)).isoformat()},
        ))  # fmt: skip
    return Consultation(str(request), told(answer, "encounter").partition("/")[2], subject)

"""What clients ask: reads, the cycle of nine types, small transactions, searches, whole records."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import orjson

from bench.load import Client, Work

Json = dict[str, Any]
PATIENTS = 1000
LOINC = "http://loinc.org"
UCUM = "http://unitsofmeasure.org"
CLASSES = "http://terminology.hl7.org/CodeSystem"
FAMILIES = ("Nguyễn", "Trần", "Lê", "Phạm", "Hoàng", "Vũ", "Đặng", "Bùi", "Lý", "Ma")
GIVEN = ("An", "Bình", "Chi", "Dũng", "Giang", "Hà", "Khánh", "Lan", "Mây", "Thọ")


@dataclass(slots=True)
class Seed:
    """What was stored before: the ids that reads and searches ask for."""

    patients: list[str] = field(default_factory=list)
    observations: list[str] = field(default_factory=list)


def concept(system: str, code: str) -> Json:
    """A CodeableConcept of one coding."""
    return {"coding": [{"system": system, "code": code}]}


def to(kind: str, resource_id: str) -> Json:
    """A reference."""
    return {"reference": f"{kind}/{resource_id}"}


def patient(number: int) -> Json:
    """A patient, different for each number."""
    chance = random.Random(number)
    family, given = chance.choice(FAMILIES), chance.choice(GIVEN)
    return {
        "resourceType": "Patient",
        "active": True,
        "identifier": [{"system": "https://bench.example/patient", "value": f"P{number}-{uuid4().hex[:8]}"}],
        "name": [{"use": "official", "family": family, "given": ["Văn", given]}],
        "telecom": [{"system": "phone", "value": f"+84 90 {number:07d}", "use": "mobile"}],
        "gender": chance.choice(("female", "male", "unknown", "other")),
        "birthDate": f"{chance.randint(1920, 2020)}-{chance.randint(1, 12):02d}-{chance.randint(1, 28):02d}",
        "address": [{"line": [f"{chance.randint(1, 200)} phố Chùa"], "city": "Tuyên Quang", "country": "VN"}],
    }


def observation(subject: Json, value: float, date: str = "2026-11-20T13:55:00+07:00") -> Json:
    """A measured blood pressure."""
    return {
        "resourceType": "Observation",
        "status": "final",
        "category": [concept(f"{CLASSES}/observation-category", "vital-signs")],
        "code": concept(LOINC, "8480-6"),
        "subject": subject,
        "effectiveDateTime": date,
        "issued": "2026-11-20T13:56:00.000+07:00",
        "valueQuantity": {"value": value, "unit": "mmHg", "system": UCUM, "code": "mm[Hg]"},
    }


def nine(number: int, ids: Json) -> Sequence[Json]:
    """The resources of one cycle in the order in which they are created; `ids` holds those that exist already."""
    subject = to("Patient", ids.get("Patient", "-"))
    provider = to("Organization", ids.get("Organization", "-"))
    encounter = to("Encounter", ids.get("Encounter", "-"))
    practitioner = to("Practitioner", ids.get("Practitioner", "-"))
    return (
        patient(number),
        {"resourceType": "Location", "status": "active", "name": f"Phòng khám {number}", "mode": "instance"},
        {"resourceType": "Organization", "active": True, "name": f"Trạm Y tế {number}"},
        {
            "resourceType": "Practitioner",
            "active": True,
            "name": [{"family": "Hoàng", "given": ["Thọ"]}],
            "gender": "male",
        },
        {
            "resourceType": "Encounter",
            "status": "planned",
            "class": {"system": f"{CLASSES}/v3-ActCode", "code": "VR"},
            "subject": subject,
            "participant": [{"individual": practitioner}],
            "period": {"start": "2026-11-20T14:00:00+07:00"},
            "location": [{"location": to("Location", ids.get("Location", "-"))}],
            "serviceProvider": provider,
        },
        observation(subject, 118.5) | {"encounter": encounter},
        {
            "resourceType": "MedicationRequest",
            "status": "draft",
            "intent": "order",
            "medicationCodeableConcept": concept("http://www.nlm.nih.gov/research/umls/rxnorm", "313782"),
            "subject": subject,
            "encounter": encounter,
            "authoredOn": "2026-11-20",
            "requester": practitioner,
        },
        *claims(subject, provider),
    )


def claims(subject: Json, provider: Json) -> Sequence[Json]:
    """A Claim and the ExplanationOfBenefit that answers it."""
    shared = {
        "status": "active",
        "type": concept(f"{CLASSES}/claim-type", "professional"),
        "use": "claim",
        "patient": subject,
        "created": "2026-11-20",
        "provider": provider,
    }
    covered = {"focal": True, "coverage": {"display": "Thẻ BHYT"}}
    service = concept(f"{CLASSES}/ex-USCLS", "1101")
    item = [{"sequence": 1, "productOrService": service, "unitPrice": {"value": 200300, "currency": "VND"}}]
    priority = concept(f"{CLASSES}/processpriority", "normal")
    insurance = [{"sequence": 1, **covered}]
    return (
        {"resourceType": "Claim", **shared, "priority": priority, "insurance": insurance, "item": item},
        {
            "resourceType": "ExplanationOfBenefit",
            **shared,
            "insurer": provider,
            "outcome": "complete",
            "insurance": [covered],
            "item": item,
        },
    )


CHANGED: dict[str, tuple[str, Any]] = {
    "Encounter": ("status", "in-progress"),
    "Location": ("name", "Phòng khám mới"),
    "Organization": ("name", "Trạm Y tế mới"),
    "MedicationRequest": ("status", "on-hold"),
    "Observation": ("issued", "2026-11-20T15:00:00.000+07:00"),
    "Patient": ("gender", "unknown"),
    "Practitioner": ("gender", "other"),
    "Claim": ("created", "2026-11-21"),
    "ExplanationOfBenefit": ("created", "2026-11-21"),
}

numbers = count(1)


async def expect(client: Client, statuses: tuple[int, ...], method: str, path: str, body: bytes = b"") -> Json:
    """Ask, and return the resource in the answer; raise RuntimeError for another status."""
    answer = await client.ask(method, path, body)
    if answer.status not in statuses:
        raise RuntimeError(f"{method} {path}: {answer.status} {answer.body[:500].decode()}")
    return answer.json() if answer.body else {}


async def cycle(client: Client) -> int:
    """Create nine resources, read, change and delete them: 36 requests."""
    number = next(numbers)
    ids: dict[str, str] = {}
    made: list[tuple[str, str, Json]] = []
    for place in range(9):
        body = nine(number, ids)[place]
        kind = body["resourceType"]
        created = await expect(client, (201,), "POST", kind, orjson.dumps(body))
        ids[kind] = created["id"]
        made.append((kind, created["id"], body))
    for kind, resource_id, _ in made:
        await expect(client, (200,), "GET", f"{kind}/{resource_id}")
    for kind, resource_id, body in made:
        name, value = CHANGED[kind]
        changed = orjson.dumps({**body, "id": resource_id, name: value})
        await expect(client, (200,), "PUT", f"{kind}/{resource_id}", changed)
    for kind, resource_id, _ in reversed(made):
        await expect(client, (200, 204), "DELETE", f"{kind}/{resource_id}")
    return 36


def reads(seed: Seed) -> Work:
    """Read one patient by id."""

    async def read(client: Client) -> int:
        await expect(client, (200,), "GET", f"Patient/{random.choice(seed.patients)}")
        return 1

    return read


async def pair(client: Client) -> int:
    """A transaction of a Patient and an Observation that refers to it."""
    number, name = next(numbers), f"urn:uuid:{uuid4()}"
    person = {
        "resourceType": "Patient",
        "gender": random.choice(("male", "female")),
        "birthDate": f"{random.randint(1920, 2020)}-01-15",
    }
    entries = [
        {"fullUrl": name, "resource": person, "request": {"method": "POST", "url": "Patient"}},
        {
            "resource": observation({"reference": name}, random.randint(90, 180), f"2026-01-{number % 28 + 1:02d}"),
            "request": {"method": "POST", "url": "Observation"},
        },
    ]
    sent = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
    await expect(client, (200,), "POST", "", orjson.dumps(sent))
    return 1


QUERIES: Sequence[Callable[[Seed], str]] = (
    lambda _: f"Patient?name={random.choice(FAMILIES)}",
    lambda _: f"Patient?name:contains={random.choice(('gu', 'oan', 'an', 'ly'))}",
    lambda _: f"Patient?family={random.choice(FAMILIES)}&gender=female",
    lambda _: f"Patient?birthdate=ge{random.randint(1920, 2015)}-03-07",
    lambda _: f"Patient?birthdate={random.randint(1920, 2015)}",
    lambda _: "Patient?address=Tuyên",
    lambda s: f"Observation?patient={random.choice(s.patients)}",
    lambda s: f"Observation?subject=Patient/{random.choice(s.patients)}&code={LOINC}|8480-6",
    lambda _: f"Observation?code={LOINC}|8480-6",
    lambda _: "Observation?category=vital-signs&_sort=-date",
    lambda _: f"Observation?value-quantity=gt{random.randint(100, 170)}|{UCUM}|mm[Hg]",
    lambda _: f"Observation?code-value-quantity={LOINC}|8480-6$gt{random.randint(100, 170)}",
    lambda _: f"Observation?date=ge2026-01-{random.randint(1, 28):02d}",
    lambda s: f"Observation?subject:Patient.name={random.choice(FAMILIES)}&_count=10",
)


def searches(seed: Seed) -> Work:
    """One of the searches, a page of 20."""

    async def search(client: Client) -> int:
        await expect(client, (200,), "GET", page(random.choice(QUERIES)(seed)))
        return 1

    return search


def page(query: str) -> str:
    """The address of the first 20 that a search finds, unless it says itself how many."""
    return quote(query if "_count" in query else f"{query}&_count=20", safe="?&=/:|$,")


def everything(seed: Seed) -> Work:
    """The whole record of a patient."""

    async def record(client: Client) -> int:
        await expect(client, (200,), "GET", f"Patient/{random.choice(seed.patients)}/$everything?_count=1000")
        return 1

    return record


def bundles(raws: Sequence[bytes]) -> Work:
    """A transaction with the record of a made-up patient; a unit is a resource."""
    sizes = [len(orjson.loads(raw)["entry"]) for raw in raws]

    async def load(client: Client) -> int:
        number = next(numbers) % len(raws)
        await expect(client, (200,), "POST", "", raws[number])
        return sizes[number]

    return load


async def sow(client: Client, patients: int = PATIENTS) -> Seed:
    """Store patients with two observations each, in transactions of a hundred."""
    seed = Seed()
    for first in range(0, patients, 100):
        entries: list[Json] = []
        for number in range(first, min(first + 100, patients)):
            name = f"urn:uuid:{uuid4()}"
            entries.append(
                {"fullUrl": name, "resource": patient(number), "request": {"method": "POST", "url": "Patient"}}
            )
            for each in range(2):
                day = f"2026-{number % 12 + 1:02d}-{each + 1:02d}T08:00:00+07:00"
                body = observation({"reference": name}, 90 + (number * 7 + each * 13) % 90, day)
                entries.append({"resource": body, "request": {"method": "POST", "url": "Observation"}})
        sent = orjson.dumps({"resourceType": "Bundle", "type": "transaction", "entry": entries})
        answered = await expect(client, (200,), "POST", "", sent)
        for entry in answered["entry"]:
            kind, resource_id = entry["response"]["location"].split("/_history")[0].split("/")[-2:]
            (seed.patients if kind == "Patient" else seed.observations).append(resource_id)
    return seed

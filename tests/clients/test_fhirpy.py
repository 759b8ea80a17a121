"""A working day of a hospital's program that is written with fhirpy."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from fhirpy import AsyncFHIRClient, SyncFHIRClient
from fhirpy.base.exceptions import MultipleResourcesFound, OperationOutcome, ResourceNotFound

from tests.processes import Program

pytestmark = pytest.mark.server

SYSTEM = "http://benhvien.example.vn/ma-benh-nhan"
Client = Callable[[], SyncFHIRClient]


@pytest.fixture(scope="module")
def client(program: Program) -> SyncFHIRClient:
    return SyncFHIRClient(program.base)


def patient(client: SyncFHIRClient, number: int, **members: Any) -> Any:
    name = {"family": "Nguyễn", "given": [f"Bình {number:02}"]}
    identifier = {"system": SYSTEM, "value": f"fhirpy-{number:02}"}
    return client.resource("Patient", **{"name": [name], "identifier": [identifier], **members})


def test_create_read_update_and_delete(client):
    made = patient(client, 1)
    made.save()
    assert made["meta"]["versionId"] == "1"
    assert client.reference("Patient", made.id).to_resource().serialize() == made.serialize()
    made["active"] = True
    made.save()
    assert made["meta"]["versionId"] == "2"
    made.delete()
    with pytest.raises((ResourceNotFound, OperationOutcome)):
        client.reference("Patient", made.id).to_resource()


def test_a_stale_update_is_refused(client):
    made = patient(client, 2)
    made.save()
    other = SyncFHIRClient(client.url, extra_headers={"If-Match": 'W/"9"'}).resource("Patient", **made.serialize())
    other["active"] = True
    with pytest.raises(MultipleResourcesFound, match="conflict"):  # what fhirpy takes every 412 for
        other.save()


def test_search_walks_through_all_pages(client):
    for number in range(20, 45):
        patient(client, number, gender="other").save()
    found = client.resources("Patient").search(gender="other").sort("identifier").limit(10)
    assert len(found.fetch()) == 10
    values = [each["identifier"][0]["value"] for each in found.fetch_all()]
    assert values == [f"fhirpy-{number:02}" for number in range(20, 45)]
    assert client.resources("Patient").search(gender="other").count() == 25
    assert client.resources("Patient").search(name="nguyen").first() is not None


def test_conditional_writes(client):
    searched = client.resources("Patient").search(identifier=f"{SYSTEM}|fhirpy-50")
    made, is_new = searched.get_or_create(patient(client, 50))
    again, is_new_again = searched.get_or_create(patient(client, 50))
    assert (is_new, is_new_again) == (201, 200) or (is_new, is_new_again) == (True, False)
    assert made.id == again.id
    updated, _ = searched.update(patient(client, 50, active=True))
    assert (updated.id, updated["meta"]["versionId"]) == (made.id, "2")
    assert searched.get().id == made.id
    searched.delete()
    with pytest.raises(ResourceNotFound):
        searched.get()


def test_what_matches_several_is_told(client):
    for _ in range(2):
        patient(client, 60).save()
    with pytest.raises(MultipleResourcesFound):
        client.resources("Patient").search(identifier=f"{SYSTEM}|fhirpy-60").get()


def test_a_transaction_links_what_it_makes(client):
    urn = "urn:uuid:b353d9c3-2a55-4b9c-a4a9-d3f7c9a0c0aa"
    entries = [
        {"fullUrl": urn, "resource": patient(client, 70).serialize(), "request": {"method": "POST", "url": "Patient"}},
        {
            "resource": {
                "resourceType": "Encounter",
                "status": "in-progress",
                "class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "VR"},
                "subject": {"reference": urn},
            },
            "request": {"method": "POST", "url": "Encounter"},
        },
    ]
    bundle = client.resource("Bundle", type="transaction", entry=entries)
    answer = client.execute("", method="post", data=bundle.serialize())
    assert [entry["response"]["status"][:3] for entry in answer["entry"]] == ["201", "201"]
    encounter = (
        client.resources("Encounter").search(patient__identifier=f"{SYSTEM}|fhirpy-70").include("Encounter", "patient")
    )
    assert {entry["resource"]["resourceType"] for entry in encounter.fetch_raw()["entry"]} == {"Encounter", "Patient"}


def test_what_is_wrong_is_told_with_its_place(client):
    with pytest.raises(OperationOutcome) as refused:
        patient(client, 80, birthDate="31-12-1990").save()
    issue = refused.value.resource["issue"][0]
    assert issue["expression"] == ["Patient.birthDate"]
    assert issue["details"]["text"]
    with pytest.raises(OperationOutcome, match="birthdate"):
        client.resources("Patient").search(birthday="1990").fetch()


def test_validation_and_history(client):
    made = patient(client, 90)
    assert made.is_valid()
    made.save()
    assert client.execute(f"Patient/{made.id}/_history", method="get")["total"] == 1
    assert client.execute("metadata", method="get")["fhirVersion"] == "4.0.1"


def test_many_at_once(program):
    async def make() -> set[str]:
        client = AsyncFHIRClient(program.base)
        made = [client.resource("Basic", code={"text": "fhirpy"}) for _ in range(30)]
        await asyncio.gather(*(each.save() for each in made))
        return {each.id for each in await client.resources("Basic").limit(7).fetch_all()}

    assert len(asyncio.run(make())) == 30

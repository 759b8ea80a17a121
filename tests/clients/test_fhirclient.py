"""A working day of a hospital's program that is written with fhirclient, the SMART client for Python."""

from __future__ import annotations

from typing import Any

import pytest
from fhirclient.client import FHIRClient
from fhirclient.models.bundle import Bundle
from fhirclient.models.encounter import Encounter
from fhirclient.models.humanname import HumanName
from fhirclient.models.identifier import Identifier
from fhirclient.models.patient import Patient
from fhirclient.server import FHIRNotFoundException
from requests import HTTPError

from tests.processes import Program

pytestmark = pytest.mark.server

SYSTEM = "http://benhvien.example.vn/ma-benh-nhan"


@pytest.fixture(scope="module")
def server(program: Program) -> Any:
    client = FHIRClient(settings={"app_id": "his", "api_base": program.base})
    client.prepare()
    return client.server


def patient(number: int, family: str = "Đặng") -> Patient:
    made = Patient()
    made.name = [HumanName({"family": family, "given": [f"Hoa {number}"]})]
    made.identifier = [Identifier({"system": SYSTEM, "value": f"fhirclient-{number}"})]
    return made


def test_create_read_update_and_delete(server):
    made = Patient(patient(1).create(server))
    assert made.meta.versionId == "1"
    read = Patient.read(made.id, server)
    assert read.as_json() == made.as_json()
    read.active = True
    assert read.update(server)["meta"]["versionId"] == "2"
    read.delete(server)
    with pytest.raises((FHIRNotFoundException, HTTPError)):
        Patient.read(made.id, server)


def test_search_walks_through_all_pages(server):
    for number in range(10, 35):
        patient(number, "Lê").create(server)
    values = sorted(
        each.identifier[0].value
        for each in Patient.where({"family": "le", "_count": "10"}).perform_resources_iter(server)
    )
    assert values == [f"fhirclient-{number}" for number in range(10, 35)]


@pytest.mark.parametrize("typed", ["dang", "Đặng", "ĐẶNG", "\u00d0ặng", "Dặng"])
def test_a_name_is_found_however_it_is_typed(server, typed):
    identifier = f"{SYSTEM}|fhirclient-40"
    if not list(Patient.where({"identifier": identifier}).perform_resources_iter(server)):
        patient(40).create(server)
    found = Patient.where({"family": typed, "identifier": identifier}).perform_resources_iter(server)
    assert [each.name[0].family for each in found] == ["Đặng"]


def test_a_transaction(server):
    entries = [{"resource": patient(n).as_json(), "request": {"method": "POST", "url": "Patient"}} for n in (50, 51)]
    bundle = Bundle({"type": "transaction", "entry": entries})
    answer = server.post_json("", bundle.as_json()).json()
    assert [entry["response"]["status"][:3] for entry in answer["entry"]] == ["201", "201"]


def test_a_reference_is_followed(server):
    made = Patient(patient(60).create(server))
    coding = {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "VR"}
    encounter = Encounter({"status": "planned", "class": coding, "subject": {"reference": f"Patient/{made.id}"}})
    stored = Encounter.read(encounter.create(server)["id"], server)
    assert stored.subject.resolved(Patient).id == made.id


def test_what_is_wrong_is_told(server):
    with pytest.raises(HTTPError) as refused:
        server.post_json("Patient", {"resourceType": "Patient", "gender": "nữ"})
    assert refused.value.response is not None
    assert refused.value.response.status_code == 400
    assert refused.value.response.json()["issue"][0]["expression"] == ["Patient.gender"]


def test_the_server_says_what_it_can(server):
    statement = server.capabilityStatement
    assert statement.fhirVersion == "4.0.1"
    assert {"Patient", "Encounter"} <= {resource.type for resource in statement.rest[0].resource}

"""Programs that others wrote, against the server as it is started."""

import asyncio
import json
import shutil
import subprocess
import warnings

import pytest

from tests.processes import running

pytestmark = pytest.mark.server


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    with running(tmp_path_factory.mktemp("data")) as program:
        yield program.base


def curl(*arguments: str) -> str:
    program = shutil.which("curl")
    if program is None:
        pytest.skip("curl is not installed")
    return subprocess.run([program, "-sS", *arguments], check=True, capture_output=True, text=True).stdout


def test_curl(base):
    body = '{"resourceType":"Patient","name":[{"family":"Nguyễn"}]}'
    made = json.loads(curl("-H", "Content-Type: application/fhir+json", "-d", body, f"{base}/Patient"))
    path = f"{base}/Patient/{made['id']}"
    assert json.loads(curl(path)) == made
    assert "HTTP/1.1 200" in curl("-I", path)
    assert "<Patient" in curl("-H", "Accept: application/fhir+xml", path)
    assert json.loads(curl("--compressed", f"{base}/metadata"))["fhirVersion"] == "4.0.1"
    found = json.loads(curl("-G", "--data-urlencode", "name=nguyen", f"{base}/Patient"))
    assert found["entry"][0]["resource"]["id"] == made["id"]
    assert curl("-X", "DELETE", "-o", "-", "-w", "%{http_code}", path) == "204"


def test_fhirclient(base):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from fhirclient import client
        from fhirclient.models.humanname import HumanName
        from fhirclient.models.patient import Patient

        smart = client.FHIRClient(settings={"app_id": "test", "api_base": base})
        patient = Patient({"name": [HumanName({"family": "Trần", "given": ["Bình"]}).as_json()]})
        made = patient.create(smart.server)
        assert made
        assert made["resourceType"] == "Patient"
        found = Patient.where(struct={"name": "tran"}).perform_resources(smart.server)
        assert [each.name[0].family for each in found] == ["Trần"]
        read = Patient.read(found[0].id, smart.server)
        read.birthDate = None
        read.gender = "male"
        assert read.update(smart.server)["gender"] == "male"
        read.delete()
        assert Patient.where(struct={"name": "tran"}).perform_resources(smart.server) == []


def test_fhirpy(base):
    async def story() -> None:
        from fhirpy import AsyncFHIRClient

        client = AsyncFHIRClient(base, extra_headers={"Accept": "application/fhir+json"})
        patient = client.resource("Patient", name=[{"family": "Lý", "given": ["Mây"]}])
        await patient.save()
        assert patient.id
        observation = client.resource(
            "Observation", status="final", code={"text": "a"}, subject=patient.to_reference().serialize()
        )
        await observation.save()
        found = await client.resources("Observation").search(subject=patient.to_reference()).fetch_all()
        assert [each.id for each in found] == [observation.id]
        included = await client.resources("Observation").include("Observation", "subject").fetch_raw()
        assert {entry.resource.resource_type for entry in included.entry} == {"Observation", "Patient"}
        again, created = (
            await client.resources("Patient")
            .search(name="ly")
            .get_or_create(client.resource("Patient", name=[{"family": "Lý"}]))
        )
        assert (again.id, created) == (patient.id, False)
        patient["gender"] = "female"
        await patient.save()
        assert (await client.reference("Patient", patient.id).to_resource()).gender == "female"
        await observation.delete()
        assert await client.resources("Observation").search(subject=patient.to_reference()).fetch_all() == []

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        asyncio.run(story())

import asyncio
from typing import Any

import httpx
import orjson
import pytest

from fhir_server.app import application
from fhir_server.definitions.registry import r4
from fhir_server.settings import Settings

PATIENT = {"resourceType": "Patient", "gender": "female", "birthDate": "1984-02-13"}
WRONG_PATIENT = PATIENT | {"gender": "nữ"}
XML = '<Patient xmlns="http://hl7.org/fhir"><gender value="female"/></Patient>'
VITAL_SIGNS = "http://hl7.org/fhir/StructureDefinition/vitalsigns"


@pytest.fixture(scope="module")
def service():
    return application(r4(), Settings(body_bytes=2000))


@pytest.fixture
def call(service):
    def send(method: str, path: str, body: Any = None, **options: Any) -> httpx.Response:
        async def exchange() -> httpx.Response:
            transport = httpx.ASGITransport(service, raise_app_exceptions=False)
            async with httpx.AsyncClient(transport=transport, base_url="http://node") as client:
                content = orjson.dumps(body) if isinstance(body, dict) else body
                return await client.request(method, path, content=content, **options)

        return asyncio.run(exchange())

    return send


def severities(answer: httpx.Response) -> set[str]:
    assert answer.headers["content-type"] == "application/fhir+json"
    outcome = answer.json()
    assert outcome["resourceType"] == "OperationOutcome"
    return {issue["severity"] for issue in outcome["issue"]}


def test_it_says_when_it_is_ready(call):
    answer = call("GET", "/health")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


@pytest.mark.parametrize("path", ["/fhir/$validate", "/fhir/Patient/$validate"])
@pytest.mark.parametrize("body", [PATIENT, XML], ids=["json", "xml"])
def test_a_sound_resource_has_no_error(call, path, body):
    answer = call("POST", path, body)
    assert answer.status_code == 200
    assert severities(answer).isdisjoint({"error", "fatal"})


def test_a_fault_is_told_with_its_place(call):
    answer = call("POST", "/fhir/$validate", WRONG_PATIENT)
    assert answer.status_code == 200
    errors = [issue for issue in answer.json()["issue"] if issue["severity"] == "error"]
    assert [issue["expression"] for issue in errors] == [["Patient.gender"]]


def test_a_resource_may_come_inside_parameters(call):
    body = {"resourceType": "Parameters", "parameter": [{"name": "resource", "resource": WRONG_PATIENT}]}
    assert "error" in severities(call("POST", "/fhir/Patient/$validate", body))


def test_a_profile_may_be_named(call):
    observation = {
        "resourceType": "Observation",
        "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": "718-7"}]},
        "text": {"status": "generated", "div": '<div xmlns="http://www.w3.org/1999/xhtml">a</div>'},
    }
    assert "error" not in severities(call("POST", "/fhir/$validate", observation))
    assert "error" in severities(call("POST", "/fhir/$validate", observation, params={"profile": VITAL_SIGNS}))


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "code"),
    [
        ("POST", "/fhir/$validate", b"{", 400, "structure"),
        ("POST", "/fhir/$validate", b"", 400, "structure"),
        ("POST", "/fhir/$validate", b" " * 2001, 413, "too-long"),
        ("POST", "/fhir/Patent/$validate", PATIENT, 404, "not-found"),
        ("POST", "/fhir/Observation/$validate", PATIENT, 400, "invalid"),
        ("GET", "/fhir/Patient/1", None, 404, "not-found"),
        ("GET", "/fhir/$validate", None, 405, "not-supported"),
    ],
)
def test_what_cannot_be_answered_is_refused_with_an_outcome(call, method, path, body, status, code):
    answer = call(method, path, body)
    assert answer.status_code == status
    assert severities(answer) <= {"error", "fatal"}
    assert answer.json()["issue"][0]["code"] == code


def test_a_fault_of_the_server_is_not_told_in_detail(call, service, monkeypatch, caplog):
    def fail(*_: object) -> None:
        raise RuntimeError("the inside")

    monkeypatch.setattr("fhir_server.app.receive", fail)
    answer = call("POST", "/fhir/$validate", PATIENT)
    assert answer.status_code == 500
    assert severities(answer) == {"fatal"}
    assert "the inside" not in answer.text
    assert "the inside" in caplog.text


def test_the_start_page_needs_nothing_from_elsewhere(call):
    for path, media_type in (
        ("/", "text/html"),
        ("/start_page.css", "text/css"),
        ("/start_page.js", "text/javascript"),
    ):
        answer = call("GET", path)
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith(media_type)
        assert "default-src 'self'" in answer.headers["content-security-policy"]
        assert "https://" not in answer.text

"""Operations and definitions that cost too much, or would ask elsewhere (rows 46 to 50 of the catalogue)."""

from __future__ import annotations

import resource
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from tests.abuse.attack import CPU_SECONDS, Abuse, refused
from tests.mongodb import is_wanted
from tests.processes import running
from tests.serving import serving

PATIENT = {"resourceType": "Patient"}
SYSTEM = "http://example.org/codes"
JSON = {"Content-Type": "application/fhir+json"}


@contextmanager
def listener() -> Iterator[tuple[str, list[bool]]]:
    """The URL of a host inside the house, and whether anybody has called it, known when the block ends."""
    called: list[bool] = []
    with socket.create_server(("127.0.0.1", 0)) as waiting:
        waiting.settimeout(0.2)
        yield f"http://127.0.0.1:{waiting.getsockname()[1]}", called
        try:
            waiting.accept()[0].close()
            called.append(True)
        except TimeoutError:
            called.append(False)


def codes(count: int, **more: Any) -> dict[str, Any]:
    concepts = [{"code": f"c{number}", "display": f"Concept {number}"} for number in range(count)]
    head = {"resourceType": "CodeSystem", "url": SYSTEM, "status": "active", "content": "complete"}
    return {**head, "concept": concepts, **more}


def test_46_no_request_leaves_for_a_profile_or_a_reference(server):
    with listener() as (url, called):
        profile = f"{url}/StructureDefinition/a"
        claimed = {
            **PATIENT,
            "meta": {"profile": [profile]},
            "managingOrganization": {"reference": f"{url}/Organization/1"},
        }
        extension = {"url": f"{url}/extension", "valueAttachment": {"url": f"{url}/a.pdf"}}
        value_set = {"resourceType": "ValueSet", "status": "active", "compose": {"include": [{"valueSet": [url]}]}}
        for answer in (
            server.ask("POST", f"Patient/$validate?profile={quote(profile)}", PATIENT),
            server.ask("POST", "Patient/$validate", claimed),
            server.ask("POST", "Patient", {**claimed, "extension": [extension]}),
            server.get(f"ValueSet/$expand?url={quote(url)}"),
            server.ask(
                "POST",
                "ValueSet/$expand",
                {"resourceType": "Parameters", "parameter": [{"name": "valueSet", "resource": value_set}]},
            ),
            server.get(f"CodeSystem/$lookup?system={quote(url)}&code=1"),
            server.get(f"Patient?organization={quote(url + '/Organization/1')}&_include=*"),
            server.get(f"Patient?gender:in={quote(url)}"),
        ):
            assert answer.status_code < 500, answer.text
    assert called == [False]


@pytest.mark.parametrize("system", ["http://snomed.info/sct", "http://hl7.org/fhir/sid/icd-10", "http://loinc.org"])
def test_47_all_codes_of_a_large_system_are_not_listed(server, system):
    include = {"resourceType": "ValueSet", "status": "active", "compose": {"include": [{"system": system}]}}
    body = {"resourceType": "Parameters", "parameter": [{"name": "valueSet", "resource": include}]}
    answer = server.ask("POST", "ValueSet/$expand", body)
    assert answer.status_code == 422
    assert answer.json()["issue"][0]["code"] in ("too-costly", "not-supported")


def test_47_more_codes_than_are_listed_at_once_need_paging_and_a_filter_is_a_text():
    with serving() as server:
        assert server.ask("POST", "CodeSystem", codes(12_000)).status_code == 201
        value_set = {
            "resourceType": "ValueSet",
            "url": f"{SYSTEM}/all",
            "status": "active",
            "compose": {"include": [{"system": SYSTEM}]},
        }
        server.create(value_set)
        url = f"ValueSet/$expand?url={quote(f'{SYSTEM}/all')}"
        refused(server.get(url), Abuse(47, "all", 422, "too-costly", says="12,000"))
        assert len(server.get(f"{url}&count=10&offset=11995").json()["expansion"]["contains"]) == 5
        for text in (".*", "(a+)+$", "%"):
            assert server.get(f"{url}&filter={quote(text)}").json()["expansion"]["total"] == 0
        assert server.get(f"{url}&filter=concept+11999").json()["expansion"]["total"] == 1


def test_48_concepts_below_themselves_are_no_fault():
    concepts = [
        {"code": "a", "property": [{"code": "parent", "valueCode": "b"}]},
        {"code": "b", "property": [{"code": "parent", "valueCode": "a"}]},
    ]
    properties = [{"code": "parent", "uri": "http://hl7.org/fhir/concept-properties#parent", "type": "code"}]
    with serving() as server:
        made = server.ask("POST", "CodeSystem", codes(0, concept=concepts, property=properties))
        assert made.status_code in (201, 400, 422)
        for path in (
            f"CodeSystem/$subsumes?system={SYSTEM}&codeA=a&codeB=b",
            f"CodeSystem/$lookup?system={SYSTEM}&code=a",
            f"Observation?code:below={quote(SYSTEM + '|a')}",
            f"Observation?code:above={quote(SYSTEM + '|a')}",
        ):
            assert server.get(path).status_code < 500


def test_48_value_sets_that_include_each_other_are_no_fault():
    with serving() as server:
        for own, other in (("a", "b"), ("b", "a")):
            include = [{"valueSet": [f"{SYSTEM}/{other}"]}]
            body = {
                "resourceType": "ValueSet",
                "url": f"{SYSTEM}/{own}",
                "status": "active",
                "compose": {"include": include},
            }
            assert server.ask("POST", "ValueSet", body).status_code in (201, 400, 422)
        for path in (
            f"ValueSet/$expand?url={SYSTEM}/a",
            f"ValueSet/$validate-code?url={SYSTEM}/a&system={SYSTEM}&code=x",
            f"Patient?language:in={SYSTEM}/a",
        ):
            answer = server.get(path)
            assert answer.status_code < 500, answer.text


def test_48_profiles_and_parameters_that_stand_on_themselves_are_no_fault():
    profile = {
        "resourceType": "StructureDefinition",
        "url": "http://example.org/loop",
        "name": "Loop",
        "status": "active",
        "kind": "resource",
        "abstract": False,
        "type": "Patient",
        "baseDefinition": "http://example.org/loop",
        "derivation": "constraint",
        "differential": {"element": [{"id": "Patient", "path": "Patient"}]},
    }
    parameter = {
        "resourceType": "SearchParameter",
        "url": "http://example.org/slow",
        "name": "slow",
        "description": "slow",
        "status": "active",
        "code": "slow",
        "base": ["Patient"],
        "type": "string",
        "expression": "Patient.repeat(children()).repeat(descendants())",
    }
    with serving() as server:
        assert server.ask("POST", "StructureDefinition", profile).status_code in (201, 400, 422)
        answer = server.ask("POST", "Patient/$validate?profile=http://example.org/loop", PATIENT)
        assert answer.status_code < 500, answer.text
        assert server.ask("POST", "SearchParameter", parameter).status_code in (201, 400, 422)
        started = time.process_time()
        assert server.ask("POST", "Patient", {**PATIENT, "name": [{"family": "a"}] * 50}).status_code in (201, 400, 422)
        assert time.process_time() - started < CPU_SECONDS
        assert server.get("Patient?slow=a").status_code < 500


@pytest.mark.server
@pytest.mark.skipif(is_wanted(), reason="the disk of a MongoDB is not the server's")
def test_50_a_full_disk_is_told_and_loses_nothing(tmp_path):
    with running(tmp_path) as program, httpx.Client(base_url=program.base, headers=JSON, timeout=120) as client:
        kept = client.post("/Patient", json=PATIENT)
        # No file of the server may grow beyond this: what the disk does when it is full.
        resource.prlimit(program.process.pid, resource.RLIMIT_FSIZE, (6_000_000, resource.RLIM_INFINITY))
        content = {"resourceType": "Binary", "contentType": "image/png", "data": "QUJD" * 200_000}
        answers = [client.post("/Binary", json=content) for _ in range(12)]
        statuses = {answer.status_code for answer in answers}
        assert 201 in statuses
        assert statuses <= {201, 503, 507}, [
            answer.text[:300] for answer in answers if answer.status_code not in (201, 507)
        ]
        full = answers[-1]
        assert full.status_code in (503, 507)
        assert full.json()["issue"][0]["code"] in ("no-store", "transient")
        assert client.get(f"/Patient/{kept.json()['id']}").content == kept.content
        resource.prlimit(program.process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        assert client.post("/Patient", json=PATIENT).status_code == 201
        made = {answer.json()["id"] for answer in answers if answer.status_code == 201}
    with running(tmp_path) as again, httpx.Client(base_url=again.base, timeout=120) as client:
        assert client.get(f"/Patient/{kept.json()['id']}").content == kept.content
        found = client.get("/Binary?_elements=id&_count=100").json()["entry"]
        assert made <= {entry["resource"]["id"] for entry in found}

"""A process that dies at a job is followed by another, with real processes."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.jobs.test_jobs import parameter, patient
from tests.processes import Program, running

pytestmark = pytest.mark.server

PATIENTS = 200
PATIENCE = 300.0


def workers(program: Program) -> list[int]:
    process = program.process.pid
    return [int(each) for each in Path(f"/proc/{process}/task/{process}/children").read_text().split()]


def tasks(client: httpx.Client, status: str) -> list[dict[str, Any]]:
    found = client.get(f"/Task?code=urn:nhipcau:job|reindex&status={status}").json()
    return [entry["resource"] for entry in found.get("entry", ())]


def until_there_is(client: httpx.Client, status: str) -> dict[str, Any]:
    until = time.monotonic() + PATIENCE
    while not (found := tasks(client, status)):
        assert time.monotonic() < until
        time.sleep(0.05)
    return found[0]


def test_a_job_whose_process_is_killed_is_finished_by_another(tmp_path):
    headers = {"Content-Type": "application/fhir+json", "Connection": "close"}
    with (
        running(tmp_path, "--workers", "2") as program,
        httpx.Client(base_url=program.base, headers=headers, timeout=PATIENCE) as client,
    ):
        entries = [
            {"resource": patient(n), "request": {"method": "PUT", "url": f"Patient/p{n}"}} for n in range(PATIENTS)
        ]
        bundle = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
        assert client.post("", json=bundle).status_code == 200
        assert client.put("/SearchParameter/colour", json=parameter()).status_code == 201
        begun = until_there_is(client, "in-progress")
        # One of them is at it, for as long as others may still write by the older definitions; which, nobody says.
        for each in workers(program):
            os.kill(each, signal.SIGKILL)
        ended = until_there_is(client, "completed")
        assert ended["id"] == begun["id"]
        outputs = {each["type"]["coding"][0]["code"]: each for each in ended["output"]}
        assert outputs["indexed"]["valueInteger"] == outputs["total"]["valueInteger"] == PATIENTS
        assert client.get("/Patient?colour=red&_summary=count").json()["total"] == PATIENTS // 2

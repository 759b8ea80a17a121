import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests.processes import running

pytestmark = pytest.mark.server
PATIENT = {"resourceType": "Patient", "identifier": [{"system": "https://example.org/id", "value": "one"}]}
CRITERIA = {"If-None-Exist": "identifier=https://example.org/id|one"}
JSON = {"Content-Type": "application/fhir+json"}


def children(process):
    return [int(each) for each in Path(f"/proc/{process}/task/{process}/children").read_text().split()]


def test_what_was_accepted_is_finished_and_kept(tmp_path):
    with running(tmp_path) as program:
        made = httpx.post(f"{program.base}/Patient", json=PATIENT, headers=JSON)
        assert made.status_code == 201
        assert program.stop() == 0
    with running(tmp_path) as program:
        again = httpx.get(f"{program.base}/Patient/{made.json()['id']}")
        assert again.content == made.content


def test_several_processes_answer_as_one(tmp_path):
    with running(tmp_path, "--workers", "2") as program:

        def create(_number: int) -> httpx.Response:
            return httpx.post(f"{program.base}/Patient", json=PATIENT, headers=JSON | CRITERIA, timeout=30)

        with ThreadPoolExecutor(16) as threads:
            answers = list(threads.map(create, range(32)))
        assert sorted(answer.status_code for answer in answers) == [200] * 31 + [201]
        assert len({answer.json()["id"] for answer in answers}) == 1
        first = httpx.get(f"{program.base}/_history?_count=1").json()
        assert first["entry"]
        assert program.stop() == 0


def test_a_process_that_dies_is_replaced(tmp_path):
    with running(tmp_path, "--workers", "2") as program:
        victim, survivor = children(program.process.pid)
        os.kill(victim, signal.SIGKILL)
        until = time.monotonic() + 30
        while len(set(children(program.process.pid)) - {victim}) < 2:
            assert time.monotonic() < until
            time.sleep(0.05)
        assert survivor in children(program.process.pid)
        assert httpx.get(f"{program.base}/Patient", timeout=30).status_code == 200
        assert program.stop() == 0

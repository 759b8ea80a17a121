import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests.processes import PROGRAM, running

pytestmark = pytest.mark.server
PATIENT = {"resourceType": "Patient", "identifier": [{"system": "https://example.org/id", "value": "one"}]}
CRITERIA = {"If-None-Exist": "identifier=https://example.org/id|one"}
PATIENCE = 300
JSON = {"Content-Type": "application/fhir+json"}


def children(process):
    return [int(each) for each in Path(f"/proc/{process}/task/{process}/children").read_text().split()]


def wait_until(holds: Callable[[], bool]) -> None:
    until = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.05)


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
            return httpx.post(f"{program.base}/Patient", json=PATIENT, headers=JSON | CRITERIA, timeout=PATIENCE)

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
        wait_until(lambda: len(set(children(program.process.pid)) - {victim}) == 2)
        assert survivor in children(program.process.pid)
        assert httpx.get(f"{program.base}/Patient", timeout=PATIENCE).status_code == 200
        assert program.stop() == 0


def answers_counted(program) -> dict[str, int]:
    """How many reads of one Patient each worker has answered, as one of them tells."""
    found = re.findall(
        r'request_seconds_count{interaction="read",status="404",worker="(\d)"} (\S+)',
        httpx.get(program.base.replace("/fhir", "/metrics"), timeout=PATIENCE).text,
    )
    return {worker: int(float(count)) for worker, count in found}


def test_metrics_are_those_of_all_processes(tmp_path):
    with running(tmp_path, "--workers", "2") as program:
        asked = 0
        # Each on a connection of its own, which either may take.
        while len(answers_counted(program)) < 2:
            asked += 1
            assert httpx.get(f"{program.base}/Patient/none", timeout=PATIENCE).status_code == 404
        for _ in range(5):
            assert sum(answers_counted(program).values()) == asked
        os.kill(children(program.process.pid)[0], signal.SIGKILL)
        assert sum(answers_counted(program).values()) == asked


def runs(process: int) -> bool:
    """Whether a process has not ended; one that nobody has asked about since is only a name."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_processes_end_when_the_one_above_them_is_killed_but_finish_first(tmp_path):
    with running(tmp_path, "--workers", "2") as program:
        processes = children(program.process.pid)
        with socket.create_connection(("127.0.0.1", program.port), timeout=60) as connection:
            connection.sendall(
                b"POST /fhir/Patient HTTP/1.1\r\nHost: node\r\nContent-Type: application/fhir+json\r\n"
                b"Expect: 100-continue\r\nContent-Length: 26\r\n\r\n"
            )
            assert connection.recv(65536).startswith(b"HTTP/1.1 100 ")
            program.process.kill()
            program.ended()
            wait_until(lambda: sum(map(runs, processes)) == 1)
            connection.sendall(b'{"resourceType":"Patient"}')
            answer = connection.recv(65536)
        assert answer.startswith(b"HTTP/1.1 201 ")
        assert b"connection: close" in answer
        wait_until(lambda: not any(map(runs, processes)))
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"{program.base}/Patient")


def test_a_stop_that_comes_while_processes_start_stops_them_all(tmp_path):
    for moment in (0.0, 0.01, 0.03, 0.1, 0.3):
        process = subprocess.Popen(
            [PROGRAM, "serve", "--port", "0", "--workers", "3", "--data", tmp_path],
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        assert process.stdout
        process.stdout.readline()  # it is told just before they start
        time.sleep(moment)
        process.terminate()
        assert process.wait(60) in (0, -signal.SIGTERM)  # before it knows of workers, it has none to stop
        process.stdout.close()
        with pytest.raises(ProcessLookupError):
            os.killpg(process.pid, 0)


def test_ctrl_c_which_reaches_all_of_them_is_a_stop(tmp_path):
    with running(tmp_path, "--workers", "2") as program:
        assert httpx.get(f"{program.base}/Patient").status_code == 200
        os.killpg(program.process.pid, signal.SIGINT)
        assert program.ended() == 0
        assert '"level":"error"' not in program.log

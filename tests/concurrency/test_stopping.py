"""The end of a server, by its operator or by the power: what it acknowledged is there, and whole."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from fhir_server.server import SECONDS_TO_FINISH
from tests.concurrency.asking import JSON, PATIENCE, get, post
from tests.processes import Program, running

pytestmark = pytest.mark.server

HEAD_OF_POST = (
    b"POST /fhir/Patient HTTP/1.1\r\nHost: node\r\nContent-Type: application/fhir+json\r\n"
    b"Expect: 100-continue\r\nContent-Length: 26\r\n\r\n"
)
WRITERS = 16
WRITES = 200
"""So many are acknowledged before the end comes."""


def bundle(writer: int, number: int) -> dict[str, Any]:
    """Two resources that must be there together or not at all."""
    value = {"system": "http://example.org/write", "value": f"{writer}-{number}"}
    urn = "urn:uuid:0d2b9a4e-8c3f-4c57-9f0c-6b9b3a5f3c11"
    patient = {"resourceType": "Patient", "identifier": [value]}
    about = {"identifier": [value], "subject": {"reference": urn}}
    flag = {"resourceType": "Flag", "status": "active", "code": {"text": "a"}, **about}
    entries = [
        {"fullUrl": urn, "resource": patient, "request": {"method": "POST", "url": "Patient"}},
        {"resource": flag, "request": {"method": "POST", "url": "Flag"}},
    ]
    return {"resourceType": "Bundle", "type": "transaction", "entry": entries}


async def under_load(program: Program, end: Callable[[], Any]) -> tuple[set[str], Any, list[int]]:
    """End a server while it writes; return what it acknowledged, what the end returned, and what it refused."""
    acknowledged: set[str] = set()
    refusals: list[int] = []
    enough = asyncio.Event()

    async def write(writer: int) -> None:
        number = 0
        async with httpx.AsyncClient(base_url=program.base, headers=JSON, timeout=PATIENCE) as client:
            with contextlib.suppress(httpx.TransportError):
                while True:
                    number += 1
                    answer = await client.post("", json=bundle(writer, number))
                    if answer.status_code != 200:
                        refusals.append(answer.status_code)
                        break
                    acknowledged.add(f"{writer}-{number}")
                    if len(acknowledged) >= WRITES:
                        enough.set()
        enough.set()

    writers = [asyncio.create_task(write(writer)) for writer in range(WRITERS)]
    await enough.wait()
    ended = await asyncio.to_thread(end)
    await asyncio.gather(*writers)
    return acknowledged, ended, refusals


def stored(program: Program, kind: str) -> list[str]:
    """The values of all resources of a type, by the pages of a search."""
    found: list[str] = []
    url = f"{program.base}/{kind}?_count=1000"
    while url:
        page = get(url).json()
        found += [each["resource"]["identifier"][0]["value"] for each in page.get("entry", [])]
        url = next((link["url"] for link in page["link"] if link["relation"] == "next"), "")
    return found


def connected(program: Program) -> socket.socket:
    return socket.create_connection(("127.0.0.1", program.port), timeout=PATIENCE)


def until_nobody_listens(program: Program) -> None:
    with contextlib.suppress(ConnectionError):
        while True:
            connected(program).close()
            time.sleep(0.01)


def answered(connection: socket.socket) -> dict[str, Any]:
    """The resource in the answer 201, which must be the last on this connection."""
    answer = b""
    while part := connection.recv(65536):
        answer += part
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 201 ")
    return dict(json.loads(body))


def is_whole(program: Program, acknowledged: set[str]) -> None:
    patients, flags = stored(program, "Patient"), stored(program, "Flag")
    assert len(patients) == len(set(patients))
    assert set(patients) == set(flags)
    assert acknowledged <= set(patients)
    some = sorted(acknowledged)[:: max(1, len(acknowledged) // 10)]
    for value in some:
        query = f"Flag?subject:Patient.identifier=http://example.org/write|{value}"
        assert len(get(f"{program.base}/{query}").json()["entry"]) == 1


@pytest.mark.parametrize("workers", ["1", "2"])
def test_sigterm_finishes_what_was_accepted(tmp_path, workers):
    with running(tmp_path, "--workers", workers) as program:
        acknowledged, status, refusals = asyncio.run(under_load(program, program.stop))
    assert status == 0, program.log
    assert refusals == [], program.log
    with running(tmp_path) as again:
        is_whole(again, acknowledged)
        # Each writer may have had one request under way whose answer it did not get.
        assert len(stored(again, "Patient")) <= len(acknowledged) + WRITERS


def test_sigterm_answers_a_request_whose_body_is_still_coming(tmp_path):
    with running(tmp_path) as program, connected(program) as connection:
        connection.sendall(HEAD_OF_POST)
        assert connection.recv(65536).startswith(b"HTTP/1.1 100 ")  # now the server knows of it
        program.process.terminate()
        until_nobody_listens(program)
        connection.sendall(b'{"resourceType":"Patient"}')
        answer = answered(connection)
        assert program.ended() == 0
    with running(tmp_path) as again:
        assert get(f"{again.base}/Patient/{answer['id']}").json() == answer


def test_sigterm_does_not_wait_for_idle_connections(tmp_path):
    with (
        running(tmp_path, head_seconds=PATIENCE) as program,
        httpx.Client(timeout=PATIENCE) as client,
        socket.create_connection(("127.0.0.1", program.port)),
    ):
        assert client.get(f"{program.base}/Patient").status_code == 200
        started = time.perf_counter()
        assert program.stop() == 0
        assert time.perf_counter() - started < SECONDS_TO_FINISH


@pytest.mark.parametrize("_again", range(2))
def test_sigkill_loses_nothing_that_was_acknowledged(tmp_path, _again):
    with running(tmp_path, "--workers", "2") as program:
        acknowledged, _, refusals = asyncio.run(under_load(program, program.kill))
    assert refusals == []
    with running(tmp_path, "--workers", "2") as again:
        is_whole(again, acknowledged)
        made = post(again.base, json=bundle(99, 1), headers=JSON)
        assert made.status_code == 200

"""The end of a server, by its operator or by the power: what it acknowledged is there, and whole."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests.concurrency.asking import JSON
from tests.processes import Program, running

pytestmark = pytest.mark.server

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
        async with httpx.AsyncClient(base_url=program.base, headers=JSON, timeout=30) as client:
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
        page = httpx.get(url, timeout=60).json()
        found += [each["resource"]["identifier"][0]["value"] for each in page.get("entry", [])]
        url = next((link["url"] for link in page["link"] if link["relation"] == "next"), "")
    return found


def is_whole(program: Program, acknowledged: set[str]) -> None:
    patients, flags = stored(program, "Patient"), stored(program, "Flag")
    assert len(patients) == len(set(patients))
    assert set(patients) == set(flags)
    assert acknowledged <= set(patients)
    some = sorted(acknowledged)[:: max(1, len(acknowledged) // 10)]
    for value in some:
        query = f"Flag?subject:Patient.identifier=http://example.org/write|{value}"
        assert len(httpx.get(f"{program.base}/{query}", timeout=30).json()["entry"]) == 1


@pytest.mark.parametrize("workers", ["1", "2"])
def test_sigterm_finishes_what_was_accepted(tmp_path, workers):
    with running(tmp_path, "--workers", workers) as program:
        acknowledged, status, refusals = asyncio.run(under_load(program, program.stop))
    assert status == 0, program.log
    assert refusals == []
    with running(tmp_path) as again:
        is_whole(again, acknowledged)
        # Each writer may have had one request under way whose answer it did not get.
        assert len(stored(again, "Patient")) <= len(acknowledged) + WRITERS


def test_sigterm_answers_a_request_whose_body_is_still_coming(tmp_path):
    with running(tmp_path) as program:

        async def story() -> tuple[httpx.Response, int]:
            begun = asyncio.Event()

            async def body() -> Any:
                yield b'{"resourceType":"Patient",'
                begun.set()
                await asyncio.sleep(1.0)
                yield b'"active":true}'

            async with httpx.AsyncClient(headers=JSON, timeout=30) as client:
                sending = asyncio.create_task(client.post(f"{program.base}/Patient", content=body()))
                await begun.wait()
                await asyncio.sleep(0.3)
                stopping = asyncio.create_task(asyncio.to_thread(program.stop))
                return await sending, await stopping

        answer, status = asyncio.run(story())
    assert answer.status_code == 201
    assert status == 0
    with running(tmp_path) as again:
        assert httpx.get(f"{again.base}/Patient/{answer.json()['id']}").content == answer.content


def test_sigterm_does_not_wait_for_idle_connections(tmp_path):
    with running(tmp_path) as program, httpx.Client() as client:
        assert client.get(f"{program.base}/Patient").status_code == 200
        started = time.perf_counter()
        assert program.stop() == 0
        assert time.perf_counter() - started < 5


@pytest.mark.parametrize("_again", range(2))
def test_sigkill_loses_nothing_that_was_acknowledged(tmp_path, _again):
    with running(tmp_path, "--workers", "2") as program:
        acknowledged, _, refusals = asyncio.run(under_load(program, program.kill))
    assert refusals == []
    with running(tmp_path, "--workers", "2") as again:
        is_whole(again, acknowledged)
        made = httpx.post(again.base, json=bundle(99, 1), headers=JSON)
        assert made.status_code == 200

"""Server processes on MongoDB that die by SIGKILL under load, wherever they are in a commit."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.concurrency.asking import JSON
from tests.mongodb import database_of
from tests.processes import running

pytestmark = pytest.mark.server

PROGRAM = Path(__file__).with_name("dying_server.py")
PROCESSES = 3
DEATHS = int(os.environ.get("NHIPCAU_TEST_DEATHS", "15"))
"""How many processes die; 50 take a minute and a half."""
WRITERS = 12
MOST_SECONDS = 400
SYSTEM = "http://example.org/write"
URN = "urn:uuid:0d2b9a4e-8c3f-4c57-9f0c-6b9b3a5f3c11"


def bundle(value: str) -> dict[str, Any]:
    """Two resources that must be there together or not at all; sent again, they are not made again."""
    identifier = [{"system": SYSTEM, "value": value}]
    condition = f"identifier={SYSTEM}|{value}"
    about = {"status": "active", "code": {"text": "a"}, "identifier": identifier, "subject": {"reference": URN}}
    once = {"method": "POST", "ifNoneExist": condition}
    entries = [
        {
            "fullUrl": URN,
            "resource": {"resourceType": "Patient", "identifier": identifier},
            "request": {**once, "url": "Patient"},
        },
        {"resource": {"resourceType": "Flag", **about}, "request": {**once, "url": "Flag"}},
    ]
    return {"resourceType": "Bundle", "type": "transaction", "entry": entries}


class Load:
    """Writers, each with its own numbers; those of even number send what had no answer again, the others go on."""

    def __init__(self, base: str) -> None:
        self._base = base
        self.acknowledged: dict[str, float] = {}
        self.unanswered: set[str] = set()
        self.refused: Counter[int] = Counter()

    async def write(self, writer: int, until: asyncio.Event) -> None:
        number = 0
        while not until.is_set():
            value = f"{writer}-{number}"
            if await self._sent(value):
                self.acknowledged[value] = time.monotonic()
            elif writer % 2 == 0:
                continue
            else:
                self.unanswered.add(value)
            number += 1

    async def _sent(self, value: str) -> bool:
        try:
            async with httpx.AsyncClient(headers=JSON, timeout=30) as client:
                answer = await client.post(self._base, json=bundle(value))
        except httpx.TransportError:
            return False
        if answer.status_code == 200:
            return True
        self.refused[answer.status_code] += 1
        assert answer.headers.get("retry-after")
        return False


@contextmanager
def dying(url: str, folder: Path) -> Iterator[str]:
    command = [sys.executable, str(PROGRAM), url, str(folder), str(PROCESSES)]
    with (
        (folder / "log").open("wb") as log,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True) as process,
    ):
        assert process.stdout
        try:
            yield process.stdout.readline().strip()
        finally:
            (folder / "calm").touch()
            process.terminate()
            process.wait(60)


def deaths_in(folder: Path) -> list[str]:
    file = folder / "deaths"
    return file.read_text().splitlines() if file.exists() else []


async def until_dead(folder: Path, load: Load) -> None:
    ended = asyncio.Event()
    writers = [asyncio.create_task(load.write(n, ended)) for n in range(WRITERS)]
    for _ in range(MOST_SECONDS * 5):
        await asyncio.sleep(0.2)
        if len(deaths_in(folder)) >= DEATHS or any(writer.done() for writer in writers):
            break
    (folder / "calm").touch()
    await asyncio.sleep(2)
    ended.set()
    await asyncio.gather(*writers)


def stored(base: str, kind: str) -> list[str]:
    found: list[str] = []
    url = f"{base}/{kind}?_count=1000"
    while url:
        page = httpx.get(url, timeout=120).json()
        found += [each["resource"]["identifier"][0]["value"] for each in page.get("entry", [])]
        url = next((link["url"] for link in page["link"] if link["relation"] == "next"), "")
    return found


def test_deaths_lose_nothing_and_tear_nothing(mongodb, tmp_path, record_property):
    url = database_of(tmp_path, mongodb)
    with dying(url, tmp_path) as base:
        load = Load(base)
        asyncio.run(until_dead(tmp_path, load))
    deaths = Counter(deaths_in(tmp_path))
    record_property("deaths", dict(deaths))
    assert deaths.total() >= DEATHS
    assert set(load.refused) <= {503}
    with running(tmp_path, "--store", url, "--store-single") as survivor:
        patients, flags = stored(survivor.base, "Patient"), stored(survivor.base, "Flag")
    assert len(patients) == len(set(patients))
    assert sorted(patients) == sorted(flags)
    assert set(load.acknowledged) <= set(patients)
    assert set(patients) <= set(load.acknowledged) | load.unanswered
    moments = sorted(load.acknowledged.values())
    record_property("longest pauses", sorted(after - before for before, after in pairwise(moments))[-5:])

"""Walks through ten thousand resources, page by page, while others insert, update and delete them."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.concurrency.asking import JSON, PATIENCE, delete, get, post
from tests.processes import Program, running

pytestmark = pytest.mark.server

COUNT = 10_000
PAGE = 1000
SORTS = ("", "_id", "-_lastUpdated", "birthdate", "-family,given")
Body = dict[str, Any]


def patient(identity: str, chance: random.Random) -> Body:
    name = {"family": f"Họ {chance.randrange(300):03}", "given": [f"Tên {chance.randrange(300):03}"]}
    day = f"{chance.randrange(1930, 2026)}-{chance.randrange(1, 13):02}-{chance.randrange(1, 29):02}"
    return {"resourceType": "Patient", "id": identity, "name": [name], "birthDate": day}


def entry(body: Body) -> Body:
    return {"resource": body, "request": {"method": "PUT", "url": f"Patient/{body['id']}"}}


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    chance = random.Random(1)
    with running(tmp_path_factory.mktemp("server"), "--workers", "2", validation="off") as started:
        for start in range(0, COUNT, 2000):
            entries = [entry(patient(f"p{number:05}", chance)) for number in range(start, start + 2000)]
            bundle = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
            assert post(started.base, json=bundle, headers=JSON).status_code == 200
        yield started


async def disturb(client: httpx.AsyncClient, seed: int, changed: asyncio.Semaphore, ended: asyncio.Event) -> None:
    """Insert, update and delete until told to end."""
    chance, number = random.Random(seed), 0
    while not ended.is_set():
        number += 1
        old, new = f"p{chance.randrange(COUNT):05}", f"n{seed}-{number}"
        match number % 3:
            case 0:
                answer = await client.delete(f"/Patient/{old}")
            case 1:
                answer = await client.put(f"/Patient/{old}", json=patient(old, chance))
            case _:
                answer = await client.put(f"/Patient/{new}", json=patient(new, chance))
        assert answer.status_code in (200, 201, 204), answer.text
        changed.release()


async def walk(client: httpx.AsyncClient, sort: str, changed: asyncio.Semaphore) -> tuple[list[Body], int]:
    """All resources by the links of the pages, and how many the first page said there are; changes between pages."""
    parameters = {"_count": str(PAGE), "_total": "accurate"} | ({"_sort": sort} if sort else {})
    url = f"/Patient?{httpx.QueryParams(parameters)}"
    found: list[Body] = []
    total = -1
    while url:
        await changed.acquire()
        await changed.acquire()
        answer = await client.get(url)
        assert answer.status_code == 200, answer.text
        page = answer.json()
        total = page["total"] if total < 0 else total
        assert page["total"] == total
        found += [each["resource"] for each in page["entry"]]
        url = next((link["url"] for link in page["link"] if link["relation"] == "next"), "")
    return found, total


def key(sort: str) -> Any:
    return {
        "_id": lambda body: body["id"],
        "-_lastUpdated": lambda body: body["meta"]["lastUpdated"],
        "birthdate": lambda body: body["birthDate"],
        "-family,given": lambda body: body["name"][0]["family"],
    }[sort]


@pytest.mark.parametrize("sort", SORTS)
def test_nothing_is_seen_twice_and_nothing_is_missing(program, sort):
    async def story() -> tuple[list[Body], int]:
        changed, ended = asyncio.Semaphore(0), asyncio.Event()
        async with httpx.AsyncClient(base_url=program.base, headers=JSON, timeout=PATIENCE) as client:
            writers = [
                asyncio.create_task(disturb(client, seed, changed, ended))
                for seed in (hash(sort) % 1000, 5000 + len(sort))
            ]
            found, total = await walk(client, sort, changed)
            ended.set()
            await asyncio.gather(*writers)
            return found, total

    found, total = asyncio.run(story())
    identities = [body["id"] for body in found]
    assert len(identities) == len(set(identities))
    assert len(identities) == total
    if sort:
        values = [key(sort)(body) for body in found]
        assert values == sorted(values, reverse=sort.startswith("-"))


def test_a_page_that_was_asked_for_again_is_the_same(program):
    first = get(f"{program.base}/Patient?_count=50&_sort=birthdate").json()
    (following,) = [link["url"] for link in first["link"] if link["relation"] == "next"]
    once = get(following).json()
    for each in once["entry"][:3]:
        assert delete(each["fullUrl"]).status_code == 204
    again = get(following).json()
    assert [each["resource"] for each in again["entry"]] == [each["resource"] for each in once["entry"]]

"""Consultations driven through all their steps by HTTP, at a steady rate: `python -m bench.consultation [COUNT]`."""

from __future__ import annotations

import asyncio
import sys
from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson

from bench.figure import Figure
from bench.http import started
from bench.load import Client, cpu_seconds

COUNT = 150
"""Consultations of one run; 10,000 are what 34 provinces have in a busy week."""
RATE = 50.0
"""Steps a second."""
CLIENTS = 24
STEPS: tuple[tuple[str, Sequence[dict[str, Any]]], ...] = (
    ("submit", ()),
    ("ask", ({"name": "question", "valueString": "?"},)),
    ("answer", ({"name": "answer", "valueString": "!"},)),
    ("accept", ()),
    ("book", ()),
    ("start", ()),
    ("finish", ()),
    ("close", ()),
)
FACILITIES = 34
SIGNERS = ("chair", "secretary")
FIRST = datetime(2027, 1, 1, tzinfo=UTC)
ACTIVITY = {"system": "urn:nhipcau:CodeSystem:tele-activity", "code": "HCTV-KCB"}


class Pace:
    """Moments at a steady rate: each step has its own, and is late from then on."""

    def __init__(self, rate: float) -> None:
        self._between = 1 / rate
        self._next = 0.0

    async def turn(self) -> float:
        """Wait for the next moment, and return it."""
        clock = asyncio.get_running_loop().time
        self._next = max(self._next + self._between, clock() - 1.0) if self._next else clock()
        moment = self._next
        await asyncio.sleep(max(0.0, moment - clock()))
        return moment


class Rehearsal:
    """A run; `times` are the milliseconds of each step, waiting for a connection included."""

    def __init__(self, base: str, count: int, rate: float) -> None:
        self.times: dict[str, list[float]] = defaultdict(list)
        self._base = base
        self._waiting = list(range(count))
        self._pace = Pace(rate)

    async def run(self) -> float:
        """Drive all consultations through; return the seconds that it took."""
        await self._sow()
        clock = asyncio.get_running_loop().time
        began = clock()
        await asyncio.gather(*(self._client() for _ in range(CLIENTS)))
        return clock() - began

    async def _sow(self) -> None:
        client = Client(self._base)
        for number in range(FACILITIES):
            await put(client, {"resourceType": "Organization", "id": f"hub-{number}", "name": f"Hub {number}"})
            for role in SIGNERS:
                await put(client, {"resourceType": "Practitioner", "id": f"{role}-{number}"})
        client.close()

    async def _client(self) -> None:
        client = Client(self._base)
        while self._waiting:
            await self._consultation(client, self._waiting.pop())
        client.close()

    async def _consultation(self, client: Client, number: int) -> None:
        patient = await self._step(client, "patient", "POST", "Patient", {"resourceType": "Patient"})
        request = await self._step(client, "request", "POST", "ServiceRequest", asked(number, str(patient["id"])))
        path = f"ServiceRequest/{request['id']}"
        for event, items in STEPS:
            if event == "close":
                await self._minutes(client, path, number)
            listed = [*items, *(booked(number) if event == "book" else ())]
            body = {"resourceType": "Parameters", "parameter": listed} if listed else None
            await self._step(client, event, "POST", f"{path}/$tele-{event}", body)
        await self._step(client, "state", "GET", f"{path}/$tele-state", None)

    async def _minutes(self, client: Client, path: str, number: int) -> None:
        """The minutes, drafted, concluded, and signed by both."""
        named = [reference(role, f"{role}-{number % FACILITIES}") for role in SIGNERS]
        body = {"resourceType": "Parameters", "parameter": named}
        minutes = await self._step(client, "draft-minutes", "POST", f"{path}/$tele-draft-minutes", body)
        written = await self._step(client, "minutes", "PUT", f"Composition/{minutes['id']}", concluded(minutes))
        for role in SIGNERS:
            who = {"resourceType": "Parameters", "parameter": [reference("who", f"{role}-{number % FACILITIES}")]}
            await self._step(client, "sign", "POST", f"Composition/{written['id']}/$tele-sign", who)

    async def _step(
        self, client: Client, name: str, method: str, path: str, body: dict[str, Any] | None
    ) -> dict[str, Any]:
        moment = await self._pace.turn()
        answer = await client.ask(method, path, orjson.dumps(body) if body is not None else b"")
        self.times[name].append((asyncio.get_running_loop().time() - moment) * 1000)
        if answer.status not in (200, 201):
            raise RuntimeError(f"{name}: {answer.status} {answer.body.decode()[:500]}")
        return answer.json()


async def put(client: Client, body: dict[str, Any]) -> None:
    """Store a resource under its id."""
    answer = await client.ask("PUT", f"{body['resourceType']}/{body['id']}", orjson.dumps(body))
    if answer.status not in (200, 201):
        raise RuntimeError(answer.body.decode()[:500])


def asked(number: int, patient: str) -> dict[str, Any]:
    """The request of a consultation."""
    return {
        "resourceType": "ServiceRequest",
        "status": "draft",
        "intent": "order",
        "category": [{"coding": [ACTIVITY]}],
        "subject": {"reference": f"Patient/{patient}"},
        "performer": [{"reference": f"Organization/hub-{number % FACILITIES}"}],
        "reasonCode": [{"text": "?"}],
    }


def booked(number: int) -> list[dict[str, Any]]:
    """When it is, and with whom: of each chair one after the other."""
    start = FIRST + timedelta(minutes=30 * (number // FACILITIES))
    times = (("start", start), ("end", start + timedelta(minutes=30)))
    chair = {"reference": f"Practitioner/chair-{number % FACILITIES}"}
    parts = [{"name": "actor", "valueReference": chair}, {"name": "role", "valueCode": "chair"}]
    return [
        *({"name": name, "valueInstant": moment.isoformat()} for name, moment in times),
        {"name": "participant", "part": parts},
    ]


def reference(name: str, practitioner: str) -> dict[str, Any]:
    """A parameter that names somebody."""
    return {"name": name, "valueReference": {"reference": f"Practitioner/{practitioner}"}}


def concluded(minutes: dict[str, Any]) -> dict[str, Any]:
    """The minutes with a conclusion for each question."""
    text = {"status": "additional", "div": '<div xmlns="http://www.w3.org/1999/xhtml"><p>Có</p></div>'}
    sections = [
        {**each, "section": [{"title": one["title"], "text": text} for one in each["section"]]}
        if "section" in each
        else each
        for each in minutes["section"]
    ]
    return {**minutes, "section": sections}


def percentile(times: Sequence[float], share: float) -> float:
    """The time that a share of all do not pass."""
    return sorted(times)[min(len(times) - 1, int(len(times) * share))]


def rehearsed(count: int, rate: float = RATE) -> list[Figure]:
    """Start a server, drive consultations through it, and tell how long each step took."""
    with started() as server:
        rehearsal = Rehearsal(server.base, count, rate)
        assert server.process is not None
        before = cpu_seconds(server.process)
        seconds = asyncio.run(rehearsal.run())
        spent = cpu_seconds(server.process) - before
    steps = sum(map(len, rehearsal.times.values()))
    return [
        Figure("consultation steps", steps / seconds, "steps/s"),
        Figure("consultation steps, of the server's CPU", steps / spent if spent else 0, "steps/CPU-s"),
        *(Figure(f"consultation {name} p95", percentile(times, 0.95), "ms") for name, times in rehearsal.times.items()),
    ]


def measure(_shared: Path) -> list[Figure]:
    """A short run, then as fast as it goes."""
    steady = rehearsed(COUNT)
    fast = rehearsed(COUNT, rate=100_000.0)
    return [*steady, Figure("consultation steps, as fast as it goes", fast[0].value, "steps/s")]


if __name__ == "__main__":
    for found in rehearsed(int(sys.argv[1]) if len(sys.argv) > 1 else COUNT):
        print(f"{found.name}: {found.value:,.4g} {found.unit}", flush=True)

"""What forwarding costs and how it bears bad lines: viewers, a conference, joins, losses, a narrow line, a soak."""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from bench.figure import Figure
from bench.media_people import Person, clip, losing, narrow

VIEWERS = int(os.environ.get("BENCH_MEDIA_VIEWERS", "200"))
PEOPLE = int(os.environ.get("BENCH_MEDIA_PEOPLE", "30"))
SECONDS = float(os.environ.get("BENCH_MEDIA_SECONDS", "6"))
SOAK_SECONDS = float(os.environ.get("BENCH_MEDIA_SOAK_SECONDS", "20"))
TILES, VOICES = 6, 3
VGA30, CONFERENCE = (30, 600), (15, 200)


def measure(_shared: Path) -> list[Figure]:
    """Measure each on an engine of its own."""
    for shape in (VGA30, CONFERENCE):
        clip(*shape)
    figures: list[Figure] = []
    for part in (viewers, conference, lossy_line, narrow_line, soak):
        figures += asyncio.run(part())
    return figures


class Engine:
    """The engine's process."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._lock = asyncio.Lock()

    async def ask(self, do: str, **more: Any) -> dict[str, Any]:
        """Its answer."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        async with self._lock:
            self._process.stdin.write(json.dumps({"do": do, **more}).encode() + b"\n")
            answer: dict[str, Any] = json.loads(await self._process.stdout.readline())
            return answer

    async def publish(
        self, session: str, who: str, shape: tuple[int, int], sent_at: dict[int, float] | None = None
    ) -> Person:
        """Somebody who sends."""
        person = Person()
        offer = await person.offer_media(*shape, sent_at)
        await person.connect(await self.ask("publish", session=session, participant=who, offer=offer))
        return person

    async def view(self, session: str, who: str, pictures: int, sounds: int) -> Person:
        """Somebody who watches."""
        person = Person()
        offer = await person.offer_slots(pictures, sounds)
        await person.connect(await self.ask("view", session=session, participant=who, offer=offer))
        return person


@asynccontextmanager
async def engine() -> AsyncIterator[Engine]:
    """A fresh engine on one core; this process takes the others."""
    cores = os.sched_getaffinity(0)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench.media_process", stdin=PIPE, stdout=PIPE, limit=2**20
    )
    os.sched_setaffinity(0, cores - {min(cores)} or cores)
    try:
        yield Engine(process)
    finally:
        assert process.stdin is not None
        process.stdin.close()
        await process.wait()
        os.sched_setaffinity(0, cores)


async def shares(asked: Engine, people: list[Person], name: str, streams: int) -> list[Figure]:
    """The share of a core while everybody watches, and what came."""
    await asyncio.sleep(2)
    for person in people:
        person.packets = 0
    before, began = await asked.ask("usage"), time.monotonic()
    await asyncio.sleep(SECONDS)
    after, passed = await asked.ask("usage"), time.monotonic() - began
    share = 100 * (after["cpu"] - before["cpu"]) / passed
    return [
        Figure(f"media-{name}-core", share, "%"),
        Figure(f"media-{name}-packets", sum(each.packets for each in people) / passed, "packets/s"),
        Figure(f"media-{name}-per-stream", share / streams, "%"),
        Figure(f"media-{name}-memory", after["bytes"] / 2**20, "MiB"),
    ]


async def viewers() -> list[Figure]:
    """One sends VGA at 30 frames a second, many watch; how long each takes to join, and to hear something."""
    async with engine() as asked:
        sender = await asked.publish("s", "an", VGA30)
        watching, joins = [], []
        for number in range(VIEWERS):
            began = time.monotonic()
            watching.append(await asked.view("s", f"v{number}", 1, 0))
            joins.append(time.monotonic() - began)
            watching[-1].receive(None, reads=False)
        figures = await shares(asked, watching, f"{VIEWERS}-viewers", VIEWERS)
        began = time.monotonic()
        again = await asked.view("s", "again", 0, 1)
        again.receive(None, reads=False)
        figures += [
            Figure("media-join-p50", statistics.median(joins) * 1000, "ms"),
            Figure("media-join-p95", sorted(joins)[int(len(joins) * 0.95)] * 1000, "ms"),
            Figure("media-rejoin-under-load", (await again.until_first() - began) * 1000, "ms"),
        ]
        await leave([sender, *watching, again])
    return figures


async def conference() -> list[Figure]:
    """Everybody sends, and sees six and hears three of the others."""
    async with engine() as asked:
        people = [await asked.publish("s", f"p{number}", CONFERENCE) for number in range(PEOPLE)]
        watching = [await asked.view("s", f"p{number}", TILES, VOICES) for number in range(PEOPLE)]
        for person in watching:
            person.receive(None, reads=False)
        figures = await shares(asked, watching, f"{PEOPLE}-conference", PEOPLE * (TILES + VOICES))
        await leave([*people, *watching])
    return figures


async def lossy_line() -> list[Figure]:
    """How old pictures are, and how many come, with a tenth of the packets lost beside none."""
    figures = []
    for lost in (0.0, 0.1):
        async with engine() as asked:
            sent_at: dict[int, float] = {}
            sender = await asked.publish("s", "an", VGA30, sent_at)
            viewer = await asked.view("s", "binh", 1, 1)
            viewer.receive(losing(lost), reads=True)
            viewer.read_frames(sent_at)
            await asyncio.sleep(3)
            viewer.delays.clear()
            await asyncio.sleep(SECONDS)
            name = f"media-{lost:.0%}-lost".replace("%", "-percent")
            figures += [
                Figure(f"{name}-delay-p50", statistics.median(viewer.delays or [9.0]) * 1000, "ms"),
                Figure(f"{name}-frames", len(viewer.delays) / SECONDS, "frames/s"),
            ]
            await leave([sender, viewer])
    return figures


async def narrow_line() -> list[Figure]:
    """How much of the sound comes through a line of 64 kbit/s, once the pictures gave way."""
    async with engine() as asked:
        sender = await asked.publish("s", "an", VGA30)
        viewer = await asked.view("s", "binh", 1, 1)
        viewer.receive(narrow(64), reads=True)
        for _ in range(100):
            await asyncio.sleep(0.1)
            if (await asked.ask("usage"))["sound_only"]:
                break
        await asyncio.sleep(1)
        viewer.sound, began = 0, time.monotonic()
        await asyncio.sleep(SECONDS)
        whole = viewer.sound / 50 / (time.monotonic() - began)
        await leave([sender, viewer])
    return [Figure("media-64-kbit-sound", 100 * whole, "%")]


async def soak() -> list[Figure]:
    """How much memory and how many descriptors stay while people come and go."""
    async with engine() as asked:
        sender = await asked.publish("s", "an", CONFERENCE)
        await rounds(asked, min(10.0, SOAK_SECONDS / 2))
        before = await asked.ask("usage")
        count = await rounds(asked, SOAK_SECONDS)
        after = await asked.ask("usage")
        await leave([sender])
    return [
        Figure("media-soak-joins", count, "joins"),
        Figure("media-soak-memory", (after["bytes"] - before["bytes"]) / 2**20, "MiB"),
        Figure("media-soak-descriptors", after["files"] - before["files"], "files"),
    ]


async def rounds(asked: Engine, seconds: float) -> int:
    """Let people come and go for some time; how many did."""
    end, count = time.monotonic() + seconds, 0
    while time.monotonic() < end:
        person = await asked.view("s", "guest", 2, 2)
        sender = await asked.publish("s", "guest", CONFERENCE)
        await asyncio.sleep(0.1)
        for each in (person, sender):
            await asked.ask("close", connection=each.connection)
        await leave([person, sender])
        count += 2
    return count


async def leave(people: list[Person]) -> None:
    """Close all connections."""
    await asyncio.gather(*(person.leave() for person in people))

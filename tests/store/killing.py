"""Writers are killed in the middle of their work; then the store must hold what was acknowledged, whole."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import apsw
import orjson

from fhir_server.search.plan import And, Chain, Plan, Predicate, Row, Sort, Test
from fhir_server.store.protocol import Scope, Version
from fhir_server.store.sqlite.store import SqliteStore
from tests.store.crash_writer import LEVEL, MOST_WAITING, PARAMETERS, SUBJECT, TAG

REPOSITORY = Path(__file__).resolve().parents[2]
PROCESSES = 3
LEAST_LIFE, MOST_LIFE = 20, 500
"""Of a writer, in acknowledgements: a slow machine gives it more time."""

Key = tuple[str, str]


@dataclass
class Writer:
    """A process that writes, and what it said."""

    process: subprocess.Popen[bytes]
    dies: int
    said: bytes = b""


@dataclass
class Killing:
    """Starts writers on one store, kills them at random moments, and keeps what they acknowledged."""

    path: Path
    kills: int
    chance: random.Random = field(default_factory=lambda: random.Random(1))
    acknowledged: list[tuple[int, list[tuple[str, str, int]]]] = field(default_factory=list)
    started: int = 0

    def run(self) -> None:
        """Kill that many, always with others at work beside them."""
        alive = [self.start() for _ in range(PROCESSES)]
        killed = 0
        while killed < self.kills:
            for writer in alive:
                self.listen(writer)
            ripe = [w for w in alive if w.said.count(b"\n") >= w.dies]
            for writer in ripe[:1]:
                self.kill(writer)
                killed += 1
                alive.remove(writer)
                alive.append(self.start())
            time.sleep(0.005)
        for writer in alive:
            self.kill(writer)

    def start(self) -> Writer:
        self.started += 1
        command = [sys.executable, "-m", "tests.store.crash_writer", str(self.path), str(self.started)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, cwd=REPOSITORY)
        assert process.stdout is not None
        os.set_blocking(process.stdout.fileno(), False)
        return Writer(process, self.chance.randrange(LEAST_LIFE, MOST_LIFE))

    def listen(self, writer: Writer) -> None:
        assert writer.process.stdout is not None
        assert writer.process.poll() is None, "a writer ended by itself"
        writer.said += writer.process.stdout.read() or b""

    def kill(self, writer: Writer) -> None:
        writer.process.send_signal(signal.SIGKILL)
        writer.process.wait()
        assert writer.process.stdout is not None
        writer.said += writer.process.stdout.read() or b""
        writer.process.stdout.close()
        whole_lines = writer.said[: writer.said.rfind(b"\n") + 1].splitlines()
        self.acknowledged += [(t, [tuple(v) for v in made]) for t, made in map(orjson.loads, whole_lines)]


async def faults(path: Path, acknowledged: Iterable[tuple[int, list[tuple[str, str, int]]]]) -> list[str]:
    """What is wrong with a store: lost versions, gaps, halves, an index that does not say what bodies say."""
    found = []
    store = SqliteStore(path, most_waiting=MOST_WAITING)
    await store.number(PARAMETERS)
    versions = await store.history(Scope(), 10_000_000)
    by_name = {(v.type, v.id, v.version): v for v in versions}
    for t, made in acknowledged:
        lost = [name for name in made if name not in by_name or by_name[name].t > t]
        found += [f"acknowledged in commit {t}, but lost: {name}" for name in lost]
    found += broken_order(versions)
    found += halves(versions)
    found += await wrong_index(store, versions)
    await store.close()
    checked = apsw.Connection(str(path)).execute("PRAGMA integrity_check").fetchall()
    return found + [f"integrity: {line}" for line in checked if line != ("ok",)]


def broken_order(versions: Sequence[Version]) -> list[str]:
    found = []
    commits = sorted({v.t for v in versions})
    if commits != list(range(1, len(commits) + 1)):
        found.append("there are gaps between commits")
    if any(after.at < before.at for before, after in pairwise(versions)):
        found.append("time runs backwards")
    numbers: dict[Key, int] = {}
    for version in versions:
        key = (version.type, version.id)
        numbers[key] = numbers.get(key, 0) + 1
        if version.version != numbers[key]:
            found.append(f"{key} has version {version.version} as its number {numbers[key]}")
    return found


def halves(versions: Sequence[Version]) -> list[str]:
    """Each request changes a Patient and an Observation of the same name, so each commit has both."""
    commits: dict[int, list[str]] = {}
    for version in versions:
        commits.setdefault(version.t, []).append(version.id.replace("p", "o"))
    return [f"half of commit {t}: {ids}" for t, ids in commits.items() if len(ids) != 2 or ids[0] != ids[1]]


async def wrong_index(store: SqliteStore, versions: Sequence[Version]) -> list[str]:
    """Whether every search that the rows allow finds what the bodies say, now and at earlier snapshots."""
    found = []
    last = versions[-1].t if versions else 0
    for t in (last, last - last // 50, last - last // 10):
        current: dict[Key, Any] = {}
        for version in versions:
            if version.t <= t:
                key = (version.type, version.id)
                current[key] = orjson.loads(version.body)["rows"] if version.body else None
        for predicate, kind, expected in expectations({k: v for k, v in current.items() if v is not None}):
            got = await ids_of(store, Plan({kind: predicate}), t)
            if got != expected:
                found.append(f"at {t}, {predicate} finds {sorted(got ^ expected)[:3]} wrongly or not")
    sort = (Sort(numbers={"Observation": LEVEL}),)
    if len(await ids_of(store, Plan({"Observation": And()}, sort), None)) != await store.count(
        Plan({"Observation": And()})
    ):
        found.append("the count is not what a walk finds")
    return found


def expectations(current: dict[Key, Any]) -> Iterable[tuple[Predicate, str, set[str]]]:
    """Predicates, and the ids that they must find."""
    patients = {key[1]: rows for key, rows in current.items() if key[0] == "Patient"}
    observations = {key[1]: rows for key, rows in current.items() if key[0] == "Observation"}
    for n in range(5):
        tagged = {i for i, rows in patients.items() if rows[0][1] == f"tag{n}"}
        row = Row(TAG, (Test("v", "=", f"tag{n}"), Test("x", "=", "urn:tags")))
        yield row, "Patient", tagged
        yield Chain(SUBJECT, (("Patient", row),)), "Observation", {i.replace("p", "o") for i in tagged}
    for low in range(0, 20, 4):
        yield Row(LEVEL, (Test("v", ">=", low),)), "Observation", {i for i, r in observations.items() if r[0][1] >= low}


async def ids_of(store: SqliteStore, plan: Plan, t: int | None) -> set[str]:
    page = await store.run(plan, 500, t=t)
    found = {v.id for v in page.matches}
    while page.following:
        page = await store.run(plan, 500, page.following)
        found |= {v.id for v in page.matches}
    return found


def kill_and_check(path: Path, kills: int) -> tuple[Killing, list[str]]:
    """Kill writers on a store, then look at it."""
    killing = Killing(path, kills)
    killing.run()
    return killing, asyncio.run(faults(path, killing.acknowledged))

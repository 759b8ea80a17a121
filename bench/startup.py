"""What a process pays before its first resource: CPU and memory of fresh interpreters and servers."""

from __future__ import annotations

import asyncio
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

from bench import load
from bench.figure import Figure
from bench.http import started

ROUNDS = 5
PATIENT = b'{"resourceType":"Patient","name":[{"text":"A"}]}'
NOTHING = "pass"
DEFINITIONS = "from fhir_server.definitions.registry import r4; r4().type('Patient')"
FIRST_PATIENT = (
    "from fhir_server.definitions.registry import r4; from fhir_server.validation.validator import Validator; "
    "Validator(r4()).validate({'resourceType': 'Patient', 'name': [{'text': 'A'}]})"
)


def measure(shared: Path) -> list[Figure]:
    """CPU seconds beyond a bare interpreter, memory of a process that has validated a Patient, a server's first 201."""
    bare = cpu_seconds(NOTHING)
    return [
        Figure("startup-definitions", cpu_seconds(DEFINITIONS) - bare, "CPU-seconds"),
        Figure("startup-first-validation", cpu_seconds(FIRST_PATIENT) - bare, "CPU-seconds"),
        Figure("memory-first-validation", peak_mebibytes(FIRST_PATIENT), "MiB"),
        *first_created(),
    ]


def first_created() -> list[Figure]:
    """From the start of a server on an empty folder to its first 201: the medians of time, CPU and memory."""
    runs = [created_once() for _ in range(ROUNDS)]
    wall, cpu, memory = (statistics.median(each) for each in zip(*runs, strict=True))
    return [
        Figure("startup-first-create", wall, "seconds"),
        Figure("startup-first-create-cpu", cpu, "CPU-seconds"),
        Figure("memory-first-create", memory / 2**20, "MiB"),
    ]


def created_once() -> tuple[float, float, float]:
    """Seconds, CPU seconds and bytes of one server."""
    begun = time.perf_counter()
    with started() as server:
        assert server.process is not None
        asyncio.run(create(server.base))
        wall = time.perf_counter() - begun
        return wall, load.cpu_seconds(server.process), load.memory_bytes(server.process)


async def create(base: str) -> None:
    """Create a Patient."""
    client = load.Client(base)
    answer = await client.ask("POST", "Patient", PATIENT)
    assert answer.status == 201
    client.close()


def cpu_seconds(program: str) -> float:
    """The median CPU seconds of a fresh interpreter that runs a program."""
    return statistics.median(spent(program) for _ in range(ROUNDS))


def spent(program: str) -> float:
    """The CPU seconds of one run."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", program], check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def peak_mebibytes(program: str) -> float:
    """The most memory that a run holds, as its own address space tells: a child's usage starts at its parent's."""
    measured = f"{program}; print(open('/proc/self/status').read())"
    printed = subprocess.run([sys.executable, "-c", measured], check=True, capture_output=True, text=True).stdout
    (peak,) = (line for line in printed.splitlines() if line.startswith("VmHWM"))
    return int(peak.split()[1]) / 1024

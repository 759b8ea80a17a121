"""What a process pays before its first resource: CPU and memory of fresh interpreters."""

from __future__ import annotations

import resource
import statistics
import subprocess
import sys
from pathlib import Path

from bench.figure import Figure

ROUNDS = 5
NOTHING = "pass"
DEFINITIONS = "from fhir_server.definitions.registry import r4; r4().type('Patient')"
FIRST_PATIENT = (
    "from fhir_server.definitions.registry import r4; from fhir_server.validation.validator import Validator; "
    "Validator(r4()).validate({'resourceType': 'Patient', 'name': [{'text': 'A'}]})"
)


def measure(shared: Path) -> list[Figure]:
    """CPU seconds beyond a bare interpreter, and memory of a process that has validated a Patient."""
    bare = cpu_seconds(NOTHING)
    return [
        Figure("startup-definitions", cpu_seconds(DEFINITIONS) - bare, "CPU-seconds"),
        Figure("startup-first-validation", cpu_seconds(FIRST_PATIENT) - bare, "CPU-seconds"),
        Figure("memory-first-validation", peak_mebibytes(FIRST_PATIENT), "MiB"),
    ]


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

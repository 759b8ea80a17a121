"""Fifty writers killed at work on one store: one result for each kill, all failed when anything is wrong afterwards."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from tests.conformance.result import Result
from tests.store.killing import kill_and_check

KILLS = 60


def run(shared: Path) -> list[Result]:
    """What was acknowledged before each kill must be there, whole, at the end."""
    with TemporaryDirectory() as folder:
        killing, faults = kill_and_check(Path(folder) / "store.db", KILLS)
    note = "; ".join(faults[:5])
    return [
        Result(f"kill {n} of {KILLS}, {len(killing.acknowledged)} acknowledged", not faults, note) for n in range(KILLS)
    ]

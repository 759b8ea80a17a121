"""The official patch tests for R4 all pass."""

from pathlib import Path

from tests.conformance.patch_r4 import run

SIZE = 16 + 29 + 33


def test_every_test_passes(shared: Path):
    results = run(shared)
    assert {result.name: result.note for result in results if not result.passed} == {}
    assert len(results) == SIZE

"""The official tests of SQL on FHIR v2 all pass."""

from pathlib import Path

from tests.conformance.sql_on_fhir import run

SIZE = 134


def test_every_test_passes(shared: Path):
    results = run(shared)
    assert {result.name: result.note for result in results if not result.passed} == {}
    assert len(results) == SIZE

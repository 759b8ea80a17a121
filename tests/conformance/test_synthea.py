"""Synthetic patients: all may be written, and full depth says of them what the reference validator says."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import orjson
import pytest

from fhir_server.definitions.registry import r4
from fhir_server.errors import Issue
from fhir_server.validation.validator import Validator
from tests.conformance.synthea import run


def test_no_synthetic_resource_is_turned_away(shared: Path) -> None:
    assert [result for result in run(shared) if not result.passed] == []


@pytest.fixture(scope="module")
def errors(synthea_bundles: Mapping[str, bytes]) -> list[list[Issue]]:
    """The errors of each transaction at full depth."""
    validator = Validator(r4(), depth="full")
    return [[i for i in validator.validate(orjson.loads(raw)).issues if i.is_error] for raw in synthea_bundles.values()]


def test_each_bundle_has_20_to_85_wrong_displays(errors: list[list[Issue]]) -> None:
    counts = [sum(issue.text.startswith("Wrong display") for issue in found) for found in errors]
    assert (min(counts), max(counts)) == (20, 85)


def test_each_bundle_has_4_to_14_blood_pressures_that_miss_their_profile(errors: list[list[Issue]]) -> None:
    counts = [sum((issue.profile or "").endswith("/StructureDefinition/bp") for issue in found) for found in errors]
    assert (min(counts), max(counts)) == (4, 14)


def test_some_bundles_say_vital_sign_for_vital_signs(errors: list[list[Issue]]) -> None:
    assert any("'vital-sign' is not a code of" in issue.text for found in errors for issue in found)


def test_at_write_depth_the_same_are_warnings(synthea_bundles: Mapping[str, bytes]) -> None:
    body = orjson.loads(min(synthea_bundles.values(), key=len))
    verdict = Validator(r4()).validate(body, warnings=True)
    assert verdict.is_valid
    assert sum(issue.text.startswith("Wrong display") for issue in verdict.issues) == 20

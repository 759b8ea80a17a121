"""Every official example gets the reference validator's verdict, and none that it calls sound is turned away."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conformance.examples_oracle import ACCEPTED_AT_WRITE, Survey, survey


@pytest.fixture(scope="module")
def found(shared: Path) -> Survey:
    return survey(shared)


def test_all_verdicts_are_the_reference_validators(found: Survey) -> None:
    assert len(found.results) == 5296
    assert [result for result in found.results if not result.passed] == []


def test_nearly_all_errors_are_seen_where_the_reference_sees_them(found: Survey) -> None:
    assert found.same_place >= 0.95 * found.errors


def test_what_a_write_takes_in_spite_of_an_error_is_explained(found: Survey) -> None:
    kinds = {kind for kinds in found.accepted.values() for kind in kinds}
    assert kinds <= ACCEPTED_AT_WRITE.keys()
    assert len(found.accepted) == 92

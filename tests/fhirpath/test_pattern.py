"""Patterns of users run in linear time, and what RE2 lacks is refused."""

import time

import pytest

from fhir_server.fhirpath.error import FHIRPathError
from fhir_server.fhirpath.pattern import contains, matches_whole, replaced


@pytest.mark.parametrize("pattern", ["(a+)+$", "(a|a)*$", "(a*)*b", "^(([a-z])+.)+[A-Z]([a-z])+$"])
def test_patterns_that_explode_elsewhere_do_not_hang(pattern) -> None:
    started = time.process_time()
    contains(pattern, "a" * 50_000 + "!")
    assert time.process_time() - started < 1


def test_a_part_or_the_whole() -> None:
    assert contains("b.c", "ab\nc")
    assert matches_whole("a.*c", "ab\nc")
    assert not matches_whole("b", "abc")


def test_replacement_with_groups() -> None:
    assert replaced(r"(?P<d>\d+)/(\d+)", "30/11", "${2}-${d}-$1-$$") == "11-30-30-$$"
    assert replaced("x*", "ab", "-") == "-a-b-"
    assert replaced("\u0111", "\u0111i", "d") == "di"
    with pytest.raises(FHIRPathError, match="no group"):
        replaced("a", "a", "$5")


@pytest.mark.parametrize("pattern", ["(?=a)", "(?<!a)b", r"(a)\1", "(", "a{2000}", "(?>a)", "a" * 5000])
def test_unsupported_patterns_are_refused(pattern) -> None:
    with pytest.raises(FHIRPathError, match="regular expression"):
        contains(pattern, "a")

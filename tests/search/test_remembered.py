"""What a search asks is remembered only as long as it means the same."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from zoneinfo import ZoneInfo

from fhir_server.search.query import Searcher
from tests.search.searching import PARAMETERS

DAY = 86_400_000


class GrowingSet:
    """A terminology whose value sets grow with each question."""

    def __init__(self) -> None:
        self.asked = 0

    def members(self, value_set: str) -> Mapping[str, Collection[str]] | None:
        """One code more each time."""
        self.asked += 1
        return {"http://loinc.org": [f"{n}-1" for n in range(self.asked)]}

    def below(self, system: str, code: str) -> Collection[str] | None:
        """One code more each time."""
        self.asked += 1
        return [f"{n}-1" for n in range(self.asked)]

    above = below


def searcher() -> Searcher:
    """A searcher over a terminology that changes."""
    return Searcher(PARAMETERS, codes=GrowingSet(), zone=ZoneInfo("Asia/Ho_Chi_Minh"))


def test_the_same_search_means_the_same():
    made = searcher()
    pairs = [("code", "http://loinc.org|8480-6"), ("_sort", "-date")]
    once = made.query(("Observation",), pairs, now=0)
    assert made.query(("Observation",), pairs, now=DAY) is once
    assert made.query(("Observation",), pairs[:1], now=0) != once
    assert made.query(("Observation",), pairs, compartment=("Patient", "1"), now=0).plan != once.plan


def test_what_changes_with_the_time_or_the_terminology_is_read_again():
    made = searcher()
    for pair in (("date", "ap2020"), ("code:in", "urn:set"), ("code:below", "http://loinc.org|0-1")):
        once, later = (made.query(("Observation",), [pair], now=now).plan for now in (0, 40_000 * DAY))
        assert once != later

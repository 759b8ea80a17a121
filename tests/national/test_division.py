"""The 63 provinces and the 34: what a code means depends on the list that it is of."""

from __future__ import annotations

from collections import Counter

import pytest

from fhir_server.definitions.registry import r4
from fhir_server.national.division import (
    NEW,
    OLD,
    Unit,
    code_system,
    concept_map,
    old_provinces,
    province_of,
    provinces,
    restated,
    unit_of,
    version_on,
)
from fhir_server.validation.validator import Validator

REUSED = {"15", "24", "44", "52", "80", "82", "91"}


def test_each_old_province_is_in_one_new_one():
    assert (len(old_provinces()), len(provinces())) == (63, 34)
    sizes = Counter(new for _, new in old_provinces().values())
    assert set(sizes) == set(provinces())
    assert sum(size == 1 for size in sizes.values()) == 11


@pytest.mark.parametrize(
    ("code", "version", "today"),
    [("15", OLD, "15"), ("10", OLD, "15"), ("15", NEW, "15"), ("74", OLD, "79"), ("27", OLD, "24"), ("27", NEW, "")],
)
def test_a_province_is_restated_by_its_list(code: str, version: str, today: str):
    found = restated(Unit(code, version))
    assert found.province == today
    assert found.certainty == ("exact" if today else "unknown")


def test_a_reused_code_means_another_place():
    names = {code: (old_provinces()[code][0], provinces()[code]) for code in REUSED}
    assert all(old != new for old, new in names.values())
    assert names["15"] == ("Yên Bái", "Lào Cai")


@pytest.mark.parametrize(
    ("day", "version"),
    [("2025-06-30", OLD), ("2025-07-01", NEW), ("2025-06-30T23:59:59+07:00", OLD), ("2024", OLD), ("2025-07", NEW),
     ("2025", NEW), ("", NEW)],
)  # fmt: skip
def test_the_day_says_which_list(day: str, version: str):
    assert version_on(day) == version
    assert unit_of("15", None, day).version == version
    assert unit_of("15", OLD, day).version == OLD


def test_an_old_commune_has_its_province_and_is_not_assigned_itself():
    # 00004 was Phường Trúc Bạch, and is Phường Ba Đình since.
    old, new = restated(Unit("00004", OLD)), restated(Unit("00004", NEW))
    assert (old.province, old.commune, old.certainty) == ("01", "", "uncertain")
    assert (new.province, new.commune, new.certainty) == ("01", "00004", "exact")
    assert restated(Unit("99999", NEW)).certainty == restated(Unit("99999", OLD)).certainty == "unknown"


def test_no_commune_moved_outside_of_the_map_of_provinces():
    before, after = province_of(Unit("25747", OLD)), province_of(Unit("25747", NEW))
    assert (before, after) == ("74", "79")
    assert old_provinces()[before][1] == after


@pytest.mark.parametrize("body", [code_system(OLD), code_system(NEW), concept_map()], ids=["old", "new", "map"])
def test_the_lists_are_sound_resources(body):
    assert [issue for issue in Validator(r4()).validate(body).issues if issue.is_error] == []

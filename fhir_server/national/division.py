"""Administrative divisions of Viet Nam before and since 1 July 2025 (Decision 19/2025/QD-TTg).

Codes were used anew: seven codes of provinces and most of the communes' mean another territory since. A code therefore
goes with the version of its list, which is stated, or that of the day that it was written for. Each old province became
part of exactly one new one; what a commune became part of is not known from its code, and is never guessed.
"""

from __future__ import annotations

import csv
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any, Literal

OLD, NEW = "2024", "2025-07-01"
FIRST_DAY = "2025-07-01"
SYSTEM = "urn:nhipcau:CodeSystem:province"
COMMUNES = "urn:nhipcau:CodeSystem:commune"
MAP = "urn:nhipcau:ConceptMap:province-2024-2025"
FOLDER = resources.files("fhir_server.national").joinpath("divisions")
TITLE = "Provinces of Viet Nam"

Certainty = Literal["exact", "uncertain", "unknown"]
Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit as somebody wrote it: its code and the version of the list that this is of."""

    code: str
    version: str


@dataclass(frozen=True, slots=True)
class Restated:
    """A unit on today's map: its province there, its commune where that is certain, and how sure that is of both."""

    province: str
    commune: str
    certainty: Certainty


def version_on(day: str) -> str:
    """Return the version of the list in force on a day (FHIR date or dateTime); of no day, today's."""
    return OLD if day and day[:10] < FIRST_DAY[: len(day[:10])] else NEW


def unit_of(code: str, version: str | None, day: str) -> Unit:
    """Return a unit with the version that was stated, or else the one in force on a day."""
    return Unit(code, version if version in (OLD, NEW) else version_on(day))


@cache
def old_provinces() -> Mapping[str, tuple[str, str]]:
    """Return the name and the new province's code of each of the 63."""
    return {row["old_code"]: (row["old_name"], row["new_code"]) for row in _rows("provinces.csv")}


@cache
def provinces() -> Mapping[str, str]:
    """Return the names of the 34 provinces by code."""
    return dict(sorted((row["new_code"], row["new_name"]) for row in _rows("provinces.csv")))


def restated(unit: Unit) -> Restated:
    """Return where a province or a commune is on today's map.

    An old commune has its province exactly, and itself never: communes were merged, 471 of them in parts.
    """
    if len(unit.code) <= 2:
        province = unit.code if unit.version == NEW else old_provinces().get(unit.code, ("", ""))[1]
        known = province in provinces()
        return Restated(province if known else "", "", "exact" if known else "unknown")
    home = province_of(unit)
    if not home:
        return Restated("", "", "unknown")
    if unit.version == NEW:
        return Restated(home, unit.code, "exact")
    return Restated(old_provinces()[home][1], "", "uncertain")


def province_of(unit: Unit) -> str:
    """Return the province of a commune, of the same list; empty where that list has no such code."""
    ranges = _ranges()[unit.version]
    place = bisect_right(ranges, (unit.code, "~", "")) - 1
    if place < 0:
        return ""
    first, last, province = ranges[place]
    return province if first <= unit.code <= last else ""


def code_system(version: str) -> Json:
    """Return the provinces of a version of the list as a CodeSystem."""
    named = {code: name for code, (name, _) in old_provinces().items()} if version == OLD else provinces()
    return {
        "resourceType": "CodeSystem", "id": f"province-{version}", "url": SYSTEM, "version": version,
        "name": "Province",
        "title": TITLE, "status": "active", "caseSensitive": True, "content": "complete", "count": len(named),
        "concept": [{"code": code, "display": name} for code, name in sorted(named.items())],
    }  # fmt: skip


def concept_map() -> Json:
    """Return which new province each old one became part of, as a ConceptMap: its target is as large, or wider."""
    targets = [new for _, new in old_provinces().values()]
    elements = [
        {
            "code": old, "display": name,
            "target": [{
                "code": new, "display": provinces()[new],
                "equivalence": "equivalent" if targets.count(new) == 1 else "wider",
            }],
        }
        for old, (name, new) in sorted(old_provinces().items())
    ]  # fmt: skip
    return {
        "resourceType": "ConceptMap", "id": "province-2024-2025", "url": MAP, "version": NEW, "status": "active",
        "name": "ProvinceOfToday", "title": "The 63 provinces until 30 June 2025 on the map of the 34 since",
        "group": [{
            "source": SYSTEM, "sourceVersion": OLD, "target": SYSTEM, "targetVersion": NEW, "element": elements,
        }],
    }  # fmt: skip


@cache
def _ranges() -> Mapping[str, list[tuple[str, str, str]]]:
    found: dict[str, list[tuple[str, str, str]]] = {OLD: [], NEW: []}
    for row in _rows("communes.csv"):
        found[row["list"]].append((row["first"], row["last"], row["province"]))
    return found


def _rows(name: str) -> Iterator[dict[str, str]]:
    yield from csv.DictReader(FOLDER.joinpath(name).read_text("utf-8").splitlines())

"""Counts as MeasureReports and back, and indicators as Measures (FHIR R4, 13.10; IHE mADX 3.0.0, QRPH-58).

The id of a report follows from what it is of, so that the same report sent again is an update that changes nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fhir_server.national.disclosure import RULES
from fhir_server.national.division import NEW, SYSTEM, provinces
from fhir_server.national.indicator import BY_ID, MEASURE, Indicator
from fhir_server.national.stratum import Count, Counted

POPULATION = "http://terminology.hl7.org/CodeSystem/measure-population"
SCORING = "http://terminology.hl7.org/CodeSystem/measure-scoring"
ABSENT = "http://hl7.org/fhir/StructureDefinition/data-absent-reason"
TRANSLATION = "http://hl7.org/fhir/StructureDefinition/translation"
RULE = "urn:nhipcau:StructureDefinition:disclosure-rule"
MAP = "urn:nhipcau:StructureDefinition:administrative-map"
MINUTES = "urn:nhipcau:StructureDefinition:median-minutes"
DIMENSION = "urn:nhipcau:CodeSystem:report-dimension"
MASKED = {"_count": {"extension": [{"url": ABSENT, "valueCode": "masked"}]}}

Json = dict[str, Any]
Body = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Heading:
    """What a report is of: indicator, days (both included), the province that reports, for whom, on which map."""

    indicator: str
    first: str
    last: str
    province: str
    audience: str = "ministry"
    map: str = "today"

    @property
    def id(self) -> str:
        """The id that follows from it."""
        parts = (self.indicator, self.first, self.last, self.province, self.audience, self.map)
        return f"nr-{hashlib.sha256('|'.join(parts).encode()).hexdigest()[:40]}"


def report_of(heading: Heading, counted: Counted, date: str) -> Json:
    """Return the MeasureReport of a count, which was protected for its audience."""
    indicator = BY_ID[heading.indicator]
    name = provinces().get(heading.province)
    reporter: Json = {"identifier": {"system": SYSTEM, "value": heading.province, "assigner": {"display": NEW}}}
    return {
        "resourceType": "MeasureReport",
        "id": heading.id,
        "extension": [
            {"url": RULE, "valueCodeableConcept": {
                "coding": [{"system": RULE, "code": heading.audience}], "text": RULES[heading.audience].text,
            }},
            {"url": MAP, "valueCode": heading.map},
        ],
        "status": "complete",
        "type": "summary",
        "measure": indicator.url,
        "date": date,
        "reporter": {**reporter, "display": name} if name else reporter,
        "period": {"start": heading.first, "end": heading.last},
        "group": [{
            "code": {"text": indicator.vi},
            **_counts(indicator, counted.total),
            **_some("stratifier", [_stratifier(indicator, *each) for each in counted.strata.items()]),
        }],
    }  # fmt: skip


def heading_of(body: Body) -> Heading | None:
    """Return what a MeasureReport is of; None where it is none of ours."""
    name = str(body.get("measure", "")).partition("|")[0].removeprefix(MEASURE)
    period, reporter = body.get("period") or {}, (body.get("reporter") or {}).get("identifier") or {}
    if name not in BY_ID or reporter.get("system") != SYSTEM or body.get("status") != "complete":
        return None
    rule = _extension(body, RULE).get("valueCodeableConcept") or {}
    audience = next((each.get("code") for each in rule.get("coding", ())), "")
    return Heading(
        name, str(period.get("start", ""))[:10], str(period.get("end", ""))[:10], str(reporter.get("value", "")),
        str(audience), str(_extension(body, MAP).get("valueCode", "")),
    )  # fmt: skip


def counted_in(body: Body) -> Counted:
    """Return the counts of a MeasureReport of ours."""
    group: Body = next(iter(body.get("group", ())), {})
    return Counted(
        _count_in(group),
        {
            _code_in(each.get("code", ())): {
                str((stratum.get("value") or {}).get("text", "")): _count_in(stratum)
                for stratum in each.get("stratum", ())
            }
            for each in group.get("stratifier", ())
        },
    )


def measure_of(indicator: Indicator) -> Json:
    """Return the Measure of an indicator."""
    populations = [("numerator", indicator.numerator), ("denominator", indicator.denominator)]
    return {
        "resourceType": "Measure",
        "id": indicator.id,
        "url": indicator.url,
        "name": f"RemoteCare{indicator.id.replace('-', '')}",
        "title": indicator.vi,
        "_title": {"extension": [{"url": TRANSLATION, "extension": [
            {"url": "lang", "valueCode": "en"}, {"url": "content", "valueString": indicator.en},
        ]}]},
        "status": "active",
        "purpose": indicator.basis,
        "scoring": {"coding": [{"system": SCORING, "code": "proportion" if indicator.denominator else "cohort"}]},
        "group": [{
            "code": {"text": indicator.vi},
            "population": [
                {"code": _population(code), "description": text,
                 "criteria": {"description": text, "language": "text/x-sql", "expression": indicator.sql}}
                for code, text in populations if text
            ],
            "stratifier": [
                {"code": _dimension(name), "criteria": {"language": "text/x-sql", "expression": name}}
                for name in indicator.dimensions
            ],
        }],
    }  # fmt: skip


def _stratifier(indicator: Indicator, name: str, strata: Mapping[str, Count | None]) -> Json:
    listed = [{"value": {"text": value}, **_counts(indicator, count)} for value, count in strata.items()]
    return {"code": [_dimension(name)], **_some("stratum", listed)}


def _counts(indicator: Indicator, count: Count | None) -> Json:
    codes = ("numerator", "denominator") if indicator.denominator else ("numerator",)
    if count is None:
        return {"population": [{"code": _population(code), **MASKED} for code in codes]}
    values = {"numerator": count.numerator, "denominator": count.denominator or 0}
    made: Json = {"population": [{"code": _population(code), "count": values[code]} for code in codes]}
    if count.minutes is not None:
        made["extension"] = [{"url": MINUTES, "valueDecimal": count.minutes}]
    if indicator.denominator and count.denominator:
        made["measureScore"] = {"value": round(min(1.0, count.numerator / count.denominator), 4)}
    return made


def _count_in(part: Body) -> Count | None:
    found = {
        next((each.get("code") for each in (item.get("code") or {}).get("coding", ())), ""): item.get("count")
        for item in part.get("population", ())
    }
    if not isinstance(found.get("numerator"), int):
        return None
    return Count(found["numerator"], found.get("denominator"), _extension(part, MINUTES).get("valueDecimal"))


def _code_in(concepts: Sequence[Body]) -> str:
    return next((str(coding.get("code")) for each in concepts for coding in each.get("coding", ())), "")


def _extension(body: Body, url: str) -> Body:
    return next(_matching(body.get("extension", ()), url), {})


def _matching(listed: Sequence[Body], url: str) -> Iterator[Body]:
    yield from (each for each in listed if each.get("url") == url)


def _population(code: str) -> Json:
    return {"coding": [{"system": POPULATION, "code": code}]}


def _dimension(name: str) -> Json:
    return {"coding": [{"system": DIMENSION, "code": name}]}


def _some(name: str, listed: list[Json]) -> Json:
    return {name: listed} if listed else {}

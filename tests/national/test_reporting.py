"""The indicators on stored resources: counted by hand, and reported as MeasureReports."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from fhir_server.definitions.registry import r4
from fhir_server.errors import Invalid
from fhir_server.national.extension import national
from fhir_server.national.indicator import INDICATORS
from fhir_server.national.measure_report import Heading, counted_in, heading_of, measure_of, report_of
from fhir_server.national.reporting import days_of, keep, reports_for
from fhir_server.national.stratum import Count, Counted
from fhir_server.validation.validator import Validator
from tests.national.care import bundle, facility, made, story
from tests.operations.calling import parameters_of
from tests.serving import Served, outcome, serving

BY_HAND = {
    "T1": Count(3, 3), "T2": Count(4, None, 20.5), "T3": Count(1, 7, 30.0), "T3-started": Count(5, 7, 1320.0),
    "T3-cancelled": Count(1, 7), "T3-no-show": Count(0, 1), "T4": Count(1, 4), "T5": Count(1, 4, 30.0),
    "T6": Count(1, 1), "T7": Count(2, 3), "T8": Count(1, 4), "T9": Count(1, 1), "T10": Count(1, None, 120.0),
    "T11": Count(1, 4, 4.0), "T12": Count(3), "W1": Count(1),
}  # fmt: skip


@pytest.fixture(scope="module")
def province():
    with serving() as served:
        answer = served.ask("POST", "", bundle(*story()))
        assert answer.status_code == 200, answer.text
        yield served


def reports(served: Served, period: str = "2026-03", **more: Any) -> dict[str, dict[str, Any]]:
    made = served.call(lambda: reports_for(served.node, "15", period, **more))
    return {report["measure"].rpartition(":")[2]: report for report in made}


@pytest.fixture(scope="module")
def march(province):
    return reports(province)


@pytest.mark.parametrize("name", [each.id for each in INDICATORS])
def test_an_indicator_counts_what_was_counted_by_hand(march, name: str):
    assert counted_in(march[name]).total == BY_HAND[name]


def test_strata_are_counted(march):
    modes = counted_in(march["T2"]).strata["mode"]
    assert {value: count.numerator for value, count in modes.items() if count} == {
        "INTER_FACILITY_SUPPORT": 2, "TELECONSULT_MDT": 1, "DIRECT_TO_PATIENT": 1,
    }  # fmt: skip
    ages = counted_in(march["T2"]).strata["age"]
    assert {value: count.numerator for value, count in ages.items() if count} == {"0-4": 1, "15-59": 2, "60+": 1}
    assert counted_in(march["T7"]).strata["facility"] == {
        "Organization/clinic": Count(1, 1), "Organization/station": Count(1, 2),
    }  # fmt: skip
    assert counted_in(march["T1"]).strata["province"] == {"15": Count(3, 3)}


def test_a_commune_of_the_old_list_is_not_assigned(march):
    assert set(counted_in(march["T12"]).strata["commune"]) == {"02647", "uncertain"}


def test_divisions_are_restated_or_as_they_were_reported():
    old = [facility("a", "BAN_DAU", ("15", "2024")), facility("b", "BAN_DAU", ("10", "2024")), facility("c", "BAN_DAU")]
    with serving() as served:
        assert served.ask("POST", "", bundle(*old)).status_code == 200
        today = counted_in(reports(served)["T1"]).strata["province"]
        reported = counted_in(reports(served, on="reported")["T1"]).strata["province"]
    assert today == {"15": Count(0, 3)}
    assert set(reported) == {"15|2024", "10|2024", "15|2025-07-01"}


def test_reports_and_measures_are_sound_resources(march):
    validator = Validator(r4())
    for body in (*march.values(), *(measure_of(each) for each in INDICATORS)):
        assert [issue for issue in validator.validate(body).issues if issue.is_error] == []


def test_a_report_is_read_as_it_was_written(march):
    heading = heading_of(march["T7"])
    assert heading == Heading("T7", "2026-03-01", "2026-03-31", "15")
    assert heading.id == march["T7"]["id"]
    counted = Counted(Count(9, 12, 4.5), {"sex": {"male": None, "female": Count(9, 9)}})
    assert counted_in(report_of(heading, counted, "2026-04-01T00:00:00Z")) == counted


def test_reports_for_the_public_say_how_they_are_masked(province):
    report = reports(province, audience="public")["T2"]
    assert counted_in(report).total is None
    assert report["extension"][0]["valueCodeableConcept"]["text"].startswith("Counts of 1 to 9 are masked")
    (population,) = report["group"][0]["population"]
    assert population["_count"]["extension"][0]["valueCode"] == "masked"
    assert report["id"] != reports(province)["T2"]["id"]


def test_the_same_report_is_stored_once(province):
    made = list(reports(province).values())
    assert province.call(lambda: keep(province.node, made)) == len(INDICATORS)
    again = list(reports(province).values())
    assert province.call(lambda: keep(province.node, again)) == 0
    assert province.versions(f"MeasureReport/{made[0]['id']}") == 1


def test_generated_consultations_are_counted_as_python_counts_them():
    bodies = made(11, 120, "2026-05", "15")
    sessions = [body for body in bodies if body["resourceType"] == "Encounter"]
    with serving() as served:
        assert served.ask("POST", "", bundle(*bodies)).status_code == 200
        found = reports(served, "2026-05")
    sites = Counter(body["serviceProvider"]["reference"] for body in sessions)
    strata = counted_in(found["T2"]).strata["facility"]
    assert {site: count.numerator for site, count in strata.items() if count} == sites
    sent = Counter(
        body["hospitalization"]["dischargeDisposition"]["coding"][0]["code"]
        for body in sessions
        if "hospitalization" in body
    )
    assert counted_in(found["T7"]).total == Count(sent["home"], sent["home"] + sent["other-hcf"])


def test_the_operation_counts_and_keeps_measures_and_reports():
    with serving(extensions=(national,), province="15") as served:
        assert served.ask("POST", "", bundle(facility("a", "BAN_DAU"))).status_code == 200
        answer = served.ask("POST", "$national-report", parameters_of({"name": "period", "valueString": "2026-03"}))
        assert answer.status_code == 200, answer.text
        stored = [entry["resource"]["id"] for entry in answer.json()["entry"]]
        assert len(stored) == len(INDICATORS)
        assert served.get(f"MeasureReport/{stored[0]}").json()["measure"] == served.get("Measure/T1").json()["url"]
        assert served.get("ConceptMap/province-2024-2025").status_code == 200
        wrong = served.ask("POST", "$national-report", parameters_of({"name": "period", "valueString": "x"}))
        outcome(wrong, 400, "value")
    with serving(extensions=(national,)) as served:
        answer = served.ask("POST", "$national-report", parameters_of({"name": "period", "valueString": "2026-03"}))
        outcome(answer, 400, "invalid")


@pytest.mark.parametrize("period", ["2026", "2026-13", "2026-03-02/2026-03-01", "", "March", "2026-03-01/", "x/y"])
def test_a_period_is_a_month_or_two_days(period: str):
    with pytest.raises(Invalid):
        days_of(period)
    assert days_of("2028-02") == ("2028-02-01", "2028-02-29")
    assert days_of("2026-03-01/2026-03-01") == ("2026-03-01", "2026-03-01")

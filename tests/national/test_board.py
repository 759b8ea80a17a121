"""The board below /national: counts for an audience, in the time that a dashboard has."""

from __future__ import annotations

import time
from typing import Any

import pytest

from fhir_server.national.cube import Cube, figures, question_of, rule_of
from fhir_server.national.division import provinces
from fhir_server.national.extension import national
from fhir_server.national.indicator import BY_ID, INDICATORS
from fhir_server.national.measure_report import Heading, report_of
from fhir_server.national.reporting import days_of, keep
from fhir_server.national.stratum import Count, Counted
from tests.serving import Served, serving

CODES = list(provinces())
MONTHS = [f"2026-{month:02}" for month in range(1, 13)]
SITES = "http://node/national"


def told(indicator: str, month: str, province: str, counted: Counted) -> dict[str, Any]:
    return report_of(Heading(indicator, *days_of(month), province), counted, f"{month}-28T00:00:00Z")


def strata(number: int, *, of: int | None = None) -> Counted:
    count = Count(number, of)
    return Counted(count, {"mode": {"DIRECT_TO_PATIENT": count}, "tier": {"BAN_DAU": count}, "facility": {
        f"Organization/{each}": Count(number // 4, None if of is None else of // 4) for each in range(4)
    }})  # fmt: skip


@pytest.fixture(scope="module")
def ministry():
    """A ministry that knows a year of 33 provinces; one has told nothing."""
    with serving(extensions=(national,)) as served:
        few = [(indicator, MONTHS[2:5], CODES[:6]) for indicator in ("T1", "T7", "W1")]
        bodies = [
            told(indicator, month, code, strata(40 * number, of=50 * number if BY_ID[indicator].denominator else None))
            for indicator, months, codes in (*few, ("T2", MONTHS[:5], CODES[:6]), ("T2", MONTHS[2:3], CODES[6:-1]))
            for month in months
            for number, code in enumerate(codes)
        ]
        served.call(lambda: keep(served.node, bodies))
        yield served


def asked(served: Served, **asked: str) -> Any:
    answer = served.send("GET", f"{SITES}/figures", params=asked)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_counts_are_added_over_provinces_and_months(ministry):
    found = asked(ministry, indicator="T2", **{"from": "2026-04", "to": "2026-12", "by": "month"})
    assert [row["numerator"] for row in found["rows"]] == [40 * sum(range(6))] * 2
    found = asked(ministry, indicator="T2", **{"from": "2026-04", "to": "2026-05", "by": "province"})
    assert {row["province"]: row["numerator"] for row in found["rows"]} == {
        code: 80 * number for number, code in enumerate(CODES[:6])
    }
    both = asked(ministry, indicator="T7", **{"from": "2026-03", "by": "mode,province", "province": CODES[1]})
    assert both["rows"] == [{"mode": "DIRECT_TO_PATIENT", "province": CODES[1], "numerator": 40, "denominator": 50}]


def test_who_is_missing_is_named(ministry):
    state = ministry.send("GET", f"{SITES}/state", params={"month": "2026-03"}).json()
    assert state["missing"] == [{"province": CODES[-1], "name": provinces()[CODES[-1]]}]
    assert state["complete"] == "33/34"
    assert state["updated"] == "2026-03-28T00:00:00Z"
    whole = sum(range(6))
    assert state["sites"] == {"active": 40 * whole, "silent": 10 * whole}
    assert state["waiting"] == 40 * whole
    assert len(state["silent_sites"]) == 4


def test_what_does_not_add_up_over_months_is_of_the_last(ministry):
    found = asked(ministry, indicator="T1", **{"from": "2026-01", "to": "2026-06", "by": "province"})
    assert found["rows"][1]["numerator"] == 40


def test_a_year_of_the_nation_is_answered_within_a_tenth_of_a_second():
    cube = Cube()
    for indicator in BY_ID:
        for month in MONTHS:
            for number, code in enumerate(CODES):
                body = told(indicator, month, code, strata(40 * number, of=50 * number))
                cube.take(body["id"], body)
    spent = []
    for by in ("month,province", "mode,province", "month", "facility,month"):
        question = question_of({"indicator": "T7", "from": "2026-01", "to": "2026-12", "by": by})
        begun = time.process_time()
        assert figures(cube, question, rule_of("ministry"))
        spent.append(time.process_time() - begun)
    assert max(spent) < 0.1


@pytest.mark.parametrize(
    "wrong",
    [{"indicator": "T99"}, {"from": "2026"}, {"from": "2026-13"}, {"to": "2025-01"}, {"by": "name"}, {"by": "sex,age"},
     {"by": "month,month"}, {"audience": "all"}],
    ids="-".join,
)  # fmt: skip
def test_what_is_no_question_is_refused(ministry, wrong: dict[str, str]):
    answer = ministry.send("GET", f"{SITES}/figures", params={"indicator": "T2", "from": "2026-01", **wrong})
    assert answer.status_code == 400
    assert answer.json()["resourceType"] == "OperationOutcome"


def test_the_public_sees_rounded_counts_and_no_facility(ministry):
    found = asked(ministry, indicator="T2", audience="public", **{"from": "2026-05", "by": "province"})
    assert "multiples of 5" in found["rule"]
    assert all(row.get("masked") or row["numerator"] % 5 == 0 for row in found["rows"])
    answer = ministry.send(
        "GET", f"{SITES}/figures",
        params={"indicator": "T2", "from": "2026-05", "by": "facility", "audience": "public"},
    )  # fmt: skip
    assert answer.status_code == 403


def test_questions_that_differ_by_one_unit_are_refused(ministry):
    question = {"indicator": "T7", "audience": "agency", "from": "2026-05", "by": "mode"}
    asked(ministry, **question, province=",".join(CODES[:5]))
    asked(ministry, **question, province=",".join(CODES[:5]))
    answer = ministry.send("GET", f"{SITES}/figures", params={**question, "province": ",".join(CODES[:4])})
    assert answer.status_code == 403
    assert answer.json()["issue"][0]["code"] == "suppressed"
    longer = ministry.send(
        "GET", f"{SITES}/figures", params={**question, "to": "2026-06", "province": ",".join(CODES[:5])}
    )
    assert longer.status_code == 403


def test_a_small_count_takes_another_along():
    cube = Cube()
    for number, size in enumerate((3, 50, 70, 900)):
        cube.take(str(number), told("T2", "2026-05", CODES[number], Counted(Count(size), {})))
    rows = figures(cube, question_of({"indicator": "T2", "from": "2026-05", "by": "province"}), rule_of("agency"))
    assert [row.get("masked", False) for row in rows] == [True, True, False, False]


def test_the_indicators_are_named_in_both_languages(ministry):
    told = ministry.send("GET", f"{SITES}/indicators").json()
    assert [each["id"] for each in told["indicators"]] == [each.id for each in INDICATORS]
    assert told["provinces"] == dict(provinces())

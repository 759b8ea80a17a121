from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_server.search.param_types.date import span_in
from fhir_server.search.row import UNKNOWN_END, UNKNOWN_START, Range

ZONES = [ZoneInfo(name) for name in ("Asia/Ho_Chi_Minh", "UTC", "America/New_York", "Asia/Kathmandu")]
SPAN = span_in(ZONES[0])


def milliseconds(text):
    return (datetime.fromisoformat(text) - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)


@pytest.mark.parametrize(
    ("text", "first", "after"),
    [
        ("2020", "2020-01-01T00:00:00+07:00", "2021-01-01T00:00:00+07:00"),
        ("2020-02", "2020-02-01T00:00:00+07:00", "2020-03-01T00:00:00+07:00"),
        ("2020-12", "2020-12-01T00:00:00+07:00", "2021-01-01T00:00:00+07:00"),
        ("2020-02-29", "2020-02-29T00:00:00+07:00", "2020-03-01T00:00:00+07:00"),
        ("1965-03-01", "1965-03-01T00:00:00+08:00", "1965-03-02T00:00:00+08:00"),
        ("2020-02-29T23:59:59Z", "2020-02-29T23:59:59Z", "2020-03-01T00:00:00Z"),
        ("2020-02-29T23:59:59.5+07:00", "2020-02-29T23:59:59.5+07:00", "2020-02-29T23:59:59.6+07:00"),
        ("2020-02-29T23:59:59.12Z", "2020-02-29T23:59:59.12Z", "2020-02-29T23:59:59.13Z"),
        ("2020-02-29T23:59:59.9996Z", "2020-02-29T23:59:59.999Z", "2020-03-01T00:00:00Z"),
        ("2016-12-31T23:59:60Z", "2017-01-01T00:00:00Z", "2017-01-01T00:00:01Z"),
        ("2020-02-29T12:30", "2020-02-29T12:30:00+07:00", "2020-02-29T12:31:00+07:00"),
        ("2020-02-29T12:30Z", "2020-02-29T12:30:00Z", "2020-02-29T12:31:00Z"),
    ],
)
def test_a_date_covers_what_its_precision_leaves_open(text, first, after):
    assert SPAN(text) == (milliseconds(first), milliseconds(after))


def test_the_calendar_has_a_first_and_a_last_year():
    assert SPAN("0001")[0] == SPAN("0001-01-01")[0]
    assert SPAN("9999")[1] == SPAN("9999-12-31")[1] == SPAN("9999-12")[1]


@pytest.mark.parametrize("text", ["", "20", "2020-13", "2020-02-30", "today", "2020-02-29T25:00:00Z", "2020-W01-1"])
def test_text_that_is_no_date_is_refused(text):
    with pytest.raises(ValueError):  # noqa: PT011 whatever the calendar says of it
        SPAN(text)


@given(st.dates(), st.times(), st.sampled_from(ZONES))
def test_a_day_lies_in_its_month_and_that_in_its_year(day, time, zone):
    span = span_in(zone)
    text = day.isoformat()
    year, month, date = span(text[:4]), span(text[:7]), span(text)
    assert year[0] <= month[0] <= date[0] < date[1] <= month[1] <= year[1]
    assert 20 * 3_600_000 < date[1] - date[0] < 28 * 3_600_000


@given(st.datetimes(min_value=datetime(1980, 1, 1), timezones=st.sampled_from(ZONES)), st.sampled_from(ZONES))  # noqa: DTZ001 hypothesis adds the zone
def test_a_moment_lies_in_its_day_where_that_zone_is(moment, zone):
    local = moment.astimezone(zone) if moment.year < 9999 else datetime(2000, 1, 1, tzinfo=zone)
    start, after = span_in(zone)(local.isoformat(timespec="milliseconds"))
    day = span_in(zone)(local.date().isoformat())
    assert after == start + 1
    assert day[0] <= start < day[1]


@given(st.dates(), st.sampled_from(ZONES))
def test_days_follow_one_another_without_gap(day, zone):
    span = span_in(zone)
    if day.year < 9999:
        assert span(day.isoformat())[1] == span((day + timedelta(days=1)).isoformat())[0]


def test_an_instant_is_a_point(cells):
    patient = {"resourceType": "Patient", "meta": {"lastUpdated": "2020-01-01T00:00:00Z"}}
    start = milliseconds("2020-01-01T00:00:00Z")
    assert cells(patient, "_lastUpdated") == {(0, start, start + 1)}


def test_a_period_may_be_open(cells):
    def period(**ends):
        return cells({"resourceType": "Encounter", "period": ends}, "date")

    start, after = SPAN("2020-05")
    assert period(start="2020-05", end="2020-05") == {(0, start, after)}
    assert period(start="2020-05") == {(facet, start, UNKNOWN_END) for facet in Range}
    assert period(end="2020-05") == {(facet, UNKNOWN_START, after) for facet in Range}
    assert period() == set()


def test_a_timing_counts_from_its_first_to_its_last_limit(cells):
    timing = {"event": ["2020-03-01", "2020-01"], "repeat": {"boundsPeriod": {"start": "2020-02", "end": "2020-05"}}}
    observation = {"resourceType": "Observation", "effectiveTiming": timing}
    assert cells(observation, "date") == {(facet, SPAN("2020-01")[0], SPAN("2020-05")[1]) for facet in Range}
    assert cells({"resourceType": "Observation", "effectiveTiming": {"code": {"text": "BID"}}}, "date") == set()


def test_what_is_longer_than_a_month_has_a_row_more(cells):
    def born(date):
        return {facet for facet, _, _ in cells({"resourceType": "Patient", "birthDate": date}, "birthdate")}

    assert born("2020-01-01") == born("2020-01") == {Range.RANGE}
    assert born("2020") == {Range.RANGE, Range.LONG}


def test_what_is_no_date_has_no_row(cells):
    assert cells({"resourceType": "Immunization", "occurrenceString": "last year"}, "date") == set()

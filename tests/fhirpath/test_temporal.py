"""Partial dates, dateTimes and times compare, move and widen by their precision and zone."""

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fhir_server.fhirpath.error import FHIRPathError
from fhir_server.fhirpath.temporal import (
    Temporal,
    add,
    boundary,
    compare,
    equal,
    from_clock,
    key,
    parse_date,
    parse_date_time,
    parse_time,
)


def dated(text: str) -> Temporal:
    value = parse_date(text)
    assert value is not None
    return value


def moment_of(text: str) -> Temporal:
    value = parse_date_time(text)
    assert value is not None
    return value


def timed(text: str) -> Temporal:
    value = parse_time(text)
    assert value is not None
    return value


zones = st.integers(-12 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
aware = st.datetimes(datetime(1900, 1, 2), datetime(2100, 1, 1), timezones=zones)  # noqa: DTZ001
partial = st.sampled_from([4, 7, 10, 13, 16, 19])


def literal(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds")


@settings(deadline=None)
@given(aware, aware)
def test_full_moments_compare_as_the_calendar_does(one, other) -> None:
    one, other = (m.replace(microsecond=m.microsecond // 1000 * 1000) for m in (one, other))
    left, right = moment_of(literal(one)), moment_of(literal(other))
    assert compare(left, right) == (one > other) - (one < other)
    assert (key(left) == key(right)) is (one == other)


@settings(deadline=None)
@given(aware, aware, partial, partial)
def test_comparison_is_antisymmetric_and_partial_values_are_never_wrong(one, other, cut, other_cut) -> None:
    one, other = one.replace(tzinfo=None), other.replace(tzinfo=None)
    left = moment_of(literal(one)[:cut])
    right = moment_of(literal(other)[:other_cut])
    order, opposite = compare(left, right), compare(right, left)
    assert opposite == (None if order is None else -order)
    if order:
        assert order == (one > other) - (one < other)
    if order == 0:
        assert cut == other_cut


@settings(deadline=None)
@given(aware)
def test_text_round_trips(moment) -> None:
    text = literal(moment).replace("+00:00", "Z")
    assert str(moment_of(text)) == text


@settings(deadline=None)
@given(aware, st.integers(-5000, 5000), st.sampled_from(["day", "hour", "minute", "second", "millisecond"]))
def test_arithmetic_agrees_with_the_calendar(moment, amount, unit) -> None:
    moment = moment.replace(microsecond=0)
    moved = add(moment_of(literal(moment)), Decimal(amount), unit)
    expected = moment + timedelta(**{f"{unit}s": amount})
    assert str(moved) == literal(expected).replace("+00:00", "Z")


@pytest.mark.parametrize(
    ("left", "right", "order"),
    [
        ("2012", "2012-01", None),
        ("2012-01", "2013", -1),
        ("2012-04-15T10:00:00Z", "2012-04-15T12:00:00+02:00", 0),
        ("2012-04-15T10:00:00", "2012-04-15T10:00:00Z", None),
        ("2012-04-15T10:00:00", "2012-04-17T10:00:00Z", -1),
        ("2012-04-15", "2012-04-16T10:00:00Z", -1),
        ("2012-04-15", "2012-04-15T10:00:00Z", None),
        ("2012-04-15T10:00:00", "2012-04-15T10:00:00.000", 0),
        ("2012-04-15T10:00", "2012-04-15T10:00:00", None),
        ("2012-04-15T10:00:00.5Z", "2012-04-15T10:00:00.49Z", 1),
    ],
)
def test_comparison_of_mixed_precision_and_zone(left, right, order) -> None:
    assert compare(moment_of(left), moment_of(right)) == order


def test_a_date_never_equals_a_time() -> None:
    assert equal(dated("2012-04-15"), timed("10:30")) is False


@pytest.mark.parametrize(
    "text",
    ["2012-13", "2012-02-30", "0000", "2012T10", "2012-04T10", "2012-04-15TZ", "2012-04-15T24:00:00Z", "2012-4-1", "",
     "2012-04-15T10:30:00+14:30", "12", "2012-04-15 10:00", "\u0662\u0660\u0661\u0662"],
)  # fmt: skip
def test_other_text_is_no_date(text) -> None:
    assert parse_date_time(text) is None
    assert parse_date(text) is None


@pytest.mark.parametrize(
    ("start", "amount", "unit", "expected"),
    [
        ("2020-02-29", "1", "year", "2021-02-28"),
        ("2020-01-31", "1", "month", "2020-02-29"),
        ("2014", "23", "months", "2015"),
        ("2016", "365", "days", "2017"),
        ("1973-12-25", "7.7", "days", "1974-01-01"),
        ("1973-12-25", "1", "wk", "1974-01-01"),
        ("2014-01", "-1", "month", "2013-12"),
        ("9999-12-31", "1", "day", None),
        ("0001", "-1", "year", None),
    ],
)
def test_calendar_arithmetic(start, amount, unit, expected) -> None:
    moved = add(dated(start), Decimal(amount), unit)
    assert (moved and str(moved)) == expected


@pytest.mark.parametrize(("unit", "message"), [("mo", "calendar unit"), ("cm", "calendar unit"), ("hour", "Date")])
def test_units_that_a_date_cannot_be_moved_by(unit, message) -> None:
    with pytest.raises(FHIRPathError, match=message):
        add(dated("2020-01-01"), Decimal(1), unit)


def test_a_time_wraps_at_midnight() -> None:
    assert str(add(timed("23:30"), Decimal(1), "hour")) == "00:30"
    with pytest.raises(FHIRPathError):
        add(timed("23:30"), Decimal(1), "day")


@pytest.mark.parametrize(
    ("text", "digits", "low", "high"),
    [
        ("2014", 6, "2014-01", "2014-12"),
        ("2014-02", 8, "2014-02-01", "2014-02-28"),
        ("2014-01-01T08:05:20+08:00", 17, "2014-01-01T08:05:20.000+08:00", "2014-01-01T08:05:20.999+08:00"),
        ("2014-01-01T08", None, "2014-01-01T08:00:00.000+14:00", "2014-01-01T08:59:59.999-12:00"),
        ("2014-01-01T08:05:20.5Z", 17, "2014-01-01T08:05:20.500Z", "2014-01-01T08:05:20.599Z"),
        ("2014-01-01T08:05:20Z", 8, "2014-01-01", "2014-01-01"),
    ],
)
def test_boundaries(text, digits, low, high) -> None:
    value = moment_of(text)
    assert str(boundary(value, digits, high=False)) == low
    assert str(boundary(value, digits, high=True)) == high


def test_the_clock_gives_milliseconds_and_zone() -> None:
    moment = from_clock(datetime(2026, 11, 5, 12, 30, 1, 234567, tzinfo=UTC))
    assert str(moment) == "2026-11-05T12:30:01.234Z"
    assert moment.precision == 17

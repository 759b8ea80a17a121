from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from fhir_server.search.question import Unreadable
from fhir_server.search.row import LONGEST_RANGE, Range
from fhir_server.search.value_types.date import FORMS, OPERATORS, updated
from tests.search.value_types.conftest import NOW, asked

VIET_NAM = ZoneInfo("Asia/Ho_Chi_Minh")
OPERATE = {"<": int.__lt__, "<=": int.__le__, ">": int.__gt__, ">=": int.__ge__}


def ms(year, month, day):
    return int(datetime(year, month, day, tzinfo=VIET_NAM).timestamp() * 1000)


RANGES = {
    "before": (ms(2023, 1, 1), ms(2023, 1, 2)),
    "across start": (ms(2023, 12, 31), ms(2024, 1, 2)),
    "within": (ms(2024, 6, 1), ms(2024, 6, 2)),
    "same": (ms(2024, 1, 1), ms(2025, 1, 1)),
    "across end": (ms(2024, 12, 31), ms(2025, 1, 2)),
    "around": (ms(2023, 1, 1), ms(2026, 1, 1)),
    "after": (ms(2025, 1, 1), ms(2025, 1, 2)),
}


def found(rows, ranges=RANGES):
    """The ranges that pass all tests of a row; those that are long have a row of that facet too."""
    return {
        name
        for name, (v, x) in ranges.items()
        for row in rows
        if row.number == Range.RANGE or x - v > LONGEST_RANGE
        if all(OPERATE[t.operator]({"v": v, "x": x}[t.column], t.value) for t in row.tests)
    }


@pytest.mark.parametrize(
    ("prefix", "names"),
    [
        ("", {"within", "same"}),
        ("eq", {"within", "same"}),
        ("ne", {"before", "across start", "across end", "around", "after"}),
        ("gt", {"across end", "around", "after"}),
        ("lt", {"before", "across start", "around"}),
        ("ge", {"across start", "within", "same", "across end", "around", "after"}),
        ("le", {"before", "across start", "within", "same", "across end", "around"}),
        ("sa", {"after"}),
        ("eb", {"before"}),
    ],
)
def test_ranges_stand_to_a_year_as_its_prefix_says(question, prefix, names):
    assert found(asked(FORMS, f"{prefix}2024", question("Period"))) == names


def test_overlap_is_an_operator_of_the_filter(question):
    names = {"across start", "within", "same", "across end", "around"}
    assert found(asked(OPERATORS, "2024", question("Period"), "po")) == names


def test_moments_are_looked_for_near_their_start(question):
    (late,) = asked(FORMS, "ge2024", question("dateTime", "instant"))
    assert {test.column for test in late.tests} == {"v", "x"}


def test_long_ranges_are_looked_for_apart(question):
    near, long = asked(FORMS, "ge2024", question("Period"))
    assert (near.number, {test.column for test in near.tests}) == (Range.RANGE, {"v", "x"})
    assert (long.number, {test.column for test in long.tests}) == (Range.LONG, {"x"})


def test_a_component_of_a_composite_has_one_row(question):
    (only,) = asked(FORMS, "ge2024", question("Period", is_part=True))
    assert {test.column for test in only.tests} == {"x"}


def test_about_a_date_is_a_tenth_of_the_time_since_then(question):
    day = 86_400_000
    near = {"near": (NOW - 110 * day, NOW - 109 * day), "far": (NOW - 130 * day, NOW - 129 * day)}
    text = datetime.fromtimestamp((NOW - 100 * day) / 1000, VIET_NAM).date().isoformat()
    assert found(asked(FORMS, f"ap{text}", question()), near) == {"near"}


def test_a_plus_sign_that_became_a_space_is_one_again(question):
    spaced, signed = (f"2024-01-01T00:00:00{sign}07:00" for sign in " +")
    assert asked(FORMS, spaced, question()) == asked(FORMS, signed, question())


@pytest.mark.parametrize(
    "text",
    ["", "x", "24", "2024-1-1", "2024-13", "2024-02-30", "2024-01-01T10", "2024-01-01T25:00:00Z", "gt", "ge 2024",
     "20240101", "2024-01-01T10:00:00+7", "xx2024", "0000", "2024-01-01T10:00:00.1234567890123Z"],
)  # fmt: skip
def test_what_is_no_date_is_a_wrong_value(question, text):
    with pytest.raises(Unreadable, match="is not a date"):
        asked(FORMS, text, question())


@pytest.mark.parametrize(
    ("text", "ranges"),
    [
        ("2024", ((ms(2024, 1, 1), ms(2025, 1, 1)),)),
        ("ne2024", ((None, ms(2024, 1, 1)), (ms(2025, 1, 1), None))),
        ("gt2024", ((ms(2025, 1, 1), None),)),
        ("sa2024", ((ms(2025, 1, 1), None),)),
        ("ge2024", ((ms(2024, 1, 1), None),)),
        ("lt2024", ((None, ms(2024, 1, 1)),)),
        ("eb2024", ((None, ms(2024, 1, 1)),)),
        ("le2024", ((None, ms(2025, 1, 1)),)),
    ],
)
def test_a_moment_lies_in_a_range(question, text, ranges):
    assert updated(text, question()) == ranges

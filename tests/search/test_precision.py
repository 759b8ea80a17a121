from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_server.search.precision import NUMBER, amount, ordered
from fhir_server.search.question import Unreadable


@pytest.mark.parametrize(
    ("text", "low", "high"),
    [
        ("100", "99.5", "100.5"),
        ("100.00", "99.995", "100.005"),
        ("1e2", "95", "105"),
        ("1.0e2", "95", "105"),
        ("5.4", "5.35", "5.45"),
        ("-3", "-3.5", "-2.5"),
        ("0.0", "-0.05", "0.05"),
        ("+.5", "0.45", "0.55"),
    ],
)
def test_digits_imply_a_range(text, low, high):
    found = amount(text)
    assert (found.low, found.high) == (Decimal(low), Decimal(high))


@pytest.mark.parametrize(
    "text", ["", "a", "1,2", "1 2", "\u0661", "0x1", "1_0", "nan", "inf", "1e99999", "9" * 100, "5.4mg"]
)
def test_what_is_no_number_is_a_wrong_value(text):
    with pytest.raises(Unreadable):
        amount(text)


def test_about_a_number_is_a_tenth_on_either_side_or_its_precision():
    assert (amount("200").least, amount("200").most) == (Decimal(180), Decimal(220))
    assert (amount("1").least, amount("1").most) == (Decimal("0.5"), Decimal("1.5"))


def meets(prefix, text, low, high):
    columns = {"v": low, "x": high}
    compare = {"<": float.__lt__, "<=": float.__le__, ">": float.__gt__, ">=": float.__ge__}
    return any(
        all(compare[test.operator](float(columns[test.column]), float(str(test.value))) for test in tests)
        for tests in ordered(prefix, amount(text), "v", "x")
    )


@given(st.from_regex(NUMBER, fullmatch=True).filter(lambda text: len(text) < 60))
def test_a_number_equals_itself_whatever_its_digits(text):
    held = min(max(float(text), -1.7e308), 1.7e308)
    if abs(float(text)) < 1e300:
        assert meets("eq", text, held, held)
        assert not meets("ne", text, held, held)
        assert not meets("gt", text, held, held)
        assert meets("le", text, held, held)


@pytest.mark.parametrize(
    ("prefix", "found"),
    [
        ("eq", {"inside"}),
        ("ne", {"below", "across", "above"}),
        ("gt", {"across", "above"}),
        ("lt", {"below", "across", "inside"}),
        ("ge", {"across", "above"}),
        ("le", {"below", "across", "inside"}),
        ("sa", {"above"}),
        ("eb", {"below", "inside"}),
        ("ap", {"across", "inside"}),
    ],
)
def test_ranges_stand_to_a_number_as_its_prefix_says(prefix, found):
    ranges = {"below": (1, 2), "inside": (99.6, 99.9), "across": (90, 120), "above": (111, 112)}
    assert {name for name, bounds in ranges.items() if meets(prefix, "100", *bounds)} == found

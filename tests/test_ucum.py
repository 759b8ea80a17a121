"""UCUM codes are judged by the grammar and table of the standard, and values are exact in base units."""

import csv
from decimal import Decimal
from importlib.util import find_spec
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fhir_server import ucum

MISSING_IN_THE_TABLE = {"Torr"}
"""An example that UCUM publishes beside a table without it."""


def published_examples() -> list[str]:
    specification = find_spec("ucumvert")
    assert specification is not None
    assert specification.origin is not None
    folder = Path(specification.origin).parent
    with (folder / "vendor" / "ucum_examples.tsv").open(encoding="utf-8", newline="") as file:
        return [row["UCUM_CODE"] for row in csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)]


def test_published_examples_are_valid() -> None:
    codes = published_examples()
    assert len(codes) > 800
    assert {code for code in codes if not ucum.is_valid(code)} == MISSING_IN_THE_TABLE


@pytest.mark.parametrize(
    "code",
    ["m", "mm[Hg]", "10*9/L", "/min", "{score}", "mg/dL", "[degF]", "Cel", "kCel", "[iU]/mL", "%{total}", "1", "100",
     "g/(8.h){shift}", "m+2", "10*-9", "B[10.nV]", "[m/s2/Hz^(1/2)]", "cm[H2O]", "meq/L", "a{b}2/m{c}"[:4]],
)  # fmt: skip
def test_valid_codes(code) -> None:
    assert ucum.is_valid(code)


@pytest.mark.parametrize(
    "code",
    ["", "MM", "mm[hg]", "KG", "lbs", "bpm", "cm H2O", "{a b}", "{}", "{a}{b}", "m/", "m..s", "(m", "m)", "m//s", "-1",
     "m{a}2", "\u00b0C", "\u00b5g", "{\u00e9}", "mEq", "deca", "(/m)", "m" * 300, "(" * 40 + "m" + ")" * 40, "m999"],
)  # fmt: skip
def test_invalid_codes(code) -> None:
    assert not ucum.is_valid(code)


@pytest.mark.parametrize(
    ("value", "code", "expected", "unit"),
    [
        ("185", "[lb_av]", "83914.58845", "g"),
        ("120", "mm[Hg]", "15998640", "g.m-1.s-2"),
        ("98.6", "[degF]", "310.15", "K"),
        ("37", "Cel", "310.15", "K"),
        ("80", "[degRe]", "373.15", "K"),
        ("20", "dB", "100", "1"),
        ("5", "%", "0.05", "1"),
        ("1", "[iU]/mL", "1000000", "[iU].m-3"),
        ("1", "[IU]", "1", "[iU]"),
        ("1", "wk", "604800", "s"),
        ("2", "m2/cm", "200", "m"),
        ("3", "{a}/min", "0.05", "s-1"),
    ],
)
def test_canonical_values_are_exact(value, code, expected, unit) -> None:
    assert ucum.canonical(Decimal(value), code) == (Decimal(expected), unit)


def test_special_units_within_a_product_are_valid_without_value() -> None:
    assert ucum.is_valid("Cel/s")
    assert ucum.canonical(Decimal(1), "Cel/s") is None
    assert ucum.canonical(Decimal(1), "s.Cel") is None


def test_conversion() -> None:
    assert ucum.convert(Decimal(212), "[degF]", "Cel") == 100
    assert ucum.convert(Decimal("6.5"), "%", "mmol/mol") is not None
    assert ucum.convert(Decimal(1), "m", "s") is None
    assert ucum.convert(Decimal(1), "m", "nonsense") is None
    assert ucum.comparable("[in_i]", "cm")
    assert not ucum.comparable("[iU]", "mg")
    assert not ucum.comparable("m", "nonsense")


@settings(deadline=None)
@given(
    st.decimals(-(10**6), 10**6, allow_nan=False, places=4),
    st.sampled_from(["g", "mg", "kg", "[lb_av]", "ug", "[oz_av]"]),
    st.sampled_from(["g", "mg", "kg", "[lb_av]", "ug", "[oz_av]"]),
)
def test_conversion_there_and_back(value, code, target) -> None:
    there = ucum.convert(value, code, target)
    assert there is not None
    back = ucum.convert(there, target, code)
    assert back is not None
    assert abs(back - value) < Decimal("1e-15")


@settings(deadline=None)
@given(st.text("mgKs[]{}()./*^0123456789+-aH% ", max_size=20))
def test_any_text_is_judged(code) -> None:
    assert (ucum.canonical(Decimal(1), code) is None) or ucum.is_valid(code)


def test_extremes_have_no_value() -> None:
    assert ucum.canonical(Decimal(10) ** 9, "[pH]") is None
    assert ucum.canonical(Decimal(10) ** 9, "B") is None
    assert not ucum.is_valid("m/0")

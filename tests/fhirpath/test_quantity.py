"""Quantities compare, add and multiply across units, calendar units apart from UCUM's."""

from decimal import Decimal

import pytest

from fhir_server.fhirpath.node import quantity_from
from fhir_server.fhirpath.quantity import (
    Quantity,
    add,
    comparable,
    compare,
    divide,
    equal,
    equivalent,
    key,
    multiply,
)


def quantity(value: str, unit: str = "1") -> Quantity:
    return Quantity(Decimal(value), unit)


@pytest.mark.parametrize(
    ("left", "right", "same"),
    [
        (("4", "g"), ("4000", "mg"), True),
        (("7", "day"), ("1", "wk"), True),
        (("1", "year"), ("12", "months"), True),
        (("1", "year"), ("1", "a"), None),
        (("1", "month"), ("30", "day"), None),
        (("1", "cm"), ("1", "s"), None),
        (("212", "[degF]"), ("100", "Cel"), True),
        (("1", "nonsense"), ("1", "m"), None),
        (("1", "nonsense"), ("2", "nonsense"), False),
    ],
)
def test_equality(left, right, same) -> None:
    assert equal(quantity(*left), quantity(*right)) is same
    assert equal(quantity(*right), quantity(*left)) is same
    if same:
        assert key(quantity(*left)) == key(quantity(*right))


def test_equivalence_rounds_to_the_coarser_value() -> None:
    assert equivalent(quantity("4", "g"), quantity("4040", "mg"))
    assert equivalent(quantity("4040", "mg"), quantity("4", "g"))
    assert not equivalent(quantity("4.0404", "g"), quantity("4041", "mg"))
    assert equivalent(quantity("1", "year"), quantity("1", "a"))
    assert not equivalent(quantity("1", "year"), quantity("1", "m"))


def test_order_and_comparability() -> None:
    assert compare(quantity("6", "day"), quantity("1", "week")) == -1
    assert comparable(quantity("1", "cm"), quantity("1", "[in_i]"))
    assert not comparable(quantity("1", "cm"), quantity("1", "s"))


def test_arithmetic() -> None:
    assert add(quantity("1", "m"), quantity("5", "cm")) == quantity("1.05", "m")
    assert add(quantity("1", "year"), quantity("6", "month")) == quantity("1.5", "year")
    assert add(quantity("1", "m"), quantity("5", "s")) is None
    product = multiply(quantity("2", "cm"), quantity("2", "m"))
    assert product is not None
    assert equal(product, quantity("0.04", "m2"))
    assert divide(quantity("4", "m"), quantity("2", "m")) == quantity("2")
    assert divide(quantity("4", "g/l"), quantity("2", "s")) == quantity("2", "(g/l)/s")
    assert divide(quantity("4", "g"), quantity("0", "g")) is None
    assert str(quantity("2", "day")) == "2 days"
    assert str(quantity("1.50", "mg")) == "1.50 'mg'"


def test_fhir_quantities() -> None:
    ucum = {"value": 5, "unit": "mg", "system": "http://unitsofmeasure.org", "code": "mg"}
    assert quantity_from(ucum) == quantity("5", "mg")
    assert quantity_from({"value": 5}) == quantity("5")
    assert quantity_from({**ucum, "comparator": "<"}) is None
    assert quantity_from({"unit": "mg"}) is None
    local = quantity_from({"value": 5, "unit": "tablet"})
    assert local is not None
    assert equal(local, quantity("5", "mg")) is None
    assert equal(local, local) is True

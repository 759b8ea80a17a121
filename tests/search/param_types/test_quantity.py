from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_server import ucum
from fhir_server.search.row import HIGHEST, LOWEST, Quantity, joined

UCUM = "http://unitsofmeasure.org"
SENT, CANONICAL, SENT_RANGE, CANONICAL_RANGE = Quantity
MG = {"system": UCUM, "code": "mg", "unit": "milligram"}
NAME = joined(UCUM, "mg", "milligram")


def observation(**value):
    return {"resourceType": "Observation", **value}


def test_a_quantity_is_kept_as_sent_and_in_base_units(cells):
    found = cells(observation(valueQuantity={"value": 5.4, **MG}), "value-quantity")
    assert found == {(SENT, 5.4, NAME), (CANONICAL, 0.0054, "g")}


def test_the_same_amount_in_other_units_is_the_same_in_base_units(cells):
    rates = [(23, "mm/h"), (0.023, "m/h"), (2.3, "cm/h")]
    found = [
        cells(observation(valueQuantity={"value": value, "system": UCUM, "code": code}), "value-quantity")
        for value, code in rates
    ]
    assert len({cell for cells_ in found for cell in cells_ if cell[0] == CANONICAL}) == 1


@pytest.mark.parametrize(
    ("value", "name"),
    [
        ({"value": 3}, joined("", "", "")),
        ({"value": 3, "unit": "tablets"}, joined("", "", "tablets")),
        ({"value": 3, "system": UCUM, "code": "no-unit"}, joined(UCUM, "no-unit", "")),
        ({"value": 3, "system": "urn:units", "code": "mg"}, joined("urn:units", "mg", "")),
    ],
)
def test_what_is_no_ucum_unit_is_only_kept_as_sent(cells, value, name):
    assert cells(observation(valueQuantity=value), "value-quantity") == {(SENT, 3, name)}


@pytest.mark.parametrize(("comparator", "low", "high"), [("<", LOWEST, 5), ("<=", LOWEST, 5), (">", 5, HIGHEST)])
def test_a_comparator_opens_a_range(cells, comparator, low, high):
    found = cells(observation(valueQuantity={"value": 5, "comparator": comparator, **MG}), "value-quantity")
    based = [bound / 1000 if bound == 5 else bound for bound in (low, high)]
    assert found == {(SENT_RANGE, low, high, 0, NAME), (CANONICAL_RANGE, *based, 0, "g")}


def test_a_range_stands_as_one_row(cells):
    use = {"code": {"code": "age"}, "valueRange": {"low": {"value": 1, **MG}, "high": {"value": 2, **MG}}}
    found = cells({"resourceType": "Library", "useContext": [use]}, "context-quantity")
    assert found == {(SENT_RANGE, 1, 2, 0, NAME), (CANONICAL_RANGE, 0.001, 0.002, 0, "g")}


def test_sampled_data_ranges_over_its_samples(cells):
    data = {"origin": {"value": 2, **MG}, "period": 1, "factor": 0.5, "dimensions": 1, "data": "2 E -4 6"}
    assert (SENT_RANGE, 0, 5, 0, NAME) in cells(observation(valueSampledData=data), "value-quantity")
    limited = {**data, "upperLimit": 10, "data": "2 U"}
    assert (SENT_RANGE, 3, 7, 0, NAME) in cells(observation(valueSampledData=limited), "value-quantity")


def test_the_currency_is_the_unit_of_money(cells):
    invoice = {"resourceType": "Invoice", "totalNet": {"value": 15000, "currency": "VND"}}
    assert cells(invoice, "totalnet") == {(SENT, 15000, joined("urn:iso:std:iso:4217", "VND", ""))}


def test_a_quantity_without_value_has_no_row(cells):
    assert cells(observation(valueQuantity={"unit": "mg"}), "value-quantity") == set()


@given(st.decimals(min_value=-(10**6), max_value=10**6, places=4), st.sampled_from(["mg", "mmol/L", "Cel", "[lb_av]"]))
def test_exact_decimals_and_floats_give_the_same_base_units(cells, value, code):
    quantity = {"system": UCUM, "code": code}
    exact = cells(observation(valueQuantity={"value": value, **quantity}), "value-quantity")
    assert exact == cells(observation(valueQuantity={"value": float(value), **quantity}), "value-quantity")
    based = ucum.canonical(Decimal(repr(float(value))), code)
    assert based is not None
    assert (CANONICAL, float(based[0]), based[1]) in exact

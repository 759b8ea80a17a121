from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from fhir_server.search.param_types.number import sortable
from fhir_server.search.row import HIGHEST


def probability(value):
    return {"resourceType": "RiskAssessment", "prediction": [value]}


def test_a_number_is_a_range_of_one(cells):
    assert cells(probability({"probabilityDecimal": 0.5}), "probability") == {(0, 0.5, 0.5)}
    assert cells({"resourceType": "MolecularSequence", "variant": [{"start": 3}]}, "variant-start") == {(0, 3, 3)}


def test_a_range_has_both_ends_or_one_that_is_open(cells):
    both = {"probabilityRange": {"low": {"value": 1}, "high": {"value": 2.5}}}
    assert cells(probability(both), "probability") == {(0, 1, 2.5)}
    assert cells(probability({"probabilityRange": {"low": {"value": 1}}}), "probability") == {(0, 1, HIGHEST)}


@given(st.decimals(allow_nan=False, allow_infinity=False, places=6), st.decimals(allow_nan=False, allow_infinity=False))
def test_numbers_keep_their_order(one, other):
    assert (one <= other) <= (sortable(one) <= sortable(other))


def test_an_exact_decimal_is_indexed_as_a_float_would_be(cells):
    exact = probability({"probabilityDecimal": Decimal("0.10")})
    assert cells(exact, "probability") == cells(probability({"probabilityDecimal": 0.1}), "probability")

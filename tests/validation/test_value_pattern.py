from decimal import Decimal

import pytest

from fhir_server.validation.value_pattern import difference, is_same, is_within
from tests.validation.profiled import Checked, coded, element, profile, resource

SYSTEM = "http://example.org/s"


@pytest.mark.parametrize(
    ("value", "fixed", "same"),
    [
        ("a", "a", True),
        ("a", "b", False),
        (1, 1.0, True),
        (Decimal("1.50"), 1.5, True),
        (True, 1, False),
        (1, True, False),
        (None, "a", False),
        ({"system": "s", "code": "c"}, {"code": "c", "system": "s"}, True),
        ({"system": "s", "code": "c", "id": "1"}, {"code": "c", "system": "s"}, True),
        ({"system": "s", "code": "c", "display": "d"}, {"code": "c", "system": "s"}, False),
        ({"system": "s"}, {"code": "c", "system": "s"}, False),
        (["a", "b"], ["a", "b"], True),
        (["b", "a"], ["a", "b"], False),
        (["a"], {"a": 1}, False),
        ("a", ["a"], False),
    ],
)
def test_a_fixed_value_is_met_exactly(value, fixed, same):
    assert is_same(value, fixed) is same


@pytest.mark.parametrize(
    ("value", "pattern", "within"),
    [
        ({"system": "s", "code": "c", "display": "d"}, {"code": "c"}, True),
        ({"system": "s"}, {"code": "c"}, False),
        ({"coding": [{"code": "x"}, {"code": "c", "display": "d"}]}, {"coding": [{"code": "c"}]}, True),
        ({"coding": [{"code": "x"}]}, {"coding": [{"code": "c"}]}, False),
        ({"coding": [{"code": "c"}]}, {"coding": [{"code": "c"}, {"code": "d"}]}, False),
        ({"coding": {"code": "c"}}, {"coding": [{"code": "c"}]}, False),
        ("a", {"code": "c"}, False),
        ("a", "a", True),
    ],
)
def test_a_pattern_is_met_by_what_has_it(value, pattern, within):
    assert is_within(value, pattern) is within


@pytest.mark.parametrize(
    ("value", "wanted", "text"),
    [
        ("a", "b", "found 'a', expected 'b'"),
        ({"code": "a"}, {"code": "b"}, "code: found 'a', expected 'b'"),
        ({}, {"code": "b"}, "code is missing, expected 'b'"),
        ({"code": "b", "system": "s"}, {"code": "b"}, "system is not in the fixed value"),
        ({"period": {"start": "1"}}, {"period": {"start": "2"}}, "period.start: found '1', expected '2'"),
    ],
)
def test_a_difference_is_told_by_its_place(value, wanted, text):
    assert difference(value, wanted, is_same) == text


def test_a_fixed_code_is_told():
    found = Checked(profile("p", "Patient", element("Patient.gender", fixedCode="other"))).texts(
        resource("Patient", gender="male")
    )
    assert found == ["Patient.gender: The value does not match what is fixed here: found 'male', expected 'other'."]


def test_a_value_that_is_not_there_matches_everything():
    checked = Checked(profile("p", "Patient", element("Patient.gender", fixedCode="other")))
    assert checked.texts(resource("Patient")) == []


def test_each_repetition_matches_the_pattern():
    checked = Checked(profile("p", "Observation", element("Observation.category", patternCodeableConcept=coded("a"))))
    body = resource("Observation", category=[coded("a"), coded("b")])
    [issue] = checked.issues(body)
    assert issue.expression == ("Observation.category[1]",)

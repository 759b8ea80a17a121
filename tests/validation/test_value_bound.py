import pytest

from tests.validation.profiled import Checked, element, profile, resource

UCUM = "http://unitsofmeasure.org"


def quantity(value, code="kg", **more):
    return {"value": value, "unit": code, "system": UCUM, "code": code, **more}


def is_refused(body, identity, **bounds):
    return bool(Checked(profile("p", body["resourceType"], element(identity, **bounds))).texts(body))


@pytest.mark.parametrize(("value", "refused"), [(-1, True), (0, False), (5, False), (10, False), (11, True)])
def test_integers_are_compared(value, refused):
    body = resource("Observation", valueInteger=value)
    assert is_refused(body, "Observation.value[x]", minValueInteger=0, maxValueInteger=10) is refused


@pytest.mark.parametrize(("value", "refused"), [(0.5, True), (1.25, False), (2.0, False), (2.5, True)])
def test_decimals_are_compared(value, refused):
    body = resource("Observation", referenceRange=[{"low": {"value": value}}])
    assert is_refused(body, "Observation.referenceRange.low.value", minValueDecimal=1.25, maxValueDecimal=2) is refused


@pytest.mark.parametrize(
    ("value", "refused"), [("1999-12-31", True), ("2000-01-01", False), ("2010", False), ("2021-01", True)]
)
def test_dates_are_compared(value, refused):
    body = resource("Patient", birthDate=value)
    assert is_refused(body, "Patient.birthDate", minValueDate="2000-01-01", maxValueDate="2020-12-31") is refused


def test_instants_are_compared_across_zones():
    body = resource("Observation", effectiveDateTime="2024-01-01T05:00:00+07:00")
    bound = {"minValueDateTime": "2023-12-31T23:00:00Z"}
    assert is_refused(body, "Observation.effective[x]", **bound)
    assert not is_refused(body, "Observation.effective[x]", minValueDateTime="2023-12-31T22:00:00Z")


@pytest.mark.parametrize(
    ("value", "refused"),
    [
        (quantity(-1), True),
        (quantity(-1, "g"), True),
        (quantity(999, "g"), False),
        (quantity(1001, "g"), True),
        (quantity(5, "m"), False),
        (quantity(5, comparator="<"), False),
        ({"unit": "kg"}, False),
    ],
)
def test_quantities_are_compared_in_their_units(value, refused):
    body = resource("Observation", valueQuantity=value)
    bounds = {"minValueQuantity": quantity(0), "maxValueQuantity": quantity(1)}
    assert is_refused(body, "Observation.value[x]", type=[{"code": "Quantity"}], **bounds) is refused


def test_a_value_of_another_shape_is_left_to_its_type():
    body = resource("Observation", valueInteger=[True, {"a": 1}])
    found = Checked(profile("p", "Observation", element("Observation.value[x]", minValueInteger=0))).texts(body)
    assert len(found) == 1

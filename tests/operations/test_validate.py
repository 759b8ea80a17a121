import pytest

from fhir_server.errors import Invalid, Unsupported
from fhir_server.operations.validate import question

PATIENT = {"resourceType": "Patient"}


def parameters(*items):
    return {"resourceType": "Parameters", "parameter": list(items)}


def test_a_body_asks_about_itself():
    assert question(PATIENT) == (PATIENT, ())


def test_parameters_ask_about_the_resource_they_hold():
    body = parameters(
        {"name": "resource", "resource": PATIENT},
        {"name": "mode", "valueCode": "create"},
        {"name": "profile", "valueUri": "http://example.org/a"},
        {"name": "profile", "valueCanonical": "http://example.org/b"},
    )
    assert question(body) == (PATIENT, ("http://example.org/a", "http://example.org/b"))


@pytest.mark.parametrize("body", [parameters(), parameters({"name": "other"}), {"resourceType": "Parameters"}])
def test_parameters_without_a_resource_ask_about_themselves(body):
    assert question(body) == (body, ())


@pytest.mark.parametrize("items", [7, [7], [{"name": ["resource"]}]])
def test_parameters_that_are_no_parameters_are_left_to_the_validator(items):
    body = {"resourceType": "Parameters", "parameter": items}
    assert question(body) == (body, ())


def test_one_resource_is_asked_about_at_a_time():
    with pytest.raises(Invalid):
        question(parameters({"name": "resource", "resource": PATIENT}, {"name": "resource", "resource": PATIENT}))


@pytest.mark.parametrize("mode", ["update", "delete"])
def test_modes_that_need_a_store_are_not_supported(mode):
    with pytest.raises(Unsupported):
        question(parameters({"name": "resource", "resource": PATIENT}, {"name": "mode", "valueCode": mode}))

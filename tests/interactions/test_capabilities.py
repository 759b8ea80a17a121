import pytest

from fhir_server.interactions.routes import ROUTES
from fhir_server.national.table import ROUTES as VIEW_ROUTES
from fhir_server.operations.table import ROUTES as OPERATION_ROUTES


@pytest.fixture(scope="module")
def statement(server):
    return server.get("metadata").json()


def resource(statement, kind):
    return next(each for each in statement["rest"][0]["resource"] if each["type"] == kind)


def test_it_is_sound(server, statement):
    assert not [issue for issue in server.node.validator.validate(statement).issues if issue.is_error]


def test_it_says_which_fhir_in_which_formats(statement):
    assert statement["fhirVersion"] == "4.0.1"
    assert {"application/fhir+json", "application/fhir+xml"} <= set(statement["format"])
    assert "application/json-patch+json" in statement["patchFormat"]
    assert statement["implementation"]["url"] == "http://node/fhir"


def test_every_type_has_its_interactions(server, statement):
    assert {each["type"] for each in statement["rest"][0]["resource"]} == server.node.definitions.resource_types
    codes = {each["code"] for each in resource(statement, "Patient")["interaction"]}
    told = {route.interaction for route in ROUTES} & codes
    assert told == codes >= {"read", "vread", "update", "patch", "delete", "create", "search-type", "history-instance"}
    assert {each["code"] for each in statement["rest"][0]["interaction"]} == {
        "transaction",
        "batch",
        "search-system",
        "history-system",
    }


def test_every_search_parameter_is_told(server, statement):
    told = {each["name"] for each in resource(statement, "Observation")["searchParam"]}
    assert {"code", "code-value-quantity", "combo-code", "_id", "_lastUpdated", "_text", "_content"} <= told
    assert told <= set(server.node.definitions.search_parameters("Observation"))


def test_every_operation_is_told(server, statement):
    told = {each["definition"] for each in statement["rest"][0]["operation"]}
    for each in statement["rest"][0]["resource"]:
        told |= {operation["definition"] for operation in each.get("operation", ())}
    service = server.service
    works = (service.exports, service.imports, service.submits, service.view_exports)
    routes = (*OPERATION_ROUTES, *VIEW_ROUTES, *(route for work in works for route in work.routes))
    assert told == {route.definition for route in routes if route.definition}
    assert any(url.endswith("/bulk-submit") for url in told)


def test_profiles_are_told(statement):
    assert (
        "http://hl7.org/fhir/StructureDefinition/vitalsigns" in resource(statement, "Observation")["supportedProfile"]
    )


def test_a_client_that_has_it_is_not_sent_it_again(server):
    tag = server.get("metadata").headers["etag"]
    assert server.get("metadata", if_none_match=tag).status_code == 304
    assert server.get("metadata?_format=xml").text.startswith("<?xml")

"""What clients define is searched by: at once, under the rules of R4 for a definition that cannot be used."""

import pytest

from tests.serving import outcome, serving

COLOUR = "http://example.org/colour"


@pytest.fixture(scope="module")
def server():
    with serving() as served:
        yield served


def parameter(code="colour", **more):
    return {
        "resourceType": "SearchParameter", "id": code, "url": f"http://example.org/SearchParameter/{code}",
        "name": code, "status": "active", "description": code, "code": code, "type": "token", "base": ["Patient"],
        "expression": f"Patient.extension('{COLOUR}').value",
    } | more  # fmt: skip


def patient(colour):
    return {"resourceType": "Patient", "extension": [{"url": COLOUR, "valueCode": colour}]}


def test_a_new_parameter_is_searched_by_at_once(server):
    assert server.get("Patient?colour=red").status_code == 400
    assert server.put(parameter()).status_code == 201
    red, _ = server.create(patient("red")), server.create(patient("blue"))
    assert server.found("Patient?colour=red") == [red["id"]]
    assert server.get("metadata").text.count('"name":"colour"') == 1
    assert server.ask("DELETE", "SearchParameter/colour").status_code == 204
    assert server.get("Patient?colour=red").status_code == 400


@pytest.mark.parametrize(
    ("expression", "told"),
    [
        ("Patient.(", "column 9"),
        ("Patient.nam", "nam"),
        ("Patient.name.frobnicate()", "frobnicate"),
        ("Observation.code", "No part of the expression is about Patient"),
    ],
)
def test_an_expression_that_does_not_compile_is_refused_with_its_place(server, expression, told):
    answer = server.ask("POST", "SearchParameter", parameter(expression=expression))
    issue = outcome(answer, 400, "invalid")
    assert issue["expression"] == ["SearchParameter.expression"]
    assert told in issue["details"]["text"]


def test_a_component_that_does_not_compile_is_refused_with_its_place(server):
    component = [{"definition": "http://hl7.org/fhir/SearchParameter/Patient-name", "expression": "given("}]
    body = parameter(type="composite", expression="Patient.name", component=component * 2)
    assert outcome(server.ask("POST", "SearchParameter", body), 400, "invalid")["expression"] == [
        "SearchParameter.component[0].expression"
    ]


def test_the_codes_of_others_are_taken(server):
    body = parameter("name", expression="Patient.name.family", type="string")
    issue = outcome(server.put(body), 400, "duplicate")
    assert issue["expression"] == ["SearchParameter.code"]


def test_a_copy_of_a_definition_of_r4_changes_nothing(server):
    body = parameter("gender", url="http://hl7.org/fhir/SearchParameter/individual-gender", expression="Patient.id")
    assert server.put(body).status_code == 201
    woman = server.create({"resourceType": "Patient", "gender": "female"})
    assert woman["id"] in server.found("Patient?gender=female")

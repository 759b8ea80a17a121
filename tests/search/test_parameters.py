from fhir_server.definitions.registry import r4
from fhir_server.search.parameters import NOT_INDEXED, Parameters
from fhir_server.search.row import FACETS

CUSTOM = {
    "resourceType": "SearchParameter",
    "url": "http://example.org/SearchParameter/patient-nationality",
    "code": "aaa-nationality",
    "type": "token",
    "base": ["Patient"],
    "expression": "Patient.extension('http://example.org/nationality').value",
}


def test_every_parameter_of_every_type_has_an_expression_or_a_reason():
    parameters = Parameters(r4())
    without = {p.code: p for name in r4().resource_types for p in parameters.of(name).values() if p.expression is None}
    assert set(without) == {*NOT_INDEXED, "part-agree"}
    assert all(p.reason for p in without.values())


def test_numbers_are_apart_by_the_facets_and_unique():
    parameters = Parameters(r4())
    numbers = [p.number for name in r4().resource_types for p in parameters.of(name).values()]
    assert len(set(numbers)) == len(numbers)
    assert all(number % FACETS == 0 for number in numbers)


def test_numbers_do_not_change_when_a_parameter_comes():
    definitions = r4().extended()
    parameters = Parameters(definitions)
    before = {code: p.number for code, p in parameters.of("Patient").items()}
    definitions.add(CUSTOM)
    after = {code: p.number for code, p in parameters.of("Patient").items()}
    assert before.items() <= after.items()
    assert CUSTOM["code"] in after


def test_a_store_can_give_numbers_back():
    definitions = r4().extended()
    first = Parameters(definitions)
    first.of("Patient")
    definitions.add(CUSTOM)
    kept = dict(first.numbers)
    again = Parameters(definitions, kept)
    assert {code: again.of("Patient")[code].number for code in first.of("Patient")} == {
        code: parameter.number for code, parameter in first.of("Patient").items()
    }
    assert kept.items() <= again.numbers.items()


def test_only_the_alternatives_of_the_type_are_kept():
    parameter = Parameters(r4()).of("CodeSystem")["url"]
    assert parameter.expression is not None
    assert str(parameter.expression).count("Name(") == 2


def test_a_composite_knows_the_types_of_its_components():
    parameter = Parameters(r4()).of("Observation")["code-value-quantity"]
    assert [component.type for component in parameter.components] == ["token", "quantity"]


def test_an_expression_that_cannot_be_read_is_a_reason():
    definitions = r4().extended()
    definitions.add({**CUSTOM, "expression": "Patient.(", "code": "broken"})
    parameter = Parameters(definitions).of("Patient")["broken"]
    assert parameter.expression is None
    assert parameter.reason is not None

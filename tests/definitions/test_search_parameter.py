import pytest

from fhir_server.definitions.registry import r4
from fhir_server.definitions.search_parameter import filtered_cast, search_parameter_from


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("(Observation.value as Quantity)", "Observation.value.ofType(Quantity)"),
        ("A.b.as(Age) | A.b.as(Range)", "A.b.ofType(Age) | A.b.ofType(Range)"),
        ("AllergyIntolerance.code | (A.b as C) | D", "AllergyIntolerance.code | A.b.ofType(C) | D"),
        ("Patient.name.given", "Patient.name.given"),
        ("Basic.where(class = 'as is')", "Basic.where(class = 'as is')"),
    ],
)  # fmt: skip
def test_a_cast_of_several_items_is_read_as_a_filter(written, read):
    assert filtered_cast(written) == read


def test_no_expression_of_the_core_casts():
    for url in r4().code_systems():
        assert r4().search_parameter(url) is None
    parameters = [p for name in r4().resource_types for p in r4().search_parameters(name).values()]
    assert not [p.url for p in parameters if p.expression and (" as " in p.expression or ".as(" in p.expression)]


def test_a_composite_has_its_components():
    composite = r4().search_parameters("Observation")["code-value-quantity"]
    assert [c.definition.rpartition("/")[2] for c in composite.components] == [
        "clinical-code",
        "Observation-value-quantity",
    ]
    assert composite.components[1].expression == "value.ofType(Quantity)"


def test_what_a_parameter_does_not_say_is_allowed():
    bare = search_parameter_from({"url": "u", "code": "c", "type": "token"})
    assert (bare.multiple_or, bare.multiple_and, bare.expression, bare.base) == (True, True, None, ())

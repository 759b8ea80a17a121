import pytest

from fhir_server.errors import FhirError, Invalid, TooCostly, Unsupported
from fhir_server.search.plan import And, Chain, Not, Or, Present, Referrer, Row, Test, Text, Updated
from tests.search.searching import number, predicate, search


@pytest.mark.parametrize(
    ("expression", "same"),
    [
        ("birthdate ge 2014-10-10", "birthdate=ge2014-10-10"),
        ("birthdate ap 2014", "birthdate=ap2014"),
        ("active eq true", "active=true"),
        (
            "gender eq http://hl7.org/fhir/administrative-gender|male",
            "gender=http://hl7.org/fhir/administrative-gender|male",
        ),
        ('name co "pet\'s"', "name:contains=pet's"),
        ("organization re Organization/1", "organization=Organization/1"),
        ("organization:Organization.name co x", "organization:Organization.name:contains=x"),
        ("_has:Observation:patient:status eq final", "_has:Observation:patient:status=final"),
        ("_id eq 1", "_id=1"),
        ("active pr true", "active:missing=false"),
        ("active pr false", "active:missing=true"),
        ("_lastUpdated lt 2024", "_lastUpdated=lt2024"),
        ("_text eq sốt", "_text=sốt"),
    ],
)
def test_a_test_of_a_filter_is_that_of_a_parameter(expression, same):
    assert predicate(f"Patient?_filter={expression}") == predicate(f"Patient?{same}")


def test_logic_is_kept():
    found = predicate("Patient?_filter=active eq true or not (active pr true)")
    assert found == Or(
        (Row(number("Patient.active"), (Test("v", "=", "true"),)), Not(Present(number("Patient.active"))))
    )


def test_unequal_is_said_of_what_has_a_value():
    match predicate("Patient?_filter=active ne true"):
        case And((Present(), Not(Row()))) | And((Row(), Present())):
            pass
        case other:
            pytest.fail(str(other))
    match predicate("Patient?_filter=_id ne 1 and _lastUpdated ne 2024"):
        case And(items):
            assert any(isinstance(item, Or) and all(isinstance(one, Updated) for one in item.items) for item in items)
        case other:
            pytest.fail(str(other))


def test_a_filter_in_brackets_is_about_the_same_target():
    match predicate("Patient?_filter=general-practitioner[active eq true].name co x"):
        case Chain(targets=targets):
            assert {kind for kind, _ in targets} == {"Practitioner", "Organization"}
            assert all(isinstance(inner, And) for _, inner in targets)
        case other:
            pytest.fail(str(other))


def test_what_refers_here_may_be_filtered_further():
    match predicate("Patient?_filter=_has:Observation:patient:_has:Provenance:target:agent re Practitioner/1"):
        case Referrer(source="Observation", predicate=Referrer(source="Provenance")):
            pass
        case other:
            pytest.fail(str(other))


def test_composites_are_tested_for_equality():
    same = predicate("Observation?code-value-quantity=a$gt5||mg")
    assert predicate("Observation?_filter=code-value-quantity eq a$gt5||mg") == same


@pytest.mark.parametrize(
    ("address", "kind", "text"),
    [
        ("Patient?_filter=nme eq x", Invalid, "Did you mean name?"),
        ("Patient?_filter=active gt true", Invalid, "has no operator gt"),
        ("Patient?_filter=birthdate eq x", Invalid, "is not a date"),
        ("Patient?_filter=active pr maybe", Invalid, "true or false"),
        ("Patient?_filter=organization:Organization eq x", Invalid, "no further name"),
        ("Patient?_filter=_id gt 1", Invalid, "has no operator gt"),
        ("Patient?_filter=_lastUpdated ge x", Invalid, "is not a date"),
        ("Patient?_filter=_text eq (", Invalid, "missing"),
        ("Patient?_filter=age eq 3", Unsupported, "cannot be searched by"),
        ("Patient?_filter=gender in http://vs", Unsupported, "not known here"),
        ("Observation?_filter=code-value-quantity gt x", Invalid, "has no operator gt"),
        ("Patient?_filter=" + "(" * 40, TooCostly, "too large"),
    ],
)
def test_what_is_wrong_is_named(address, kind, text):
    with pytest.raises(FhirError) as error:
        search(address)
    assert type(error.value) is kind
    assert text in error.value.issues[0].text


def test_texts_within_a_filter_are_expressions():
    assert predicate('Patient?_filter=_content eq "sốt cao"') == Text("content", "sốt AND cao")

import pytest

from fhir_server.search.reach import Reach, reach
from tests.search.searching import PARAMETERS
from tests.search.value_types.conftest import CONTEXT


def reached(key) -> Reach:
    kind, _, code = key.partition(".")
    return reach(PARAMETERS.of(kind)[code], CONTEXT)


@pytest.mark.parametrize(
    ("key", "kinds"),
    [
        ("Patient.identifier", {"Identifier"}),
        ("Patient.family", {"string", "HumanName.family"}),
        ("Patient.name", {"HumanName"}),
        ("Observation.subject", {"Reference"}),
        ("Observation.date", {"dateTime", "Period", "Timing", "instant"}),
        ("Condition.onset-age", {"Quantity", "Range"}),
        ("PlanDefinition.depends-on", {"canonical"}),
        ("Patient.deceased", None),
    ],
)
def test_the_types_that_a_parameter_reads_are_known(key, kinds):
    assert reached(key).kinds == (kinds if kinds is None else frozenset(kinds))


@pytest.mark.parametrize(
    ("key", "single"),
    [
        ("Patient.birthdate", True),
        ("Observation.date", True),
        ("Encounter.date", True),
        ("Encounter.location-period", False),
        ("Patient.name", False),
        ("Condition.onset-date", True),
        ("Patient.deceased", False),
    ],
)
def test_whether_a_resource_has_one_value_is_known(key, single):
    assert reached(key).single is single


def test_components_of_a_composite_are_known():
    assert reached("Observation.code-value-quantity").components == (
        ("token", frozenset({"CodeableConcept"})),
        ("quantity", frozenset({"Quantity"})),
    )


def test_components_are_read_as_what_their_elements_are():
    assert [kind for kind, _ in reached("DocumentReference.relationship").components] == ["token", "reference"]


def test_nothing_is_known_of_what_has_no_expression():
    assert reached("Patient.age") == Reach()

import pytest

from fhir_server.search.question import Unreadable
from fhir_server.search.row import Reference
from fhir_server.search.value_types.reference import FORMS
from tests.search.value_types.conftest import asked


def read(text, question, modifier=""):
    """Facet and tests of each row."""
    return [
        (row.number, *((test.column, test.operator, test.value) for test in row.tests))
        for row in asked(FORMS, text, question, modifier)
    ]


PATIENT = [(Reference.LITERAL, ("v", "=", "1"), ("x", "=", "Patient"))]


def test_an_id_may_be_of_any_type_unless_the_name_says_which(question):
    assert read("1", question("Reference")) == [(Reference.LITERAL, ("v", "=", "1"))]
    assert read("1", question("Reference", only="Patient")) == PATIENT


@pytest.mark.parametrize("text", ["Patient/1", "http://own/fhir/Patient/1"])
def test_a_reference_to_a_resource_here_is_its_type_and_id(question, text):
    assert read(text, question("Reference")) == PATIENT


def test_a_reference_elsewhere_is_its_url(question):
    text = "http://other/fhir/Patient/1"
    assert read(text, question("Reference")) == [(Reference.LITERAL, ("v", "=", text), ("x", "=", "Patient"))]
    assert read("urn:oid:1.2", question("Reference")) == [(Reference.LITERAL, ("v", "=", "urn:oid:1.2"))]


def test_a_version_is_asked_for_by_its_path(question):
    text = "http://own/fhir/Patient/1/_history/2"
    assert read(text, question("Reference")) == [(Reference.VERSION, ("v", "=", "Patient/1/_history/2"))]


def test_a_canonical_is_asked_for_by_url_and_version(question):
    url = "http://example.org/Questionnaire/q"
    assert read(f"{url}|2", question("canonical")) == [(Reference.CANONICAL, ("v", "=", url), ("x", "=", "2"))]
    assert [facet for facet, *_ in read(url, question())] == [Reference.LITERAL, Reference.CANONICAL]


def test_versions_lie_below_each_other_by_their_parts(question):
    url = "http://example.org/Questionnaire/q"
    assert read(f"{url}|1", question("canonical"), "below") == [
        (Reference.CANONICAL, ("v", "=", url), ("x", "=", "1")),
        (Reference.CANONICAL, ("v", "=", url), ("x", "starts", "1.")),
    ]
    assert read(f"{url}|1.2", question("canonical"), "above") == [
        (Reference.CANONICAL, ("v", "=", url), ("x", "in", ("1.2", "1"))),
    ]


def test_an_identifier_is_asked_for_as_a_token(question):
    assert read("s|v", question(), "identifier") == [(Reference.IDENTIFIER, ("v", "=", "v"), ("x", "=", "s"))]
    assert read("s|", question(), "identifier") == [(Reference.IDENTIFIER_SYSTEM, ("v", "=", "s"))]


@pytest.mark.parametrize(
    ("text", "modifier", "more"),
    [
        ("Group/1", "", {"only": "Patient"}),
        ("Group/1", "", {"targets": ("Patient",)}),
        ("|", "identifier", {}),
        ("a|b|c", "identifier", {}),
        ("Patient/1", "below", {}),
    ],
)
def test_contradictions_are_wrong(question, text, modifier, more):
    with pytest.raises(Unreadable):
        read(text, question("Reference", **more), modifier)

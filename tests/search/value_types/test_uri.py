import pytest

from fhir_server.search.question import Unreadable
from fhir_server.search.value_types.uri import FORMS
from tests.search.value_types.conftest import asked

URL = "http://acme.org/fhir"


def values(text, question, modifier=""):
    return [
        [(test.column, test.operator, test.value) for test in row.tests]
        for row in asked(FORMS, text, question, modifier)
    ]


def test_a_uri_is_asked_for_exactly(question):
    assert values("urn:a", question("uri")) == [[("v", "=", "urn:a")]]
    assert values(f"{URL}|2", question("canonical"))[1] == [("v", "=", URL), ("x", "=", "2")]


@pytest.mark.parametrize("text", [URL, f"{URL}/"])
def test_below_goes_on_from_a_whole_step_of_the_path(question, text):
    assert values(text, question(), "below") == [[("v", "in", (URL, text))], [("v", "starts", f"{URL}/")]]


def test_above_goes_down_to_the_host(question):
    (((_, _, found),),) = values(f"{URL}/ValueSet/1", question(), "above")
    assert found[0] == f"{URL}/ValueSet/1"
    assert {URL, f"{URL}/ValueSet/", "http://acme.org"} <= set(found)
    assert "http:/" not in "".join(found).replace("http://", "")


@pytest.mark.parametrize("modifier", ["above", "below"])
def test_only_urls_lie_below_each_other(question, modifier):
    with pytest.raises(Unreadable):
        values("urn:oid:1.2", question(), modifier)

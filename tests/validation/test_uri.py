"""URIs beyond their form, at full depth."""

import pytest

from tests.validation.profiled import resource
from tests.validation.verdict import errors, only_full


def based(uri):
    return resource("Patient", implicitRules=uri)


def claiming(canonical):
    return resource("Patient", meta={"profile": [canonical]})


@pytest.mark.parametrize(
    "uri",
    [
        "relative/path",
        "https://example.org/a|b",
        "urn:uuid:c757873d-ec9a-4326-a141-556f43239520",
        "urn:oid:1.2.840.113883",
        "urn:oid:1.3.6",
        "urn:anything",
    ],
)
def test_a_uri_may_be(uri):
    assert errors(based(uri)) == []


@pytest.mark.parametrize(
    "uri",
    [
        "oid:1.2.3.4",
        "uuid:c757873d-ec9a-4326-a141-556f43239520",
        "urn:uuid:C757873D-EC9A-4326-A141-556F43239520",
        "urn:uuid:1",
        "urn:oid:1.2",
        "urn:oid:1.2.03.4",
        "urn:oid:3.2.1.5",
    ],
)
def test_a_uri_that_promises_an_oid_or_uuid_keeps_it(uri):
    assert len(only_full(based(uri))) == 1


@pytest.mark.parametrize("canonical", ["StructureDefinition/x", "x", "urn:oid:1.2|3"])
def test_a_canonical_is_absolute(canonical):
    assert len(only_full(claiming(canonical))) == 1


def test_a_canonical_may_have_a_version():
    assert errors(claiming("https://example.org/StructureDefinition/x|1.0")) == []


def test_a_canonical_leads_to_what_its_element_allows():
    found = only_full(claiming("http://hl7.org/fhir/ValueSet/observation-status"))
    assert "is a ValueSet, but this element allows StructureDefinition" in found[0]


@pytest.mark.parametrize(("target", "right"), [("#q", True), ("#r", False)])
def test_a_canonical_fragment_leads_to_something_in_the_resource(target, right):
    contained = [{"resourceType": "ValueSet", "id": "q", "status": "active", "compose": {"include": []}}]
    del contained[0]["compose"]
    item = [{"linkId": "1", "type": "choice", "answerValueSet": target}, {
        "linkId": "2", "type": "choice", "answerValueSet": "#q"}]  # fmt: skip
    found = errors(resource("Questionnaire", status="active", contained=contained, item=item))
    assert (found == []) is right


@pytest.mark.parametrize("url", ["ValueSet/x", "x"])
def test_a_definition_calls_itself_by_an_absolute_url(url):
    assert len(only_full(resource("ValueSet", status="active", url=url))) == 1


def test_the_uri_of_something_else_than_a_definition_may_be_relative():
    assert errors(resource("Contract", url="contracts/1")) == []

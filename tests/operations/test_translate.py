from typing import Any

import pytest

from fhir_server.errors import Invalid, NotFound
from fhir_server.operations.translate import OPERATION
from tests.operations.calling import call, node, value, values

GENDER = "http://hl7.org/fhir/administrative-gender"
V2 = "http://terminology.hl7.org/CodeSystem/v2-0001"
CORE = "http://hl7.org/fhir/ConceptMap/cm-administrative-gender-v2"


def concept_map(**group):
    body = {"source": "urn:s", "target": "urn:t", "element": []} | group
    return {"resourceType": "ConceptMap", "url": "urn:map", "version": "2", "status": "active", "group": [body]}


MAPPED = concept_map(element=[
    {"code": "1", "target": [
        {"code": "x", "equivalence": "wider", "display": "X",
         "product": [{"property": "urn:p", "system": "urn:q", "value": "z"}]},
        {"code": "y", "equivalence": "equal", "dependsOn": [{"property": "urn:side", "value": "left"}]},
    ]},
    {"code": "2", "target": [{"equivalence": "unmatched"}]},
])  # fmt: skip
NODE = node(MAPPED, stored=({**MAPPED, "id": "mapped"},))


def translated(on=NODE, **query):
    return call(OPERATION, on, **({"url": "urn:map", "system": "urn:s", "code": "1"} | query))


def test_a_match_says_what_the_code_is_by_which_map():
    answer = translated()
    assert value(answer, "result") is True
    assert value(answer, "match") == {
        "equivalence": "wider",
        "concept": {"system": "urn:t", "code": "x", "display": "X"},
        "product": {"element": "urn:p", "concept": {"system": "urn:q", "code": "z"}},
        "source": "urn:map|2",
    }


def test_a_target_with_conditions_needs_them_met():
    sent = {"resourceType": "Parameters", "parameter": [
        {"name": "url", "valueUri": "urn:map"},
        {"name": "coding", "valueCoding": {"system": "urn:s", "code": "1"}},
        {"name": "dependency", "part": [
            {"name": "element", "valueUri": "urn:side"}, {"name": "concept", "valueCodeableConcept": {"text": "left"}},
        ]},
    ]}  # fmt: skip
    assert [match["concept"]["code"] for match in values(call(OPERATION, NODE, sent), "match")] == ["x", "y"]


def test_no_match_is_no_failure():
    assert value(translated(code="2"), "result") is False
    assert value(translated(code="2"), "match") == {"equivalence": "unmatched", "source": "urn:map|2"}
    answer = translated(code="3")
    assert (value(answer, "result"), values(answer, "match")) == (False, [])
    assert value(answer, "message")


@pytest.mark.parametrize(
    ("unmapped", "code"),
    [
        ({"mode": "provided"}, "9"),
        ({"mode": "fixed", "code": "other"}, "other"),
        ({"mode": "other-map", "url": "urn:further"}, "far"),
    ],
)
def test_codes_that_are_not_listed_follow_the_rule_for_them(unmapped, code):
    further = concept_map(element=[{"code": "9", "target": [{"code": "far", "equivalence": "equal"}]}])
    on = node(concept_map(unmapped=unmapped), further | {"url": "urn:further"})
    assert value(translated(on, code="9"), "match")["concept"]["code"] == code


def test_maps_that_lead_to_each_other_end():
    on = node(concept_map(unmapped={"mode": "other-map", "url": "urn:map"}))
    assert value(translated(on, code="9"), "result") is False


def test_it_goes_backwards_too():
    answer = translated(system="urn:t", code="x", reverse="true")
    assert value(answer, "match")["equivalence"] == "narrower"
    assert value(answer, "match")["concept"] == {"system": "urn:s", "code": "1"}


def test_without_a_map_all_that_fit_are_asked():
    answer = call(OPERATION, NODE, system=GENDER, code="male", targetsystem=V2)
    assert value(answer, "match")["concept"] == {"system": V2, "code": "M", "display": "Male"}
    by_value_set: dict[str, Any] = {
        "source": "http://hl7.org/fhir/ValueSet/administrative-gender",
        "target": "http://terminology.hl7.org/ValueSet/v2-0001",
    }
    assert value(call(OPERATION, NODE, system=GENDER, code="male", **by_value_set), "result") is True
    assert value(call(OPERATION, NODE, system=GENDER, code="male", targetsystem="urn:none"), "result") is False


def test_stored_compiled_and_sent_maps_can_be_named():
    assert value(call(OPERATION, NODE, instance="mapped", system="urn:s", code="1"), "result") is True
    assert value(call(OPERATION, NODE, instance="cm-administrative-gender-v2", system=GENDER, code="male"), "result")
    sent = {"resourceType": "Parameters", "parameter": [
        {"name": "conceptMap", "resource": concept_map(element=[
            {"code": "7", "target": [{"code": "n", "equivalence": "equal"}]},
        ])},
        {"name": "code", "valueCode": "7"}, {"name": "system", "valueUri": "urn:s"},
    ]}  # fmt: skip
    assert value(call(OPERATION, NODE, sent), "match")["concept"]["code"] == "n"


@pytest.mark.parametrize(
    ("query", "failure", "text"),
    [
        ({"url": "urn:none", "system": "urn:s", "code": "1"}, NotFound, "urn:none is not known"),
        ({"system": "urn:s"}, Invalid, "one of code"),
        ({"code": "1"}, Invalid, "needs the system"),
        ({"url": CORE, "instance": "mapped", "system": GENDER, "code": "male"}, Invalid, "one thing only"),
    ],
)
def test_what_cannot_be_translated_is_said(query, failure, text):
    with pytest.raises(failure, match=text):
        call(OPERATION, NODE, **query)

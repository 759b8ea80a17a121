import pytest

from fhir_server.errors import Invalid, NotFound
from fhir_server.operations.lookup import OPERATION
from tests.operations.calling import call, node, value, values
from tests.terminology.terminologies import code_system, cs

DISEASES = code_system("disease", {
    "code": "J", "display": "Hô hấp", "definition": "Bệnh hệ hô hấp",
    "designation": [{"language": "en", "value": "Respiratory"}],
    "property": [
        {"code": "chapter", "valueInteger": 10}, {"code": "since", "valueDateTime": "2020"},
        {"code": "rare", "valueBoolean": False}, {"code": "note", "valueString": "two words"},
    ],
    "concept": [{"code": "J18", "display": "Viêm phổi"}],
}, version="2024", property=[{"code": "since", "type": "dateTime"}]) | {"name": "Diseases"}  # fmt: skip
NODE = node(DISEASES)
GENDER = "http://hl7.org/fhir/administrative-gender"


def test_a_lookup_tells_all_that_is_known():
    answer = call(OPERATION, NODE, system=cs("disease"), code="J")
    assert [value(answer, name) for name in ("name", "version", "display", "definition")] == [
        "Diseases", "2024", "Hô hấp", "Bệnh hệ hô hấp",
    ]  # fmt: skip
    assert values(answer, "designation") == [{"language": "en", "value": "Respiratory"}]
    assert values(answer, "property") == [
        {"code": "child", "value": "J18", "description": "Viêm phổi"},
        {"code": "chapter", "value": 10},
        {"code": "since", "value": "2020"},
        {"code": "rare", "value": False},
        {"code": "note", "value": "two words"},
    ]
    since = [item for item in answer["parameter"] if item["name"] == "property"][2]["part"][1]
    assert since == {"name": "value", "valueDateTime": "2020"}


def test_only_the_properties_asked_for_are_told():
    answer = call(OPERATION, NODE, system=cs("disease"), code="J18", property=["parent", "system"])
    assert [item["name"] for item in answer["parameter"]] == ["name", "version", "display", "system", "property"]
    assert value(answer, "property") == {"code": "parent", "value": "J", "description": "Hô hấp"}
    answer = call(OPERATION, NODE, system=cs("disease"), code="J", property="lang.en")
    assert value(answer, "designation") == {"language": "en", "value": "Respiratory"}


def test_the_display_is_in_the_language_asked_for():
    assert (
        value(call(OPERATION, NODE, system=cs("disease"), code="J", displayLanguage="en-GB"), "display")
        == "Respiratory"
    )
    assert value(call(OPERATION, NODE, system=cs("disease"), code="J", displayLanguage="fr"), "display") == "Hô hấp"


def test_a_coding_and_compiled_and_named_systems_can_be_looked_up():
    coding = {"system": GENDER, "code": "male"}
    sent = {"resourceType": "Parameters", "parameter": [{"name": "coding", "valueCoding": coding}]}
    answer = call(OPERATION, NODE, sent)
    assert (value(answer, "name"), value(answer, "display")) == ("AdministrativeGender", "Male")
    assert value(call(OPERATION, NODE, coding=f"{GENDER}|female"), "display") == "Female"
    assert value(call(OPERATION, NODE, system="http://unitsofmeasure.org", code="mg/dL"), "display") == "mg/dL"


@pytest.mark.parametrize(
    ("query", "failure", "text"),
    [
        ({"system": "urn:none", "code": "a"}, NotFound, "code system urn:none is not known"),
        ({"system": GENDER, "code": "nobody"}, NotFound, "nobody is not in"),
        ({"system": cs("disease"), "version": "1999", "code": "J"}, NotFound, r"disease\|1999 is not known"),
        ({"code": "a"}, Invalid, "needs the system"),
        ({"system": GENDER}, Invalid, "either code and system, or coding"),
        ({"system": "http://loinc.org", "code": "8480-6"}, NotFound, "not known"),
    ],
)
def test_what_cannot_be_looked_up_is_said(query, failure, text):
    with pytest.raises(failure, match=text):
        call(OPERATION, NODE, **query)

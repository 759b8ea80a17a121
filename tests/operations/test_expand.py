from typing import Any

import pytest

from fhir_server.errors import Invalid, NotFound, TooCostly, Unprocessable, Unsupported
from fhir_server.operations import expand
from fhir_server.operations.expand import OPERATION, UNCLOSED
from tests.operations.calling import FakeNode, call, node
from tests.terminology.terminologies import code_system, cs, system, value_set, vs

LUNG = {"code": "J18.9", "display": "Viêm phổi, tác nhân không xác định", "designation": [
    {"language": "en", "value": "Pneumonia, unspecified", "use": {"system": "urn:u", "code": "official"}},
]}  # fmt: skip
LIVER = {"code": "K74", "display": "Xơ gan", "property": [{"code": "inactive", "valueBoolean": True}]}
GROUP = {"code": "J00", "display": "Bệnh hô hấp", "property": [{"code": "notSelectable", "valueBoolean": True}]}
DISEASES = code_system("disease", GROUP, LUNG, LIVER, language="vi", version="2024")
ALL = value_set("diseases", system("disease"), status="active", version="1")
NODE = node(DISEASES, ALL)


def asked_with(name: str, parameters: dict[str, Any], where: FakeNode = NODE) -> dict[str, Any]:
    """The answer about a value set, for parameters whose names are no Python names."""
    return call(OPERATION, where, None, url=vs(name), **parameters)


def contained(answer):
    return [item["code"] for item in answer["expansion"].get("contains", ())]


def test_an_expansion_lists_the_codes_in_order_with_all_that_it_must_say():
    answer = call(OPERATION, NODE, url=vs("diseases"))
    assert (answer["url"], answer["version"], answer["status"]) == (vs("diseases"), "1", "active")
    expansion = answer["expansion"]
    assert expansion["timestamp"] == "2025-11-23T00:00:00.000Z"
    assert expansion["identifier"].startswith("urn:uuid:")
    assert expansion["total"] == 3
    assert contained(answer) == ["J00", "J18.9", "K74"]
    assert expansion["contains"][0] == {
        "system": cs("disease"), "abstract": True, "code": "J00", "display": "Bệnh hô hấp",
    }  # fmt: skip
    assert {"name": "version", "valueUri": f"{cs('disease')}|2024"} in expansion["parameter"]


@pytest.mark.parametrize(
    ("text", "codes"),
    [("viem phoi", ["J18.9"]), ("PHỔI", ["J18.9"]), ("pneu", ["J18.9"]), ("j18", ["J18.9"]), ("gan tim", []),
     ("x g", ["K74"])],
)  # fmt: skip
def test_a_filter_finds_words_by_their_start_without_accents(text, codes):
    answer = call(OPERATION, NODE, url=vs("diseases"), filter=text)
    assert contained(answer) == codes
    assert answer["expansion"]["total"] == len(codes)


def test_inactive_codes_are_marked_and_can_be_left_out():
    assert call(OPERATION, NODE, url=vs("diseases"))["expansion"]["contains"][2]["inactive"] is True
    assert contained(call(OPERATION, NODE, url=vs("diseases"), activeOnly="true")) == ["J00", "J18.9"]


def test_pages_are_parts_of_one_expansion():
    pages = [call(OPERATION, NODE, url=vs("diseases"), offset=start, count=2)["expansion"] for start in (0, 2)]
    assert [[item["code"] for item in page["contains"]] for page in pages] == [["J00", "J18.9"], ["K74"]]
    assert pages[0]["identifier"] == pages[1]["identifier"]
    assert [page["total"] for page in pages] == [3, 3]
    assert [page["offset"] for page in pages] == [0, 2]
    assert call(OPERATION, NODE, url=vs("diseases"), count=0)["expansion"]["total"] == 3


def test_displays_come_in_the_language_asked_for_and_designations_when_asked_for():
    answer = call(OPERATION, NODE, url=vs("diseases"), displayLanguage="en", includeDesignations="true", filter="j18")
    (item,) = answer["expansion"]["contains"]
    assert item["display"] == "Pneumonia, unspecified"
    assert item["designation"] == [
        {"language": "en", "use": {"system": "urn:u", "code": "official"}, "value": "Pneumonia, unspecified"}
    ]
    for wanted, shown in (("urn:u|official", 1), ("urn:ietf:bcp:47|en", 1), ("fr", 0)):
        (item,) = call(OPERATION, NODE, url=vs("diseases"), designation=wanted, filter="j18")["expansion"]["contains"]
        assert len(item.get("designation", ())) == shown


def test_too_many_codes_at_once_are_refused_with_the_way_out(monkeypatch):
    monkeypatch.setattr(expand, "MOST_AT_ONCE", 2)
    with pytest.raises(TooCostly, match="offset and count"):
        call(OPERATION, NODE, url=vs("diseases"))
    assert contained(call(OPERATION, NODE, url=vs("diseases"), count=3)) == ["J00", "J18.9", "K74"]


def test_a_value_set_may_be_sent_along_or_named_by_its_own_url():
    body = {"resourceType": "ValueSet", "compose": {"include": [system("disease", "K74")]}}
    sent = {"resourceType": "Parameters", "parameter": [{"name": "valueSet", "resource": body}]}
    assert contained(call(OPERATION, NODE, sent)) == ["K74"]
    assert contained(call(OPERATION, NODE, body)) == ["K74"]
    stored = node(DISEASES, stored=({**body, "id": "few"},))
    assert contained(call(OPERATION, stored, instance="few")) == ["K74"]
    assert contained(call(OPERATION, stored, instance="administrative-gender")) == [
        "male",
        "female",
        "other",
        "unknown",
    ]


def test_an_expansion_that_leaves_codes_out_says_so():
    partly = value_set("partly", system("disease", "K74"), {"system": "http://snomed.info/sct"})
    expansion = call(OPERATION, node(DISEASES, partly), url=vs("partly"))["expansion"]
    assert expansion["extension"] == [{"url": UNCLOSED, "valueBoolean": True}]
    with pytest.raises(Unprocessable, match=r"snomed\.info/sct is not here"):
        call(OPERATION, node(value_set("none", {"system": "http://snomed.info/sct"})), url=vs("none"))


@pytest.mark.parametrize(
    ("query", "failure", "text"),
    [
        ({"url": "urn:none"}, NotFound, "not known"),
        ({}, Invalid, "needs a value set"),
        ({"url": vs("diseases"), "fliter": "a"}, Invalid, "Did you mean filter"),
        ({"url": vs("diseases"), "count": "-1"}, Invalid, "0 or more"),
        ({"url": vs("diseases"), "count": "many"}, Invalid, "whole number"),
        ({"url": vs("diseases"), "activeOnly": "yes"}, Invalid, "true or false"),
        ({"url": [vs("diseases"), "b"]}, Invalid, "once"),
        ({"url": vs("diseases"), "valueSet": "b"}, Invalid, "by POST"),
        ({"url": vs("diseases"), "date": "2024"}, Unsupported, "date"),
    ],
)
def test_what_cannot_be_asked_is_said(query, failure, text):
    with pytest.raises(failure, match=text):
        call(OPERATION, NODE, **query)


def test_a_value_set_that_cannot_be_read_is_refused():
    broken = {"resourceType": "ValueSet", "compose": {"include": [{"concept": [{"display": "no code"}]}]}}
    with pytest.raises(Invalid, match="cannot be read"):
        call(OPERATION, NODE, broken)


def test_an_element_is_a_context_of_the_value_set_that_it_is_bound_to():
    context = "http://hl7.org/fhir/StructureDefinition/Patient#Patient.gender"
    answer = call(OPERATION, node(), context=context, contextDirection="incoming")
    assert contained(answer) == ["male", "female", "other", "unknown"]
    with pytest.raises(NotFound, match=r"Did you mean Patient\.gender"):
        call(OPERATION, node(), context="http://hl7.org/fhir/StructureDefinition/Patient#Patient.gendre")
    with pytest.raises(NotFound, match="no profile"):
        call(OPERATION, node(), context="urn:none#a")
    with pytest.raises(Invalid, match="without a value set"):
        call(OPERATION, node(), context="http://hl7.org/fhir/StructureDefinition/Patient#Patient.active")
    with pytest.raises(Invalid, match="incoming, outgoing"):
        call(OPERATION, node(), context=context, contextDirection="up")


def test_systems_and_what_nobody_may_choose_can_be_left_out():
    mixed = node(DISEASES, code_system("b", "x"), value_set("mixed", system("disease"), system("b")))
    assert contained(asked_with("mixed", {"exclude-system": cs("disease")}, mixed)) == ["x"]
    assert len(contained(asked_with("mixed", {"exclude-system": f"{cs('disease')}|1"}, mixed))) == 4
    assert contained(call(OPERATION, mixed, url=vs("mixed"), excludeNotForUI="true")) == ["J18.9", "K74", "x"]


def test_the_definition_comes_along_where_it_is_asked_for():
    answer = call(
        OPERATION, node(value_set("some", system("disease", "J00"))), url=vs("some"), includeDefinition="true"
    )
    assert answer["compose"] == {"include": [{"system": cs("disease"), "concept": [{"code": "J00"}]}]}


TWO = node(
    code_system("a", "old", version="1"),
    code_system("a", "new", version="2"),
    value_set("any", system("a")),
    value_set("first", system("a", version="1")),
    value_set("around", {"valueSet": [vs("first")]}),
)


@pytest.mark.parametrize(
    ("asked", "name", "codes"),
    [
        ({}, "any", ["new"]),
        ({"system-version": f"{cs('a')}|1"}, "any", ["old"]),
        ({"check-system-version": f"{cs('a')}|1"}, "any", ["old"]),
        ({"force-system-version": f"{cs('a')}|1"}, "any", ["old"]),
        ({"system-version": f"{cs('a')}|2"}, "first", ["old"]),
        ({"check-system-version": f"{cs('a')}|1"}, "around", ["old"]),
        ({"force-system-version": f"{cs('a')}|2"}, "around", ["new"]),
    ],
)
def test_versions_of_systems_can_be_chosen(asked, name, codes):
    answer = asked_with(name, asked, TWO)
    assert contained(answer) == codes
    said = {each["name"] for each in answer["expansion"]["parameter"]}
    assert set(asked) <= said


def test_versions_that_cannot_be_are_refused():
    with pytest.raises(Unprocessable, match=r"asks for 2"):
        asked_with("around", {"check-system-version": f"{cs('a')}|2"}, TWO)
    with pytest.raises(Unprocessable, match=r"cs/a\|3 is not here"):
        asked_with("any", {"force-system-version": f"{cs('a')}|3"}, TWO)
    with pytest.raises(Invalid, match=r"system\|version"):
        asked_with("any", {"system-version": cs("a")}, TWO)
    with pytest.raises(Unsupported, match="as they are now"):
        call(OPERATION, TWO, url=vs("any"), date="2020-01-01")

import pytest

from fhir_server.errors import Invalid, NotFound, TooCostly, Unprocessable, Unsupported
from fhir_server.operations import expand
from fhir_server.operations.expand import OPERATION, UNCLOSED
from tests.operations.calling import call, node
from tests.terminology.terminologies import code_system, cs, system, value_set, vs

LUNG = {"code": "J18.9", "display": "Viêm phổi, tác nhân không xác định", "designation": [
    {"language": "en", "value": "Pneumonia, unspecified", "use": {"system": "urn:u", "code": "official"}},
]}  # fmt: skip
LIVER = {"code": "K74", "display": "Xơ gan", "property": [{"code": "inactive", "valueBoolean": True}]}
GROUP = {"code": "J00", "display": "Bệnh hô hấp", "property": [{"code": "notSelectable", "valueBoolean": True}]}
DISEASES = code_system("disease", GROUP, LUNG, LIVER, language="vi", version="2024")
ALL = value_set("diseases", system("disease"), status="active", version="1")
NODE = node(DISEASES, ALL)


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

import pytest

from fhir_server.errors import Invalid, NotFound
from fhir_server.operations.validate_code import OPERATIONS
from tests.operations.calling import call, node, value
from tests.terminology.terminologies import code_system, cs, system, value_set, vs

IN_VALUE_SET, IN_CODE_SYSTEM = OPERATIONS
COLOURS = code_system(
    "colour",
    {"code": "red", "display": "Red", "designation": [{"language": "vi", "value": "Đỏ"}]},
    {"code": "warm", "display": "Warm", "property": [{"code": "notSelectable", "valueBoolean": True}]},
    {"code": "mauve", "display": "Mauve", "property": [{"code": "inactive", "valueBoolean": True}]},
    version="3",
)
SOME = value_set("some", system("colour", "red", "warm", "mauve"), {"system": "urn:far", "concept": [{"code": "x"}]})
OPEN = value_set("open", {"system": "urn:unlisted"})
NODE = node(COLOURS, SOME, OPEN, stored=({**COLOURS, "id": "colour"},))


def judged(**query):
    return call(IN_VALUE_SET, NODE, **({"url": vs("some"), "system": cs("colour")} | query))


def parameters(name, kind, content):
    return {"resourceType": "Parameters", "parameter": [{"name": name, f"value{kind}": content}]}


def test_a_code_of_the_value_set_is_right_and_described():
    answer = judged(code="red", display="red")
    assert [value(answer, name) for name in ("result", "display", "code", "system", "version")] == [
        True, "Red", "red", cs("colour"), "3",
    ]  # fmt: skip
    assert value(answer, "message") is None


def test_a_code_that_is_not_in_it_is_wrong_with_a_reason():
    answer = judged(code="green")
    assert value(answer, "result") is False
    assert f"{cs('colour')}#green is not in the value set" in value(answer, "message")
    assert {issue["code"] for issue in value(answer, "issues")["issue"]} == {"code-invalid"}


def test_the_display_must_be_one_of_those_in_the_language():
    assert value(judged(code="red", display="Đỏ"), "result") is True
    assert value(judged(code="red", display="Đỏ", displayLanguage="vi"), "display") == "Đỏ"
    answer = judged(code="red", display="Blue")
    assert value(answer, "result") is False
    assert "it is 'Red' or 'Đỏ'" in value(answer, "message")
    assert value(answer, "display") == "Red"


def test_the_system_is_found_where_only_one_has_the_code():
    answer = call(IN_VALUE_SET, NODE, url=vs("some"), code="red")
    assert (value(answer, "result"), value(answer, "system")) == (True, cs("colour"))


def test_a_code_without_a_system_is_judged_by_the_value_set_alone():
    answer = call(IN_VALUE_SET, NODE, url=vs("some"), code="green")
    assert value(answer, "message") == f"The code green is not in the value set {vs('some')}."


def test_codes_that_only_group_need_abstract_and_inactive_ones_are_warned_of():
    assert value(judged(code="warm"), "result") is False
    assert value(judged(code="warm", abstract="true"), "result") is True
    answer = judged(code="mauve")
    assert value(answer, "result") is True
    assert "inactive" in value(answer, "message")


def test_one_right_coding_of_a_concept_is_enough():
    codings = [{"system": "urn:other", "code": "q"}, {"system": cs("colour"), "code": "red"}]
    sent = parameters("codeableConcept", "CodeableConcept", {"coding": codings})
    sent["parameter"].append({"name": "url", "valueUri": vs("some")})
    assert value(call(IN_VALUE_SET, NODE, sent), "code") == "red"
    sent["parameter"][0]["valueCodeableConcept"] = {"coding": codings[:1]}
    answer = call(IN_VALUE_SET, NODE, sent)
    assert value(answer, "result") is False
    assert "CodeableConcept.coding[0].code" in value(answer, "issues")["issue"][0]["expression"]


def test_what_cannot_be_told_is_not_called_right():
    answer = call(IN_VALUE_SET, NODE, url=vs("open"), system="urn:unlisted", code="a")
    assert value(answer, "result") is False
    assert "cannot be told" in value(answer, "message")
    assert {issue["code"] for issue in value(answer, "issues")["issue"]} == {"not-found"}


def test_a_listed_code_of_an_unknown_system_is_in_the_value_set():
    assert value(call(IN_VALUE_SET, NODE, url=vs("some"), system="urn:far", code="x"), "result") is True


def test_the_code_system_is_named_by_url_by_its_own_url_or_by_the_coding():
    assert value(call(IN_CODE_SYSTEM, NODE, url=cs("colour"), code="red"), "result") is True
    assert value(call(IN_CODE_SYSTEM, NODE, instance="colour", code="green"), "result") is False
    assert value(call(IN_CODE_SYSTEM, NODE, coding=f"{cs('colour')}|red"), "result") is True
    answer = call(IN_CODE_SYSTEM, NODE, url=cs("colour"), coding="urn:other|red")
    assert "is of urn:other" in value(answer, "message")


def test_core_code_systems_and_value_sets_are_known_by_their_ids():
    assert value(call(IN_CODE_SYSTEM, NODE, instance="administrative-gender", code="male"), "result") is True
    assert value(call(IN_VALUE_SET, NODE, instance="administrative-gender", code="male"), "result") is True


@pytest.mark.parametrize(
    ("operation", "query", "failure", "text"),
    [
        (IN_VALUE_SET, {"url": "urn:none", "code": "a"}, NotFound, "not known"),
        (IN_VALUE_SET, {"code": "a"}, Invalid, "needs a value set"),
        (IN_VALUE_SET, {"url": vs("some")}, Invalid, "one of code, coding"),
        (IN_CODE_SYSTEM, {"url": "urn:none", "code": "a"}, NotFound, "urn:none is not known"),
        (IN_CODE_SYSTEM, {"url": cs("colour"), "version": "4", "code": "red"}, NotFound, "not known"),
        (IN_CODE_SYSTEM, {"code": "a"}, Invalid, "needs a code system"),
    ],
)
def test_what_cannot_be_judged_is_said(operation, query, failure, text):
    with pytest.raises(failure, match=text):
        call(operation, NODE, **query)

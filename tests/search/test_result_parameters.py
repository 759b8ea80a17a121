import pytest

from fhir_server.errors import Invalid
from fhir_server.search.limits import Limits
from fhir_server.search.plan import Include, Sort
from fhir_server.search.row import Quantity, Token
from tests.search.searching import number, search, searcher


def refused(address):
    with pytest.raises(Invalid) as error:
        search(address)
    return error.value.issues[0].text


@pytest.mark.parametrize(("asked", "count"), [("0", 0), ("20", 20), ("1000", 50), ("9" * 40, 50)])
def test_a_count_is_lowered_to_the_limit(asked, count):
    assert search(f"Patient?_count={asked}", searcher(Limits(count=50))).count == count


@pytest.mark.parametrize("asked", ["-1", "x", "1.5", "٣"])
def test_a_count_is_a_number(asked):
    assert "number of resources" in refused(f"Patient?_count={asked}")


def test_the_form_of_the_answer_is_noted():
    query = search(
        "Patient?_total=accurate&_summary=text&_elements=name,birthDate&_explain=true&_cursor=abc&_pretty=true"
    )
    assert (query.total, query.summary, query.elements) == ("accurate", "text", ("name", "birthDate"))
    assert (query.explain, query.cursor) == (True, "abc")


@pytest.mark.parametrize(
    ("pair", "text"),
    [
        ("_total=exact", "none, estimate, accurate"),
        ("_summary=yes", "is not one of"),
        ("_elements=birthdate", "Did you mean birthDate?"),
        ("_explain=1", "true, false"),
        ("_count=1&_count=2", "given twice"),
        ("_count:x=1", "takes no modifier"),
        ("_contained=maybe", "is not one of"),
        ("_sort=brithdate", "Did you mean birthdate?"),
        ("_sort=name:asc", "no key to sort by"),
        ("_sort=-", "no key to sort by"),
        ("_include=Patient", "not written as"),
        ("_include=Patient:nothing", "no search parameter"),
        ("_include=Patient:name", "refers to nothing"),
        ("_include=Patient:organization:Patient", "does not refer to Patient"),
        ("_include=Observation:subject", "_include:iterate"),
        ("_include:itarate=Patient:organization", ":iterate"),
        ("_revinclude=Encounter:service-provider", "refers to none of the types"),
        ("_revinclude=Observation:subject:Group", "not searched"),
    ],
)
def test_what_is_wrong_is_named_with_what_is_right(pair, text):
    assert text in refused(f"Patient?{pair}")


def test_composites_and_positions_have_no_order():
    assert "no order" in refused("Observation?_sort=code-value-quantity")
    assert "no order" in refused("Location?_sort=near")


def test_keys_of_the_order_are_taken_in_turn():
    assert search("Patient?_sort=-birthdate,_id&_sort=-_lastUpdated").plan.sort == (
        Sort("row", {"Patient": number("Patient.birthdate")}, descending=True),
        Sort("id"),
        Sort("updated", descending=True),
    )


@pytest.mark.parametrize(
    ("key", "facet"),
    [
        ("Observation.code", Token.FOLDED),
        ("Condition.clinical-status", Token.CODE),
        ("Patient.language", Token.FOLDED),
        ("Library.version", Token.FOLDED),
        ("Patient.identifier", Token.CODE),
        ("Patient.gender", Token.CODE),
        ("Observation.value-quantity", Quantity.CANONICAL),
        ("Invoice.totalgross", Quantity.SENT),
        ("QuestionnaireResponse.questionnaire", 4),
        ("Observation.subject", 0),
        ("ValueSet.url", 0),
    ],
)
def test_the_facet_of_a_key_is_one_that_people_expect(key, facet):
    kind, _, code = key.partition(".")
    assert search(f"{kind}?_sort={code}").plan.sort[0].numbers == {kind: number(key) + facet}


def test_an_order_over_several_types_has_a_key_for_each():
    numbers = search("?_type=Patient,Practitioner&_sort=family").plan.sort[0].numbers
    assert numbers == {"Patient": number("Patient.family"), "Practitioner": number("Practitioner.family")}


def test_includes_are_by_parameter_or_by_all_of_a_type():
    (one,) = search("Patient?_include=Patient:organization").plan.includes
    assert one == Include("Patient", (number("Patient.organization"),))
    (every,) = search("Patient?_include=Patient:*").plan.includes
    assert set(every.parameters) == {
        number(f"Patient.{code}") for code in ("organization", "link", "general-practitioner")
    }
    assert search("Patient?_include=*").plan.includes == (every,)


def test_includes_may_name_a_target_and_go_on():
    includes = search("Observation?_include=Observation:subject:Patient&_include:iterate=Patient:link").plan.includes
    assert [(i.source, i.target, i.iterate) for i in includes] == [
        ("Observation", "Patient", False),
        ("Patient", None, True),
    ]


def test_reverse_includes_are_those_that_can_refer_to_a_match():
    (one,) = search("Patient?_revinclude=Observation:subject").plan.includes
    assert (one.source, one.reverse) == ("Observation", True)
    every = search("Patient?_revinclude=*").plan.includes
    assert {"Observation", "Encounter", "Provenance"} <= {include.source for include in every}
    assert all(include.reverse for include in every)


def test_canonicals_are_looked_up_by_the_urls_of_what_they_may_mean():
    (one,) = search("QuestionnaireResponse?_include=QuestionnaireResponse:questionnaire").plan.includes
    assert one.canonicals == {"Questionnaire": number("Questionnaire.url")}

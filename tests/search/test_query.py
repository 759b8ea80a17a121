import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_server.definitions.registry import r4
from fhir_server.errors import FhirError, Invalid, TooCostly, Unsupported
from fhir_server.search.limits import Limits
from fhir_server.search.parameters import Parameters
from fhir_server.search.plan import (
    EVERYTHING,
    NOTHING,
    And,
    Chain,
    Ids,
    Not,
    Or,
    Present,
    Referrer,
    Row,
    Test,
    Text,
    Updated,
)
from fhir_server.search.row import Token
from tests.search.searching import NOW, SEARCHER, number, predicate, search, searcher

ACTIVE = Row(number("Patient.active"), (Test("v", "=", "true"),))


def refused(address, kind=Invalid, **more):
    """The texts of the issues of a search that is refused."""
    with pytest.raises(kind) as error:
        search(address, **more)
    return [issue.text for issue in error.value.issues]


# ---- what is asked


def test_without_parameters_everything_of_the_type_is_asked_for():
    query = search("Patient")
    assert query.plan.arms == {"Patient": EVERYTHING}
    assert (query.applied, query.ignored, query.count, query.total, query.summary) == ((), (), None, None, "false")


def test_repeated_parameters_must_all_hold_and_commas_part_alternatives():
    found = predicate("Patient?active=true&active=true,false")
    false = Row(number("Patient.active"), (Test("v", "=", "false"),))
    assert found == And((ACTIVE, Or((ACTIVE, false))))


def test_not_finds_what_has_no_value_too():
    assert predicate("Patient?active:not=true") == Not(ACTIVE)


def test_missing_looks_at_all_facets():
    assert predicate("Patient?active:missing=true") == Not(Present(number("Patient.active")))
    assert predicate("Patient?active:missing=false") == Present(number("Patient.active"))
    assert predicate("Patient?_id:missing=true") == NOTHING


def test_ids_and_updates_need_no_rows():
    assert predicate("Patient?_id=1,2,1") == Ids(("1", "2"))
    assert predicate("Patient?_id=Patient/1") == Ids(("1",))
    assert predicate("Patient?_id:not=1") == Not(Ids(("1",)))
    assert predicate("Patient?_lastUpdated=ge2024") == Updated(1704042000000, None)


def test_a_chain_leads_to_each_type_that_has_the_parameter():
    chain = predicate("Patient?general-practitioner.name=x")
    assert isinstance(chain, Chain)
    assert {kind for kind, _ in chain.targets} == {"Practitioner", "Organization"}
    chain = predicate("Patient?general-practitioner:Practitioner.name=x")
    assert isinstance(chain, Chain)
    assert [kind for kind, _ in chain.targets] == ["Practitioner"]


def test_chains_and_reverse_chains_nest():
    found = predicate("Patient?_has:Observation:patient:encounter:Encounter.service-provider.active=true")
    match found:
        case Referrer(_, "Observation", Chain(_, (("Encounter", Chain(_, (("Organization", Row()),))),))):
            pass
        case _:
            pytest.fail(str(found))


def test_a_chain_ends_with_any_modifier():
    found = predicate("Observation?subject:Patient.name:exact=An")
    assert isinstance(found, Chain)
    assert found.targets[0][1] == Row(number("Patient.name"), (Test("v", "=", "an"), Test("x", "=", "An")))


def test_items_of_a_list_are_referred_to_by_it():
    assert predicate("Patient?_list=42") == Referrer(number("List.item"), "List", Ids(("42",)))
    assert "functional list" in refused("Patient?_list=$current-problems", Unsupported)[0]


def test_texts_are_expressions():
    assert predicate("Patient?_text=sốt AND cao") == Text("narrative", "sốt AND cao")
    assert predicate("Binary?_content=a b") == Text("content", "a AND b")


def test_all_types_are_searched_where_none_is_named():
    assert set(search("?_id=1").plan.arms) == r4().resource_types
    assert set(search("?_type=Patient,Group&_id=1").plan.arms) == {"Patient", "Group"}
    assert search("?_text=a").plan.arms["Bundle"] == NOTHING


def test_a_compartment_is_what_refers_to_its_owner():
    query = search("Observation?", compartment=("Patient", "1"))
    tests = (Test("v", "=", "1"), Test("x", "=", "Patient"))
    expected = {Row(number(f"Observation.{code}"), tests) for code in ("subject", "performer")}
    assert isinstance(query.plan.arms["Observation"], Or)
    assert set(query.plan.arms["Observation"].items) == expected
    every = search("?", compartment=("Patient", "1")).plan.arms
    assert "Observation" in every
    assert "Organization" not in every
    assert isinstance(every["Patient"], Or)
    assert every["Patient"].items[0] == Ids(("1",))


def test_a_compartment_holds_some_types_only():
    assert "not in the compartment" in refused("?_type=Organization", compartment=("Patient", "1"))[0]
    with pytest.raises(Invalid, match="not in the compartment"):
        search("Organization?", compartment=("Patient", "1"))


def test_parameters_added_at_run_time_are_known_at_once():
    definitions = r4().extended()
    by = searcher(parameters=Parameters(definitions))
    with pytest.raises(Invalid):
        search("Patient?nationality=VN", by)
    definitions.add({
        "resourceType": "SearchParameter", "url": "http://example.org/sp", "code": "nationality", "type": "token",
        "base": ["Patient"], "expression": "Patient.extension('http://example.org/n').value.ofType(code)",
    })  # fmt: skip
    assert isinstance(search("Patient?nationality=VN", by).plan.arms["Patient"], Or)


# ---- what is refused


@pytest.mark.parametrize(
    ("address", "text"),
    [
        ("Patient?famly=x", "Did you mean family?"),
        ("Patient?birthDate=2000", "Did you mean birthdate?"),
        ("Patient?_cont=3", "Did you mean _count?"),
        ("Patient?name:exat=x", "Did you mean exact?"),
        ("Patient?birthdate=yesterday", "is not a date"),
        ("Patient?birthdate:exact=2000", "no modifier :exact"),
        ("Patient?active:missing=1", "true or false"),
        ("Patient?general-practitioner:Pateint=1", "has no modifier :Pateint"),
        ("Patient?general-practitioner:Group=1", "does not refer to Group"),
        ("Patient?general-practitioner:Group.name=1", "does not refer to Group"),
        ("Patient?name.given=x", "refers to nothing"),
        ("Patient?_has:Observation:code:x=1", "refers to nothing"),
        ("Patient?_has:Obs:subject:x=1", "not a resource type"),
        ("Patient?_has:Encounter:service-provider:class=1", "does not refer to Patient"),
        ("Patient?_has:Observation:patient=1", "_has:Type:reference:parameter"),
        ("Observation?code-value-quantity=a", "1 of 2 components"),
        ("Observation?code-value-quantity:missing=x", "true or false"),
        ("Observation?code-value-quantity:exact=x", "no modifier :exact"),
        ("Patient?_filter=name", "operator is missing"),
        ("Patient?_type=Patient", "names the type already"),
        ("?_type=Pateint", "Did you mean Patient?"),
        ("?name=x", "Not all types"),
        ("Patient?_text=(", "missing"),
        ("Patient?_id=Group/1", "logical id"),
        ("Patient?_lastUpdated=x", "is not a date"),
        ("Patient?_lastUpdated:not=2020", "no modifier :not"),
        ("Patient?.=x", "cannot be read"),
    ],
)
def test_what_is_wrong_is_named_with_what_is_right(address, text):
    (found,) = refused(address)
    assert text in found
    assert found.startswith(address.partition("?")[2].partition("=")[0])


def test_all_that_is_wrong_is_said_at_once():
    with pytest.raises(Invalid) as error:
        search("Patient?a=1&name=x&b=2")
    assert [issue.expression for issue in error.value.issues] == [("http.a",), ("http.b",)]


@pytest.mark.parametrize(
    "address",
    ["Patient?age=3", "Patient?_query=q"],
)
def test_what_is_not_supported_is_said(address):
    assert refused(address, Unsupported)


@pytest.mark.parametrize(
    ("address", "limits"),
    [
        ("Patient?_id=1&_id=2", Limits(pairs=1)),
        ("Patient?_id=1,2,3", Limits(values=2)),
        ("Patient?general-practitioner:Organization.partof.partof.name=x", Limits(depth=2)),
        ("Patient?organization.name=x&organization.address=y", Limits(joins=3)),
        ("Provenance?target._id=x", Limits()),
        ("Patient?_include=*&_revinclude=*", Limits(includes=10)),
        ("Patient?_sort=name,family,given", Limits(sorts=2)),
        ("Patient?_filter=name eq x or name eq y", Limits(filter_terms=1)),
        (f"Patient?{'_has:Observation:patient:' * 6}code=x", Limits()),
    ],
)
def test_what_asks_for_too_much_is_too_costly_even_leniently(address, limits):
    for lenient in (False, True):
        assert refused(address, TooCostly, by=searcher(limits), lenient=lenient)


# ---- what was applied


def test_what_was_applied_is_as_it_was_sent():
    query = search("Patient?name=An,B&_count=7&active=true")
    assert query.applied == (("name", "An,B"), ("_count", "7"), ("active", "true"))


def test_an_empty_value_asks_nothing_and_is_reported():
    query = search("Patient?name=&active=true")
    assert query.applied == (("active", "true"),)
    assert [issue.severity for issue in query.ignored] == ["warning"]


def test_lenient_leaves_out_what_is_wrong_and_reports_it():
    query = search("Patient?famly=x&active=true&birthdate=x&age=3&_sort=zz", lenient=True)
    assert query.plan.arms == {"Patient": ACTIVE}
    assert query.applied == (("active", "true"),)
    assert [issue.expression for issue in query.ignored] == [
        ("http.famly",),
        ("http.birthdate",),
        ("http.age",),
        ("http._sort",),
    ]
    assert all(issue.severity == "warning" and issue.text.startswith("Ignored: ") for issue in query.ignored)


NAMES = (
    "name code value-quantity date _filter _include _sort near subject.name code-value-quantity patient _type _elements"
    " _has:Group:member:code _text _list"
)
VALUES = "ge2024 5|http://unitsofmeasure.org|mg a$b Patient/1 *".split()


@given(
    st.sampled_from(["Patient", "Observation", "Location", ""]),
    st.lists(
        st.tuples(
            st.sampled_from(NAMES.split()) | st.text(alphabet="_has:.nameAB") | st.text(max_size=20),
            st.sampled_from(VALUES) | st.text(max_size=20) | st.text(alphabet="geap0123456789|$,\\-:TZ.e"),
        ),
        max_size=3,
    ),
    st.booleans(),
)
def test_any_text_is_a_query_or_refused(kind, pairs, lenient):
    try:
        query = SEARCHER.query((kind,) if kind else (), pairs, lenient=lenient, now=NOW)
    except FhirError:
        return
    assert query.plan.arms
    assert SEARCHER.explain(query)["find"]


def test_tokens_of_unknown_case_are_asked_for_both_ways():
    found = predicate("Condition?code=ABC")
    assert isinstance(found, Or)
    assert {item.number - number("Condition.code") for item in found.items if isinstance(item, Row)} == {
        Token.CODE,
        Token.FOLDED,
    }

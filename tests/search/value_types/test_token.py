import pytest

from fhir_server.search.plan import Row, Test
from fhir_server.search.question import UnansweredValue, Unreadable
from fhir_server.search.row import Token, joined
from fhir_server.search.value_types.token import FORMS, OPERATORS
from tests.search.value_types.conftest import asked

ACT = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
LOINC = "http://loinc.org"


class Tree:
    """Codes a > b of one system, and a value set of both."""

    def members(self, value_set):
        return {LOINC: ["A", "b"], ACT: ["X"]} if value_set == "http://vs|1" else None

    def below(self, system, code):
        return ["a", "b"] if code == "a" else None

    def above(self, system, code):
        return ["a", "b"] if code == "b" else None


def read(text, question, modifier=""):
    return asked(FORMS, text, question, modifier)


def row(facet, *tests):
    return Row(facet, tuple(Test(*test) for test in tests))


def test_a_code_may_stand_in_any_system_with_or_without_case(question):
    assert read("Ab", question("CodeableConcept")) == (
        row(Token.CODE, ("v", "=", "Ab")),
        row(Token.FOLDED, ("v", "=", "ab")),
    )


def test_a_system_tells_whether_case_makes_a_difference(question):
    assert read(f"{ACT}|AMB", question("Coding")) == (row(Token.CODE, ("v", "=", "AMB"), ("x", "=", ACT)),)
    assert read(f"{LOINC}|LA-6", question("Coding")) == (row(Token.FOLDED, ("v", "=", "la-6"), ("x", "=", LOINC)),)


def test_no_system_is_asked_for_by_a_bar_alone(question):
    assert read("|a", question("Identifier")) == (row(Token.CODE, ("v", "=", "a"), ("x", "=", "")),)


def test_any_code_of_a_system_is_asked_for_where_such_codes_stand(question):
    alone = row(Token.SYSTEM, ("v", "=", "urn:s"))
    assert read("urn:s|", question("CodeableConcept")) == (row(Token.FOLDED, ("x", "=", "urn:s")), alone)
    assert read(f"{ACT}|", question("code")) == (row(Token.CODE, ("x", "=", ACT)),)
    assert read("urn:s|", question("Identifier")) == (alone,)


def test_escaped_bars_belong_to_the_code(question):
    assert read(r"urn:s|a\|b\,c", question("Identifier")) == (
        row(Token.CODE, ("v", "=", "a|b,c"), ("x", "=", "urn:s")),
    )


def test_telephone_numbers_are_found_however_they_are_written(question):
    found = read("+84 (24) 3.123-456", question("ContactPoint"))
    assert found == (row(Token.CODE, ("v", "in", ("+84 (24) 3.123-456", "+84243123456"))),)
    assert read("An@Nhà.vn", question("ContactPoint"))[0].tests[0].value == ("An@Nhà.vn", "an@nhà.vn")
    assert read("An-1", question("ContactPoint"))[0].tests[0].value == "An-1"


def test_a_boolean_may_be_asked_for_with_its_system(question):
    found = read("http://terminology.hl7.org/CodeSystem/special-values|true", question("boolean"))
    assert found == (row(Token.CODE, ("v", "=", "true")),)


@pytest.mark.parametrize(("text", "modifier"), [("a|b|c", ""), ("|", ""), ("a|b", "of-type"), ("a||c", "of-type"),
                                                ("a", "below"), ("s|", "above"), (" ", "text")])  # fmt: skip
def test_values_of_another_form_are_wrong(question, text, modifier):
    with pytest.raises(Unreadable):
        read(text, question(), modifier)


def test_text_is_the_start_of_a_display(question):
    assert read("Huyết Á", question(), "text") == (row(Token.TEXT, ("v", "starts", "huyet a")),)


def test_an_identifier_is_found_by_its_type(question):
    assert read("s|MR|1", question(), "of-type") == (
        row(Token.OF_TYPE, ("v", "=", "1"), ("x", "=", joined("s", "MR"))),
    )


def test_a_value_set_is_a_list_for_each_system(question):
    found = read(r"http://vs\|1", question("Coding", codes=Tree()), "in")
    assert found == (
        row(Token.FOLDED, ("v", "in", ("a", "b")), ("x", "=", LOINC)),
        row(Token.CODE, ("v", "in", ("X",)), ("x", "=", ACT)),
    )
    assert FORMS["not-in"].negated


def test_a_hierarchy_is_a_list(question):
    asks = question("Coding", codes=Tree())
    below, above = read(f"{LOINC}|a", asks, "below"), read(f"{LOINC}|b", asks, "above")
    assert below == above == (row(Token.FOLDED, ("v", "in", ("a", "b")), ("x", "=", LOINC)),)


@pytest.mark.parametrize("modifier", ["in", "not-in", "below", "above"])
def test_what_the_terminology_does_not_know_is_said(question, modifier):
    with pytest.raises(UnansweredValue, match="not known here"):
        read(f"{LOINC}|zz", question(codes=Tree()), modifier)


def test_a_filter_looks_into_codes(question):
    assert asked(OPERATORS, "84", question("Identifier"), "sw") == (row(Token.CODE, ("v", "starts", "84")),)

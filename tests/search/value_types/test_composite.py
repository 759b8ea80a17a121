from typing import Any

import pytest

from fhir_server.search.question import UnansweredValue, Unreadable
from fhir_server.search.row import Composite
from fhir_server.search.value_types.composite import name_tests
from fhir_server.search.values import composite_rows

UCUM = "http://unitsofmeasure.org"


rows: Any = composite_rows


def read(text, *components):
    return [
        (row.number, {(test.column, test.operator, test.value) for test in row.tests}) for row in rows(text, components)
    ]


def test_components_stand_in_the_columns_of_one_row(question):
    found = read(
        f"http://loinc.org|8480-6$gt90|{UCUM}|mm[Hg]",
        ("token", question("CodeableConcept")),
        ("quantity", question("Quantity")),
    )
    ((facet, tests),) = found
    assert facet == Composite.JOINED_CANONICAL
    assert ("v", "=", "8480-6") in tests
    assert {test[:2] for test in tests} == {("v", "="), ("y", ">"), ("n", "=")}
    assert next(test[2] for test in tests if test[0] == "n").startswith("http://loinc.org\x1f")


def test_what_is_not_said_of_a_name_is_left_open(question):
    found = read("8480-6$2024", ("token", question("Coding")), ("date", question("Period")))
    assert [facet for facet, _ in found] == [Composite.JOINED]
    assert all("n" not in {test[0] for test in tests} for _, tests in found)
    found = read(f"8480-6$5|{UCUM}|g", ("token", question("Coding")), ("quantity", question("Quantity")))
    assert all(("n", "ends", "\x1fg") in tests for _, tests in found)


def test_any_code_of_a_system_is_the_start_of_the_name(question):
    assert read("s|$a", ("token", question("Coding")), ("string", question("string"))) == [
        (Composite.JOINED, {("x", "starts", "a"), ("n", "=", "s")})
    ]


@pytest.mark.parametrize(
    ("pieces", "tests"),
    [
        (("a", "\x1f", "b"), [("=", "a\x1fb")]),
        ((None, "\x1f", "b"), [("ends", "\x1fb")]),
        (("a", "\x1f", None), [("starts", "a\x1f")]),
        ((None, "\x1f", ""), [("ends", "\x1f")]),
        ((None, "\x1f", None), []),
        ((None, "\x1f", None, "\x1fc\x1f", None), [("contains", "\x1fc\x1f")]),
    ],
)
def test_names_are_asked_for_by_what_is_known_of_them(pieces, tests):
    found = [(test.operator, test.value) for test in name_tests(pieces)]
    assert found == tests


def test_a_value_has_as_many_parts_as_there_are_components(question):
    with pytest.raises(Unreadable, match="1 of 2 components"):
        read("a", ("token", question()), ("token", question()))


def test_four_columns_are_more_than_a_row_has(question):
    with pytest.raises(UnansweredValue):
        read("5$6", ("quantity", question()), ("quantity", question()))

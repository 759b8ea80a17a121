from fhir_server.search.plan import Row, Test
from fhir_server.search.row import Range
from fhir_server.search.value_types.number import FORMS, OPERATORS
from tests.search.value_types.conftest import asked


def test_a_number_is_a_range_of_its_precision(question):
    tests = (Test("v", ">=", 0.75), Test("v", "<", 0.85), Test("x", "<", 0.85))
    assert asked(FORMS, "0.8", question()) == (Row(Range.RANGE, tests),)


def test_a_prefix_compares_exactly(question):
    assert asked(FORMS, "gt0.8", question()) == (Row(Range.RANGE, (Test("x", ">", 0.8),)),)


def test_a_filter_names_the_operator(question):
    assert asked(OPERATORS, "0.8", question(), "gt") == asked(FORMS, "gt0.8", question())

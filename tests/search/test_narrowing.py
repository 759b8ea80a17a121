from fhir_server.search.narrowing import narrowed
from fhir_server.search.plan import Not, Predicate, Row, Test

FROM, BEFORE = Row(8, (Test("x", ">", 1),)), Row(8, (Test("v", "<", 5),))


def test_ranges_of_one_value_become_one_row():
    assert narrowed([FROM, BEFORE], {8}) == [Row(8, (Test("x", ">", 1), Test("v", "<", 5)))]


def test_the_tighter_of_two_bounds_stays():
    others = [Row(8, (Test("x", ">", 3), Test("v", "<", 9))), Row(8, (Test("x", ">=", 0),))]
    assert narrowed([FROM, *others], {8}) == [Row(8, (Test("x", ">", 3), Test("v", "<", 9), Test("x", ">=", 0)))]


def test_equal_tests_of_different_values_both_stay():
    rows = [Row(8, (Test("v", "=", 1),)), Row(8, (Test("v", "=", 2),)), Row(8, (Test("v", "=", 1),))]
    found = narrowed(rows, {8})[0]
    assert isinstance(found, Row)
    assert {test.value for test in found.tests} == {1, 2}


def test_values_that_repeat_stay_apart():
    items: list[Predicate] = [FROM, BEFORE, Not(FROM)]
    assert narrowed(items, set()) == items

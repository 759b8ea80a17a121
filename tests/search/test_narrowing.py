from fhir_server.search.narrowing import narrowed
from fhir_server.search.plan import Not, Or, Predicate, Row, Test

FROM, BEFORE = Row(8, (Test("x", ">", 1),)), Row(8, (Test("v", "<", 5),))


def test_ranges_of_one_value_become_one_row():
    assert narrowed([FROM, BEFORE], {8}) == [Row(8, (Test("x", ">", 1), Test("v", "<", 5)))]


def test_the_tighter_of_two_bounds_stays():
    others = [Row(8, (Test("x", ">", 3), Test("v", "<", 9))), Row(8, (Test("x", ">=", 0),))]
    assert narrowed([FROM, *others], {8}) == [Row(8, (Test("x", ">", 3), Test("v", "<", 9), Test("x", ">=", 0)))]


def test_alternatives_are_put_together_each_with_each():
    late = Or((Row(8, (Test("v", ">", 0), Test("x", ">", 2))), Row(9, (Test("x", ">", 2),))))
    window = [
        Row(8, (Test("v", ">", 0), Test("x", ">", 2), Test("v", "<", 5))),
        Row(9, (Test("x", ">", 2), Test("v", "<", 5))),
    ]
    assert narrowed([late, BEFORE], {8}) == [Or(tuple(window))]
    later = Or((Row(8, (Test("v", ">", 1), Test("x", ">", 3))), Row(9, (Test("x", ">", 3),))))
    assert narrowed([late, later], {8}) == [later]


def test_too_many_alternatives_stay_apart():
    many = Or(tuple(Row(8, (Test("v", "=", n),)) for n in range(5)))
    assert narrowed([many, Or((FROM, BEFORE))], {8}) == [many, Or((FROM, BEFORE))]


def test_alternatives_about_several_parameters_stay_apart():
    either = Or((FROM, Row(16, (Test("v", "=", 1),))))
    assert narrowed([FROM, either], {8}) == [FROM, either]


def test_equal_tests_of_different_values_both_stay():
    rows = [Row(8, (Test("v", "=", 1),)), Row(8, (Test("v", "=", 2),)), Row(8, (Test("v", "=", 1),))]
    found = narrowed(rows, {8})[0]
    assert isinstance(found, Row)
    assert {test.value for test in found.tests} == {1, 2}


def test_values_that_repeat_stay_apart():
    items: list[Predicate] = [FROM, BEFORE, Not(FROM)]
    assert narrowed(items, set()) == items

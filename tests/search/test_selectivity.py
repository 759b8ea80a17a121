from fhir_server.search.plan import (
    EVERYTHING,
    NOTHING,
    And,
    Chain,
    Ids,
    Not,
    Or,
    Predicate,
    Present,
    Referrer,
    Row,
    Test,
    Updated,
)
from fhir_server.search.selectivity import conjunction

POINT = Row(8, (Test("v", "=", "a"), Test("x", "=", "s")))
VALUE = Row(16, (Test("v", "=", "a"),))
START = Row(24, (Test("v", "starts", "a"),))
WINDOW = Row(32, (Test("v", ">", 1), Test("v", "<", 2)))
RANGE = Row(32, (Test("v", ">", 1),))
WITHIN = Row(24, (Test("v", "contains", "a"),))
CHAIN = Chain(40, (("Patient", POINT),))
SLOW_CHAIN = Chain(40, (("Patient", WITHIN),))


def test_what_finds_least_comes_first():
    order: list[Predicate] = [
        Ids(("1",)),
        POINT,
        VALUE,
        Or((START, POINT)),
        CHAIN,
        WINDOW,
        RANGE,
        SLOW_CHAIN,
        WITHIN,
        Present(8),
        Not(POINT),
    ]
    conjoined = conjunction(reversed(order))
    assert isinstance(conjoined, And)
    found = conjoined.items
    assert [found.index(item) for item in (Ids(("1",)), POINT, VALUE)] == [0, 1, 2]
    assert found.index(CHAIN) < found.index(WINDOW) < found.index(RANGE) < found.index(WITHIN)
    assert found[-1] == Not(POINT)


def test_conjunctions_within_are_opened_and_equal_items_stand_once():
    assert conjunction([And((POINT, And((VALUE,)))), POINT]) == And((POINT, VALUE))


def test_one_item_stands_alone_and_none_is_everything():
    assert conjunction([POINT, POINT]) == POINT
    assert conjunction([]) == EVERYTHING


def test_nothing_and_anything_is_nothing():
    assert conjunction([POINT, NOTHING, Updated(1, 2), Referrer(8, "Group", POINT)]) == NOTHING

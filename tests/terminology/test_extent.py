"""Extents against a brute-force account of the same sets."""

from hypothesis import given
from hypothesis import strategies as st

from fhir_server.terminology.extent import Extent, Open, union, untold

SYSTEMS, CODES = ("s", "t"), ("a", "b", "c")
PAIRS = [(system, code) for system in SYSTEMS for code in CODES]
sets = st.dictionaries(st.sampled_from(SYSTEMS), st.frozensets(st.sampled_from(CODES)), max_size=2)
opens = st.tuples() | st.sampled_from((*SYSTEMS, None)).map(lambda system: (Open(system, untold),))
extents = st.builds(Extent, sets, sets, opens)


def every(first, second):
    return False if first is False or second is False else (None if None in {first, second} else True)


def some(first, second):
    return True if first or second else (None if None in {first, second} else False)


@given(extents, extents)
def test_a_union_has_what_either_has(first, second):
    for pair in PAIRS:
        assert union((first, second)).contains(*pair) == some(first.contains(*pair), second.contains(*pair))


@given(extents, extents)
def test_a_restriction_has_what_both_have(first, second):
    for pair in PAIRS:
        assert first.within(second).contains(*pair) == every(first.contains(*pair), second.contains(*pair))


@given(extents, extents)
def test_what_is_left_out_is_gone(first, second):
    for pair in PAIRS:
        out = second.contains(*pair)
        told = first.without(second).contains(*pair)
        assert told == every(first.contains(*pair), None if out is None else not out)


@given(extents)
def test_without_a_system_any_system_will_do(extent):
    for code in CODES:
        answers = [extent.contains(system, code) for system in SYSTEMS]
        told = extent.contains(None, code)
        assert told == (True if True in answers else None if None in answers else False)


@given(extents)
def test_a_closed_extent_always_tells(extent):
    if extent.closed:
        assert None not in [extent.contains(*pair) for pair in PAIRS]

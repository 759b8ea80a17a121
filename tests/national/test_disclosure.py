"""What is masked cannot be recomputed: an exact solver looks for the bounds of every masked count."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fhir_server.national.disclosure import RULES, masked_keys, protected
from fhir_server.national.stratum import Count, Counted

Key = tuple[str, str]
Row = tuple[tuple[Fraction, ...], Fraction]
"""Coefficients, and what their sum is at most."""


def bounds(equations: list[Row], unknowns: int, least: int, wanted: int) -> tuple[Fraction, Fraction | None]:
    """The least and the largest value of an unknown (Fourier and Motzkin's elimination; None: without end)."""
    # Gauss first: each equation expresses one unknown by the others.
    inequalities: list[Row] = [
        (tuple(Fraction(-(index == each)) for index in range(unknowns)), Fraction(-least)) for each in range(unknowns)
    ]
    left = list(equations)
    gone = set()
    while left:
        coefficients, constant = left.pop()
        pivot = next((i for i, c in enumerate(coefficients) if c and i != wanted and i not in gone), None)
        if pivot is None:
            if coefficients[wanted]:
                value = constant / coefficients[wanted]
                return value, value
            assert constant == 0
            continue
        gone.add(pivot)

        def put(row: Row, p: int = pivot, by: Row = (coefficients, constant)) -> Row:
            factor = row[0][p] / by[0][p]
            return tuple(a - factor * b for a, b in zip(row[0], by[0], strict=True)), row[1] - factor * by[1]

        left = [put(row) for row in left]
        inequalities = [put(row) for row in inequalities]
    for index in range(unknowns):
        if index in gone or index == wanted:
            continue
        upper = [row for row in inequalities if row[0][index] > 0]
        lower = [row for row in inequalities if row[0][index] < 0]
        rest = [row for row in inequalities if row[0][index] == 0]
        joined = {
            tuple_row(u, v, index): None for u in upper for v in lower
        }  # fmt: skip
        inequalities = list(dict.fromkeys([*rest, *joined]))
    highs = [row[1] / row[0][wanted] for row in inequalities if row[0][wanted] > 0]
    lows = [row[1] / row[0][wanted] for row in inequalities if row[0][wanted] < 0]
    return max(lows), min(highs) if highs else None


def tuple_row(upper: Row, lower: Row, index: int) -> Row:
    a, b = upper[0][index], -lower[0][index]
    values = tuple(b * x + a * y for x, y in zip(upper[0], lower[0], strict=True))
    scale = max((abs(each) for each in values), default=Fraction(1)) or Fraction(1)
    return tuple(each / scale for each in values), (b * upper[1] + a * lower[1]) / scale


def with_margins(table: Mapping[Key, int]) -> dict[Key, int]:
    whole: dict[Key, int] = {}
    for (row, column), value in table.items():
        for key in ((row, column), (row, ""), ("", column), ("", "")):
            whole[key] = whole.get(key, 0) + value
    return whole


def recomputed(table: Mapping[Key, int], hidden: set[Key], least: int = 1) -> list[Key]:
    """The masked keys that have one value alone."""
    whole = with_margins(table)
    order = sorted(hidden)
    rows = sorted({key[0] for key in whole})
    columns = sorted({key[1] for key in whole})
    equations = [
        *(equation(whole, hidden, order, [k for k in whole if k[0] == row and k[1]], (row, "")) for row in rows),
        *(equation(whole, hidden, order, [k for k in whole if k[1] == each and k[0]], ("", each)) for each in columns),
    ]
    found = []
    for number, key in enumerate(order):
        low, high = bounds(equations, len(order), least, number)
        if low == high:
            found.append(key)
    return found


def equation(whole: Mapping[Key, int], hidden: set[Key], order: list[Key], parts: list[Key], total: Key) -> Row:
    coefficients = [Fraction(0)] * len(order)
    constant = Fraction(0)
    for key, sign in [*((part, 1) for part in parts), (total, -1)]:
        if key in hidden:
            coefficients[order.index(key)] += sign
        else:
            constant -= sign * whole[key]
    return tuple(coefficients), constant


def test_the_solver_finds_what_can_be_recomputed():
    table = {("a", "x"): 3, ("a", "y"): 20, ("b", "x"): 30, ("b", "y"): 40}
    assert recomputed(table, {("a", "x")}) == [("a", "x")]
    assert recomputed(table, {("a", "x"), ("a", "y")}) == [("a", "x"), ("a", "y")]
    assert recomputed(table, set(table)) == []
    # Counts of one each cannot be anything else when their sum is shown.
    ones = {("a", "x"): 1, ("a", "y"): 1, ("b", "x"): 1, ("b", "y"): 1}
    assert recomputed(ones, set(ones)) == sorted(ones)


TABLES = st.integers(2, 3).flatmap(
    lambda rows: st.lists(
        st.one_of(st.integers(0, 6), st.integers(0, 40)), min_size=3 * rows, max_size=3 * rows
    ).map(lambda values: {(f"r{n // 3}", f"c{n % 3}"): value for n, value in enumerate(values) if value})
).filter(bool)  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(TABLES, st.sampled_from([5, 10]))
def test_no_masked_count_of_a_table_can_be_recomputed(table: dict[Key, int], threshold: int):
    hidden = masked_keys(table, threshold)
    small = {key for key, value in with_margins(table).items() if 0 < value < threshold}
    assert small <= hidden
    assert small & set(recomputed(table, hidden)) == set()


STRATA = st.lists(
    st.integers(1, 40).flatmap(lambda whole: st.tuples(st.integers(0, whole), st.just(whole))), min_size=1, max_size=6
)


@settings(max_examples=100, deadline=None)
@given(STRATA, st.sampled_from(["agency", "public"]))
def test_no_stratum_can_be_recomputed_from_the_total(strata: list[tuple[int, int]], audience: str):
    total = Count(sum(n for n, _ in strata), sum(d for _, d in strata))
    named = {f"s{index}": Count(*each) for index, each in enumerate(strata)}
    seen = protected(Counted(total, {"facility": named}), RULES[audience])
    hidden = [index for index, value in enumerate(seen.strata["facility"].values()) if value is None]
    threshold = RULES[audience].threshold
    parts = [[n for n, _ in strata], [d for _, d in strata], [d - n for n, d in strata]]
    if seen.total is None:
        assert len(hidden) == len(strata)
        return
    for part, values in enumerate(parts):
        for place, index in enumerate(hidden):
            if not 0 < values[index] < threshold:
                continue
            one = (tuple(Fraction(1) for _ in hidden), Fraction(sum(values[each] for each in hidden)))
            low, high = bounds([one], len(hidden), int(part == 1), place)
            assert low != high
    for index, (value, (numerator, whole)) in enumerate(zip(seen.strata["facility"].values(), strata, strict=True)):
        if value is not None:
            assert not 0 < numerator < threshold, index
            assert not 0 < whole - numerator < threshold, index


def test_the_public_sees_multiples_of_five():
    counted = Counted(Count(123, 157, 12.5), {"sex": {"male": Count(61, 78), "female": Count(62, 79)}})
    seen = protected(counted, RULES["public"])
    assert seen.total == Count(125, 155, 12.5)
    assert seen.strata["sex"] == {"male": Count(60, 80), "female": Count(60, 80)}


def test_the_ministry_sees_what_was_counted():
    counted = Counted(Count(1, 2), {"sex": {"male": Count(1, 2)}})
    assert protected(counted, RULES["ministry"]) == counted


def test_a_small_total_masks_everything():
    seen = protected(Counted(Count(3, 40), {"sex": {"male": Count(3, 40)}}), RULES["agency"])
    assert (seen.total, seen.strata) == (None, {"sex": {"male": None}})


@pytest.mark.parametrize("code", list(RULES))
def test_a_rule_says_what_it_does(code: str):
    assert RULES[code].text.endswith(".")

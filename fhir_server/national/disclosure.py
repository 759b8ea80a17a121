"""Which counts an audience may see: thresholds, primary and complementary suppression, rounding.

A table is a flow: each count is an arc between the equations that it stands in (its row's sum and its column's), and
all equations say that what comes into a node goes out. A masked count can be recomputed from what is shown exactly if
no other flow fits, that is if no cycle of masked arcs leads through it; counts are known to be no less than their
least. Where one can be recomputed, the cheapest cycle through it is masked as well.
"""

from __future__ import annotations

import heapq
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from fhir_server.national.stratum import Count, Counted

Audience = Literal["ministry", "agency", "public"]


@dataclass(frozen=True, slots=True)
class Rule:
    """What an audience sees: no count of 1 to `threshold` - 1 and none that tells such a one, multiples of `base`."""

    code: Audience
    threshold: int
    base: int = 1

    def rounded(self, value: int) -> int:
        """A count as the audience sees it."""
        return (value + self.base // 2) // self.base * self.base

    @property
    def text(self) -> str:
        """The rule in words, as a report states it."""
        if self.threshold == 0:
            return "Nothing is masked; who reads it is entered in the ledger."
        rounded = f"; shown counts are rounded to multiples of {self.base}" if self.base > 1 else ""
        return (
            f"Counts of 1 to {self.threshold - 1} are masked, and others from which they could be recomputed{rounded}."
        )


RULES: Mapping[str, Rule] = {
    rule.code: rule for rule in (Rule("ministry", 0), Rule("agency", 5), Rule("public", 10, 5))
}


@dataclass(frozen=True, slots=True)
class Cell:
    """A count as an arc: from one equation to another."""

    start: str
    end: str
    value: int
    is_total: bool = False


def masked(cells: Sequence[Cell], sensitive: Collection[int], least: int) -> set[int]:
    """Return which cells are masked: the sensitive ones, and those that keep them from being recomputed."""
    hidden = set(sensitive)
    for index in sorted(sensitive):
        if not is_open(cells, hidden, index, least):
            hidden |= _cheapest(cells, hidden, index, least)
    # What was masked for one may open another, never close it: one pass is enough.
    return hidden


def is_open(cells: Sequence[Cell], hidden: Collection[int], index: int, least: int) -> bool:
    """Whether what is shown leaves a masked count more than one value."""
    return _cycle(cells, dict.fromkeys(hidden, 0.0), index, least) is not None


def _cheapest(cells: Sequence[Cell], hidden: Collection[int], index: int, least: int) -> set[int]:
    """The cells to mask so that one is open: those of the cheapest cycle, or everything where there is none."""
    highest = max(cell.value for cell in cells) + 1
    costs = {
        number: 0.0 if number in hidden else cell.value + (highest * len(cells) if cell.is_total else 0)
        for number, cell in enumerate(cells) if cell.value > 0
    }  # fmt: skip
    found = _cycle(cells, costs, index, least)
    return set(range(len(cells))) if found is None else found


def _cycle(cells: Sequence[Cell], costs: Mapping[int, float], index: int, least: int) -> set[int] | None:
    """The cells of the cheapest cycle through one; a count can grow, and shrink where it is more than the least."""
    cell = cells[index]
    ways = [(cell.end, cell.start)] + ([(cell.start, cell.end)] if cell.value > least else [])
    found = [path for start, end in ways if (path := _path(cells, costs, index, (start, end), least)) is not None]
    return None if not found else min(found, key=lambda path: sum(costs[each] for each in path)) | {index}


def _path(
    cells: Sequence[Cell], costs: Mapping[int, float], without: int, ends: tuple[str, str], least: int
) -> set[int] | None:
    """The cheapest way from one equation to another (Dijkstra) over cells that have a cost."""
    arcs: dict[str, list[tuple[str, int]]] = {}
    for number in costs:
        if number != without:
            cell = cells[number]
            arcs.setdefault(cell.start, []).append((cell.end, number))
            if cell.value > least:
                arcs.setdefault(cell.end, []).append((cell.start, number))
    start, end = ends
    best = {start: 0.0}
    came: dict[str, tuple[str, int]] = {}
    waiting = [(0.0, start)]
    while waiting:
        cost, node = heapq.heappop(waiting)
        if node == end:
            break
        for other, number in arcs.get(node, ()):
            reached = cost + costs[number]
            if reached < best.get(other, float("inf")):
                best[other], came[other] = reached, (node, number)
                heapq.heappush(waiting, (reached, other))
    if end not in best:
        return None
    path = set()
    while end != start:
        end, number = came[end]
        path.add(number)
    return path


def grid(table: Mapping[tuple[str, str], int]) -> tuple[list[Cell], list[tuple[str, str]]]:
    """Return the cells of a table with its margins, and the key of each; a margin's key has an empty part."""
    whole: dict[tuple[str, str], int] = {}
    for (row, column), value in table.items():
        for key in ((row, column), (row, ""), ("", column), ("", "")):
            whole[key] = whole.get(key, 0) + value
    cells = []
    for (row, column), value in whole.items():
        # The sum of a row flows into it, through its cells, into the columns, and out by their sums.
        start = (f"row {row}" if column else "row sums") if row else (f"column {column}" if column else "column sums")
        end = (f"column {column}" if column else f"row {row}") if row else ("column sums" if column else "row sums")
        cells.append(Cell(start, end, value, is_total=not (row and column)))
    return cells, list(whole)


def masked_keys(
    table: Mapping[tuple[str, str], int], threshold: int, also: Collection[tuple[str, str]] = ()
) -> set[tuple[str, str]]:
    """Return the keys that are masked of a table of two dimensions and its margins, with those that are `also`."""
    cells, keys = grid(table)
    small = {index for index, cell in enumerate(cells) if 0 < cell.value < threshold or keys[index] in also}
    return {keys[index] for index in masked(cells, small, 1)}


def protected(counted: Counted, rule: Rule) -> Counted:
    """Return a count with what an audience may not see masked: by each dimension, with the total known or masked."""
    if rule.threshold == 0:
        return counted
    if counted.total is not None and _is_small(counted.total, rule.threshold):
        return Counted(None, {name: dict.fromkeys(strata) for name, strata in counted.strata.items()})
    return Counted(
        None if counted.total is None else _shown(counted.total, rule),
        {name: _of_dimension(strata, rule) for name, strata in counted.strata.items()},
    )


def _of_dimension(strata: Mapping[str, Count | None], rule: Rule) -> dict[str, Count | None]:
    """The strata of one dimension. Their sum is known, as that of numerators, of denominators and of the others."""
    known = {value: count for value, count in strata.items() if count is not None}
    values = list(known)
    hidden = {index for index, value in enumerate(values) if _is_small(known[value], rule.threshold)}
    while True:
        before = set(hidden)
        for part in range(3):
            cells = [Cell("all", "each", _parts(known[value])[part]) for value in values]
            small = [index for index in before if 0 < cells[index].value < rule.threshold]
            for index in small:
                if not is_open(cells, hidden, index, _least(part)):
                    hidden |= _cheapest(cells, hidden, index, _least(part))
        if hidden == before:
            break
    return {
        value: None if count is None or values.index(value) in hidden else _shown(count, rule)
        for value, count in strata.items()
    }


def _parts(count: Count) -> tuple[int, int, int]:
    """A count's numerator, its denominator and what is between them."""
    whole = count.numerator if count.denominator is None else count.denominator
    return count.numerator, whole, whole - count.numerator


def _least(part: int) -> int:
    """A stratum that is named has at least one in its denominator."""
    return 1 if part == 1 else 0


def _is_small(count: Count, threshold: int) -> bool:
    return any(0 < part < threshold for part in _parts(count))


def _shown(count: Count, rule: Rule) -> Count:
    return replace(
        count,
        numerator=rule.rounded(count.numerator),
        denominator=None if count.denominator is None else rule.rounded(count.denominator),
    )

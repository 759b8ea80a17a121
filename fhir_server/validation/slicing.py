"""Slices: which items belong to which, how many there must be, in what order (FHIR R4, 5.1.0.14 slicing)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from fhir_server.definitions.structure import Slicing
from fhir_server.validation.criterion import KeyTest, Test
from fhir_server.validation.element_tree import DEFAULT_SLICE
from fhir_server.validation.item import Item
from fhir_server.validation.run import Fault, Json, Run

ItemCheck = Callable[[Item, Run], None]
GroupCheck = Callable[[Sequence[Item], Json, Run], None]
"""Looks at the items of one element together; the object that holds them is where a missing one is reported."""


Sorted = tuple[Sequence[int], Sequence[int]]
"""The numbers of the slices that an item belongs to, and of those that it perhaps belongs to."""

Belongs = Callable[[Item, Run], Sorted]


@dataclass(frozen=True, slots=True)
class Slice:
    """One slice, compiled: `test` is None where the profile does not say what belongs to it."""

    name: str
    label: str
    test: Test | None
    low: int
    top: int | None
    checks: Sequence[ItemCheck]
    group: GroupCheck | None


def fault_at(item: Item, code: str, text: str, profile: str) -> Fault:
    """An error about an item by a profile."""
    holder, key, index = item.place
    return Fault(holder, key, index, "error", code, text, None, profile)


class Sorting:
    """The items of a sliced element by slice; `rest` belongs to none, and of `doubtful` slices some may be unseen."""

    __slots__ = ("doubtful", "members", "order", "rest", "several")

    def __init__(self, items: Sequence[Item], count: int, belongs: Belongs, run: Run) -> None:
        self.members: list[list[Item]] = [[] for _ in range(count)]
        self.rest: list[Item] = []
        self.several: list[tuple[Item, Sequence[int]]] = []
        self.order: list[tuple[int, Item]] = []
        self.doubtful: set[int] = set()
        for item in items:
            found, doubts = belongs(item, run)
            if not found and doubts:
                self.doubtful.update(doubts)
            else:
                self._put(item, found, count)

    def _put(self, item: Item, found: Sequence[int], count: int) -> None:
        self.order.append((found[0] if found else count, item))
        for number in found:
            self.members[number].append(item)
        if not found:
            self.rest.append(item)
        elif len(found) > 1:
            self.several.append((item, found))


def slicing_check(slicing: Slicing, slices: Sequence[Slice], profile: str) -> GroupCheck:
    """The check of the items of a sliced element."""
    undecided = [s for s in slices if s.test is None and s.name != DEFAULT_SLICE]
    if undecided:
        return undecidable(undecided, profile)
    tested = [s for s in slices if s.name != DEFAULT_SLICE]
    default = next((s for s in slices if s.name == DEFAULT_SLICE), None)
    closed = slicing.rules == "closed" and default is None
    arranged = slicing.ordered or slicing.rules == "openAtEnd"
    belongs = sorter(tested)

    def check(items: Sequence[Item], holder: Json, run: Run) -> None:
        sorting = Sorting(items, len(tested), belongs, run)
        if sorting.several:
            in_several(sorting, tested, profile, run)
        if closed and sorting.rest:
            in_none(sorting.rest, tested, profile, run)
        if arranged:
            out_of_order(sorting.order, slicing, tested, profile, run)
        for number, part in enumerate(tested):
            least = 0 if number in sorting.doubtful else part.low
            judge_slice(part, sorting.members[number], holder, profile, run, least=least)
        if default is not None:
            judge_slice(default, sorting.rest, holder, profile, run, least=default.low)

    return check


def in_several(sorting: Sorting, slices: Sequence[Slice], profile: str, run: Run) -> None:
    """Report items that belong to more than one slice."""
    for item, found in sorting.several:
        labels = ", ".join(slices[n].label for n in found)
        run.report(fault_at(item, "structure", f"This item matches more than one slice: {labels}.", profile))


def in_none(items: Sequence[Item], slices: Sequence[Slice], profile: str, run: Run) -> None:
    """Report items that belong to no slice where there may be no others."""
    text = f"This item matches none of the slices {', '.join(s.label for s in slices)}, and no other is allowed."
    for item in items:
        run.report(fault_at(item, "structure", text, profile))


def sorter(slices: Sequence[Slice]) -> Belongs:
    """What tells the slices of an item; by one look-up where a text decides."""
    tests = [s.test for s in slices if s.test is not None]

    def by_tests(item: Item, run: Run) -> Sorted:
        answers = [test(item, run) for test in tests]
        return [n for n, a in enumerate(answers) if a], [n for n, a in enumerate(answers) if a is None]

    keyed = [t for t in tests if isinstance(t, KeyTest)]
    table: dict[str, Sorted] = {t.wanted: ((n,), ()) for n, t in enumerate(keyed)}
    if len(table) != len(tests) or len({t.key for t in keyed}) != 1:
        return by_tests
    key = keyed[0].key

    def by_key(item: Item, run: Run) -> Sorted:
        value = item.parts.get(key)
        return table.get(value, ((), ())) if value.__class__ is str else by_tests(item, run)

    return by_key


def undecidable(slices: Sequence[Slice], profile: str) -> GroupCheck:
    """The check of a slicing that cannot be applied: the profile does not say what belongs to a slice."""
    names = ", ".join(s.label for s in slices)
    text = f"The profile does not say by which value an item belongs to {names}, so it cannot be applied."

    def check(items: Sequence[Item], holder: Json, run: Run) -> None:
        if items:
            run.report(Fault(holder, None, None, "error", "processing", text, None, profile))

    return check


def judge_slice(part: Slice, items: Sequence[Item], holder: Json, profile: str, run: Run, *, least: int) -> None:
    """Report how many items a slice lacks or has too many of, then look at each."""
    count = len(items)
    if count < least:
        run.report(Fault(holder, None, None, "error", "required", lack(part, count), None, profile))
    elif part.top is not None and count > part.top:
        text = f"Slice {part.label}: at most {part.top} may be there, found {count}."
        key = items[0].key if items[0].holder is holder else None
        run.report(Fault(holder, key, None, "error", "structure", text, None, profile))
    for item in items:
        for check in part.checks:
            check(item, run)
    if part.group is not None:
        part.group(items, holder, run)


def lack(part: Slice, count: int) -> str:
    """What is missing of a slice."""
    if not count:
        return f"Slice {part.label}: a matching item is required and missing (minimum {part.low})."
    return f"Slice {part.label}: at least {part.low} are required, found {count}."


def out_of_order(
    order: Sequence[tuple[int, Item]], slicing: Slicing, slices: Sequence[Slice], profile: str, run: Run
) -> None:
    """Report items that stand after an item of a later slice; items of no slice stand anywhere, or last."""
    last = -1
    for position, item in order:
        matched = position < len(slices)
        if matched and position < last and (slicing.ordered or last == len(slices)):
            after = slices[last].label if last < len(slices) else "items of no slice"
            text = f"An item of the slice {slices[position].label} is out of order: it stands after {after}."
            run.report(fault_at(item, "structure", text, profile))
        elif matched or slicing.rules == "openAtEnd":
            last = max(last, position)

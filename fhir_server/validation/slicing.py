"""Slices: which items belong to which, how many there must be, in what order (FHIR R4, 5.1.0.14 slicing)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from fhir_server.definitions.structure import Slicing
from fhir_server.validation.discriminator import KeyTest, Test, never
from fhir_server.validation.element_tree import DEFAULT_SLICE
from fhir_server.validation.item import Item
from fhir_server.validation.run import Fault, Json, Run

ItemCheck = Callable[[Item, Run], None]
GroupCheck = Callable[[Sequence[Item], Json, Run], None]
"""Looks at the items of one element together; the object that holds them is where a missing one is reported."""


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


def slicing_check(slicing: Slicing, slices: Sequence[Slice], profile: str) -> GroupCheck:
    """The check of the items of a sliced element."""
    undecided = [s for s in slices if s.test is None and s.name != DEFAULT_SLICE]
    if undecided:
        return undecidable(undecided, profile)
    tested = [s for s in slices if s.name != DEFAULT_SLICE and s.test is not never]
    complete = len(tested) + (DEFAULT_SLICE in {s.name for s in slices}) == len(slices)
    default = next((s for s in slices if s.name == DEFAULT_SLICE), None)
    closed = slicing.rules == "closed" and default is None and complete
    arranged = complete and (slicing.ordered or slicing.rules == "openAtEnd")
    names = ", ".join(s.label for s in tested)
    belongs = sorter(tested)

    def check(items: Sequence[Item], holder: Json, run: Run) -> None:
        members: list[list[Item]] = [[] for _ in tested]
        rest: list[Item] = []
        order: list[tuple[int, Item]] = []
        for item in items:
            found = belongs(item, run)
            if len(found) > 1:
                several = ", ".join(tested[n].label for n in found)
                run.report(fault_at(item, "structure", f"This item matches more than one slice: {several}.", profile))
            for n in found:
                members[n].append(item)
            if not found:
                rest.append(item)
            order.append((found[0] if found else len(tested), item))
        if closed:
            for item in rest:
                text = f"This item matches none of the slices {names}, and no other is allowed."
                run.report(fault_at(item, "structure", text, profile))
        if arranged:
            out_of_order(order, slicing, tested, profile, run)
        for part, found_items in zip(tested, members, strict=True):
            judge_slice(part, found_items, holder, profile, run)
        if default is not None and complete:
            judge_slice(default, rest, holder, profile, run)

    return check


def sorter(slices: Sequence[Slice]) -> Callable[[Item, Run], Sequence[int]]:
    """What tells the slices that an item belongs to, by their numbers; by one look-up where a text decides."""
    tests = [s.test for s in slices if s.test is not None]

    def by_tests(item: Item, run: Run) -> Sequence[int]:
        return [n for n, test in enumerate(tests) if test(item, run)]

    keyed = [t for t in tests if isinstance(t, KeyTest)]
    table = {t.wanted: (n,) for n, t in enumerate(keyed)}
    if len(table) != len(tests) or len({t.key for t in keyed}) != 1:
        return by_tests
    key = keyed[0].key

    def by_key(item: Item, run: Run) -> Sequence[int]:
        value = item.parts.get(key)
        return table.get(value, ()) if value.__class__ is str else by_tests(item, run)

    return by_key


def undecidable(slices: Sequence[Slice], profile: str) -> GroupCheck:
    """The check of a slicing that cannot be applied: the profile does not say what belongs to a slice."""
    names = ", ".join(s.label for s in slices)
    text = f"The profile does not say by which value an item belongs to {names}, so it cannot be applied."

    def check(items: Sequence[Item], holder: Json, run: Run) -> None:
        if items:
            run.report(Fault(holder, None, None, "error", "processing", text, None, profile))

    return check


def judge_slice(part: Slice, items: Sequence[Item], holder: Json, profile: str, run: Run) -> None:
    """Report how many items a slice lacks or has too many of, then look at each."""
    count = len(items)
    if count < part.low:
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

"""One walk over a resource for all of its search parameters: their paths merged into a tree of closures."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from fhir_server.search.leaf import Context, Leaf, Write
from fhir_server.search.param_types.composite import Part, join_rows, parts_of
from fhir_server.search.path import Filter, Path, Step
from fhir_server.search.reading import writer
from fhir_server.search.row import Rows

FEW = 3
"""Where so few members matter, asking for each is faster than going through those that are there."""


@dataclass(frozen=True, slots=True)
class Slot:
    """A component of a composite below its base: the type of parameter it is read as, and its paths."""

    kind: str
    paths: tuple[Path, ...]


@dataclass(slots=True)
class Branch:
    """A point of the tree: what parameters read here, which composites have their base here, and where paths go on."""

    leaves: list[tuple[str, int, str | None]] = field(default_factory=list)
    joins: dict[tuple[Slot, ...], list[int]] = field(default_factory=dict)
    further: dict[Step, Branch] = field(default_factory=dict)

    def at(self, path: Path) -> Branch:
        """The point that a path leads to."""
        branch = self
        for step in path.steps:
            branch = branch.further.setdefault(step, Branch())
        return branch

    def read(self, path: Path, kind: str, number: int) -> None:
        """Let a parameter read what stands at the end of a path."""
        self.at(path).leaves.append((kind, number, path.only))

    def join(self, path: Path, slots: tuple[Slot, ...], number: int) -> None:
        """Let a composite join its components below the end of a path."""
        self.at(path).joins.setdefault(slots, []).append(number)


def walker(branch: Branch, context: Context) -> Write:
    """The closure that walks an object by the members that matter."""
    table = {key: handler(steps, context) for key, steps in by_key(branch.further).items()}
    handlers = {key: handle for key, handle in table.items() if handle is not None}
    walk = few_walker(handlers) if len(handlers) <= FEW else full_walker(handlers)
    if not branch.joins:
        return walk
    return in_turn((walk, joiner(branch.joins, context)))


def by_key(further: Mapping[Step, Branch]) -> dict[str, list[tuple[Step, Branch]]]:
    """The steps of a branch by the JSON member that they take."""
    found: dict[str, list[tuple[Step, Branch]]] = {}
    for step, branch in further.items():
        found.setdefault(step.member.key, []).append((step, branch))
    return found


def few_walker(handlers: Mapping[str, Write]) -> Write:
    """A walk over few members."""
    pairs = tuple(handlers.items())

    def walk(value: Any, rows: Rows, resource: Any) -> None:
        for key, handle in pairs:
            if key in value:
                handle(value[key], rows, resource)

    return walk


def full_walker(handlers: Mapping[str, Write]) -> Write:
    """A walk over many members."""
    find = handlers.get

    def walk(value: Any, rows: Rows, resource: Any) -> None:
        for key, member in value.items():
            handle = find(key)
            if handle is not None:
                handle(member, rows, resource)

    return walk


def handler(steps: Sequence[tuple[Step, Branch]], context: Context) -> Write | None:
    """What is done with the value of one JSON member; None when nothing can be read from it."""
    writes = [write for step, branch in steps if (write := element_writer(step, branch, context)) is not None]
    if not writes:
        return None
    one = in_turn(writes)
    return each(one) if steps[0][0].member.many else one


def element_writer(step: Step, branch: Branch, context: Context) -> Write | None:
    """What is done with one element that a step leads to."""
    writes = leaf_writers(step, branch, context)
    if branch.further or branch.joins:
        writes.append(walker(branch, context))
    if not writes:
        return None
    return filtered(in_turn(writes), step.filters) if step.filters else in_turn(writes)


def leaf_writers(step: Step, branch: Branch, context: Context) -> list[Write]:
    """One writer for each type of parameter that reads an element."""
    uses: dict[str, dict[int, set[str | None]]] = {}
    for kind, number, only in branch.leaves:
        uses.setdefault(kind, {}).setdefault(number, set()).add(only)
    found = []
    for kind, numbers in uses.items():
        limits = {number: frozenset(names) for number, names in numbers.items() if None not in names}
        write = writer(kind, Leaf(tuple(numbers), step.member.type, step.member, context, limits))
        if write is not None:
            found.append(write)
    return found


def in_turn(writes: Sequence[Write]) -> Write:
    """All of them as one."""
    if len(writes) == 1:
        return writes[0]
    if len(writes) == 2:
        first, second = writes

        def both(value: Any, rows: Rows, resource: Any) -> None:
            first(value, rows, resource)
            second(value, rows, resource)

        return both

    def every(value: Any, rows: Rows, resource: Any) -> None:
        for write in writes:
            write(value, rows, resource)

    return every


def each(one: Write) -> Write:
    """The same for every item of an array; null stands for a primitive that has extensions only."""

    def write(value: Any, rows: Rows, resource: Any) -> None:
        for item in value:
            if item is not None:
                one(item, rows, resource)

    return write


def filtered(one: Write, filters: Iterable[Filter]) -> Write:
    """The same where all conditions hold."""
    conditions = tuple((condition.key, condition.value) for condition in filters)

    def write(value: Any, rows: Rows, resource: Any) -> None:
        for key, wanted in conditions:
            if value.get(key) != wanted:
                return
        one(value, rows, resource)

    return write


def joiner(joins: Mapping[tuple[Slot, ...], Sequence[int]], context: Context) -> Write:
    """What joins the components of all composites that have their base at one element.

    The last component decides whether there is anything to join, since the first is mostly a code that is always there.
    """
    slots = list(dict.fromkeys(slot for parts in joins for slot in parts))
    readers = [slot_reader(slot, context) for slot in slots]
    by_member: dict[str, list[tuple[list[int], tuple[int, ...]]]] = {}
    for parts, numbers in joins.items():
        plan = [slots.index(slot) for slot in parts], tuple(numbers)
        for key in dict.fromkeys(path.steps[0].member.key for path in parts[-1].paths):
            by_member.setdefault(key, []).append(plan)
    plans = tuple((key, tuple(found)) for key, found in by_member.items())

    def write(value: Any, rows: Rows, resource: Any) -> None:
        known: dict[int, Sequence[Part]] = {}
        for key, joined in plans:
            if key in value:
                for places, numbers in joined:
                    for place in places:
                        if place not in known:
                            known[place] = readers[place](value, resource)
                    join_rows(numbers, [known[place] for place in places], rows)

    return write


def slot_reader(slot: Slot, context: Context) -> Callable[[Any, Any], Sequence[Part]]:
    """What reads the parts that a component has at its base."""
    branch = Branch()
    for path in slot.paths:
        branch.read(path, slot.kind, 0)
    walk, kind, known = walker(branch, context), slot.kind, context.memo("parts of " + slot.kind)

    def read(value: Any, resource: Any) -> Sequence[Part]:
        rows: Rows = []
        walk(value, rows, resource)
        key = tuple(rows)
        found: Sequence[Part] | None = known.get(key)
        return known.keep(key, parts_of(kind, rows)) if found is None else found

    return read

"""What decides that an item belongs to a slice: values at the end of a path (FHIR R4, 5.1.0.15 discriminator).

An answer is None where it cannot be told: a value set or profile is not known here, or a reference leads to what
cannot be seen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from fhir_server.terminology.protocol import Membership
from fhir_server.validation.binding import coding_in
from fhir_server.validation.item import Item
from fhir_server.validation.run import Json, Run
from fhir_server.validation.value_pattern import is_within

Answer = bool | None
Test = Callable[[Item, Run], Answer]
Criterion = Callable[[Sequence[Item], Run], Answer]
"""Whether the values at the end of a discriminator's path are those of a slice."""


def unknown(items: Sequence[Item], run: Run) -> Answer:
    """The criterion that cannot be applied here."""
    return None


def present(items: Sequence[Item], run: Run) -> Answer:
    """The criterion that something is there."""
    return None if any(is_unseen(i) for i in items) else bool(items)


def absent(items: Sequence[Item], run: Run) -> Answer:
    """The criterion that nothing is there."""
    return None if any(is_unseen(i) for i in items) else not items


def is_unseen(item: Item) -> bool:
    """True for what a reference names and cannot be seen."""
    return item.value is None and item.extra is None


def any_item(holds: Callable[[Item, Run], Answer]) -> Criterion:
    """The criterion that one of the values is right."""

    def criterion(items: Sequence[Item], run: Run) -> Answer:
        answer: Answer = False
        for item in items:
            held = holds(item, run)
            if held:
                return True
            if held is None:
                answer = None
        return answer

    return criterion


def any_of(criteria: Iterable[Criterion | None]) -> Criterion | None:
    """The criterion that holds when one of these does; None when there is none."""
    some = [c for c in criteria if c is not None]
    return either(some) if len(some) > 1 else (some[0] if some else None)


def either(criteria: Sequence[Criterion]) -> Criterion:
    """The criterion that holds when one of several does."""

    def criterion(items: Sequence[Item], run: Run) -> Answer:
        answers = [c(items, run) for c in criteria]
        return True if True in answers else (None if None in answers else False)

    return criterion


def all_of(tests: Sequence[Test]) -> Test:
    """The test that holds when all of these do."""

    def test(item: Item, run: Run) -> Answer:
        answer: Answer = True
        for one in tests:
            held = one(item, run)
            if held is False:
                return False
            if held is None:
                answer = None
        return answer

    return test


class Equals:
    """The criterion that one of the values is a text."""

    def __init__(self, wanted: str) -> None:
        self.wanted = wanted

    def __call__(self, items: Sequence[Item], run: Run) -> Answer:
        """True when one is."""
        for item in items:
            if item.value == self.wanted:
                return True
        return None if any(is_unseen(i) for i in items) else False


def equal_to(wanted: Any) -> Criterion:
    """The criterion that one of the values has all that a fixed value or pattern has."""
    if wanted.__class__ is str:
        return Equals(wanted)
    return any_item(lambda item, run: None if is_unseen(item) else is_within(item.value, wanted))


def member_of(membership: Membership) -> Criterion:
    """The criterion that one of the values is in a value set."""
    return any_item(lambda item, run: None if is_unseen(item) else is_member(item, membership))


def is_member(item: Item, membership: Membership) -> Answer:
    """Whether a code, Coding or CodeableConcept is in a value set."""
    value = item.value
    if value.__class__ is str:
        return membership.contains(None, value)
    codings = value.get("coding") if item.type == "CodeableConcept" and value.__class__ is dict else [value]
    answers = [coding_in(c, membership) for c in codings] if codings.__class__ is list else []
    return True if True in answers else (None if None in answers else False)


class KeyTest:
    """A test by the text that an item has under a key."""

    def __init__(self, key: str, wanted: str, test: Test) -> None:
        self.key = key
        self.wanted = wanted
        self._test = test

    def __call__(self, item: Item, run: Run) -> Answer:
        """True when the item has that text."""
        return self._test(item, run)


def path_test(names: Sequence[str], wanted: str) -> Test:
    """A test by the texts that an item has at the end of a path of keys."""
    return lambda item, run: has_text(item.parts, names, 0, wanted)


def has_text(value: Json, names: Sequence[str], at: int, wanted: str) -> bool:
    """True when the text stands at the end of the path from an object, in any item of a list on the way."""
    found = value.get(names[at])
    if at == len(names) - 1:
        return found == wanted or (found.__class__ is list and wanted in found)
    items = found if found.__class__ is list else (found,)
    return any(i.__class__ is dict and has_text(i, names, at + 1, wanted) for i in items)

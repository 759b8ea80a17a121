"""How far a value set reaches: the codes that can be listed, those that cannot be told and rules for the rest."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from fhir_server.terminology.protocol import NO_CODES

HEAVIEST = 500
Test = Callable[[str | None, str], bool | None]
CodeSets = Mapping[str, frozenset[str]]


@dataclass(frozen=True, slots=True)
class Open:
    """A part of a value set that cannot be listed; `system` is None where it may lie in any system.

    `weight` counts the parts that judging a code asks, since definitions that build on each other can double it.
    """

    system: str | None
    judge: Test
    weight: int = 1

    def contains(self, system: str | None, code: str) -> bool | None:
        """True, False or None when it cannot be told."""
        if self.system is not None and system is not None and system != self.system:
            return False
        return self.judge(self.system or system, code)


@dataclass(frozen=True, slots=True)
class Extent:
    """The union of listed codes, of codes that cannot be told and of open parts."""

    listed: CodeSets = field(default_factory=dict)
    unsure: CodeSets = field(default_factory=dict)
    open: tuple[Open, ...] = ()

    @property
    def closed(self) -> bool:
        """True when the listed codes are all there are."""
        return not self.unsure and not self.open

    def contains(self, system: str | None, code: str) -> bool | None:
        """True, False or None when it cannot be told; without a system any system will do."""
        if has(self.listed, system, code):
            return True
        answer: bool | None = None if has(self.unsure, system, code) else False
        for part in self.open:
            found = part.contains(system, code)
            if found:
                return True
            if found is None:
                answer = None
        return answer

    @property
    def weight(self) -> int:
        """How many parts are asked for a code that is not listed."""
        return 1 + sum(part.weight for part in self.open)

    def within(self, other: Extent) -> Extent:
        """What is in the other too."""
        return self.restricted(other.contains, other.weight)

    def without(self, other: Extent) -> Extent:
        """What is not in the other."""
        return self.restricted(negated(other.contains), other.weight)

    def restricted(self, test: Test, weight: int) -> Extent:
        """The part that passes a test, which asks so many parts of others."""
        listed: dict[str, frozenset[str]] = {}
        unsure: dict[str, frozenset[str]] = {}
        for system, codes in self.listed.items():
            answers = {code: test(system, code) for code in codes}
            listed[system] = frozenset(code for code, found in answers.items() if found)
            unsure[system] = frozenset(code for code, found in answers.items() if found is None)
        for system, codes in self.unsure.items():
            maybe = frozenset(code for code in codes if test(system, code) is not False)
            unsure[system] = unsure.get(system, NO_CODES) | maybe
        parts = (Open(part.system, both(part.judge, test), part.weight + weight) for part in self.open)
        return Extent(filled(listed), filled(unsure), bearable(parts))


def filled(sets: CodeSets) -> dict[str, frozenset[str]]:
    """The sets that have anything in them."""
    return {system: codes for system, codes in sets.items() if codes}


def has(sets: CodeSets, system: str | None, code: str) -> bool:
    """True when the system, or without one any system, lists the code."""
    if system is None:
        return any(code in codes for codes in sets.values())
    return code in sets.get(system, NO_CODES)


def both(first: Test, second: Test) -> Test:
    """A test that is true where both are."""

    def test(system: str | None, code: str) -> bool | None:
        left = first(system, code)
        if left is False:
            return False
        right = second(system, code)
        return right if left else (False if right is False else None)

    return test


def negated(test: Test) -> Test:
    """A test that is true where the other is false."""

    def answer(system: str | None, code: str) -> bool | None:
        found = test(system, code)
        return None if found is None else not found

    return answer


def union(extents: Iterable[Extent]) -> Extent:
    """Everything that is in one of the extents."""
    listed: dict[str, frozenset[str]] = {}
    unsure: dict[str, frozenset[str]] = {}
    parts: list[Open] = []
    for extent in extents:
        for system, codes in extent.listed.items():
            listed[system] = listed[system] | codes if system in listed else codes
        for system, codes in extent.unsure.items():
            unsure[system] = unsure.get(system, NO_CODES) | codes
        parts.extend(extent.open)
    return Extent(listed, unsure, bearable(parts))


def bearable(parts: Iterable[Open]) -> tuple[Open, ...]:
    """The parts, each once; where judging them would take too long it cannot be told."""
    kept = tuple(dict.fromkeys(parts))
    if sum(part.weight for part in kept) > HEAVIEST:
        return (Open(None, untold),)
    return kept


def untold(system: str | None, code: str) -> bool | None:
    """The test that cannot tell."""
    return None

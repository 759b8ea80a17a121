"""What a reader of searched values is told, and what it answers (FHIR R4, 3.1.1.4)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from fhir_server.search.codes import CodeDoor
from fhir_server.search.leaf import Context
from fhir_server.search.plan import Near, Row

Rows = tuple[Row | Near, ...]
"""Alternatives for one value, each with the number of its facet alone; the parameter's number is added later."""


class Unreadable(ValueError):
    """A value cannot be what its parameter is searched by; the text says why, and how it is written."""


class UnansweredValue(ValueError):
    """A value is right, and this server cannot answer it."""


@dataclass(frozen=True, slots=True)
class Question:
    """What a value is asked of.

    `kinds` are the FHIR types that the parameter reads, None where its expression does not tell. `targets` are the
    resource types that a reference may point to, of which `only` is asked for by a modifier. `now` is in milliseconds.
    `is_part` is true for a component of a composite, whose rows have fewer facets.
    """

    context: Context
    codes: CodeDoor
    now: int
    kinds: frozenset[str] | None = None
    targets: tuple[str, ...] = ()
    only: str | None = None
    is_part: bool = False

    def reads(self, *kinds: str) -> bool:
        """Whether the parameter may read one of these types."""
        return self.kinds is None or not self.kinds.isdisjoint(kinds)


Reader = Callable[[str, Question], Rows]


@dataclass(frozen=True, slots=True)
class Form:
    """How a value is read; `negated` finds what none of the values finds, and what has nothing to compare.

    `among_present` leaves out the latter.
    """

    read: Reader
    negated: bool = False
    among_present: bool = False


Forms = Mapping[str, Form]
"""The forms by modifier, or by operator of `_filter`; the modifier is empty where none is given."""

"""What a writer of index rows is told about the element whose values it reads."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from fhir_server.definitions.datatype import Member
from fhir_server.definitions.registry import Definitions
from fhir_server.search.row import Memo, Rows

UCUM = "http://unitsofmeasure.org"

Write = Callable[[Any, Rows, Any], None]
"""Add the rows of a value: (the value, the rows, the resource that contains it)."""

Span = Callable[[str], tuple[int, int]]
"""The first millisecond of a date, dateTime or instant and the one after its last."""


@dataclass(frozen=True, slots=True)
class Context:
    """What values are read in: definitions, own base URLs, units of measure, and the time zone of this node."""

    definitions: Definitions
    bases: frozenset[str]
    canonical: Callable[[Decimal, str], tuple[Decimal, str] | None]
    span: Span
    _memos: dict[str, Memo] = field(default_factory=dict)

    def memo(self, name: str) -> Memo:
        """What is remembered under a name by all who read in this context."""
        return self._memos.setdefault(name, Memo(16384))

    def ignores_case(self, system: str) -> bool:
        """False for the code systems that are known to tell case apart: in doubt, case makes no difference."""
        heeding = self.memo("systems that heed case")
        found: bool | None = heeding.get(system)
        if found is None:
            known = self.definitions.code_system(system)
            found = heeding.keep(system, system == UCUM or (known is not None and known.case_sensitive))
        return not found


@dataclass(frozen=True, slots=True)
class Leaf:
    """An element that parameters select.

    `numbers` are those of the parameters (or 0, for the part of a composite); `member` is None where an expression was
    too free to say which element it selects; `only` limits a parameter to references to some types.
    """

    numbers: tuple[int, ...]
    type: str
    member: Member | None
    context: Context
    only: Mapping[int, frozenset[str | None]] = field(default_factory=dict)


Writers = Mapping[str, Callable[[Leaf], Write]]
"""For each FHIR type that a type of search parameter can read, what makes its writer."""


def lineage(definitions: Definitions, name: str) -> list[str]:
    """The type and the types that it specialises, nearest first."""
    found = []
    step: str | None = name
    while step is not None and definitions.has_type(step):
        found.append(step)
        step = definitions.type(step).base
    return found or [name]

"""What search asks of a terminology: the codes behind `:in`, `:not-in`, `:above` and `:below` (FHIR R4, 3.1.1.4.5)."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Protocol


class CodeDoor(Protocol):
    """Lists codes. None means that it cannot be told here; an answer too long to be searched for is TooCostly."""

    def members(self, value_set: str) -> Mapping[str, Collection[str]] | None:
        """The codes of each system in a value set, by its canonical or as `ValueSet/id`; None when it is not known."""
        ...

    def below(self, system: str, code: str) -> Collection[str] | None:
        """The code and all codes that it subsumes; None when the system's hierarchy or the code is not known."""
        ...

    def above(self, system: str, code: str) -> Collection[str] | None:
        """The code and all codes that subsume it; None when the system's hierarchy or the code is not known."""
        ...


class NoCodes:
    """A terminology that knows no value set and no hierarchy."""

    def members(self, value_set: str) -> None:
        """None: no value set is known."""

    def below(self, system: str, code: str) -> None:
        """None: no hierarchy is known."""

    def above(self, system: str, code: str) -> None:
        """None: no hierarchy is known."""


class Consulted:
    """A terminology that notes whether it was asked: what rests on its answers may change with them."""

    def __init__(self, codes: CodeDoor) -> None:
        self._codes = codes
        self.was_asked = False

    def members(self, value_set: str) -> Mapping[str, Collection[str]] | None:
        """The codes of each system in a value set."""
        self.was_asked = True
        return self._codes.members(value_set)

    def below(self, system: str, code: str) -> Collection[str] | None:
        """The code and all codes that it subsumes."""
        self.was_asked = True
        return self._codes.below(system, code)

    def above(self, system: str, code: str) -> Collection[str] | None:
        """The code and all codes that subsume it."""
        self.was_asked = True
        return self._codes.above(system, code)

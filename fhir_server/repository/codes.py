"""The codes that searches by `:in`, `:above` and `:below` stand for, told by the terminology (FHIR R4, 3.1.1.4.5)."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from fhir_server.terminology.protocol import Terminology


class Codes:
    """A CodeDoor over the node's terminology."""

    def __init__(self, terminology: Terminology) -> None:
        self._terminology = terminology

    def members(self, value_set: str) -> Mapping[str, Collection[str]] | None:
        """The codes of each system in a value set; None when it is not known, or reaches into systems that are not."""
        expansion = self._terminology.expand(value_set)
        if expansion is None or not expansion.complete:
            return None
        found: dict[str, list[str]] = {}
        for entry in expansion.entries:
            found.setdefault(entry.system, []).append(entry.code)
        return found

    def below(self, system: str, code: str) -> Collection[str] | None:
        """The code and all codes that it subsumes."""
        return self._terminology.below(system, code)

    def above(self, system: str, code: str) -> Collection[str] | None:
        """The code and all codes that subsume it."""
        return self._terminology.above(system, code)

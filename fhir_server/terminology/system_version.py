"""Versions of code systems that an expansion is asked for with (FHIR R4, OperationDefinition/ValueSet-expand)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from fhir_server.definitions.registry import Definitions
from fhir_server.definitions.value_set import Include


@dataclass(frozen=True, slots=True)
class SystemVersions:
    """By system: the version to use where a value set names none, the one that it must name, the one to use always."""

    default: Mapping[str, str]
    checked: Mapping[str, str]
    forced: Mapping[str, str]

    def of(self, part: Include) -> str | None:
        """The version of its system that an include is read with."""
        system = part.system or ""
        return self.forced.get(system) or part.version or self.checked.get(system) or self.default.get(system)

    def conflicts(self, canonical: str, definitions: Definitions) -> Iterator[tuple[str, str, str]]:
        """Yield system, version named and version wanted for each include that names another than it must."""
        seen: set[str] = set()
        waiting = [canonical]
        while waiting:
            definition = definitions.value_set(waiting.pop())
            if definition is None or definition.url in seen:
                continue
            seen.add(definition.url)
            for part in (*definition.include, *definition.exclude):
                waiting += part.value_sets
                wanted = self.checked.get(part.system or "")
                if part.version is not None and wanted is not None and part.version != wanted:
                    yield part.system or "", part.version, wanted


def by_system(canonicals: Iterable[str]) -> dict[str, str]:
    """The versions in canonicals written `system|version`; raise ValueError for one without a version."""
    found: dict[str, str] = {}
    for text in canonicals:
        system, _, version = text.partition("|")
        if not system or not version:
            raise ValueError(text)
        found[system] = version
    return found

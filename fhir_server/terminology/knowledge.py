"""Definitions and the terminology over them, perhaps with one resource more (FHIR R4, 4.7 Terminology Service)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from fhir_server.definitions.registry import Definitions
from fhir_server.errors import Invalid, Issue
from fhir_server.terminology.local import LocalTerminology
from fhir_server.terminology.protocol import Terminology

CORE = "http://hl7.org/fhir/"


@dataclass(frozen=True, slots=True)
class Knowledge:
    """What terminology operations answer from."""

    definitions: Definitions
    terminology: Terminology

    def with_resource(self, resource: Mapping[str, Any]) -> tuple[Knowledge, str]:
        """The same with one resource more, and its canonical, made up where it has none; raise Invalid."""
        kind = resource.get("resourceType")
        identity = f"{kind}/{resource.get('id')}"
        url = resource.get("url") or f"urn:uuid:{uuid5(NAMESPACE_URL, identity)}"
        definitions = self.definitions.extended()
        try:
            definitions.add({**resource, "url": url})
        except (KeyError, TypeError, AttributeError, ValueError) as fault:
            text = f"The {kind} cannot be read ({type(fault).__name__}: {fault}). Check it with {kind}/$validate."
            raise Invalid(Issue("error", "structure", text)) from None
        version = resource.get("version")
        return Knowledge(definitions, LocalTerminology(definitions)), f"{url}|{version}" if version else url

    def core_canonical(self, kind: str, resource_id: str) -> str | None:
        """The canonical of a resource of the core by its id there; None when there is none."""
        url = f"{CORE}{'' if kind == 'CodeSystem' else f'{kind}/'}{resource_id}"
        shelf = self.definitions.shelves.get(kind)
        return url if shelf is not None and shelf.find(url) is not None else None

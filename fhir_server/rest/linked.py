"""The resources of this server that others refer to, at any distance (FHIR R4, 2.3 references; 3.3.1 documents)."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from typing import Any

import orjson

from fhir_server.errors import Forbidden, Gone, NotFound
from fhir_server.repository.repository import Repository
from fhir_server.resource.reference import parse_reference
from fhir_server.store.protocol import Version

Key = tuple[str, str]
REFERENCES = re.compile(rb'"reference"[ \t\r\n]*:[ \t\r\n]*"([^"\\]+)"').findall
MOST = 1000
PATIENT = "Patient"


class Links:
    """Follows references from stored resources; `base` is this server's own URL, `types` are those of R4."""

    def __init__(self, repository: Repository, base: str, types: Collection[str]) -> None:
        self._repository = repository
        self._base = base
        self._types = types
        self._keys: dict[bytes, Key | None] = {}

    def of(self, bodies: Iterable[bytes]) -> Iterator[Key]:
        """Yield what these resources refer to here, each once, in the order in which it is named."""
        texts = dict.fromkeys(text for body in bodies for text in REFERENCES(body))
        yield from dict.fromkeys(key for text in texts if (key := self._key(text)) is not None)

    def within(self, resource: Any) -> Iterator[Key]:
        """Yield what a resource that is not stored yet refers to here, itself left out."""
        own = resource.get("resourceType"), resource.get("id")
        yield from (key for key in self.of([orjson.dumps(resource)]) if key != own)

    async def closure(self, bodies: Iterable[bytes], known: set[Key], patients: Collection[str]) -> list[Version]:
        """Return what these resources refer to, and what that refers to, but for what is `known`, which grows.

        Other patients than these, and what names others, are left out: a reference is no leave to read their records.
        """
        found: list[Version] = []
        waiting = list(bodies)
        # Most references lead to what is known: they need not be taken apart.
        self._keys.update((f"{kind}/{resource_id}".encode(), (kind, resource_id)) for kind, resource_id in known)
        while waiting and len(found) < MOST:
            wanted = [key for key in self.of(waiting) if key not in known][: MOST - len(found)]
            known.update(wanted)
            read = [version for key in wanted if (version := await self._read(key)) is not None]
            kept = [version for version in read if self._may_come(version, patients)]
            found += kept
            waiting = [version.body for version in kept if version.body is not None]
        return found

    def patients_of(self, body: bytes) -> frozenset[str]:
        """The ids of the patients that a resource names."""
        return frozenset(resource_id for kind, resource_id in self.of([body]) if kind == PATIENT)

    def _may_come(self, version: Version, patients: Collection[str]) -> bool:
        if version.type == PATIENT:
            return version.id in patients
        return version.body is not None and self.patients_of(version.body).issubset(patients)

    def _key(self, text: bytes) -> Key | None:
        if text not in self._keys:
            reference = parse_reference(text.decode())
            own = reference.id is not None and reference.type in self._types and reference.base in (None, self._base)
            self._keys[text] = (reference.type or "", reference.id or "") if own else None
        return self._keys[text]

    async def _read(self, key: Key) -> Version | None:
        try:
            return await self._repository.read(*key)
        except (NotFound, Gone, Forbidden):
            return None

"""Stored definitions at work: what clients create is known to validation and terminology (FHIR R4, 2.24.0.6)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Any

from fhir_server.definitions.registry import Definitions
from fhir_server.definitions.search_parameter import search_parameter_from
from fhir_server.errors import FhirError
from fhir_server.repository.intake import NO_LIMITS, SEARCHING
from fhir_server.resource.parsing import parse
from fhir_server.search.definition import faults, is_of_core
from fhir_server.search.parameters import Parameters
from fhir_server.search.plan import EVERYTHING, Plan
from fhir_server.store.protocol import PLACES, Numbered, Scope, Store, Version

KINDS: tuple[str, ...] = ("StructureDefinition", "CodeSystem", "ValueSet", "ConceptMap", SEARCHING)
PAGE = 200

log = logging.getLogger(__name__)

Identity = tuple[str, str, str | None]
"""Kind, url and version of a definition."""


class StoredDefinitions:
    """Keeps `definitions` as the store has them, whichever process wrote; `definitions` are changed by nobody else.

    Where two stored resources have the same url and version, the one written last counts. `parameters` is the registry
    that is given the numbers of new search parameters before anyone can use them.
    """

    parameters: Parameters | None = None

    def __init__(self, store: Store, definitions: Definitions, kinds: Sequence[str] = KINDS) -> None:
        self._store = store
        self._definitions = definitions
        self._kinds = tuple(kinds)
        self._known: dict[tuple[str, str], Identity] = {}
        self._place = 0
        self._seen = -1
        self._turn = asyncio.Lock()

    async def load(self) -> None:
        """Take in all that is stored."""
        snapshot = await self._store.snapshot()
        for kind in self._kinds:
            cursor: str | None = None
            while True:
                page = await self._store.run(Plan({kind: EVERYTHING}), PAGE, cursor, snapshot.t if not cursor else None)
                for version in sorted(page.matches, key=lambda each: each.place):
                    await self._take(version)
                cursor = page.following
                if cursor is None:
                    break
        self._seen = snapshot.t
        self._place = (snapshot.t + 1) * PLACES - 1

    async def catch_up(self) -> None:
        """Take in what was written since: after a write of such a resource here, or at any time elsewhere."""
        async with self._turn:
            snapshot = await self._store.snapshot()
            if snapshot.t == self._seen:
                return
            while True:
                versions = await self._store.history(Scope(types=self._kinds), PAGE, after=self._place)
                for version in versions:
                    await self._take(version)
                    self._place = version.place
                if len(versions) < PAGE:
                    break
            self._seen = snapshot.t

    async def _take(self, version: Version) -> None:
        key = version.type, version.id
        body = await self._usable(version)
        # From here on nobody else has a turn, so that a definition is not away while it is renewed.
        former = self._known.pop(key, None)
        if former is not None and former not in self._known.values():
            self._definitions.remove(*former)
        self._definitions.identify("/".join(key), None)
        try:
            if body is not None and self._definitions.add(body):
                self._known[key] = version.type, body["url"], body.get("version")
                self._definitions.identify("/".join(key), canonical_of(body))
        except (FhirError, KeyError, TypeError, AttributeError, ValueError) as fault:
            log.warning("%s/%s cannot be used as a definition: %s", *key, type(fault).__name__)

    async def _usable(self, version: Version) -> dict[str, Any] | None:
        if version.body is None:
            return None
        body = parse(version.body, NO_LIMITS)
        if version.type == "ValueSet":  # one without a url can still be named by its id
            body.setdefault("url", f"{version.type}/{version.id}")
        if version.type != SEARCHING:
            return body
        try:
            found = faults(body, self._definitions)
            if is_of_core(body["url"]) or found:
                for issue in found:
                    log.warning("SearchParameter/%s cannot be used: %s", version.id, issue.text)
                return None
            if self.parameters is not None:
                wanted = self.parameters.numbers_for(search_parameter_from(body))
                self.parameters.adopt(await self._store.number([Numbered(*each) for each in wanted]))
        except (KeyError, TypeError, AttributeError, ValueError) as fault:
            log.warning("SearchParameter/%s cannot be used: %s", version.id, type(fault).__name__)
            return None
        return body


def canonical_of(body: dict[str, Any]) -> str:
    """The canonical of a definition, with its version where it has one."""
    return f"{body['url']}|{body['version']}" if "version" in body else str(body["url"])

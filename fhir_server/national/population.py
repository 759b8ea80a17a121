"""The resources that a view is run on, as far as the caller may see them, in the order of their ids."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Protocol

from fhir_server.errors import Invalid, Issue
from fhir_server.resource.reference import parse_reference
from fhir_server.rest.compartment import PATIENT, in_compartment, members
from fhir_server.rest.node import Node
from fhir_server.rest.subset import read_stored
from fhir_server.search.plan import EVERYTHING, And, Plan, Predicate, Updated

PAGE = 200
MOST_MEMBERS = 10_000

Body = Mapping[str, Any]


class Population(Protocol):
    """Yields resources of a type."""

    def of(self, kind: str) -> AsyncIterator[Body]:
        """Yield those of a type; raise Forbidden where the caller may see none of it."""
        ...


class Stored:
    """The stored resources: of some patients where `patients` is given, changed at or after `since` (milliseconds)."""

    def __init__(self, node: Node, patients: tuple[str, ...] | None = None, since: int | None = None) -> None:
        self._node = node
        self._patients = patients
        self._since = since

    async def of(self, kind: str) -> AsyncIterator[Body]:
        """Yield them page by page, all of one snapshot."""
        repository = self._node.repository
        predicate: Predicate = EVERYTHING
        if self._patients is not None:
            predicate = in_compartment(repository, kind, self._patients)
        if self._since is not None:
            predicate = And((predicate, Updated(low=self._since)))
        cursor = None
        while True:
            page = await repository.page(Plan({kind: predicate}), PAGE, cursor)
            for version in page.matches:
                yield read_stored(version.body or b"")
            cursor = page.following
            if cursor is None:
                return
            await asyncio.sleep(0)


class Given:
    """Resources that came with the request."""

    def __init__(self, bodies: Sequence[Body]) -> None:
        self._bodies = bodies

    async def of(self, kind: str) -> AsyncIterator[Body]:
        """Yield those of a type."""
        for body in self._bodies:
            if body.get("resourceType") == kind:
                yield body


async def patients_of(node: Node, base: str, patient: str | None, groups: Sequence[str]) -> tuple[str, ...] | None:
    """Return the ids of the patients that references name, themselves or by their Groups; None where none is named."""
    if patient is None and not groups:
        return None
    found: dict[str, None] = {}
    if patient is not None:
        found[_id(patient, PATIENT, "patient")] = None
    for group in groups:
        found.update(dict.fromkeys(await members(node.repository, base, _id(group, "Group", "group"), MOST_MEMBERS)))
    return tuple(found)


def _id(text: str, kind: str, name: str) -> str:
    parsed = parse_reference(text if "/" in text else f"{kind}/{text}")
    if parsed.type != kind or parsed.id is None:
        raise Invalid(Issue("error", "value", f"{name} is a reference such as {kind}/123, not {text[:80]!r}."))
    return parsed.id

"""Checking the writes of one attempt, with what is around them; what a check relied on is expected of the store."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from fhir_server.access.caller import Caller
from fhir_server.access.label import label_from
from fhir_server.repository.permission import NO_LIMITS, Permission
from fhir_server.repository.reference import Key
from fhir_server.repository.write import Found
from fhir_server.resource.parsing import parse
from fhir_server.search.plan import Plan
from fhir_server.store.protocol import Expectation, Version

if TYPE_CHECKING:
    from fhir_server.repository.attempt import Means

Body = Mapping[str, Any]


class Surroundings:
    """The Around of one attempt. `made` and `deleted` are what the request does; `expectations` what was relied on."""

    def __init__(
        self,
        means: Means,
        permission: Permission | None,
        caller: Caller,
        made: Callable[[Key], Body | None],
        deleted: Callable[[Key], bool],
        overlaid: Callable[[Plan, Found], Found],
    ) -> None:
        self._means = means
        self._permission = permission
        self.caller = caller
        self._made = made
        self._deleted = deleted
        self._overlaid = overlaid
        self._known: dict[tuple[str, tuple[tuple[str, str], ...]], Sequence[Body]] = {}
        self.expectations: list[Expectation] = []

    async def stored(self, key: Key) -> tuple[int, Body | None]:
        """The version that is current, 0 for none, and the resource as it is there."""
        found = await self._means.store.read(*key)
        if found is None or found.body is None:
            return 0, None
        return found.version, parse(found.body, NO_LIMITS)

    async def read(self, kind: str, resource_id: str) -> Body | None:
        """A resource as it will be."""
        key = kind, resource_id
        made = self._made(key)
        if made is not None or self._deleted(key):
            return made
        return (await self.stored(key))[1]

    async def owners(self, kind: str, resource_id: str) -> tuple[str, ...]:
        """The facilities that a resource belongs to."""
        found = await self._means.store.read(kind, resource_id)
        if found is None and self._made((kind, resource_id)) is not None:
            return self.caller.organizations[:1]
        return label_from(found.label).owners if found is not None and found.label else ()

    async def found(self, kind: str, pairs: Sequence[tuple[str, str]], most: int = 200) -> Sequence[Body]:
        """What a search finds, as it will be."""
        asked = kind, tuple(pairs)
        if asked not in self._known:
            self._known[asked] = await self._find(kind, pairs, most)
        return self._known[asked]

    async def _find(self, kind: str, pairs: Sequence[tuple[str, str]], most: int) -> Sequence[Body]:
        means = self._means
        plan = means.searcher.query((kind,), pairs, now=int(means.clock() * 1000)).plan
        page = await means.store.run(plan, most)
        versions: dict[Key, Version] = {(version.type, version.id): version for version in page.matches}
        self.expectations.append(Expectation(plan, frozenset(versions), len(versions) + 1))
        bodies = []
        for key in sorted(self._overlaid(plan, frozenset(versions))):
            made = self._made(key)
            bodies.append(parse(versions[key].body or b"", NO_LIMITS) if made is None else {**made, "id": key[1]})
        return bodies

    async def identities(self) -> frozenset[str]:
        """The references that mean the caller."""
        if self._permission is None:
            return frozenset()
        return self._permission.sights.standing.identities(self._permission.sights.caller)

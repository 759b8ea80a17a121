"""Reading on behalf of a caller: pages and histories are as full as was asked for, of what the caller may see."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from fhir_server.access.caller import LOCAL, Caller
from fhir_server.access.standing import Standing
from fhir_server.errors import TooCostly
from fhir_server.repository.attempt import Means
from fhir_server.repository.circumstances import Circumstances
from fhir_server.repository.history import Window, versions_in
from fhir_server.repository.intake import Intake
from fhir_server.repository.labelling import Labelling
from fhir_server.repository.sight import Ask, Sights
from fhir_server.repository.trail import Trail
from fhir_server.resource.query_string import pairs_in
from fhir_server.search.plan import EVERY_TYPE, Plan, Predicate
from fhir_server.settings import Settings
from fhir_server.store.protocol import Page, Scope, Store, Version

MOST_CALLERS = 2000
MOST_COUNTED_ONE_BY_ONE = 20_000
COUNTED_AT_ONCE = 1000
LABELLED = "labelled"
"""The note that says that versions have labels, which every process then goes on to give them."""


class Access:
    """Gives each caller their Sights, the same as long as nothing changes that they are decided by."""

    def __init__(
        self, circumstances: Circumstances, labelling: Labelling, intake: Intake, ask: Ask, trail: Trail
    ) -> None:
        self.trail = trail
        self.labelling = labelling
        self._circumstances = circumstances
        self._intake = intake
        self._ask = ask
        self._standing: Standing | None = None
        self._generation = -1
        self._sights: dict[int, Sights] = {}

    async def sights(self, caller: Caller) -> Sights:
        """What a caller sees now."""
        standing = await self._circumstances.now()
        if standing is not self._standing or len(self._sights) >= MOST_CALLERS:
            self._standing = standing
            self._sights.clear()
        # By identity: a caller is the same object for each request with the same token.
        found = self._sights.get(id(caller))
        if found is None or found.caller is not caller:
            found = self._sights[id(caller)] = Sights(caller, standing, self.labelling, self._intake, self._ask)
        return found


async def access_over(means: Means, settings: Settings, server: str) -> Access | None:
    """What decides about access to a store; None where nobody is asked and nothing that is stored has an owner yet.

    `server` is the base URL of this one.
    """
    store = means.store
    if settings.auth == "off" and not settings.organization and await store.note(LABELLED) is None:
        return None
    if await store.note(LABELLED) is None:
        await store.keep(LABELLED, "yes", None)

    def ask(kind: str, query: str) -> Predicate:
        now = int(means.clock() * 1000)
        return means.searcher.query((kind,), pairs_in(query), now=now).plan.arms[kind]

    labelling = Labelling(means.searcher.parameters, means.intake)
    needs_consent = settings.sharing_consent == "needed"
    circumstances = Circumstances(store, labelling, ask, means.span, means.clock, needs_consent=needs_consent)
    trail = Trail(store, means.intake.indexer, means.searcher.parameters, server)
    return Access(circumstances, labelling, means.intake, ask, trail)


def own_caller(settings: Settings) -> Caller:
    """Who the server itself is: what it writes of its own accord belongs to the facility that runs it."""
    return replace(LOCAL, organizations=(settings.organization,)) if settings.organization else LOCAL


async def seen_page(store: Store, sights: Sights, plan: Plan, limit: int, cursor: str | None) -> Page:
    """The next matches of a search that the caller may see, with what it includes of them."""
    narrowed = sights.narrowed(plan)
    page = await store.run(narrowed, limit, cursor)
    if EVERY_TYPE not in plan.arms:
        return page
    found = [version for version in page.matches if sights.shows(version, "s")]
    while len(found) < limit and page.following is not None:
        page = await store.run(narrowed, limit - len(found), page.following)
        found += (version for version in page.matches if sights.shows(version, "s"))
    return replace(page, matches=tuple(found))


async def seen_count(store: Store, sights: Sights, plan: Plan, t: int | None) -> int:
    """How many matches of a search the caller may see; raise TooCostly where very many would have to be looked at."""
    narrowed = sights.narrowed(plan)
    if EVERY_TYPE not in plan.arms:
        return await store.count(narrowed, t)
    total, looked_at, cursor = 0, 0, None
    while looked_at < MOST_COUNTED_ONE_BY_ONE:
        page = await store.run(narrowed, COUNTED_AT_ONCE, cursor, None if cursor else t)
        total += sum(sights.shows(version, "s") for version in page.matches)
        looked_at += len(page.matches)
        cursor = page.following
        if cursor is None:
            return total
    raise TooCostly(f"More than {MOST_COUNTED_ONE_BY_ONE:,} resources would have to be looked at to count these.")


async def seen_versions(store: Store, sights: Sights, scope: Scope, window: Window, limit: int) -> Sequence[Version]:
    """The latest versions in a window that the caller may see, of what the caller may see as it is now."""
    letter = "r" if scope.id is not None else "s"
    for kind in scope.types:
        sights.needed(kind, letter)
    if scope.id is not None and not sights.shows(await store.read(scope.types[0], scope.id), letter):
        # At once, so that what is withheld takes no longer than what never was.
        return []
    found: list[Version] = []
    while True:
        wanted = limit - len(found)
        versions = await versions_in(store, scope, window, wanted)
        found += [
            version
            for version in versions
            if sights.shows(version, letter) and sights.shows(await store.read(version.type, version.id), letter)
        ]
        if len(versions) < wanted or len(found) >= limit:
            return found
        window = replace(window, before=versions[-1].place)

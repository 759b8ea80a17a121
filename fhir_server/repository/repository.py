"""The door: every read, write, search and history goes through it (FHIR R4, 3.1.0 RESTful API)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from fhir_server.access.caller import LOCAL, Caller
from fhir_server.audit.account import CURRENT
from fhir_server.errors import Conflict, Forbidden, Gone, Issue, NotFound, PreconditionFailed, Unprocessable
from fhir_server.repository.assignment import assign, unowned
from fhir_server.repository.attempt import REFERRERS_NAMED, Attempt, Means, stale
from fhir_server.repository.conformance import KINDS as DEFINING
from fhir_server.repository.emergency import refuse_without_right
from fhir_server.repository.emergency import writes as emergency
from fhir_server.repository.history import Window, versions_in, window_of
from fhir_server.repository.labelling import PATIENT, remembered
from fhir_server.repository.permission import Permission, labelled, visible
from fhir_server.repository.recording import recorded, touched
from fhir_server.repository.reference import Key
from fhir_server.repository.seen import Access, seen_count, seen_page, seen_versions
from fhir_server.repository.sight import Sights
from fhir_server.repository.trail import KIND as EVENTS
from fhir_server.repository.trail import Trail
from fhir_server.repository.write import Found, Saved, Write, placed
from fhir_server.search.contained import Alone
from fhir_server.search.plan import Plan, Predicate
from fhir_server.search.query import Query
from fhir_server.store.pending import holds
from fhir_server.store.protocol import (
    ExistenceUnmet,
    ExpectationUnmet,
    Indexed,
    Page,
    Scope,
    SnapshotLost,
    Version,
    VersionUnmet,
)

ATTEMPTS = 40
FEW_TYPES = 8
"""The versions of more types than these are better picked out of all versions."""


class Stretch(NamedTuple):
    """How far a part of a work on all resources came: the last place, how many were looked at, and how many done."""

    place: int
    read: int
    indexed: int


async def learn_nothing() -> None:
    """Go on with the definitions that are known."""


class Repository:
    """Resources of one node. All failures are kinds of FhirError.

    `learn` is called after a write of a definition, before the write is answered.
    """

    def __init__(
        self,
        means: Means,
        learn: Callable[[], Awaitable[None]] = learn_nothing,
        access: Access | None = None,
        caller: Caller = LOCAL,
    ) -> None:
        self._means = means
        self._learn = learn
        self._store = means.store
        self._access = access
        self._caller = caller
        self._is_bound = access is not None and caller.kind != "local"

    def as_(self, caller: Caller) -> Repository:
        """The same resources, as far as they are there for a caller."""
        return self if caller is self._caller else Repository(self._means, self._learn, self._access, caller)

    @property
    def is_guarded(self) -> bool:
        """Whether callers see what is theirs alone."""
        return self._access is not None

    async def _sights(self) -> Sights:
        assert self._access is not None
        return await self._access.sights(self._caller)

    async def identities(self) -> frozenset[str]:
        """The references that mean the caller: who it is, and the facilities that it acts for, those below included."""
        return (await self._sights()).standing.identities(self._caller) if self._is_bound else frozenset()

    async def read(self, kind: str, resource_id: str) -> Version:
        """The current version; raise NotFound, or Gone after a deletion."""
        if self._is_bound and kind == EVENTS:
            return await self._event(resource_id)
        found = await self._store.read(kind, resource_id)
        if self._is_bound:
            sights = await self._sights()
            found = sights.seen(kind, found)
            touched(sights, (found,))
        if found is None:
            raise NotFound(f"There is no {kind}/{resource_id}.")
        if found.body is None:
            raise Gone(f"{kind}/{resource_id} was deleted by version {found.version}.")
        return found

    async def version(self, kind: str, resource_id: str, number: int) -> Version:
        """A version by its number; raise NotFound, or Gone for a version that is a deletion."""
        if self._is_bound and kind == EVENTS and number == 1:
            return await self._event(resource_id)
        found = await self._store.read(kind, resource_id, number) if number > 0 else None
        if self._is_bound:
            # Who may not see what it is now may not see what it was.
            sights = await self._sights()
            current = sights.seen(kind, await self._store.read(kind, resource_id))
            found = None if current is None else sights.seen(kind, found)
            touched(sights, (found,))
        if found is None:
            raise NotFound(f"There is no such version of {kind}/{resource_id}.")
        if found.body is None:
            raise Gone(f"Version {number} of {kind}/{resource_id} is its deletion.")
        return found

    async def write(self, writes: Sequence[Write]) -> list[Saved]:
        """Do all of this or nothing, in the order of the standard; return what became of each, in the order given."""
        tolerated: dict[Key, Found] = {}
        taken = 0
        for _ in range(ATTEMPTS):
            permission = None
            if self._access is not None:
                permission = Permission(await self._sights(), self._store, self._means.span)
            attempt = Attempt(self._means, writes, tolerated, permission, self._caller)
            try:
                request = await attempt.request()
                if permission is not None:
                    request = recorded(request, permission, int(self._means.clock() * 1000))
                committed = await self._store.commit(request)
            except VersionUnmet as unmet:
                step = attempt.step_of_change(unmet.index)
                taken += step.if_match == 0
                if step.write.must_be or taken > 1:
                    with placed(step.write.place):
                        raise refused_version(step.write, request.changes[unmet.index].id, unmet.current) from None
            except ExpectationUnmet as unmet:
                key = attempt.guarded(unmet.index)
                if key is not None:
                    holding_up = attempt.holding_up(key, unmet.found)
                    if holding_up:
                        with placed(attempt.step_deleting(key).write.place):
                            raise referred_to(key, await self._named(holding_up)) from None
                    tolerated[key] = unmet.found
            except ExistenceUnmet as unmet:
                raise self._dangling(attempt, unmet.missing) from None
            else:
                if any(write.type in DEFINING for write in writes):
                    await self._learn()
                return attempt.saved(committed)
        raise Conflict("Others change the same resources again and again; nothing was written. Try again.")

    async def page(self, plan: Plan, limit: int, cursor: str | None = None) -> Page:
        """The next matches of a search, with what it includes; raise Gone for a cursor that is too old."""
        try:
            if self._is_bound:
                sights = await self._sights()
                if EVENTS in plan.arms:
                    return await self._trail.page(plan, limit, cursor, sights.needed(EVENTS, "s").admits)
                page = await seen_page(self._store, sights, plan, limit, cursor)
                touched(sights, (*page.matches, *page.included))
                return page
            return await self._store.run(plan, limit, cursor)
        except SnapshotLost:
            raise Gone("Too much was written since this search began: begin it again.") from None

    async def count(self, plan: Plan, t: int | None = None) -> int:
        """How many resources a search finds."""
        if self._is_bound:
            sights = await self._sights()
            if EVENTS in plan.arms:
                return await self._trail.count(plan, sights.needed(EVENTS, "s").admits)
            return await seen_count(self._store, sights, plan, t)
        return await self._store.count(plan, t)

    async def window(self, since: str | None, at: str | None, before: int | None) -> Window:
        """The stretch of all versions that times select; raise Invalid for what is no time."""
        return await window_of(self._store, self._means.span, since, at, before)

    async def versions(self, scope: Scope, window: Window, limit: int) -> Sequence[Version]:
        """The latest versions of a resource, a type or everything in a window, the latest first."""
        if self._is_bound:
            sights = await self._sights()
            if scope.types == (EVENTS,):
                return await self._trail.versions(scope, window, sights.needed(EVENTS, "r").admits)
            versions = await seen_versions(self._store, sights, scope, window, limit)
            touched(sights, versions)
            return versions
        return await versions_in(self._store, scope, window, limit)

    async def reindex(self, kinds: Collection[str], after: int, limit: int) -> Stretch:
        """Give the next versions of these types, in the order of commits, the rows that they should have now."""
        scope = Scope(tuple(kinds)) if len(kinds) <= FEW_TYPES else Scope()
        versions = await self._store.history(scope, limit, after=after)
        last = {(version.type, version.id): version for version in versions if version.type in kinds}
        entries = [self._indexed(version) for version in last.values() if version.body is not None]
        indexed = await self._store.index(entries)
        return Stretch(versions[-1].place if versions else after, len(versions), indexed)

    async def assign(self, kinds: Collection[str], owner: str, after: int, limit: int) -> Stretch:
        """Give the next versions of these types, in the order of commits, to a facility where they belong to nobody."""
        assert self._access is not None
        versions = await self._store.history(Scope(tuple(kinds)), limit, after=after)
        rules = replace(self._means.rules, unchanged_makes_version=True)
        caller = replace(LOCAL, organizations=(owner,))
        writer = Repository(replace(self._means, rules=rules), self._learn, self._access, caller)
        found = await unowned(self._store, self._access.labelling, versions)
        assigned = await assign(writer.write, found)
        return Stretch(versions[-1].place if versions else after, len(found), assigned)

    def query(
        self,
        types: tuple[str, ...],
        pairs: Sequence[tuple[str, str]],
        *,
        lenient: bool = False,
        compartment: tuple[str, str] | None = None,
    ) -> Query:
        """What a search asks for; raise Invalid, Unsupported or TooCostly."""
        now = int(self._means.clock() * 1000)
        return self._means.searcher.query(types, pairs, lenient=lenient, compartment=compartment, now=now)

    def matches(self, version: Version, predicate: Predicate) -> bool | None:
        """Whether a version matches a predicate; None where that takes more than the resource itself."""
        return holds(predicate, version.id, self._means.intake.indexed(version).rows)

    def alone(self, version: Version, alone: Alone) -> Iterator[tuple[str, bytes]]:
        """Yield what matches of a container and what it contains, each by its fragment (empty: itself) and its JSON."""
        yield from self._means.intake.matching(version, alone)

    def explain(self, query: Query) -> dict[str, Any]:
        """How a search is understood, as JSON."""
        return self._means.searcher.explain(query)

    async def break_glass(self, patient: str, reason: str, text: str) -> Version:
        """Open a patient's record to the caller for an hour; return the Task that does it."""
        if not self._is_bound:
            raise Forbidden("Nothing is closed to who runs this server.")
        sights = await self._sights()
        refuse_without_right(self._caller, sights.standing.broken(self._caller), patient)
        found = await self._store.read(PATIENT, patient)
        if found is None or found.body is None:
            raise NotFound(f"There is no {PATIENT}/{patient}.")
        label = sights.labelling.of(found)
        keepers = [each for each in label.owners if await self._store.read("Organization", each) is not None]
        at = int(self._means.clock() * 1000)
        writing = emergency(self._caller, patient, next(iter(keepers), None), reason, text, at)
        server = self.as_(replace(LOCAL, organizations=label.owners))
        task, _ = await server.write(writing)
        account = CURRENT.get()
        if account is not None:
            account.touch(label.owners, label.patients)
            account.shown(at, "break-glass", "break-glass", {"e": [f"{PATIENT}/{patient}"], "d": f"{reason}: {text}"})
        assert task.version is not None
        return task.version

    @property
    def _trail(self) -> Trail:
        assert self._access is not None
        return self._access.trail

    async def _event(self, resource_id: str) -> Version:
        """An AuditEvent, which is an entry of the ledger."""
        sight = (await self._sights()).needed(EVENTS, "r")
        found = await self._trail.read(resource_id, sight.admits)
        if found is None:
            raise NotFound(f"There is no {EVENTS}/{resource_id}.")
        return found

    def _indexed(self, version: Version) -> Indexed:
        """The index rows that a version should have, those of its label included."""
        found = self._means.intake.indexed(version)
        if not version.label:
            return found
        return replace(found, rows=labelled(version.type, found.rows, remembered(version.label)))

    async def _named(self, keys: Found) -> Found:
        """Those of some resources that may be named to the caller."""
        if not self._is_bound:
            return keys
        return frozenset(await visible(await self._sights(), self._store, keys))

    def _dangling(self, attempt: Attempt, missing: Sequence[Key]) -> Unprocessable:
        issues = []
        for key in missing[:REFERRERS_NAMED]:
            path = "/".join(key)
            places = [step.write.place for step in attempt.steps_referring(key)]
            where = tuple(f"Bundle.entry[{place}].resource" for place in places if place is not None)
            fix = "Create it first, or send both in one transaction."
            text = f"A reference leads to {path}, which does not exist."
            issues.append(Issue("error", "not-found", text, where, fix=fix))
        return Unprocessable(*issues)


def refused_version(write: Write, resource_id: str, current: Version | None) -> PreconditionFailed | Conflict:
    """The failure of a change whose version is not the current one."""
    key = (write.type, resource_id)
    if write.unless_exists:
        return PreconditionFailed(f"{'/'.join(key)} exists, and the request asks that it does not (If-None-Match: *).")
    if not write.must_be:
        text = f"{'/'.join(key)} exists and does not match the criteria, so it is not overwritten."
        return Conflict(Issue("error", "conflict", text, fix="Leave id out of the resource, or update it by its id."))
    return stale(key, current)


def referred_to(key: Key, referrers: Found) -> Conflict:
    """The failure of a delete of what others refer to."""
    named = ", ".join("/".join(each) for each in sorted(referrers)[:REFERRERS_NAMED]) or "what others have stored"
    fix = "Delete or change them first, or all in one transaction."
    return Conflict(Issue("error", "conflict", f"{'/'.join(key)} is referred to by {named}.", fix=fix))

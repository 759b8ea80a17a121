"""What access decides by that clients write: facilities, consultations, consents, broken glass, kept up to date."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from fhir_server.access.consent import Directive, directive_from
from fhir_server.access.grant import (
    ACCEPTED,
    BREAK_GLASS,
    SYSTEM,
    Glass,
    Grant,
    focus_of,
    glass_from,
    grant_from,
    is_of_server,
    period_of,
)
from fhir_server.access.standing import Directives, Standing
from fhir_server.repository.history import Span
from fhir_server.repository.labelling import Labelling
from fhir_server.repository.reference import Key
from fhir_server.resource.instant import Clock
from fhir_server.resource.parsing import Limits, parse
from fhir_server.search.plan import EVERYTHING, Or, Plan, Predicate
from fhir_server.store.protocol import PLACES, Scope, Store, Version

FOLLOWED = ("Consent", "Organization", "ServiceRequest", "Task")
PAGE = 200
MOST_FORMS = 10_000
NO_LIMITS = Limits(depth=1000, keys=2**40, string=2**40)
NEVER = float("inf")

Ask = Callable[[str, str], Predicate]
"""What a query asks of a resource type."""


@dataclass(frozen=True, slots=True)
class Opening:
    """A Task that opens something, and the ServiceRequest that it is about."""

    task: Mapping[str, Any]
    owners: tuple[str, ...]
    about: Key | None
    until: float


class Circumstances:
    """The Standing of each moment, as the store has it, whichever process wrote.

    It is read when somebody asks for the first time; after that, only what was written since.
    """

    def __init__(
        self, store: Store, labelling: Labelling, ask: Ask, span: Span, clock: Clock, *, needs_consent: bool
    ) -> None:
        self._store = store
        self._labelling = labelling
        self._ask = ask
        self._span = span
        self._clock = clock
        self._standing = Standing(needs_consent=needs_consent)
        self._above: dict[str, str] = {}
        self._directives = Directives()
        self._alike: dict[Directive, Directive] = {}
        self._openings: dict[str, Opening] = {}
        self._opened_about: dict[Key, set[str]] = {}
        self._grants: dict[str, Grant] = {}
        self._stale: set[str] = set()
        self._glasses: dict[str, Glass] = {}
        self._seen = -1
        self._place = 0
        self._turn = asyncio.Lock()

    async def now(self) -> Standing:
        """What holds now."""
        snapshot = await self._store.snapshot()
        if snapshot.t != self._seen:
            async with self._turn:
                if snapshot.t > self._seen:
                    await self._catch_up(snapshot.t)
        moment = self._clock() * 1000
        if moment >= self._standing.changes_at:
            self._standing = replace(self._standing, now=moment)
        return self._standing

    async def _catch_up(self, t: int) -> None:
        changed = self._seen < 0
        if changed:
            await self._load(t)
        else:
            changed = await self._follow()
        if changed:
            await self._renew_grants()
            self._standing = Standing(
                self._clock() * 1000,
                dict(self._above),
                tuple(self._grants.values()),
                self._directives,
                tuple(self._glasses.values()),
                self._standing.needs_consent,
            )
        self._seen = t

    async def _load(self, t: int) -> None:
        accepted = self._ask("Task", f"status={','.join(sorted(ACCEPTED))}")
        broken = self._ask("Task", f"code={SYSTEM}|{BREAK_GLASS}")
        asked: dict[str, Predicate] = {
            "Organization": EVERYTHING,
            "Consent": self._ask("Consent", "status=active"),
            "Task": Or((accepted, broken)),
        }
        for kind, predicate in asked.items():
            cursor: str | None = None
            while True:
                page = await self._store.run(Plan({kind: predicate}), PAGE, cursor, None if cursor else t)
                for version in page.matches:
                    self._take(version)
                cursor = page.following
                if cursor is None:
                    break
        self._place = (t + 1) * PLACES - 1

    async def _follow(self) -> bool:
        found = False
        while True:
            versions = await self._store.history(Scope(types=FOLLOWED), PAGE, after=self._place)
            for version in versions:
                self._take(version)
                self._place = version.place
            found = found or bool(versions)
            if len(versions) < PAGE:
                return found

    def _take(self, version: Version) -> None:
        body = parse(version.body, NO_LIMITS) if version.body is not None else {}
        owners = self._labelling.of(version).owners
        with suppress(KeyError, TypeError, AttributeError, ValueError):
            if version.type == "Organization":
                self._take_organization(version.id, body)
            elif version.type == "Consent":
                self._directives.put(version.id, None)
                directive = directive_from(body, frozenset(owners), self._span)
                if directive is not None:
                    self._directives.put(version.id, self._shared(directive))
            elif version.type == "Task":
                self._take_task(version.id, body, owners)
            else:
                self._stale |= self._opened_about.get((version.type, version.id), set())

    def _shared(self, directive: Directive) -> Directive:
        """The same, with what it has in common with others kept once: most Consents of a node are of a few forms."""
        form = replace(directive, patient="")
        if len(self._alike) >= MOST_FORMS:
            self._alike.clear()
        known = self._alike.setdefault(form, form)
        return replace(known, patient=directive.patient)

    def _take_organization(self, resource_id: str, body: Mapping[str, Any]) -> None:
        self._above.pop(resource_id, None)
        kind, _, above = str(body.get("partOf", {}).get("reference", "")).partition("/")
        if kind == "Organization" and above and body.get("active", True):
            self._above[resource_id] = above

    def _take_task(self, resource_id: str, body: Mapping[str, Any], owners: tuple[str, ...]) -> None:
        self._stale.add(resource_id)
        former = self._openings.pop(resource_id, None)
        if former is not None and former.about is not None:
            others = self._opened_about.pop(former.about) - {resource_id}
            if others:
                self._opened_about[former.about] = others
        self._glasses.pop(resource_id, None)
        start, end = period_of(body)
        until = self._span(end)[1] if end else NEVER
        if is_of_server(body):
            glass = glass_from(body, self._span(start)[0] if start else 0.0, until)
            if glass is not None and until > self._clock() * 1000:
                self._glasses[resource_id] = glass
        elif body.get("status") in ACCEPTED:
            opening = self._openings[resource_id] = Opening(body, owners, focus_of(body), until)
            if opening.about is not None:
                self._opened_about.setdefault(opening.about, set()).add(resource_id)

    async def _renew_grants(self) -> None:
        """Find again what those Tasks open that changed, or whose request did."""
        for task in tuple(self._stale):
            opening = self._openings.get(task)
            grant = await self._grant(opening) if opening is not None else None
            if grant is None:
                self._grants.pop(task, None)
            else:
                self._grants[task] = grant
            self._stale.discard(task)

    async def _grant(self, opening: Opening) -> Grant | None:
        request = None
        if opening.about is not None:
            found = await self._store.read(*opening.about)
            if found is None or found.body is None:
                return None
            request = parse(found.body, NO_LIMITS), self._labelling.of(found).owners
        return grant_from(opening.task, opening.owners, request, opening.until)

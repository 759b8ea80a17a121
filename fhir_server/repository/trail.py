"""The ledger as AuditEvents that can be read and searched, the newest first (FHIR R4, 6.4 AuditEvent)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import orjson

from fhir_server.access.label import Label
from fhir_server.audit.account import SEALS
from fhir_server.audit.event import PREFIX, audit_event
from fhir_server.errors import TooCostly, Unsupported
from fhir_server.repository.clue import Clues
from fhir_server.repository.history import Window
from fhir_server.search.index import Indexer
from fhir_server.search.parameters import Parameters
from fhir_server.search.plan import EVERYTHING, Plan, Predicate
from fhir_server.store.pending import holds
from fhir_server.store.protocol import PLACES, Page, Recorded, Scope, Store, Version

KIND = "AuditEvent"
LOT = 500
MOST_ON_THE_WAY = 20_000
"""How many entries are looked at for one page; what lies behind them is on the next."""

MOST_COUNTED = 100_000
Shows = Callable[[Label, str], bool]
"""Whether an entry with this label is the caller's to see."""


class Trail:
    """Finds entries of the ledger; checkpoints are no event. `server` is the base URL of this one."""

    def __init__(self, store: Store, indexer: Indexer, parameters: Parameters, server: str) -> None:
        self._store = store
        self._indexer = indexer
        self._clues = Clues(parameters)
        self._server = server
        self._head = 0

    async def read(self, resource_id: str, shows: Shows) -> Version | None:
        """The AuditEvent of an entry; None where there is none, or it is not to be seen."""
        number = resource_id.removeprefix(PREFIX)
        if not number.isdecimal() or len(number) > 15 or resource_id != f"{PREFIX}{int(number)}":
            return None
        stretch = await self._store.ledger(int(number) - 1, 1)
        entries = [entry for entry in stretch.entries if entry.number == int(number)]
        return self._event(entries[0], EVERYTHING, shows) if entries else None

    async def versions(self, scope: Scope, window: Window, shows: Shows) -> list[Version]:
        """The one version of an AuditEvent, where it is in the window; it stands behind the commits up to its time."""
        if scope.id is None:
            raise Unsupported("An AuditEvent has one version: search for them, the newest first.")
        found = await self.read(scope.id, shows)
        if found is None:
            return []
        commit = (await self._store.snapshot(found.at)).t
        place = (commit + 1) * PLACES - 1
        is_later = place > window.after and (window.before is None or place < window.before)
        was_current = window.current_at is not None and commit <= window.current_at
        return [found._replace(place=place)] if is_later or was_current else []

    async def page(self, plan: Plan, limit: int, cursor: str | None, shows: Shows) -> Page:
        """The next matches."""
        predicate = self._predicate(plan)
        names = self._clues.names(predicate)
        before = int(cursor) if cursor is not None else await self._last() + 1
        found: list[Version] = []
        looked = 0
        while before > 1 and len(found) <= limit and looked < MOST_ON_THE_WAY:
            entries, before = await self._lot(names, before)
            looked += len(entries)
            events = (self._event(entry, predicate, shows) for entry in entries)
            found += (event for event in events if event is not None)
        if len(found) > limit:
            return Page(0, tuple(found[:limit]), (), str(found[limit - 1].place))
        return Page(0, tuple(found), (), str(before) if before > 1 else None)

    async def count(self, plan: Plan, shows: Shows) -> int:
        """How many match."""
        predicate = self._predicate(plan)
        names = self._clues.names(predicate)
        before, looked, count = await self._last() + 1, 0, 0
        while before > 1:
            entries, before = await self._lot(names, before)
            looked += len(entries)
            if looked > MOST_COUNTED:
                raise TooCostly(f"More than {MOST_COUNTED:,} entries would have to be looked at to count these.")
            count += sum(self._event(entry, predicate, shows) is not None for entry in entries)
        return count

    async def _lot(self, names: frozenset[str] | None, before: int) -> tuple[Sequence[Recorded], int]:
        """The next entries to look at, the latest first, and below which number to go on: 1 where there are no more."""
        if names is not None:
            named = await self._store.mentioning(names, before, LOT)
            return named, named[-1].number if named else 1
        after = max(0, before - 1 - LOT)
        stretch = await self._store.ledger(after, LOT)
        entries = [entry for entry in reversed(stretch.entries) if entry.number < before]
        is_the_first = bool(stretch.entries) and stretch.entries[0].number > after + 1
        return entries, 1 if is_the_first else after + 1

    def _predicate(self, plan: Plan) -> Predicate:
        if plan.includes or any(key.by == "id" or not key.descending for key in plan.sort):
            raise Unsupported("AuditEvents are found the newest first (_sort=-date), and nothing is included.")
        if len(plan.arms) > 1:
            raise Unsupported("AuditEvents are searched alone: name no other type beside them in _type.")
        return plan.arms[KIND]

    def _event(self, entry: Recorded, predicate: Predicate, shows: Shows) -> Version | None:
        record: dict[str, Any] = orjson.loads(entry.text)
        if record.get("k") in SEALS:
            return None
        resource_id = f"{PREFIX}{entry.number}"
        if not shows(label_of(record), resource_id):
            return None
        body = audit_event(entry.number, record, self._server)
        if predicate != EVERYTHING and holds(predicate, resource_id, self._indexer.rows(body)) is not True:
            return None
        return Version(KIND, resource_id, 1, entry.number, record["t"], "POST", orjson.dumps(body))

    async def _last(self) -> int:
        """The number of the last entry, found by looking ever further ahead."""
        step = 1
        while step:
            stretch = await self._store.ledger(self._head + step - 1, 1)
            if stretch.entries:
                self._head = stretch.entries[-1].number
                step *= 2
            else:
                step //= 2
        return self._head


def label_of(record: dict[str, Any]) -> Label:
    """Whose an entry is: of the facilities of the data and of who asked, about the patients of the data."""
    owners = dict.fromkeys((*record.get("b", ()), *record.get("w", {}).get("g", ())))
    return Label(tuple(owners), tuple(record.get("l", ())))

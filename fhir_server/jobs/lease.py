"""The right to work on jobs, which one process at a time has; who dies loses it after a while."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import orjson

from fhir_server.repository.coverage import LEASE
from fhir_server.resource.instant import Clock
from fhir_server.store.protocol import Store

SECONDS_HELD = 10.0
SECONDS_BETWEEN_RENEWALS = 1.0


class Lease:
    """A note in the store that says who works, at what, how far it is, and until when nobody else may."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._me = str(uuid4())
        self._text: str | None = None
        self._renewed = 0.0

    async def take(self, task: str) -> bool:
        """Take the lease if nobody has it."""
        found = await self._store.note(LEASE)
        if found is not None:
            held = orjson.loads(found)
            if held["holder"] != self._me and held["until"] > self._clock():
                return False
        self._text = found
        taken = await self._put({"task": task})
        self._renewed = 0.0
        return taken

    async def renew(self, task: str, indexed: int, total: int) -> bool:
        """Keep the lease and tell how far the work is; False if another process has it."""
        if self._clock() - self._renewed < SECONDS_BETWEEN_RENEWALS:
            return True
        return await self._put({"task": task, "indexed": indexed, "total": total})

    async def give_up(self) -> None:
        """Let others work."""
        if self._text is not None:
            await self._store.keep(LEASE, None, self._text)
            self._text = None

    async def _put(self, told: dict[str, Any]) -> bool:
        now = self._clock()
        text = orjson.dumps({"holder": self._me, "until": now + SECONDS_HELD, **told}).decode()
        if not await self._store.keep(LEASE, text, self._text):
            self._text = None
            return False
        self._text, self._renewed = text, now
        return True

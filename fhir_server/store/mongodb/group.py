"""Group commit: what waits in a turn of the event loop becomes one entry of the log."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, NamedTuple

from fhir_server.errors import Unavailable
from fhir_server.store.commit_log import Asked, Participant
from fhir_server.store.mongodb.carrier import Carrier
from fhir_server.store.protocol import Committed, Unmet

SECONDS_TO_COMMIT = 10.0
BYTES_IN_A_SECOND = 2_000_000
"""What is heavy may take so much longer."""

MOST_REQUESTS = 256
MOST_BYTES = 4_000_000


class Waiting(NamedTuple):
    """A request, the bytes that it takes in the log, and who waits for it."""

    asked: Asked
    size: int
    future: asyncio.Future[Committed]


class GroupCommit:
    """Queues requests for the log. One that cannot be written fails alone."""

    def __init__(self, participant: Participant, carrier: Carrier) -> None:
        self._participant = participant
        self._carrier = carrier
        self._waiting: list[Waiting] = []
        self._work: asyncio.Task[None] | None = None

    def submit(self, asked: Asked, size: int) -> asyncio.Future[Committed]:
        """Put a request into the next entry; the future is done when every reader can see it."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Committed] = loop.create_future()
        self._waiting.append(Waiting(asked, size, future))
        if self._work is None:
            self._work = loop.create_task(self._run())
        return future

    async def close(self) -> None:
        """Finish what waits."""
        while self._work is not None:
            await self._work

    async def _run(self) -> None:
        try:
            # What else comes in this turn of the loop goes along.
            await asyncio.sleep(0)
            while self._waiting:
                group = self._taken()
                settled = await self._commit(group)
                self._waiting[:0] = group[settled:]
        finally:
            self._work = None

    def _taken(self) -> list[Waiting]:
        """The first of those that wait, as many as one entry should have."""
        size = count = 0
        for each in self._waiting:
            size += each.size
            if count and (size > MOST_BYTES or count == MOST_REQUESTS):
                break
            count += 1
        group, self._waiting = self._waiting[:count], self._waiting[count:]
        return group

    async def _commit(self, group: Sequence[Waiting]) -> int:
        """Commit the first requests of a group; return how many have been answered."""
        work = self._participant.commit([each.asked for each in group])
        try:
            seconds = SECONDS_TO_COMMIT + sum(each.size for each in group) / BYTES_IN_A_SECOND
            settled = await self._carrier.drive(work, seconds)
        except Unavailable as failure:
            for each in group:
                settle(each.future, failure)
            return len(group)
        except Exception as failure:  # noqa: BLE001 -- whatever it is, those who wait must hear of it
            return await self._each_alone(group, failure)
        for each, outcome in zip(group, settled.outcomes, strict=False):
            settle(each.future, outcome)
        return len(settled.outcomes)

    async def _each_alone(self, group: Sequence[Waiting], failure: Exception) -> int:
        """Find out whose request it is that cannot be written."""
        if len(group) == 1:
            settle(group[0].future, failure)
            return 1
        for each in group:
            await self._commit([each])
        return len(group)


def settle(future: asyncio.Future[Committed], outcome: Any) -> None:
    """Tell whoever waits, if anyone still does."""
    if future.done():
        return
    if isinstance(outcome, Unmet | Exception):
        future.set_exception(outcome)
    else:
        future.set_result(outcome)

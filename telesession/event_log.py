"""What happens in a session, in order: a log of limited length, which any number of viewers read at their own pace.

A viewer who is too slow for it misses nothing that counts: what they get next is a snapshot. So no reader costs more
memory than a number (Server-sent events, WHATWG HTML 9.2: ids and Last-Event-ID).
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

Kind = Literal[
    "snapshot", "roster", "loudest", "quality", "recording", "review", "cursor", "chat", "file", "limit", "reconnect",
    "ended",
]  # fmt: skip

LENGTH = 500
STATES = frozenset({"roster", "recording", "review", "loudest"})
"""Kinds that tell how something is now: of several in a row the last one is enough."""


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened. What it tells may depend on who is told: then `data` is made for each."""

    number: int
    kind: Kind
    data: Callable[[str], dict[str, Any] | None]


class EventLog:
    """The last events; `epoch` tells this log from that of a former process."""

    def __init__(self, epoch: str, length: int = LENGTH) -> None:
        self.epoch = epoch
        self._events: deque[Event] = deque(maxlen=length)
        self._changed = asyncio.Event()
        self.last = 0
        self.turn = 0

    def add(self, kind: Kind, data: Callable[[str], dict[str, Any] | None]) -> None:
        """Tell all who read."""
        self.last += 1
        self._events.append(Event(self.last, kind, data))
        self.wake()

    def wake(self) -> None:
        """Let all who wait look."""
        self.turn += 1
        self._changed.set()
        self._changed = asyncio.Event()

    def after(self, number: int) -> list[Event] | None:
        """The events after a number, of those that tell a state the last ones only; None where some are gone."""
        if number == self.last:
            return []
        if not self._events or self._events[0].number > number + 1 or number > self.last:
            return None
        found = [each for each in self._events if each.number > number]
        latest = {each.kind: each.number for each in found}
        return [each for each in found if each.kind not in STATES or latest[each.kind] == each.number]

    def place(self, text: str | None) -> int | None:
        """The number in a Last-Event-ID; None where it is of another process, or none."""
        epoch, _, number = (text or "").rpartition("-")
        return (
            int(number) if epoch == self.epoch and number.isascii() and number.isdigit() and len(number) < 16 else None
        )

    def name(self, number: int) -> str:
        """The id of an event."""
        return f"{self.epoch}-{number}"

    async def wait(self, turn: int, seconds: float) -> None:
        """Wait until there is more than at a turn, or so many seconds have passed."""
        if turn != self.turn:
            return
        changed = self._changed
        try:
            async with asyncio.timeout(seconds):
                await changed.wait()
        except TimeoutError:
            return

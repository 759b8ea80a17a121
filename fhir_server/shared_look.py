"""A look at what others may change, shared by all who take it within one turn of the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Generic, TypeVar

Seen = TypeVar("Seen")


class SharedLook(Generic[Seen]):
    """Looks once in a turn of the loop.

    Whoever runs in a turn was woken by something before it, and the look is forgotten before anybody whom something
    after it wakes runs: so nobody sees less than what happened before they were woken.
    """

    def __init__(self, look: Callable[[], Seen]) -> None:
        self._look = look
        self._seen: Seen | None = None

    def __call__(self) -> Seen:
        """What there is to see; never None."""
        if self._seen is None:
            self._seen = self._look()
            asyncio.get_running_loop().call_soon(self.forget)
        return self._seen

    def forget(self) -> None:
        """Look again when asked again: something changed within this turn."""
        self._seen = None

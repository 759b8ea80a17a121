"""The door of small records beside the resources: what authentication remembers, for all processes of a node."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol


class Record(NamedTuple):
    """A JSON object, the number of its change (from 1), and when it may be forgotten (seconds since 1970; 0: never)."""

    body: dict[str, Any]
    revision: int
    expires: int


class Records(Protocol):
    """Remembers records for all processes of a node; blocks, so that threads call it.

    Every implementation passes tests/contracts/test_records.py, which holds it to these promises: what `add`, `change`
    and `sweep` did is durable when they return, and every later `read` of any process sees it. Of many who add the same
    record at once, one succeeds; of many who change the same revision, one. `stamp` is equal only while no record of a
    live kind was changed or removed, in any process; it may lag behind other processes by `LAG` seconds, never
    behind its own, and costs next to nothing.
    """

    LAG: float

    def read(self, kind: str, name: str) -> Record | None:
        """A record; None when there is none. One that expired may still be there."""
        ...

    def add(self, kind: str, name: str, body: dict[str, Any], expires: int = 0) -> bool:
        """Remember a record that is not there yet; False when it is."""
        ...

    def change(
        self, kind: str, name: str, body: dict[str, Any] | None, revision: int, expires: int | None = None
    ) -> bool:
        """Put another body (None: nothing) in the place of a revision; False when it is not the current one."""
        ...

    def listed(self, kind: str) -> Sequence[tuple[str, Record]]:
        """All records of a kind, by name."""
        ...

    def sweep(self, now: int) -> int:
        """Forget what expired before a moment; return how many records that were."""
        ...

    def stamp(self) -> int:
        """A number that changes when a record of a live kind was changed or removed."""
        ...

    def close(self) -> None:
        """Let go of every file and connection."""
        ...

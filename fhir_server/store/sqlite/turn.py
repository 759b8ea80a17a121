"""Turns at writing between the processes that share a database file."""

from __future__ import annotations

import fcntl
from pathlib import Path
from typing import Self


class Turn:
    """A lock on a file beside the database. The kernel frees it when its holder dies, so nothing has to be repaired."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("a")

    def take_at_once(self) -> bool:
        """Take the turn if no other process has it."""
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def take(self) -> None:
        """Take the turn, waiting for it."""
        fcntl.flock(self._file, fcntl.LOCK_EX)

    def give_up(self) -> None:
        """Let the next process write."""
        fcntl.flock(self._file, fcntl.LOCK_UN)

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    def __enter__(self) -> Self:
        self.take()
        return self

    def __exit__(self, *_: object) -> None:
        self.give_up()

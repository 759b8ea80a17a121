"""Work that one process of several does: whoever holds the lock of a file, until it ends (POSIX flock)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from fcntl import LOCK_EX, LOCK_NB, flock
from pathlib import Path


@contextmanager
def locking(path: Path) -> Iterator[Lock]:
    """Yield what tells whether this process holds a lock, and takes it where nobody does."""
    with path.open("w") as file:
        yield Lock(file.fileno())


class Lock:
    """The lock of a file, held until the file is closed."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._is_held = False

    def __call__(self) -> bool:
        """Whether it is held now."""
        if not self._is_held:
            try:
                flock(self._descriptor, LOCK_EX | LOCK_NB)
            except BlockingIOError:
                return False
            self._is_held = True
        return True

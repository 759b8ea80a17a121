"""What tests fetch from elsewhere is put into `build/`, by one process at a time."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

BUILD = Path(__file__).resolve().parent.parent / "build"


@contextmanager
def alone() -> Iterator[None]:
    """Fetch while no other process does: Maven's own store of what it fetched is for one at a time."""
    BUILD.mkdir(exist_ok=True)
    with (BUILD / "fetching.lock").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield

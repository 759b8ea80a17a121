"""Folders for what is made for one request, gone with it; those of processes that died go at the next start.

What such a folder holds may be a patient's images in the clear: it must not stay because the machine lost its power.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from fcntl import LOCK_EX, LOCK_NB, flock
from pathlib import Path
from shutil import rmtree
from tempfile import TemporaryDirectory

LOCK = "lock"
RELEASE, CONVERT = "release-", "convert-"
PREFIXES = (RELEASE, CONVERT)
SECONDS_TO_BEGIN = 60.0
"""So young, a folder may be one whose process is about to lock it."""


@contextmanager
def workplace(parent: Path, prefix: str) -> Iterator[Path]:
    """A new folder, this process's until it is left."""
    with TemporaryDirectory(dir=parent, prefix=prefix) as name, Path(name, LOCK).open("w") as lock:
        flock(lock, LOCK_EX)
        yield Path(name)


def sweep(parent: Path, now: float, prefixes: Sequence[str] = PREFIXES) -> list[Path]:
    """Remove what is left of processes that died; return the folders. `now` is the time of the file system."""
    gone = []
    for folder in (each for prefix in prefixes for each in parent.glob(f"{prefix}*")):
        with suppress(FileNotFoundError, NotADirectoryError):
            if now - folder.stat().st_mtime >= SECONDS_TO_BEGIN and _is_left(folder):
                rmtree(folder, ignore_errors=True)
                gone.append(folder)
    return gone


def _is_left(folder: Path) -> bool:
    """Whether no process holds the lock of a folder."""
    with (folder / LOCK).open("a") as lock:
        try:
            flock(lock, LOCK_EX | LOCK_NB)
        except BlockingIOError:
            return False
    return True

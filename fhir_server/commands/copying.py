"""Copies of what a data folder holds beside the resources: databases in use, keys, and folders of many files.

The files of folders are listed with their SHA-256 as `sha256sum` does, which can check them too.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path, PurePosixPath

from fhir_server.extension import Extension
from fhir_server.maintenance import Kept
from fhir_server.store.sqlite.connection import connect, copy

LISTING = "kept.sha256"
PIECE_BYTES = 1024 * 1024
DIGEST_LETTERS = 64

Told = Callable[[int], None]
"""Is told of so many bytes more."""


@dataclass(frozen=True, slots=True)
class Previous:
    """An earlier backup on the same disk: its folder, and the SHA-256 of its files by path."""

    folder: Path
    digests: Mapping[str, str]

    def has(self, path: str, status: os.stat_result) -> bool:
        """Whether it has a file of this path, length and time."""
        if path not in self.digests:
            return False
        with suppress(FileNotFoundError):
            there = (self.folder / path).stat()
            return (there.st_size, there.st_mtime_ns) == (status.st_size, status.st_mtime_ns)
        return False


def kept_by(extensions: Iterable[Extension], own: Kept) -> Kept:
    """Return all that is kept, by the server and by extensions, each once."""
    all_kept = [own, *(each.keeps for each in extensions)]
    return Kept(
        tuple(dict.fromkeys(path for each in all_kept for path in each.databases)),
        tuple(dict.fromkeys(path for each in all_kept for path in each.folders)),
        tuple(dict.fromkeys(path for each in all_kept for path in each.secrets)),
    )


def is_below(path: str) -> bool:
    """Whether a path leads to a file below the folder that it is taken from."""
    parts = PurePosixPath(path).parts
    return bool(parts) and parts[0] != "/" and ".." not in parts


def digest(path: Path) -> str:
    """Return the SHA-256 of a file as hexadecimal digits."""
    made = sha256()
    with path.open("rb") as file:
        while piece := file.read(PIECE_BYTES):
            made.update(piece)
    return made.hexdigest()


def _make(folder: Path) -> None:
    """Make a folder and those above it, for this user alone."""
    if not folder.exists():
        _make(folder.parent)
        folder.mkdir(mode=0o700, exist_ok=True)


def copy_database(source: Path, target: Path) -> None:
    """Copy a database of SQLite while others use it; the copy is this user's alone."""
    _make(target.parent)
    connection = connect(source)
    try:
        copy(connection, target)
    finally:
        connection.close()
    target.chmod(0o600)


def copy_file(source: Path, target: Path, told: Told) -> str:
    """Copy a file with its time, for this user alone; return the SHA-256 of what was written."""
    _make(target.parent)
    made = sha256()
    with source.open("rb") as read:
        status = os.fstat(read.fileno())
        with os.fdopen(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as written:
            while piece := read.read(PIECE_BYTES):
                made.update(piece)
                written.write(piece)
                told(len(piece))
    os.utime(target, ns=(status.st_atime_ns, status.st_mtime_ns))
    return made.hexdigest()


def files_in(data: Path, folders: Iterable[str]) -> Iterator[str]:
    """Yield the files below folders as paths below the data folder, in order; no link is followed."""
    for folder in folders:
        for where, inner, names in os.walk(data / folder):
            inner.sort()
            for name in sorted(names):
                path = Path(where, name)
                if path.is_file() and not path.is_symlink():
                    yield path.relative_to(data).as_posix()


def copy_folders(
    data: Path, target: Path, folders: Iterable[str], previous: Previous | None, told: Told
) -> Iterator[tuple[str, str]]:
    """Copy the files of folders; yield the path and SHA-256 of each. What an earlier backup has is linked to."""
    for path in files_in(data, folders):
        place = target / path
        _make(place.parent)
        # Who keeps a file may let go of one that nothing names any more.
        with suppress(FileNotFoundError):
            status = (data / path).stat()
            if previous is not None and previous.has(path, status):
                with suppress(OSError):
                    place.hardlink_to(previous.folder / path)
                    told(status.st_size)
                    yield path, previous.digests[path]
                    continue
            yield path, copy_file(data / path, place, told)


def listed(digests: Iterable[tuple[str, str]]) -> Iterator[str]:
    """Yield lines as sha256sum has them."""
    for path, value in digests:
        yield f"{value}  {path}\n"


def listing(file: Path) -> dict[str, str]:
    """Return the SHA-256 by path that a listing has; raise ValueError where it is none."""
    found: dict[str, str] = {}
    if not file.exists():
        return found
    for line in file.read_text().splitlines():
        value, path = line[:DIGEST_LETTERS], line[DIGEST_LETTERS + 2 :]
        if len(value) < DIGEST_LETTERS or not is_below(path):
            message = f"{file} is no listing of files"
            raise ValueError(message)
        found[path] = value
    return found

"""What was done so far, kept in a file so that an interrupted import or export goes on where it was."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import orjson


class Journal:
    """The last entry for each name, written so that it survives a crash of the machine.

    Each entry is a line of JSON. A line that was cut short is as if it had never been written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._entries = kept_in(path)
        self._file = path.open("ab")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def entry(self, name: str) -> Mapping[str, Any]:
        """The last entry of a name, empty where there is none."""
        return self._entries.get(name, {})

    def keep(self, name: str, **entry: Any) -> None:
        """Write an entry; it is on disk when this returns."""
        self._entries[name] = entry
        self._file.write(b"\n" + orjson.dumps({"name": name, **entry}))
        self._file.flush()
        os.fdatasync(self._file.fileno())

    def forget(self) -> None:
        """Start anew."""
        self._entries.clear()
        self._file.truncate(0)


def kept_in(path: Path) -> dict[str, dict[str, Any]]:
    """Return the last entries that a file holds by their names, none where there is no file."""
    return dict(_entries(path))


def _entries(path: Path) -> list[tuple[str, dict[str, Any]]]:
    found: list[tuple[str, dict[str, Any]]] = []
    for line in path.read_bytes().splitlines() if path.exists() else ():
        try:
            entry = orjson.loads(line)
            found.append((entry.pop("name"), entry))
        except (orjson.JSONDecodeError, KeyError, AttributeError):
            continue
    return found

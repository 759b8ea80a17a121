"""Resources that have to wait for others, kept in a file until the end of an import."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

import orjson

from fhir_server.bulk.source import Item


class Deferred:
    """The items that wait, also those of an import that was interrupted."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = path.open("ab")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def keep(self, item: Item) -> None:
        """Let an item wait."""
        entry = {"number": item.number, "place": item.place, "text": item.text.decode()}
        self._file.write(orjson.dumps(entry, option=orjson.OPT_APPEND_NEWLINE))

    def flush(self) -> None:
        """Hand what waits over to the file system."""
        self._file.flush()

    def items(self) -> Iterator[Item]:
        """Yield what waits."""
        self._file.flush()
        with self._path.open("rb") as file:
            for line in file:
                try:
                    entry = orjson.loads(line)
                except orjson.JSONDecodeError:  # cut short by an interruption: the item itself is read again
                    continue
                yield Item(entry["number"], entry["place"], entry["text"].encode(), 0)

    def clear(self) -> None:
        """Nothing waits any more."""
        self._file.truncate(0)
        self._path.unlink(missing_ok=True)

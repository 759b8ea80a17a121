"""Resources in files: NDJSON, single resources and Bundles, plain, packed or in an archive (FHIR R4, 2.6.4 NDJSON)."""

from __future__ import annotations

import gzip
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import BinaryIO, NamedTuple, cast

LINES = frozenset({".ndjson", ".jsonl"})
FIRST = ("hospitalInformation", "practitionerInformation", "Organization", "Location", "Practitioner", "Patient")
"""What other resources refer to, by how the names of their files start: these files are read before the others."""

ARCHIVES = (".tgz", ".tar.gz", ".tar")
MEMBERS = frozenset({".json", ".xml"})


class Item(NamedTuple):
    """A resource's text: its number in its file counted from 1, its place as people say it, and how far into the file.

    `read` counts bytes of the file as it is on disk.
    """

    number: int
    place: str
    text: bytes
    read: int


@dataclass(frozen=True, slots=True)
class Source:
    """A file to be read; `identity` tells whether it is still the same one. `name` is what people are told it is."""

    path: Path
    name: str = ""

    @property
    def rank(self) -> int:
        """Where the file stands in the order of reading."""
        return next((n for n, name in enumerate(FIRST) if self.path.name.startswith(name)), len(FIRST))

    @property
    def size(self) -> int:
        """The bytes on disk."""
        return self.path.stat().st_size

    @property
    def identity(self) -> str:
        """What a change of the file would change."""
        found = self.path.stat()
        return f"{found.st_size}-{found.st_mtime_ns}"

    def items(self, after: int = 0) -> Iterator[Item]:
        """Yield the resources behind the first so many; raise OSError, EOFError or TarError for a broken file."""
        with self.path.open("rb") as raw:
            if self.path.name.endswith(ARCHIVES):
                yield from self._members(raw, after)
                return
            packed = self.path.suffix == ".gz"
            unpacked = cast("BinaryIO", gzip.GzipFile(fileobj=raw)) if packed else raw
            suffix = self.path.with_suffix("").suffix if packed else self.path.suffix
            if suffix in LINES:
                yield from self._lines(raw, unpacked, after)
            elif after == 0:
                yield Item(1, self.name or str(self.path), unpacked.read(), raw.tell())

    def _lines(self, raw: BufferedReader, unpacked: BinaryIO, after: int) -> Iterator[Item]:
        for number, line in enumerate(unpacked, 1):
            if number > after and line.strip():
                yield Item(number, f"{self.name or self.path}:{number}", line, raw.tell())

    def _members(self, raw: BufferedReader, after: int) -> Iterator[Item]:
        with tarfile.open(fileobj=raw) as archive:
            for number, member in enumerate(archive, 1):
                if number <= after or not member.isfile() or Path(member.name).suffix not in MEMBERS:
                    continue
                content = archive.extractfile(member)
                if content is not None:
                    yield Item(number, f"{self.name or self.path}:{member.name}", content.read(), raw.tell())

"""Records of one kind of conformance resource, found by canonical and version (FHIR R4, 2.24.0.6 canonical)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Generic, Protocol, TypeVar

VERSION_PART = re.compile(r"[0-9]+|[a-z]+", re.IGNORECASE | re.ASCII)
RANK = {"-": 0, "": 1}  # of what follows the release: a preview, then nothing, then further parts


class Canonical(Protocol):
    """What has a canonical address."""

    @property
    def url(self) -> str:
        """The canonical without version."""

    @property
    def version(self) -> str | None:
        """The business version."""


Record = TypeVar("Record", bound=Canonical)


def version_order(version: str | None) -> tuple[tuple[int, int, str], ...]:
    """A sort key that puts 1.10 after 1.9, a release after its previews and no version before any."""
    if version is None:
        return ()
    release, dash, preview = version.partition("-")
    parts = (*VERSION_PART.findall(release), *(("-", *VERSION_PART.findall(preview)) if dash else ("",)))
    return tuple((RANK.get(part[:1], 2), int(part) if part.isdecimal() else 0, part) for part in parts)


class Shelf(Generic[Record]):
    """Records by canonical; those added here come before those of `below`, the highest version first.

    `load` makes a record of the compiled tables when it is first asked for; `names` lists what it can make.
    """

    def __init__(
        self,
        below: Shelf[Record] | None = None,
        load: Callable[[str], Record | None] = lambda url: None,
        names: Callable[[], Iterable[str]] = tuple,
    ) -> None:
        self._below = below
        self._load = load
        self._names = names
        self._added: dict[str, list[Record]] = {}
        self._loaded: dict[str, Record] = {}

    def add(self, record: Record) -> None:
        """Put a record on the shelf; the same canonical and version is replaced."""
        others = [r for r in self._added.get(record.url, ()) if r.version != record.version]
        self._added[record.url] = sorted((*others, record), key=lambda r: version_order(r.version))

    def remove(self, url: str, version: str | None) -> bool:
        """Take a record off the shelf that was added here; what it hid can be found again."""
        kept = [r for r in self._added.get(url, ()) if r.version != version]
        found = len(kept) < len(self._added.get(url, ()))
        if kept:
            self._added[url] = kept
        else:
            self._added.pop(url, None)
        return found

    def has_own(self, url: str) -> bool:
        """True when a record of the canonical was added here, not below."""
        return url in self._added

    def own_urls(self) -> Iterator[str]:
        """The canonicals that were added here, without versions."""
        yield from self._added

    def find(self, canonical: str) -> Record | None:
        """The record of `url` or `url|version`, where `1.2` also means the latest of 1.2.x; None when there is none."""
        url, _, version = canonical.partition("#")[0].partition("|")
        found = next(self._candidates(url, version), None)
        if found is None and version:
            found = next((r for r in self._candidates(url, "") if (r.version or "").startswith(f"{version}.")), None)
        if found is None and version:  # some canonicals of table 0006 and others hold a bar themselves
            found = next(self._candidates(canonical, ""), None)
        return found

    def _candidates(self, url: str, version: str) -> Iterator[Record]:
        for record in reversed(self._added.get(url, ())):
            if not version or record.version == version:
                yield record
        own = self._loaded.get(url) or self._read(url)
        if own is not None and (not version or own.version == version):
            yield own
        if self._below is not None:
            found = self._below.find(f"{url}|{version}" if version else url)
            if found is not None:
                yield found

    def _read(self, url: str) -> Record | None:
        """The compiled record, kept; what is not known is not kept, since any client may ask for anything."""
        record = self._load(url)
        if record is not None:
            self._loaded[url] = record
        return record

    def urls(self) -> Iterator[str]:
        """Every canonical once, without versions, those added here first."""
        seen: set[str] = set()
        for url in (*self._added, *self._names(), *(self._below.urls() if self._below else ())):
            if url not in seen:
                seen.add(url)
                yield url

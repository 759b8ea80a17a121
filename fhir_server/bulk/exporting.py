"""Everything that is stored as NDJSON files, one for each type, of one moment (FHIR R4, 2.6.4 NDJSON).

Each file grows page by page at one snapshot, and the journal says how far it is: an interrupted export goes on there.
Where the store cannot look back to the snapshot any more, the files that are not complete are begun again at a new one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from fhir_server.bulk.journal import Journal
from fhir_server.search.plan import EVERYTHING, Plan, Predicate, Updated
from fhir_server.store.protocol import Page, SnapshotLost, Store, Version

PAGE = 500


@dataclass(frozen=True, slots=True)
class Exported:
    """A finished file: the resources and bytes in it."""

    type: str
    resources: int
    size: int


class Exporting:
    """An export into a folder; `since` is in milliseconds: what was not changed at or after it is left out."""

    def __init__(self, store: Store, folder: Path, journal: Journal, since: int | None = None) -> None:
        self._store = store
        self._folder = folder
        self._journal = journal
        self._predicate: Predicate = EVERYTHING if since is None else Updated(low=since)

    async def export(self, types: Sequence[str], progress: Callable[[str, int], None]) -> list[Exported]:
        """Write the files of these types; a type without resources gets none."""
        t = self._journal.entry("snapshot").get("t")
        if t is None:
            t = (await self._store.snapshot()).t
            self._journal.keep("snapshot", t=t)
        return [done for name in types if (done := await self._type(name, t, progress)).resources]

    async def _type(self, name: str, t: int, progress: Callable[[str, int], None]) -> Exported:
        known = self._journal.entry(name)
        path = self._folder / f"{name}.ndjson"
        count, size, cursor = int(known.get("resources", 0)), int(known.get("size", 0)), known.get("cursor")
        if known.get("finished"):
            return Exported(name, count, size)
        page = await self._page(name, cursor, t)
        if page is None:
            page, count, size = await self._begun_again(name), 0, 0
        if not page.matches and not size:
            self._journal.keep(name, resources=0, size=0, finished=True)
            return Exported(name, 0, 0)
        with path.open("r+b" if path.exists() else "w+b") as file:
            file.truncate(size)
            file.seek(size)
            while True:
                size += file.write(lines(page.matches))
                file.flush()
                count += len(page.matches)
                progress(name, len(page.matches))
                finished = page.following is None
                self._journal.keep(name, resources=count, size=size, cursor=page.following, finished=finished)
                if finished:
                    return Exported(name, count, size)
                page = await self._store.run(Plan({name: self._predicate}), PAGE, page.following)

    async def _page(self, name: str, cursor: str | None, t: int) -> Page | None:
        """The page to go on with; None where its snapshot is lost."""
        try:
            return await self._store.run(Plan({name: self._predicate}), PAGE, cursor, None if cursor else t)
        except SnapshotLost:
            return None

    async def _begun_again(self, name: str) -> Page:
        t = (await self._store.snapshot()).t
        self._journal.keep("snapshot", t=t)
        return await self._store.run(Plan({name: self._predicate}), PAGE, None, t)


def lines(versions: Sequence[Version]) -> bytes:
    """The resources as lines of NDJSON: line breaks between their tokens, which JSON allows, are taken out."""
    bodies = (version.body for version in versions if version.body is not None)
    return b"".join(
        b"%b\n" % (body.replace(b"\r", b" ").replace(b"\n", b" ") if b"\n" in body or b"\r" in body else body)
        for body in bodies
    )

"""The work of a bulk export: versions back from the last commit, each resource as it was then (Bulk Data Access 3.0).

Going back through all versions needs no snapshot, however long it takes and whatever is written meanwhile: the newest
version of a resource at the commit of the kick-off is the first that is met. The journal says how far it is, after
each page, so that an interrupted export goes on there.
"""

from __future__ import annotations

import asyncio
import logging
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from fhir_server.bulk.exporting import lines
from fhir_server.bulk.journal import Journal
from fhir_server.bulk.wish import Wish, from_json, predicates
from fhir_server.errors import FhirError, Issue, NoStore, operation_outcome
from fhir_server.jobs.folder import JOURNAL, PACKED, Job
from fhir_server.repository.history import Window
from fhir_server.resource.reference import parse_reference
from fhir_server.rest.compartment import PATIENT, in_compartment
from fhir_server.rest.failure import status_of
from fhir_server.rest.node import Node
from fhir_server.rest.representation import Representation
from fhir_server.rest.subset import part, read_stored
from fhir_server.search.plan import And, Predicate
from fhir_server.store.protocol import Scope, Version

PAGE = 500
FEW_TYPES = 8
LEVEL = 1
HEAD = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
LAST_BLOCK = b"\x03\x00"
PROVENANCE = "Provenance"
DELETED_AT_ONCE = 100
FULL = "The disk of this server is full. Ask again later, or for less."

log = logging.getLogger(__name__)


class Cancelled(Exception):
    """Nobody wants the export any more."""


@dataclass(slots=True)
class File:
    """A file that grows: its name, the resources and bytes in it, the bytes that these unpack to and their checksum."""

    name: str
    type: str
    deleted: bool = False
    count: int = 0
    size: int = 0
    plain: int = 0
    checksum: int = 0


async def work(node: Node, job: Job) -> None:
    """Do what is left of an export and say what came of it; raise Cancelled."""
    wish = from_json(job.request())
    bound = node.bound(wish.caller)
    try:
        with Journal(job.folder / JOURNAL) as journal:
            told = await Export(bound, job, wish, journal).done()
    except FhirError as failure:
        told = failed(failure)
    except FileNotFoundError:
        raise Cancelled from None
    except OSError as error:
        log.warning("an export cannot be written: %s", error)
        told = failed(NoStore(FULL))
        for path in job.folder.glob(f"*{PACKED}"):
            path.unlink(missing_ok=True)
    if not job.exists:
        raise Cancelled
    try:
        await asyncio.to_thread(job.finish, told)
    except FileNotFoundError:  # cancelled in this moment
        raise Cancelled from None


def failed(failure: FhirError) -> dict[str, Any]:
    """Return what is told of an export that failed."""
    return {"status": int(status_of(failure)), "outcome": failure.operation_outcome()}


class Export:
    """One export at work."""

    def __init__(self, node: Node, job: Job, wish: Wish, journal: Journal) -> None:
        self._node = node
        self._job = job
        self._wish = wish
        self._journal = journal
        self._form = Representation(elements=wish.elements)
        self._predicates: dict[str, Predicate | None] = {}
        self._filters = predicates(node, wish)
        self._seen: set[tuple[str, str]] = set()
        self._files: list[File] = []
        self._most = node.settings.export_file_entries

    async def done(self) -> dict[str, Any]:
        """Write everything; return the lists of the manifest."""
        known = self._journal.entry("files")
        self._files = [File(**each) for each in known.get("files", ())]
        if any(not self._is_whole(each) for each in self._files):
            self._files, known = [], {}
        resumed = int(known.get("before", self._wish.before))
        before: int | None = self._wish.before
        while before is not None:
            if not self._job.exists:
                raise Cancelled
            before = await self._page(before, resumed)
        await self._keep_notes()
        await asyncio.to_thread(self._close)
        return {
            "status": 200,
            "output": [_entry(file) for file in self._files if not file.deleted and file.type != "OperationOutcome"],
            "deleted": [_entry(file) for file in self._files if file.deleted],
            "error": [_entry(file) for file in self._files if file.type == "OperationOutcome"],
        }

    async def _page(self, before: int, resumed: int) -> int | None:
        """Write the versions before a place; return the place of the last, None at the end.

        Those at or behind the place that an interrupted export had come to are written already.
        """
        wish = self._wish
        kinds = wish.types if 0 < len(wish.types) <= FEW_TYPES else ()
        window = Window(after=wish.after, before=before)
        versions = await self._node.repository.versions(Scope(kinds), window, PAGE)
        newest = [version for version in versions if self._is_newest(version) and version.place < resumed]
        wanted = [version for version in newest if wish.until is None or version.place < wish.until]
        await self._write([version for version in wanted if await self._takes(version)])
        if len(versions) < PAGE:
            return None
        last = versions[-1].place
        if last < resumed:
            files = [{name: getattr(each, name) for name in File.__slots__} for each in self._files]
            span = max(wish.before - wish.after, 1)
            done = min(99, 100 * (wish.before - last) // span)
            await asyncio.to_thread(self._journal.keep, "files", before=last, files=files, done=done)
        return last

    def _is_newest(self, version: Version) -> bool:
        """Whether a version is met before all others of its resource, as each that is its first one only may be."""
        key = version.type, version.id
        if key in self._seen:
            return False
        if version.version > 1:
            self._seen.add(key)
        return True

    async def _takes(self, version: Version) -> bool:
        wish = self._wish
        if wish.types and version.type not in wish.types:
            return False
        if version.body is None:
            return wish.has_since and await self._was_taken(version)
        if version.type == PROVENANCE and wish.of_patients:
            return await self._is_about_them(version)
        return self._matches(version)

    def _matches(self, version: Version) -> bool:
        predicate = self._predicate(version.type)
        return predicate is None or self._node.repository.matches(version, predicate) is True

    def _predicate(self, kind: str) -> Predicate | None:
        """What a resource of a type must match; None where each does."""
        if kind not in self._predicates:
            found = [self._filters[kind]] if kind in self._filters else []
            if self._wish.of_patients:
                found.append(in_compartment(self._node.repository, kind, self._wish.patients))
            self._predicates[kind] = And(tuple(found)) if found else None
        return self._predicates[kind]

    async def _was_taken(self, deletion: Version) -> bool:
        """Whether what was deleted is something that the client may have."""
        if self._predicate(deletion.type) is None:
            return True
        if not self._wish.of_patients or self._wish.patients is None:
            return True
        window = Window(before=deletion.place)
        found = await self._node.repository.versions(Scope((deletion.type,), deletion.id), window, 1)
        return bool(found) and found[0].body is not None and self._matches(found[0])

    async def _is_about_them(self, version: Version) -> bool:
        """Whether a Provenance is about a resource in the compartments (2.4: these come along, named or not)."""
        if self._matches(version):
            return True
        for target in read_stored(version.body or b"").get("target", ()):
            reference = parse_reference(str(target.get("reference", "")))
            if reference.type is None or reference.id is None or not self._in_compartments(reference.type):
                continue
            try:
                found = await self._node.repository.read(reference.type, reference.id)
            except FhirError:
                continue
            predicate = in_compartment(self._node.repository, reference.type, self._wish.patients)
            if self._node.repository.matches(found, predicate) is True:
                return True
        return False

    def _in_compartments(self, kind: str) -> bool:
        compartment = self._node.definitions.compartment(PATIENT)
        return kind == PATIENT or (compartment is not None and kind in compartment.parameters)

    async def _write(self, versions: Sequence[Version]) -> None:
        """Add resources, or deletions, to the files of their types."""
        by_file: dict[tuple[str, bool], list[Version]] = {}
        for version in versions:
            by_file.setdefault((version.type, version.body is None), []).append(version)
        for (kind, deleted), listed in by_file.items():
            texts = _deletions(listed) if deleted else self._lines(listed)
            await self._add(kind, texts, len(listed), deleted=deleted)

    def _lines(self, versions: Sequence[Version]) -> bytes:
        if not self._wish.elements:
            return lines(versions)
        bodies = (part(version.body or b"", self._form, self._node.definitions) for version in versions)
        return b"".join(b"%b\n" % body for body in bodies)

    async def _add(self, kind: str, text: bytes, count: int, *, deleted: bool = False) -> None:
        mine = [each for each in self._files if each.type == kind and each.deleted == deleted]
        if not mine or mine[-1].count + count > self._most:
            middle = ".deleted" if deleted else ""
            mine.append(File(f"{kind}{middle}.{len(mine) + 1}.ndjson", kind, deleted))
            self._files.append(mine[-1])
        file = mine[-1]
        packed = await asyncio.to_thread(_packed, text)
        if not file.size:
            packed = HEAD + packed
        await asyncio.to_thread(self._append, file, packed)
        file.size += len(packed)
        file.plain += len(text)
        file.checksum = zlib.crc32(text, file.checksum)
        file.count += count

    def _append(self, file: File, packed: bytes) -> None:
        """Add bytes behind those that the journal knows of."""
        path = self._job.folder / f"{file.name}{PACKED}"
        with path.open("r+b" if path.exists() else "wb") as opened:
            opened.truncate(file.size)
            opened.seek(file.size)
            opened.write(packed)

    def _close(self) -> None:
        """End each file as RFC 1952, 2.3.1 has it: one member, since clients are known that read no second."""
        for file in self._files:
            checks = file.checksum.to_bytes(4, "little") + (file.plain % 2**32).to_bytes(4, "little")
            self._append(file, LAST_BLOCK + checks)

    def _is_whole(self, file: File) -> bool:
        path = self._job.folder / f"{file.name}{PACKED}"
        return path.exists() and path.stat().st_size >= file.size

    async def _keep_notes(self) -> None:
        notes = self._wish.notes
        if notes and not any(file.type == "OperationOutcome" for file in self._files):
            outcomes = [operation_outcome([Issue("warning", "not-supported", text)]) for text in notes]
            text = b"".join(orjson.dumps(each, option=orjson.OPT_APPEND_NEWLINE) for each in outcomes)
            await self._add("OperationOutcome", text, len(outcomes))


def _packed(text: bytes) -> bytes:
    """Return a text packed so that more can follow (RFC 1951: blocks that end at a byte and refer to none before)."""
    packing = zlib.compressobj(LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
    return packing.compress(text) + packing.flush(zlib.Z_FULL_FLUSH)


def _deletions(versions: Sequence[Version]) -> bytes:
    """Return deletions as lines, each a transaction of some (2.5.1: `deleted`)."""
    told = b""
    for first in range(0, len(versions), DELETED_AT_ONCE):
        entries = [
            {"request": {"method": "DELETE", "url": f"{each.type}/{each.id}"}}
            for each in versions[first : first + DELETED_AT_ONCE]
        ]
        bundle = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
        told += orjson.dumps(bundle, option=orjson.OPT_APPEND_NEWLINE)
    return told


def _entry(file: File) -> Mapping[str, Any]:
    kind = "Bundle" if file.deleted else file.type
    return {"type": kind, "name": file.name, "count": file.count}

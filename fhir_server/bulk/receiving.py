"""One manifest of a submission fetched, looked through and stored, whole or not at all (Bulk Data 4.0, $bulk-submit).

The manifest is read again when its files are there: one that has changed meanwhile is refused. What is wrong is told
with file and line. Rows of views go to tables, everything else through the repository, as the one who submitted it.
"""

from __future__ import annotations

import asyncio
import logging
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import orjson

from fhir_server.bulk.bring import (
    FULL,
    MOST_TOLD,
    SECONDS_PER_FILE,
    Announced,
    Fetching,
    Refused,
    Stopped,
    check_granted,
    wrong_in,
)
from fhir_server.bulk.deferred import Deferred
from fhir_server.bulk.journal import Journal
from fhir_server.bulk.loading import Loading, Rejection
from fhir_server.bulk.manifest import Listed, read_manifest
from fhir_server.bulk.source import Item, Source
from fhir_server.bulk.submission import STORED, Delivery, Submission
from fhir_server.bulk.undoing import ROWS, Key, Ledger, Tables, in_lots, note, undo
from fhir_server.errors import FhirError, Issue, NoStore, Unprocessable, operation_outcome
from fhir_server.jobs.folder import DONE, put
from fhir_server.repository.write import Write
from fhir_server.rest.failure import status_of
from fhir_server.rest.node import Node
from fhir_server.rest.router import IS_ID

OUTCOME = "outcome.ndjson"
MOST_PAGES = 100
ROWS_AT_ONCE = 20_000
NOTED_AT_ONCE = 500

log = logging.getLogger(__name__)


class Receipt:
    """One manifest at work."""

    def __init__(
        self, node: Node, submission: Submission, delivery: Delivery, outbound: Fetching, tables: Tables
    ) -> None:
        self._submission = submission
        self._delivery = delivery
        self._node = node.bound(submission.caller)
        self._outbound = outbound
        self._tables = tables
        self._folder = submission.folder(delivery)
        self._ledger = Ledger(self._folder)
        self._name = f"s{sha256(f'{submission.id} {delivery.number}'.encode()).hexdigest()[:24]}"

    async def receive(self) -> None:
        """Store the manifest and say what became of it; what an interrupted attempt changed is taken back first."""
        self._folder.mkdir(mode=0o700, exist_ok=True)
        try:
            await self._take_back()
            told, outcomes = await self._received(), None
        except Stopped:
            told, outcomes = {"status": 409}, [_outcome("The submission was stopped before this was stored.")]
        except FhirError as failure:
            told, outcomes = {"status": int(status_of(failure))}, [failure.operation_outcome()]
        except OSError as error:
            log.warning("a submission cannot be kept: %s", error)
            told, outcomes = {"status": 507}, [NoStore(FULL).operation_outcome()]
        except Exception:
            log.exception("a submission failed")
            told, outcomes = {"status": 500}, [_outcome("The server failed; the fault is in its log.")]
        if told["status"] != STORED:
            await self._take_back()
        shutil.rmtree(self._folder / "fetched", ignore_errors=True)
        if outcomes is None:
            text = ", ".join(f"{count} {name}" for name, count in told.items() if name != "status")
            outcomes = [operation_outcome([Issue("information", "informational", f"The manifest is stored: {text}.")])]
        lines = b"".join(orjson.dumps(each, option=orjson.OPT_APPEND_NEWLINE) for each in outcomes)
        await asyncio.to_thread((self._folder / OUTCOME).write_bytes, lines)
        await asyncio.to_thread(put, self._folder / DONE, told)

    async def _take_back(self) -> None:
        sender, place = self._submission.node, self._delivery.place
        await undo(self._node, self._tables, self._ledger, sender, place)
        self._ledger.clear()
        for name in ("journal", "deferred", "rejected"):
            (self._folder / name).unlink(missing_ok=True)
        shutil.rmtree(self._folder / "fetched", ignore_errors=True)

    async def _received(self) -> dict[str, int]:
        fetched = self._folder / "fetched"
        fetched.mkdir()
        pages, files = await self._manifest("manifest")
        for kind in {self._tables.about(each.view) if each.view else each.type for each in files} - {"Bundle"}:
            check_granted(self._submission.caller, kind)
        sources = []
        for number, each in enumerate(files):
            path = fetched / f"{each.view or each.type}.{number:04}.ndjson"
            await asyncio.to_thread(self._fetch, each.url, path)
            sources.append((each, Source(path, each.url)))
        if (await self._manifest("again"))[0] != pages:
            text = f"{self._delivery.url[:200]} changed while it was read; nothing of it was stored."
            raise Unprocessable(Issue("error", "conflict", text))
        look = _Look(self._node, self._tables, sources)
        wrong = await asyncio.to_thread(look.wrong)
        if wrong:
            raise Refused(wrong)
        for kind in {kind for kind, _ in look.deleted}:
            check_granted(self._submission.caller, kind, "d")
        await self._note([*look.stored, *look.deleted])
        counts = await self._stored([source for each, source in sources if not each.view and not each.deleted])
        await self._deleted(list(look.deleted))
        rows = await self._rows([(each, source) for each, source in sources if each.view])
        return {"status": STORED, **counts, "deleted": len(look.deleted), **rows}

    def _go_on(self) -> None:
        if Submission(self._submission.job).status == "stopped":
            raise Stopped

    async def _manifest(self, name: str) -> tuple[list[bytes], list[Listed]]:
        """The texts of the manifest's pages, and their files."""
        pages: list[bytes] = []
        files: list[Listed] = []
        url = self._delivery.url
        types = self._node.definitions.resource_types
        while url:
            if len(pages) >= MOST_PAGES:
                raise Unprocessable(Issue("error", "too-long", f"The manifest has more than {MOST_PAGES} pages."))
            path = self._folder / "fetched" / f"{name}.{len(pages)}.json"
            await asyncio.to_thread(self._fetch, url, path)
            pages.append(path.read_bytes())
            page = read_manifest(pages[-1], types, url)
            if page.needs_token and not self._delivery.headers:
                text = f"{url[:200]} says that its files take a token: send it along in fileRequestHeader."
                raise Unprocessable(Issue("error", "security", text))
            files += page.files
            url = page.following
        return pages, files

    def _fetch(self, url: str, path: Path) -> None:
        self._go_on()
        # What the sender gave for its own host is not told to others.
        own = urlsplit(url)[:2] == urlsplit(self._delivery.url)[:2]
        headers = dict(self._delivery.headers) if own else {}
        try:
            self._outbound.save(url, path, self._node.settings.import_bytes, SECONDS_PER_FILE, headers)
        except FhirError as error:
            raise Unprocessable(Issue("error", "processing", f"{url[:200]} cannot be fetched: {error}.")) from None

    async def _note(self, keys: list[Key]) -> None:
        former: Mapping[Key, tuple[int, int]] = {}
        if self._delivery.replaces is not None:
            replaced = self._submission.deliveries[self._delivery.replaces]
            former = Ledger(self._submission.folder(replaced)).before()
        for some in in_lots(keys, NOTED_AT_ONCE):
            await note(self._node, self._ledger, some, former)

    async def _stored(self, sources: list[Source]) -> dict[str, int]:
        rejected = self._folder / "rejected"
        with (
            Journal(self._folder / "journal") as journal,
            Deferred(self._folder / "deferred") as deferred,
            rejected.open("wb") as report,
        ):
            tally = await Loading(self._node, journal, report, deferred).load(sources, lambda _: self._go_on())
        if tally.rejected:
            raise Broken([orjson.loads(line) for line in rejected.read_bytes().splitlines()])
        return {"stored": tally.stored, "unchanged": tally.unchanged}

    async def _deleted(self, keys: list[Key]) -> None:
        for some in in_lots(keys, NOTED_AT_ONCE):
            self._go_on()
            await self._node.repository.write([Write("DELETE", kind, own_id) for kind, own_id in some])

    async def _rows(self, sources: list[tuple[Listed, Source]]) -> dict[str, int]:
        rows = removed = 0
        for number, (each, source) in enumerate(sources):
            for lot, bodies in enumerate(in_lots(rows_in(source), ROWS_AT_ONCE)):
                self._go_on()
                await asyncio.to_thread(self._put, each, f"{self._name}-{number}-{lot}", list(bodies))
                rows += 0 if each.deleted else len(bodies)
                removed += len(bodies) if each.deleted else 0
        return {"rows": rows, "removed": removed}

    def _put(self, each: Listed, name: str, bodies: list[dict[str, Any]]) -> None:
        ids = list(dict.fromkeys(body["id"] for body in bodies))
        line = {"view": each.view, "name": name, "rows": len(bodies), "deleted": each.deleted, "ids": ids}
        self._ledger.keep(ROWS, [line])
        if each.deleted:
            self._tables.remove(each.view, self._submission.node, ids, self._delivery.place, name)
        else:
            self._tables.put(each.view, self._submission.node, bodies, self._delivery.place, name)


class Broken(Unprocessable):
    """Resources break rules; nothing of their manifest stays."""

    def __init__(self, outcomes: list[dict[str, Any]]) -> None:
        super().__init__(Issue("error", "processing", "Resources break rules; nothing of the manifest was stored."))
        self._outcomes = outcomes[:MOST_TOLD]

    def operation_outcome(self) -> dict[str, Any]:
        """Return the issues, each with its file and line."""
        issues = [issue for each in self._outcomes for issue in each["issue"]]
        return {"resourceType": "OperationOutcome", "issue": issues}


def rows_in(source: Source) -> Iterator[dict[str, Any]]:
    """Yield the rows of a file, which was looked through."""
    for item in source.items():
        yield orjson.loads(item.text)


class _Look:
    """Looks through files: what is wrong with them, and which resources they are about."""

    def __init__(self, node: Node, tables: Tables, sources: Iterable[tuple[Listed, Source]]) -> None:
        self._node = node
        self._tables = tables
        self._sources = sources
        self.stored: dict[Key, None] = {}
        self.deleted: dict[Key, None] = {}

    def wrong(self) -> list[Rejection]:
        """What must be refused, the first of it."""
        found: list[Rejection] = []
        for each, source in self._sources:
            checks: Callable[[Listed, Source], Iterator[Rejection]] = self._resources
            if each.view:
                checks = self._rows
            elif each.deleted:
                checks = self._deletions
            found += checks(each, source)
            if len(found) >= MOST_TOLD:
                break
        return found[:MOST_TOLD]

    def _resources(self, each: Listed, source: Source) -> Iterator[Rejection]:
        found = list(wrong_in(self._node, Announced(each.type, each.url), source))
        yield from found
        last = None
        count = 0
        for last in source.items() if not found else ():
            count += 1
            own_id = orjson.loads(last.text).get("id")
            if not isinstance(own_id, str) or IS_ID(own_id) is None:
                yield _rejected(last, "a resource that is submitted has an id.")
            elif (each.type, own_id) in self.stored:
                yield _rejected(last, f"{each.type}/{own_id} stands twice in this manifest.")
            else:
                self.stored[each.type, own_id] = None
        if not found:
            yield from _miscounted(each, source, count, last)

    def _rows(self, each: Listed, source: Source) -> Iterator[Rejection]:
        count, last = 0, None
        for lot in in_lots(source.items(), ROWS_AT_ONCE):
            rows = []
            for last in lot:
                count += 1
                row = _object(last) if len(last.text) <= self._node.settings.body_bytes else None
                if row is None or not isinstance(row.get("id"), str):
                    yield _rejected(last, "a row is a JSON object with an `id`.")
                    return
                rows.append(row)
            wrong = None if each.deleted else self._tables.wrong(each.view, rows)
            if wrong is not None:
                yield _rejected(lot[wrong[0]], wrong[1])
                return
        yield from _miscounted(each, source, count, last)

    def _deletions(self, each: Listed, source: Source) -> Iterator[Rejection]:
        types = self._node.definitions.resource_types
        for item in source.items():
            bundle = _object(item)
            entries = bundle.get("entry") if bundle is not None and bundle.get("resourceType") == "Bundle" else None
            for entry in entries if isinstance(entries, list) else ({},):
                request = entry.get("request") if isinstance(entry, dict) else None
                asked = request if isinstance(request, dict) else {}
                kind, _, own_id = str(asked.get("url", "")).partition("/")
                key = kind, own_id
                if asked.get("method") != "DELETE" or kind not in types or IS_ID(own_id) is None:
                    yield _rejected(item, "what is deleted stands as a transaction of DELETE [type]/[id].")
                    return
                if key in self.stored or key in self.deleted:
                    yield _rejected(item, f"{kind}/{own_id} stands twice in this manifest.")
                    return
                self.deleted[key] = None


def _miscounted(each: Listed, source: Source, count: int, last: Item | None) -> Iterator[Rejection]:
    if each.count is not None and count != each.count:
        item = last or Item(0, source.name, b"", 0)
        yield _rejected(item, f"the manifest says {each.count} lines, and the file has {count}.")


def _object(item: Item) -> dict[str, Any] | None:
    try:
        found = orjson.loads(item.text)
    except orjson.JSONDecodeError:
        return None
    return found if isinstance(found, dict) else None


def _rejected(item: Item, text: str) -> Rejection:
    return Rejection(item, (Issue("error", "invalid", f"{item.place}: {text}"),))


def _outcome(text: str) -> dict[str, Any]:
    return operation_outcome([Issue("error", "processing", text)])

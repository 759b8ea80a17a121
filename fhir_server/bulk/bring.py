"""The operation $import: files of others fetched, looked through, and only then stored (SMART bulk import proposal).

Everything is fetched before anything is stored: a file that cannot be had, a line that is no resource, or one of
another type than announced ends the import with its file and line, and nothing was written. What is sound as a text and
then refused by a rule (validation, access) is told with file and line as well; the rest is stored.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol
from uuid import uuid4

import orjson

from fhir_server.access.caller import Caller
from fhir_server.bulk.deferred import Deferred
from fhir_server.bulk.export import SECONDS_BETWEEN_LOOKS, SECONDS_TO_ASK_AGAIN
from fhir_server.bulk.journal import Journal, kept_in
from fhir_server.bulk.loading import Loading, Rejection, Tally
from fhir_server.bulk.source import Item, Source
from fhir_server.errors import FhirError, Invalid, Issue, NoStore, NotFound, Throttled, Unprocessable, operation_outcome
from fhir_server.jobs.folder import Job, Jobs, caller_as_json, caller_from
from fhir_server.rest.argument import Arguments
from fhir_server.rest.exchange import Exchange, Reply, Route
from fhir_server.rest.failure import ScopeMissing, status_of
from fhir_server.rest.node import Node
from fhir_server.rest.operation import Operation, routes_of
from fhir_server.rest.subset import read_stored

DEFINITION = "urn:nhipcau:OperationDefinition/import"
STATUS, REPORT = "$import-status", "$import-report"
TOLD = "rejected.ndjson"
FORMATS = frozenset({"application/fhir+ndjson", "application/ndjson", "ndjson"})
MOST_FILES = 1000
MOST_TOLD = 100
SECONDS_PER_FILE = 600.0
FULL = "The disk of this server is full; nothing was stored."

log = logging.getLogger(__name__)


class Fetching(Protocol):
    """Gets files of others without being led astray."""

    def check(self, url: str) -> Any:
        """Raise a FhirError that says why for a URL that must not be asked."""
        ...

    def save(self, url: str, target: Path, most: int, seconds: float, headers: Mapping[str, str] = ...) -> None:
        """Write what is at a URL into a file, unpacked; raise a FhirError that says why not."""
        ...


@dataclass(frozen=True, slots=True)
class Announced:
    """A file that is to be imported: what it should hold, and where it is."""

    type: str
    url: str


class Imports:
    """The imports of a node, kept below a folder; `outbound` makes what fetches files."""

    def __init__(self, folder: Path, outbound: Callable[[], Fetching]) -> None:
        self._jobs = Jobs(folder)
        self._outbound = outbound
        self._asked = asyncio.Event()
        self.operation = Operation(
            "import", DEFINITION, ("system",), self.begin, scope="cu", by_post=True, reads_body=False, native=True
        )
        self.routes: tuple[Route, ...] = (
            *routes_of(self.operation),
            Route("import-status", "GET", f"/{STATUS}/{{id}}", self.status, "", native=True),
            Route("import-status", "DELETE", f"/{STATUS}/{{id}}", self.cancel, "", native=True),
            Route("import-report", "GET", f"/{REPORT}/{{id}}", self.report, "", native=True),
        )

    async def begin(self, node: Node, exchange: Exchange, arguments: Arguments) -> Reply:
        """Accept an import: 202 and where its status is told; raise Invalid for a manifest that is none."""
        files = announced(node, exchange.body)
        for kind in {each.type for each in files}:
            check_granted(exchange.caller, kind)
        outbound = self._outbound()
        for each in files:
            try:
                await asyncio.to_thread(outbound.check, each.url)
            except FhirError as error:
                raise Invalid(Issue("error", "value", f"{each.url[:200]} is not fetched: {error}.")) from None
        if sum(job.done() is None for job in self._jobs.all()) >= node.settings.export_jobs:
            raise Throttled("Other imports are open: wait for them.")
        asked = {
            "files": [{"type": each.type, "url": each.url} for each in files],
            "caller": caller_as_json(exchange.caller),
        }
        try:
            job = await asyncio.to_thread(self._jobs.begin, str(uuid4()), asked)
        except OSError:
            raise NoStore(FULL) from None
        self._asked.set()
        url = f"{exchange.base}/{STATUS}/{job.id}"
        told = Issue("information", "informational", f"The import is accepted; ask {url} how far it is.")
        return Reply(202, orjson.dumps(operation_outcome([told])), headers=[(b"content-location", url.encode())])

    async def status(self, node: Node, exchange: Exchange) -> Reply:
        """Tell how far an import is: 202, or what became of it."""
        job = self._job(exchange)
        done = job.done()
        if done is None:
            entry = kept_in(job.folder / "progress").get("progress", {})
            text = f"{entry.get('stored', 0)} stored, {entry.get('rejected', 0)} rejected" if entry else "fetching"
            return Reply(202, headers=[(b"x-progress", text.encode()), (b"retry-after", b"%d" % SECONDS_TO_ASK_AGAIN)])
        if done["status"] != 200:
            return Reply(done["status"], orjson.dumps(done["outcome"]))
        report = {"type": "OperationOutcome", "count": done["rejected"], "url": f"{exchange.base}/{REPORT}/{job.id}"}
        told = {
            "outputFormat": "application/fhir+ndjson",
            "stored": done["stored"],
            "unchanged": done["unchanged"],
            "rejected": done["rejected"],
            "output": job.request()["files"],
            "error": [report] if done["rejected"] else [],
        }
        return Reply(200, orjson.dumps(told), media_type=b"application/json")

    async def report(self, node: Node, exchange: Exchange) -> Reply:
        """Send what was rejected, with file and line, an OperationOutcome on each line."""
        path = self._job(exchange).folder / TOLD
        body = await asyncio.to_thread(path.read_bytes) if path.exists() else b""
        return Reply(200, body, media_type=b"application/fhir+ndjson")

    async def cancel(self, node: Node, exchange: Exchange) -> Reply:
        """Stop an import, or forget what is told of it; what is stored stays."""
        await asyncio.to_thread(self._job(exchange).remove)
        told = Issue("information", "informational", "The import is stopped, and its files are removed.")
        return Reply(202, orjson.dumps(operation_outcome([told])))

    def _job(self, exchange: Exchange) -> Job:
        job = self._jobs.job(exchange.id)
        owner = caller_from(job.request()["caller"])
        if (exchange.caller.kind, exchange.caller.subject) != (owner.kind, owner.subject):
            raise NotFound("There is no such import.")
        return job

    async def follow(self, node: Node) -> None:
        """Work on imports, one after another, and forget the old ones, until it is cancelled."""
        while True:
            self._asked.clear()
            for job in self._jobs.all():
                with suppress(FileNotFoundError):  # cancelled in this moment
                    await self._look(node, job)
            try:
                async with asyncio.timeout(SECONDS_BETWEEN_LOOKS):
                    await self._asked.wait()
            except TimeoutError:
                continue

    async def _look(self, node: Node, job: Job) -> None:
        if job.done() is not None:
            if node.clock() - (job.folder / "done.json").stat().st_mtime > node.settings.export_hours * 3600:
                await asyncio.to_thread(job.remove)
            return
        with job.held() as mine:
            if mine and job.done() is None:
                await self._do(node, job)

    async def _do(self, node: Node, job: Job) -> None:
        try:
            told = await Import(node, job, self._outbound()).done()
        except Stopped:
            return
        except FhirError as failure:
            told = {"status": int(status_of(failure)), "outcome": failure.operation_outcome()}
        except OSError as error:
            log.warning("an import cannot be kept: %s", error)
            told = {"status": 507, "outcome": NoStore(FULL).operation_outcome()}
        except Exception:
            log.exception("an import failed")
            told = {"status": 500, "outcome": FhirError("The server failed; see its log.").operation_outcome()}
        for path in (job.folder / "fetched").glob("*"):
            path.unlink(missing_ok=True)
        if job.exists:
            await asyncio.to_thread(job.finish, told)


class Stopped(Exception):
    """Nobody wants the import any more."""


class Import:
    """One import at work."""

    def __init__(self, node: Node, job: Job, outbound: Fetching) -> None:
        asked = job.request()
        self._node = node.bound(caller_from(asked["caller"]))
        self._job = job
        self._outbound = outbound
        self._files = [Announced(**each) for each in asked["files"]]

    async def done(self) -> dict[str, Any]:
        """Fetch, look through and store; return the tally."""
        folder = self._job.folder / "fetched"
        folder.mkdir(exist_ok=True)
        sources = []
        for number, each in enumerate(self._files):
            path = folder / f"{each.type}.{number:04}.ndjson"
            await asyncio.to_thread(self._fetch, each, path)
            sources.append(Source(path, each.url))
        wrong = await asyncio.to_thread(self._wrong, sources)
        if wrong:
            raise Refused(wrong)
        return await self._stored(sources)

    def _fetch(self, each: Announced, path: Path) -> None:
        if path.exists():  # before an interruption
            return
        made = path.with_suffix(".part")
        try:
            self._outbound.save(each.url, made, self._node.settings.import_bytes, SECONDS_PER_FILE)
        except FhirError as error:
            raise Unprocessable(Issue("error", "processing", f"{each.url[:200]} cannot be fetched: {error}.")) from None
        made.rename(path)

    def _wrong(self, sources: list[Source]) -> list[Rejection]:
        """What is no resource of the type that was announced, the first of it."""
        found: list[Rejection] = []
        for each, source in zip(self._files, sources, strict=True):
            found += list(wrong_in(self._node, each, source))[: MOST_TOLD - len(found)]
            if len(found) >= MOST_TOLD:
                break
        return found

    async def _stored(self, sources: list[Source]) -> dict[str, Any]:
        folder = self._job.folder
        progress = Journal(folder / "progress")
        before = progress.entry("progress")

        def tell(tally: Tally) -> None:
            if not self._job.exists:
                raise Stopped
            progress.keep("progress", **counted(tally, before))

        with (
            progress,
            Journal(folder / "journal") as journal,
            Deferred(folder / "deferred") as deferred,
            (folder / TOLD).open("ab") as report,
        ):
            tally = await Loading(self._node, journal, report, deferred).load(sources, tell)
        return {"status": 200, **counted(tally, before)}


class Refused(Unprocessable):
    """Files hold what is none of what they announce; nothing of the import was stored."""

    def __init__(self, wrong: list[Rejection]) -> None:
        super().__init__(*(issue for each in wrong for issue in each.issues))
        self._wrong = wrong

    def operation_outcome(self) -> dict[str, Any]:
        """Return the issues, each with its file and line."""
        outcomes = [each.outcome() for each in self._wrong]
        return {"resourceType": "OperationOutcome", "issue": [issue for each in outcomes for issue in each["issue"]]}


def counted(tally: Tally, before: Mapping[str, Any]) -> dict[str, int]:
    """Return the counts of a tally, with those of the stretch before an interruption."""
    names = ("stored", "unchanged", "rejected")
    return {name: getattr(tally, name) + int(before.get(name, 0)) for name in names}


def wrong_in(node: Node, each: Announced, source: Source) -> Iterator[Rejection]:
    """Yield the lines of a file that are no resource of its type."""
    for item in source.items():
        wrong = _wrong_line(node, each, item)
        if wrong is not None:
            yield Rejection(item, (wrong,))


def _wrong_line(node: Node, each: Announced, item: Item) -> Issue | None:
    if len(item.text) > node.settings.body_bytes:
        return Issue("error", "too-long", f"{item.place}: the line is longer than {node.settings.body_bytes:,} bytes.")
    try:
        kind = read_stored(item.text.strip()).get("resourceType")
    except FhirError as error:
        return Issue("error", "structure", f"{item.place}: {error}")
    if kind != each.type:
        return Issue("error", "invalid", f"{item.place}: this is a {str(kind)[:60]}, and {each.type} was announced.")
    return None


def announced(node: Node, raw: bytes) -> list[Announced]:
    """Return the files of an import's manifest; raise Invalid for what is none."""
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError:
        body = None
    if not isinstance(body, dict) or not isinstance(body.get("input"), list) or not body["input"]:
        text = (
            'The body is a JSON object such as {"inputFormat": "application/fhir+ndjson", "input": [{"type", "url"}]}.'
        )
        raise Invalid(Issue("error", "structure", text))
    if str(body.get("inputFormat", "application/fhir+ndjson")) not in FORMATS:
        raise Invalid(Issue("error", "value", f"inputFormat is one of {', '.join(sorted(FORMATS))}.", ("inputFormat",)))
    if len(body["input"]) > MOST_FILES:
        raise Invalid(Issue("error", "too-long", f"An import is of {MOST_FILES:,} files at most.", ("input",)))
    return [_announced(node, each, f"input[{index}]") for index, each in enumerate(body["input"])]


def _announced(node: Node, each: Any, where: str) -> Announced:
    kind, url = (each.get("type"), each.get("url")) if isinstance(each, dict) else (None, None)
    if kind not in node.definitions.resource_types or kind == "Bundle":
        text = f"{str(kind)[:60]} is no type that is imported: those of R4, without Bundle."
        raise Invalid(Issue("error", "value", text, (f"{where}.type",)))
    if not isinstance(url, str) or not url:
        raise Invalid(Issue("error", "required", "Each file has a url.", (f"{where}.url",)))
    return Announced(kind, url)


def check_granted(caller: Caller, kind: str, letters: str = "cu") -> None:
    """Raise ScopeMissing where the caller may not store a type, or do what these letters of scopes say."""
    if caller.kind == "local":
        return
    for letter in letters:
        if not any(scope.context == "system" for scope in caller.scopes.granting(kind, letter)):
            wanted = f"system/{kind}.{letters}"
            raise ScopeMissing(f"Importing takes the scope {wanted}.", wanted)

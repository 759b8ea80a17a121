"""The operation $export: kick-off, status, files, cancellation (Bulk Data Access 3.0, 2.4 and 2.5)."""

from __future__ import annotations

import asyncio
import gzip
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from email.utils import formatdate
from pathlib import Path
from typing import Any
from uuid import uuid4

import orjson

from fhir_server.bulk.export_work import FULL, Cancelled, failed, work
from fhir_server.bulk.journal import kept_in
from fhir_server.bulk.publish import published
from fhir_server.bulk.wish import INPUTS, Wish, check_granted, from_json, read_wish
from fhir_server.errors import FhirError, Issue, NoStore, NotFound, Throttled, operation_outcome
from fhir_server.jobs.folder import JOURNAL, Job, Jobs
from fhir_server.rest.argument import Arguments
from fhir_server.rest.exchange import Exchange, Reply, Route
from fhir_server.rest.node import Node
from fhir_server.rest.operation import Level, Operation, routes_of

GUIDE = "http://hl7.org/fhir/uv/bulkdata/OperationDefinition"
STATUS, FILE = "$export-status", "$export-file"
JSON, NDJSON = b"application/json", b"application/fhir+ndjson"
SECONDS_TO_ASK_AGAIN = 1
SECONDS_BETWEEN_LOOKS = 1.0
AT_ONCE = 2
CHUNK = 1 << 18

log = logging.getLogger(__name__)


class Exports:
    """The bulk exports of a node, kept below a folder."""

    def __init__(self, folder: Path) -> None:
        self._jobs = Jobs(folder)
        self._asked = asyncio.Event()
        self.routes: tuple[Route, ...] = (
            *(route for operation in self.operations() for route in routes_of(operation)),
            Route("export-status", "GET", f"/{STATUS}/{{id}}", self.status, "", native=True),
            Route("export-status", "DELETE", f"/{STATUS}/{{id}}", self.cancel, "", native=True),
            Route("export-file", "GET", f"/{FILE}/{{id}}/{{version}}", self.file, "", native=True),
        )

    def operations(self) -> tuple[Operation, ...]:
        """The three levels at which an export is asked for, and the publication of facilities and code lists."""
        levels: tuple[tuple[str, Level, tuple[str, ...]], ...] = (
            ("export", "system", ()),
            ("patient-export", "type", ("Patient",)),
            ("group-export", "instance", ("Group",)),
        )
        exports = (
            Operation("export", f"{GUIDE}/{name}", (level,), self.begin, INPUTS, types, searches=True, native=True)
            for name, level, types in levels
        )
        return *exports, Operation("bulk-publish", f"{GUIDE}/bulk-publish", ("system",), self.publish, native=True)

    async def publish(self, node: Node, exchange: Exchange, arguments: Arguments) -> Reply:
        """Answer the manifest of facilities and code lists."""

        def told(job: Job, wish: Wish, done: Mapping[str, Any]) -> dict[str, Any]:
            return manifest(exchange, job, wish, done, needs_token=node.settings.auth == "on")

        try:
            return await published(node, exchange, self._jobs, self._asked.set, told)
        except OSError:
            raise NoStore(FULL) from None

    async def begin(self, node: Node, exchange: Exchange, arguments: Arguments) -> Reply:
        """Accept an export: 202 and where its status is told; raise Throttled where too many are open."""
        given = [name for name, _ in arguments.pairs()]
        wish = await read_wish(node, exchange, arguments, [name for name in given if name != "_format"])
        if self._open_of(exchange) >= node.settings.export_jobs:
            raise Throttled(f"{node.settings.export_jobs} exports of yours are open: wait for one, or cancel it.")
        try:
            job = await asyncio.to_thread(self._jobs.begin, str(uuid4()), wish.as_json())
        except OSError:
            raise NoStore(FULL) from None
        self._asked.set()
        url = f"{exchange.base}/{STATUS}/{job.id}"
        told = operation_outcome(
            [Issue("information", "informational", f"The export is accepted; ask {url} how far it is.")]
        )
        applied = "respond-async, separate-export-status" if wish.separate else "respond-async"
        headers = [(b"content-location", url.encode()), (b"preference-applied", applied.encode())]
        return Reply(202, orjson.dumps(told), headers=headers)

    def _open_of(self, exchange: Exchange) -> int:
        """How many exports of the caller are not finished."""
        count = 0
        for job in self._jobs.all():
            with suppress(FileNotFoundError):  # cancelled in this moment
                count += job.done() is None and _is_of(exchange, from_json(job.request()))
        return count

    async def status(self, node: Node, exchange: Exchange) -> Reply:
        """Tell how far an export is: 202, or its manifest, or its failure."""
        job = self._job(exchange)
        wish, done = from_json(job.request()), job.done()
        if done is None:
            headers = [(b"x-progress", progress(job).encode()), (b"retry-after", b"%d" % SECONDS_TO_ASK_AGAIN)]
            return _told(wish, 202, "202 Accepted", Reply(202, headers=headers))
        if done["status"] != 200:
            return _told(
                wish, done["status"], f"{done['status']}", Reply(done["status"], orjson.dumps(done["outcome"]))
            )
        until = (job.folder / "done.json").stat().st_mtime + node.settings.export_hours * 3600
        headers = [(b"expires", formatdate(until, usegmt=True).encode())]
        body = orjson.dumps(manifest(exchange, job, wish, done, needs_token=node.settings.auth == "on"))
        return _told(wish, 200, "200 OK", Reply(200, body, headers=headers, media_type=JSON))

    async def cancel(self, node: Node, exchange: Exchange) -> Reply:
        """Forget an export and its files."""
        job = self._job(exchange)
        await asyncio.to_thread(job.remove)
        told = operation_outcome([Issue("information", "informational", "The export and its files are removed.")])
        return Reply(202, orjson.dumps(told))

    async def file(self, node: Node, exchange: Exchange) -> Reply:
        """Send a file, packed where the client takes that."""
        path = self._job(exchange).file(exchange.version)
        headers = [(b"vary", b"accept-encoding")]
        if b"gzip" in exchange.headers.get(b"accept-encoding", b""):
            headers += [(b"content-encoding", b"gzip"), (b"content-length", b"%d" % path.stat().st_size)]
            return Reply(200, headers=headers, media_type=NDJSON, chunks=_packed(path))
        return Reply(200, headers=headers, media_type=NDJSON, chunks=_unpacked(path))

    def _job(self, exchange: Exchange) -> Job:
        """The export of an exchange; raise NotFound for another's as for none, ScopeMissing for who may no more."""
        job = self._jobs.job(exchange.id)
        wish = from_json(job.request())
        if not _is_of(exchange, wish):
            raise NotFound("There is no such export: it was cancelled, has expired, or never was.")
        check_granted(exchange.caller, wish.types)
        return job

    async def follow(self, node: Node) -> None:
        """Work on exports, whoever asked for them, and remove those that have expired, until it is cancelled."""
        doing: dict[str, asyncio.Task[None]] = {}
        try:
            while True:
                self._asked.clear()
                doing = {name: task for name, task in doing.items() if not task.done()}
                for job in self._jobs.all():
                    await self._look(node, job, doing)
                try:
                    async with asyncio.timeout(SECONDS_BETWEEN_LOOKS):
                        await self._asked.wait()
                except TimeoutError:
                    continue
        finally:
            for task in doing.values():
                task.cancel()
            await asyncio.gather(*doing.values(), return_exceptions=True)

    async def _look(self, node: Node, job: Job, doing: dict[str, asyncio.Task[None]]) -> None:
        try:
            if job.done() is not None:
                kept = node.clock() - (job.folder / "done.json").stat().st_mtime
                if kept > node.settings.export_hours * 3600:
                    await asyncio.to_thread(job.remove)
            elif job.id not in doing and len(doing) < AT_ONCE:
                doing[job.id] = asyncio.create_task(self._do(node, job))
        except FileNotFoundError:
            return

    async def _do(self, node: Node, job: Job) -> None:
        with job.held() as mine:
            if not mine or job.done() is not None:
                return
            try:
                await work(node, job)
            except Cancelled:
                job.remove()
            except Exception:
                log.exception("an export failed")
                job.finish(failed(FhirError("The server failed; the fault is in its log.")))
        self._asked.set()


def progress(job: Job) -> str:
    """Return how far an export is, in a few words."""
    entry = kept_in(job.folder / JOURNAL).get("files", {})
    count = sum(each["count"] for each in entry.get("files", ()))
    return f"{entry.get('done', 0)}%, {count} resources written" if entry else "accepted"


def manifest(exchange: Exchange, job: Job, wish: Wish, done: Mapping[str, Any], *, needs_token: bool) -> dict[str, Any]:
    """Return the manifest of a finished export (2.5.1), with the names of the versions 1 to 4 of the guide."""

    def listed(name: str) -> list[dict[str, Any]]:
        return [
            {"type": each["type"], "url": f"{exchange.base}/{FILE}/{job.id}/{each['name']}", "count": each["count"]}
            for each in done[name]
        ]

    return {
        "transactionTime": wish.moment,
        "request": wish.asked,
        "requiresAccessToken": needs_token,
        "outputFormat": NDJSON.decode(),
        "output": listed("output"),
        "deleted": listed("deleted"),
        "error": listed("error"),
        "outcome": listed("error"),
    }


def _is_of(exchange: Exchange, wish: Wish) -> bool:
    return (exchange.caller.kind, exchange.caller.subject) == (wish.caller.kind, wish.caller.subject)


def _told(wish: Wish, status: int, text: str, reply: Reply) -> Reply:
    """Return a status in the way asked for: its own, or 200 with the export's in a header."""
    if wish.separate:
        reply.status = 200
        reply.headers.append((b"x-export-status", text.encode()))
    return reply


async def _packed(path: Path) -> AsyncIterator[bytes]:
    with path.open("rb") as file:
        while chunk := await asyncio.to_thread(file.read, CHUNK):
            yield chunk


async def _unpacked(path: Path) -> AsyncIterator[bytes]:
    with gzip.open(path) as file:
        while chunk := await asyncio.to_thread(file.read, CHUNK):
            yield chunk

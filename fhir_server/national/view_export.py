"""The operation $viewdefinition-export: views as files, made in the background (SQL on FHIR v2)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import orjson

from fhir_server.errors import FhirError, Invalid, Issue, NoStore, NotFound, Throttled, operation_outcome
from fhir_server.jobs.folder import DONE, REQUEST, Job, Jobs, caller_as_json, caller_from
from fhir_server.national.catalogue import VIEW, own_view, view_at
from fhir_server.national.definition import IS_NAME, View, read_view
from fhir_server.national.population import Stored, patients_of
from fhir_server.national.run import FILTERS, engine_of
from fhir_server.national.tabulation import FORMS, form_of
from fhir_server.national.view import Runner
from fhir_server.part import Part
from fhir_server.repository.history import Window
from fhir_server.resource.exact import dump_exact
from fhir_server.resource.instant import epoch_milliseconds, instant
from fhir_server.resource.parsing import parse_json
from fhir_server.rest.argument import Arguments, Input, parameter
from fhir_server.rest.exchange import Exchange, Reply, Route
from fhir_server.rest.failure import status_of
from fhir_server.rest.node import Node
from fhir_server.rest.operation import Level, Operation, routes_of
from fhir_server.store.protocol import Scope

if TYPE_CHECKING:
    from fhir_server.national.view_file import ViewFile

DEFINITION = "http://sql-on-fhir.org/OperationDefinition/$viewdefinition-export"
STATUS, FILE = "$viewdefinition-export-status", "$viewdefinition-export-file"
VIEW_FILE: Part[type[ViewFile]] = Part("fhir_server.national.view_file:ViewFile")
MOST_VIEWS = 20
ROWS_AT_ONCE = 20_000
SECONDS_TO_ASK_AGAIN = 1
SECONDS_BETWEEN_LOOKS = 1.0
CHUNK = 1 << 18
FULL = "The disk of this server is full. Ask again later, or for less."
GONE = "There is no such export of views: it was cancelled, has expired, or never was."

INPUTS = (
    Input("clientTrackingId", "string"),
    Input("view", "parts", many=True),
    Input("viewReference", "Reference", many=True),
    Input("_format", "code"),
    Input("header", "boolean"),
    *FILTERS,
)

log = logging.getLogger(__name__)


class Cancelled(Exception):
    """Nobody wants the export any more."""


class ViewExports:
    """The exports of views of a node, kept below a folder."""

    def __init__(self, folder: Path) -> None:
        self._jobs = Jobs(folder)
        self._asked = asyncio.Event()
        levels: tuple[tuple[tuple[Level, ...], str], ...] = ((("system",), ""), (("type", "instance"), VIEW))
        operations = (
            Operation(
                "viewdefinition-export", DEFINITION, level, self.begin, INPUTS, scope="s", native=True, place=place
            )
            for level, place in levels
        )
        self.routes: tuple[Route, ...] = (
            *(route for operation in operations for route in routes_of(operation)),
            Route("view-export-status", "GET", f"/{STATUS}/{{id}}", self.status, "", native=True),
            Route("view-export-status", "DELETE", f"/{STATUS}/{{id}}", self.cancel, "", native=True),
            Route("view-export-file", "GET", f"/{FILE}/{{id}}/{{version}}", self.file, "", native=True),
        )

    async def begin(self, node: Node, exchange: Exchange, arguments: Arguments) -> Reply:
        """Accept an export: 202 and where its status is told; raise Throttled where too many are open."""
        form = form_of(arguments.text("_format") or "ndjson", None)
        views = await asked_views(node, exchange, arguments)
        for each in views.values():
            # Refuses at once whoever may see nothing of the type.
            kind = read_view(engine_of(node), each).resource
            await node.repository.versions(Scope((kind,)), Window(before=1), 1)
        patient, groups = arguments.resource("patient"), arguments.many("group")
        named = None if patient is None else str(patient.get("reference", ""))
        references = [str(each.get("reference", "")) for each in groups]
        since = arguments.text("_since")
        asked = {
            "form": form.name,
            "header": arguments.one("header", bool) is not False,
            "tracking": arguments.text("clientTrackingId"),
            "views": {name: dump_exact(body).decode() for name, body in views.items()},
            "patients": await patients_of(node, exchange.base, named, references),
            "since": None if since is None else epoch_milliseconds(since),
            "caller": caller_as_json(exchange.caller),
            "begun": node.clock(),
        }
        if sum(self._is_open_of(exchange, job) for job in self._jobs.all()) >= node.settings.export_jobs:
            raise Throttled(f"{node.settings.export_jobs} exports of yours are open: wait for one, or cancel it.")
        try:
            job = await asyncio.to_thread(self._jobs.begin, str(uuid4()), asked)
        except OSError:
            raise NoStore(FULL) from None
        self._asked.set()
        url = f"{exchange.base}/{STATUS}/{job.id}".encode()
        headers = [(b"content-location", url), (b"preference-applied", b"respond-async")]
        return Reply(202, dump_exact(told(exchange, job, "accepted")), headers=headers)

    def _is_open_of(self, exchange: Exchange, job: Job) -> bool:
        try:
            return job.done() is None and _is_of(exchange, job)
        except FileNotFoundError:  # cancelled in this moment
            return False

    async def status(self, node: Node, exchange: Exchange) -> Reply:
        """Tell how far an export is: 202, or its files, or its failure."""
        job = self._job(exchange)
        done = job.done()
        if done is None:
            headers = [(b"x-progress", b"in progress"), (b"retry-after", b"%d" % SECONDS_TO_ASK_AGAIN)]
            return Reply(202, dump_exact(told(exchange, job, "in-progress")), headers=headers)
        if done["status"] != 200:
            return Reply(done["status"], orjson.dumps(done["outcome"]))
        return Reply(200, dump_exact(told(exchange, job, "completed", done)))

    async def cancel(self, node: Node, exchange: Exchange) -> Reply:
        """Forget an export and its files."""
        await asyncio.to_thread(self._job(exchange).remove)
        note = Issue("information", "informational", "The export and its files are removed.")
        return Reply(202, orjson.dumps(operation_outcome([note])))

    async def file(self, node: Node, exchange: Exchange) -> Reply:
        """Send a file."""
        job = self._job(exchange)
        if job.done() is None:
            raise NotFound("The export is not finished.")
        path = job.file(exchange.version, "")
        form = FORMS[job.request()["form"]]
        headers = [(b"content-length", b"%d" % path.stat().st_size)]
        return Reply(200, headers=headers, media_type=form.media_type, chunks=_pieces(path))

    def _job(self, exchange: Exchange) -> Job:
        try:
            job = self._jobs.job(exchange.id)
        except NotFound:
            raise NotFound(GONE) from None
        if not _is_of(exchange, job):
            raise NotFound(GONE)
        return job

    async def follow(self, node: Node) -> None:
        """Work on exports, one after another, and remove those that have expired, until it is cancelled."""
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
            if node.clock() - (job.folder / DONE).stat().st_mtime > node.settings.export_hours * 3600:
                await asyncio.to_thread(job.remove)
            return
        with job.held() as mine:
            if mine and job.done() is None:
                await self._do(node, job)

    async def _do(self, node: Node, job: Job) -> None:
        try:
            result = {"status": 200, "output": await exported(node, job), "ended": node.clock()}
        except Cancelled:
            job.remove()
            return
        except FhirError as failure:
            result = {"status": int(status_of(failure)), "outcome": failure.operation_outcome()}
        except OSError as error:
            log.warning("an export of views cannot be written: %s", error)
            result = {"status": 507, "outcome": NoStore(FULL).operation_outcome()}
        except Exception:
            log.exception("an export of views failed")
            result = {"status": 500, "outcome": FhirError("The server failed; see its log.").operation_outcome()}
        if not job.exists:
            return
        if result["status"] != 200:
            for path in job.folder.glob("*.*"):
                if path.name != REQUEST:
                    path.unlink(missing_ok=True)
        await asyncio.to_thread(job.finish, result)


async def asked_views(node: Node, exchange: Exchange, arguments: Arguments) -> dict[str, Mapping[str, Any]]:
    """Return the views that a call names or brings along, by the names of their files; raise Invalid for none."""
    found: dict[str, Mapping[str, Any]] = {}
    listed: list[tuple[Any, Mapping[str, Any]]] = []
    if exchange.id:
        listed.append((None, own_view(exchange.id)))
    references = [str(each.get("reference", "")) for each in arguments.many("viewReference")]
    listed += [(None, await view_at(node, each)) for each in references]
    for parts in arguments.many("view"):
        sent, reference = parts.get("viewResource"), parts.get("viewReference")
        if (sent is None) == (reference is None):
            text = "Each view has a part viewReference or viewResource: one of them."
            raise Invalid(Issue("error", "required", text))
        if not isinstance(sent, dict):
            text = str(reference.get("reference", "")) if isinstance(reference, dict) else str(reference)
            sent = await view_at(node, text)
        listed.append((parts.get("name"), sent))
    for given, body in listed:
        view = read_view(engine_of(node), body)
        name = given or view.name or f"view_{len(found)}"
        if not isinstance(name, str) or IS_NAME(name) is None or name in found:
            raise Invalid(Issue("error", "value", "Each view needs a name of its own, of letters, digits and _."))
        found[name] = body
    if not found:
        raise Invalid(Issue("error", "required", "Name a view: `view`, or ViewDefinition/[id]/$viewdefinition-export."))
    if len(found) > MOST_VIEWS:
        raise Invalid(Issue("error", "too-long", f"An export is of {MOST_VIEWS} views at most."))
    return found


async def exported(node: Node, job: Job) -> list[dict[str, Any]]:
    """Write the files of an export; return their names and counts. Raise Cancelled."""
    asked = job.request()
    bound = node.bound(caller_from(asked["caller"]))
    form = FORMS[asked["form"]]
    patients = None if asked["patients"] is None else tuple(asked["patients"])
    output = []
    for name, text in asked["views"].items():
        view = read_view(engine_of(bound), parse_json(text.encode()))
        path = job.folder / f"{name}.1{form.suffix}"
        make: Callable[..., ViewFile] = VIEW_FILE.load()
        file = await asyncio.to_thread(make, path, form, view.columns, header=asked["header"])
        try:
            async for rows in _lots(bound, view, Stored(bound, patients, asked["since"])):
                if not job.exists:
                    raise Cancelled
                await asyncio.to_thread(file.add, rows)
        finally:
            await asyncio.to_thread(file.close)
        output.append({"name": name, "file": path.name, "count": file.count})
    return output


async def _lots(node: Node, view: View, population: Stored) -> AsyncIterator[Sequence[dict[str, Any]]]:
    runner = Runner(engine_of(node), view)
    rows: list[dict[str, Any]] = []
    async for body in population.of(view.resource):
        rows += runner.rows(body)
        if len(rows) >= ROWS_AT_ONCE:
            yield rows
            rows = []
    yield rows


def told(exchange: Exchange, job: Job, status: str, done: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return what the operation tells of an export, a Parameters."""
    asked = job.request()
    url = f"{exchange.base}/{STATUS}/{job.id}"
    listed = [
        parameter("exportId", "string", job.id),
        *([parameter("clientTrackingId", "string", asked["tracking"])] if asked["tracking"] else []),
        parameter("status", "code", status),
        parameter("location", "uri", url),
        parameter("cancelUrl", "uri", url),
        parameter("_format", "code", asked["form"]),
        parameter("exportStartTime", "instant", instant(int(asked["begun"] * 1000))),
    ]
    if done is not None:
        listed.append(parameter("exportEndTime", "instant", instant(int(done["ended"] * 1000))))
        listed.append(parameter("exportDuration", "integer", int(done["ended"] - asked["begun"])))
        for each in done["output"]:
            place = f"{exchange.base}/{FILE}/{job.id}/{each['file']}"
            parts = [
                parameter("name", "string", each["name"]),
                parameter("location", "uri", place),
                parameter("count", "integer", each["count"]),
            ]
            listed.append(parameter("output", "part", parts))
    return {"resourceType": "Parameters", "parameter": listed}


def _is_of(exchange: Exchange, job: Job) -> bool:
    caller = caller_from(job.request()["caller"])
    return (exchange.caller.kind, exchange.caller.subject) == (caller.kind, caller.subject)


async def _pieces(path: Path) -> AsyncIterator[bytes]:
    with path.open("rb") as file:
        while chunk := await asyncio.to_thread(file.read, CHUNK):
            yield chunk

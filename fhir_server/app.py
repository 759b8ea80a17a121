"""The HTTP service, composed: store, repository, FHIR routes, pages (FHIR R4, 3.1.0 RESTful API)."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict, dataclass, replace
from functools import cache, partial
from pathlib import Path
from secrets import token_bytes
from tempfile import NamedTemporaryFile
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import orjson
from fastapi import FastAPI
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import BaseRoute

from fhir_server.access.caller import Caller
from fhir_server.auth.entrance import entrance
from fhir_server.auth.event import Event
from fhir_server.auth.records import records_at
from fhir_server.bulk.bring import Imports
from fhir_server.bulk.export import Exports
from fhir_server.bulk.submit import Submits
from fhir_server.definitions.registry import Definitions
from fhir_server.extension import Extension, Make, Surroundings, attended, fhir_routes, web_routes
from fhir_server.interactions.routes import ROUTES
from fhir_server.jobs.jobs import Jobs
from fhir_server.jobs.lease import Lease
from fhir_server.logs import logger
from fhir_server.metrics import Metrics
from fhir_server.national.table import ROUTES as VIEW_ROUTES
from fhir_server.national.view_export import ViewExports
from fhir_server.operations.table import ROUTES as OPERATION_ROUTES
from fhir_server.part import Part
from fhir_server.repository.attempt import Means, Rules
from fhir_server.repository.check import WriteCheck
from fhir_server.repository.codes import Codes
from fhir_server.repository.conformance import StoredDefinitions
from fhir_server.repository.coverage import Coverage
from fhir_server.repository.intake import REFERRING, REFERRING_KEY, Intake
from fhir_server.repository.labelling import OWNER, OWNER_KEY
from fhir_server.repository.reference import Targets
from fhir_server.repository.repository import Repository
from fhir_server.repository.seen import access_over, own_caller
from fhir_server.resource.identity import request_ids, time_ordered_ids
from fhir_server.resource.instant import Clock
from fhir_server.resource.parsing import Limits
from fhir_server.rest.auditing import Auditing
from fhir_server.rest.body import Receive
from fhir_server.rest.cursor import Cursors
from fhir_server.rest.exchange import Exchange, Route
from fhir_server.rest.node import Node
from fhir_server.rest.router import Router
from fhir_server.rest.service import PREFIX, FhirService, Scope, Send
from fhir_server.rest.web import failed, refused_by_framework
from fhir_server.search.index import Indexer
from fhir_server.search.limits import Limits as SearchLimits
from fhir_server.search.param_types.date import span_in
from fhir_server.search.parameters import Parameters
from fhir_server.search.plan import NOTHING, Plan
from fhir_server.search.query import Searcher
from fhir_server.settings import Settings
from fhir_server.site import Site
from fhir_server.store.opening import MongoDatabase, Place, opened
from fhir_server.store.protocol import Numbered, Store
from fhir_server.terminology.knowledge import Knowledge
from fhir_server.terminology.local import LocalTerminology
from fhir_server.validation.validator import Validator

if TYPE_CHECKING:
    from fhir_server.audit.trail import Trail
    from fhir_server.auth.outbound import Outbound
    from fhir_server.national.arrivals import Arrivals

DATABASE = "nhipcau.sqlite"
EXPORTS, IMPORTS, SUBMISSIONS, LAKE = "exports", "imports", "submissions", "lake"
VIEW_EXPORTS = "view-exports"
KEY_FILE = "cursor.key"
KEY_NOTE = "cursor key"
OUTBOUND: Part[type[Outbound]] = Part("fhir_server.auth.outbound:Outbound")
ARRIVALS: Part[type[Arrivals]] = Part("fhir_server.national.arrivals:Arrivals")
TRAIL: Part[type[Trail]] = Part("fhir_server.audit.trail:Trail")
COLLECTOR = (100_000, 10, 100)
"""When Python looks for cycles: rarely within a request, since a large Bundle alone is some 50,000 live objects."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a service gets what it must not make up itself: its folder, the time, and its own addresses."""

    data: Path
    clock: Clock = time.time
    bases: tuple[str, ...] = ()
    database: Place | None = None


Prepare = Callable[[Node, Sequence[Extension]], Awaitable[None]]
"""What is done once, while extensions are open, before the first request is answered."""


async def prepare_nothing(_node: Node, _extensions: Sequence[Extension]) -> None:
    """Be ready at once."""


class Service:
    """The ASGI application: FHIR URLs go their own short way, everything else through the web framework.

    `jobs` is there while it is running. `address` is where other processes of the server reach this one.
    """

    jobs: Jobs
    address = ""

    def __init__(
        self,
        definitions: Definitions,
        settings: Settings,
        origin: Origin,
        prepare: Prepare = prepare_nothing,
        extensions: Sequence[Make] = (),
    ) -> None:
        self._prepare = prepare
        surroundings = Surroundings(settings, origin.data, origin.clock, base_of(settings, origin))
        self.extensions = [make(surroundings) for make in extensions]
        # What clients store is added to definitions that nobody else looks into.
        self._definitions = definitions = definitions.extended()
        self._settings = settings
        self._origin = origin
        records = partial(records_at, origin.data, origin.database)
        self.entrance = entrance(settings, records, base_of(settings, origin), origin.clock, self.ask, self.tell)
        self.exports = Exports(origin.data / EXPORTS)
        outbound = cache(lambda: OUTBOUND.load()(settings.outbound_hosts))
        self.imports = Imports(origin.data / IMPORTS, outbound)
        tables = cache(lambda: ARRIVALS.load()(origin.data / LAKE, definitions))
        self.submits = Submits(origin.data / SUBMISSIONS, outbound, tables)
        self.view_exports = ViewExports(origin.data / VIEW_EXPORTS)
        bulk = (*self.exports.routes, *self.imports.routes, *self.submits.routes, *self.view_exports.routes)
        more = (*self.entrance.routes, *bulk, *fhir_routes(self.extensions))
        router = Router((*ROUTES, *OPERATION_ROUTES, *VIEW_ROUTES, *more), definitions.resource_types)
        self.fhir = FhirService(router, definitions, settings, request_ids(), self._observe)
        self.fhir.authenticator = self.entrance.authenticator
        self.fhir.cors.also = self.entrance.allows_origin
        self.site = Site(base_of(settings, origin), asks=settings.auth == "on")
        self.web = web_application(self)
        self.is_ready = False
        self.metrics = Metrics()
        self._log = logger()
        self._logs_all = settings.logged_requests == "all"

    def _observe(self, route: Route | None, status: int, seconds: float, request_id: str) -> None:
        self.metrics.requests.observe(route, status, seconds)
        if self._logs_all or status >= 500:
            self._log.info(
                "request",
                interaction=route.interaction if route is not None else None,
                status=int(status),
                milliseconds=round(seconds * 1000, 1),
                request=request_id,
            )

    async def tell(self, event: Event) -> None:
        """Put into the log, and into the ledger, who came in, or did not."""
        self._log.info("authentication", **asdict(event))
        if self.fhir.auditing is not None:
            await self.fhir.auditing.event(asdict(event))

    def stopping(self) -> None:
        """End the answers of extensions that would go on for ever."""
        for extension in self.extensions:
            extension.stopping()

    async def ask(self, caller: Caller, path: str) -> tuple[int, dict[str, Any]]:
        """Answer a GET of a caller below the base URL: its status, and the resource."""
        where, _, query = path.partition("?")
        exchange = Exchange("GET", where.split("/"), query=query, base=base_of(self._settings, self._origin))
        exchange.caller = caller
        reply = await self.fhir.dispatch(exchange)
        return int(reply.status), orjson.loads(reply.body or b"{}")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] == "http":
            path: str = scope["path"]
            if path.startswith(PREFIX) and path[len(PREFIX) : len(PREFIX) + 1] in ("", "/"):
                await self.fhir(scope, receive, send)
                return
        await self.web(scope, receive, send)

    @asynccontextmanager
    async def running(self, *, works: bool = False) -> AsyncIterator[Node]:
        """Open the store and be ready to answer; what was accepted is finished before it is closed.

        One that `works` takes its turn at jobs.
        """
        store = await opened(self._origin.database or self._origin.data / DATABASE, self._origin.clock)
        try:
            stored = StoredDefinitions(store, self._definitions)
            await stored.load()
            checks = tuple(check for extension in self.extensions for check in extension.checks)
            node = await composed(
                store,
                self._definitions,
                self._settings,
                self._origin,
                self.fhir,
                stored,
                self.entrance.security,
                checks,
            )
            node = replace(node, address=self.address)
            await node.coverage.establish()
            self.fhir.context = node
            if node.repository.is_guarded:
                self.fhir.auditing = Auditing(store.record, self._origin.clock)
            # The first search of a process reads what waits to be merged: here nobody waits for it.
            await store.count(Plan({"Basic": NOTHING}))
            jobs = Jobs(node.repository, node.coverage, Lease(store, self._origin.clock), self._origin.clock)
            following = [asyncio.create_task(node.coverage.follow()), asyncio.create_task(self.entrance.follow())]
            if works:
                following.append(asyncio.create_task(jobs.follow()))
                following.append(asyncio.create_task(self.exports.follow(node)))
                following.append(asyncio.create_task(self.imports.follow(node)))
                following.append(asyncio.create_task(self.submits.follow(node)))
                following.append(asyncio.create_task(self.view_exports.follow(node)))
                if node.repository.is_guarded:
                    trail = TRAIL.load()(store, self._origin.data, self._origin.clock, self._settings.audit_days)
                    following.append(asyncio.create_task(trail.follow()))
            self.jobs = jobs
            try:
                async with attended(self.extensions, store, node):
                    await self._prepare(node, self.extensions)
                    self.is_ready = True
                    yield node
            finally:
                for task in following:
                    task.cancel()
                await asyncio.gather(*following, return_exceptions=True)
        finally:
            self.is_ready = False
            await self.entrance.close()
            await store.close()


async def composed(
    store: Store,
    definitions: Definitions,
    settings: Settings,
    origin: Origin,
    service: FhirService,
    stored: StoredDefinitions,
    security: Mapping[str, Any],
    checks: Sequence[WriteCheck],
) -> Node:
    """Return the node over a store: everything that handlers work with."""
    bases = tuple(filter(None, (settings.base_url, *origin.bases)))
    zone = ZoneInfo(settings.time_zone)
    indexer = Indexer(definitions, zone=zone, bases=bases, numbers=await parameter_numbers(store, definitions))
    stored.parameters = indexer.parameters
    coverage = Coverage(store, indexer.parameters, stored.catch_up)
    knowledge = Knowledge(definitions, LocalTerminology(definitions))
    full = Validator(definitions, knowledge.terminology, depth="full")
    targets = Targets(definitions.resource_types, bases)
    means = Means(
        store=store,
        definitions=definitions,
        intake=Intake(definitions, indexer, targets, validator=write_validator(definitions, settings), adviser=full),
        targets=targets,
        searcher=searcher_of(indexer, knowledge, settings, bases),
        clock=origin.clock,
        new_id=time_ordered_ids(origin.clock),
        span=span_in(zone),
        rules=Rules(
            integrity=settings.referential_integrity,
            unchanged_makes_version=settings.unchanged_makes_version,
            deleted_at_once=settings.conditional_delete,
            limits=limits_of(settings),
        ),
        gaps=coverage.gaps,
        checks=checks,
    )
    access = await access_over(means, settings, base_of(settings, origin))
    return Node(
        repository=Repository(means, coverage.refresh, access, own_caller(settings)),
        coverage=coverage,
        definitions=definitions,
        knowledge=knowledge,
        settings=settings,
        validator=full,
        notes=store,
        cursors=Cursors(await cursor_key(store, origin)),
        limits=limits_of(settings),
        bundle_limits=Limits(settings.json_depth, settings.bundle_keys, settings.string_characters),
        routes=service.router.routes,
        find=service.find,
        dispatch=service.dispatch,
        started=int(origin.clock() * 1000),
        clock=origin.clock,
        security=security,
    )


def searcher_of(indexer: Indexer, knowledge: Knowledge, settings: Settings, bases: tuple[str, ...]) -> Searcher:
    """Return what understands searches."""
    return Searcher(
        indexer.parameters,
        codes=Codes(knowledge.terminology),
        zone=ZoneInfo(settings.time_zone),
        bases=bases,
        limits=SearchLimits(count=settings.largest_page_entries),
    )


async def parameter_numbers(store: Store, definitions: Definitions) -> dict[str, int]:
    """Return the numbers of all search parameters, as the store keeps them for ever."""
    registry = Parameters(definitions, await store.number(()))
    wanted = [
        Numbered(key, number, parameter_type)
        for kind in sorted(definitions.resource_types)
        for key, number, parameter_type in registry.numbers_of(kind)
    ]
    shared = Numbered(REFERRING_KEY, REFERRING, "reference"), Numbered(OWNER_KEY, OWNER, "token")
    return dict(await store.number([*shared, *wanted]))


def write_validator(definitions: Definitions, settings: Settings) -> Validator | None:
    """Return what checks a resource before it is stored, None where nothing does."""
    if settings.validation == "off":
        return None
    return Validator(definitions, claimed_profiles=settings.validation == "profiles")


def limits_of(settings: Settings) -> Limits:
    """Return the limits of one body."""
    return Limits(settings.json_depth, settings.json_keys, settings.string_characters)


def base_of(settings: Settings, origin: Origin) -> str:
    """Return the base URL that this server is known by, whatever a request calls it."""
    return settings.base_url or next(iter(origin.bases), "http://localhost/fhir")


async def cursor_key(store: Store, origin: Origin) -> bytes:
    """Return the key that cursors are signed with: of the folder, or where machines share a database, of that."""
    if not isinstance(origin.database, MongoDatabase):
        return signing_key(origin.data)
    await store.keep(KEY_NOTE, token_bytes(32).hex(), None)
    return bytes.fromhex(await store.note(KEY_NOTE) or "")


def signing_key(data: Path) -> bytes:
    """Return the key that cursors are signed with, made when the folder has none; processes that start agree on one."""
    file = data / KEY_FILE
    if not file.exists():
        with NamedTemporaryFile(dir=data, prefix=KEY_FILE) as made:
            made.write(token_bytes(32))
            made.flush()
            with suppress(FileExistsError):
                file.hardlink_to(made.name)
    return file.read_bytes()


def web_application(service: Service) -> FastAPI:
    """Return the routes that are not FHIR's."""

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        async with service.running(works=True):
            # What was made so far stays for ever: the collector need not look at it again and again. Nor at what
            # requests hold, which is more for one Bundle than the collector's own threshold, and nearly never a cycle.
            gc.collect()
            gc.freeze()
            gc.set_threshold(*COLLECTOR)
            yield

    async def health() -> dict[str, str]:
        """Answer that the service runs; it starts to listen only when it can answer."""
        return {"status": "ok"}

    async def ready() -> Response:
        """Answer whether the service takes requests: not before it is open, and no more while it stops."""
        return Response(status_code=200 if service.is_ready else 503)

    async def metrics() -> Response:
        """Answer what Prometheus asks for."""
        return Response(service.metrics.text(), media_type=CONTENT_TYPE_LATEST)

    extended = web_routes(service.extensions, service.fhir, request_ids())
    routes: Sequence[BaseRoute] = [*service.entrance.pages, *extended]
    made = FastAPI(title="Nhịp Cầu", routes=list(routes), docs_url=None, redoc_url=None, lifespan=lifespan)
    made.add_api_route("/health", health)
    made.add_api_route("/metrics", metrics, response_class=Response)
    made.add_api_route("/ready", ready, response_class=Response)
    # Any path may be one of the app's: what is the server's own stands before it.
    made.router.routes.extend(service.site.routes())
    made.add_exception_handler(HTTPException, refused_by_framework)
    made.add_exception_handler(Exception, failed)
    return made


def application(
    definitions: Definitions,
    settings: Settings,
    origin: Origin,
    prepare: Prepare = prepare_nothing,
    extensions: Sequence[Make] = (),
) -> Service:
    """Return the service over these definitions, with what extensions add."""
    return Service(definitions, settings, origin, prepare, extensions)

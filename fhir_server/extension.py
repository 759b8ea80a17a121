"""What an extension may add to the server: routes, operations, listeners to commits, work in the background.

An extension is a function in the entry-point group `fhir_server.extensions`: it takes its Surroundings and returns an
Extension. The server knows none of them by name.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from importlib.metadata import entry_points
from itertools import chain
from pathlib import Path
from typing import Any
from uuid import uuid4

import orjson
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route as WebRoute

from fhir_server.access.caller import Caller
from fhir_server.errors import FhirError, Invalid
from fhir_server.resource.instant import Clock
from fhir_server.rest.authentication import purposed
from fhir_server.rest.exchange import Exchange, Route
from fhir_server.rest.failure import ScopeMissing
from fhir_server.rest.node import Node
from fhir_server.rest.operation import Operation, routes_of
from fhir_server.rest.service import FhirService
from fhir_server.settings import Settings
from fhir_server.store.protocol import Scope, Store, Version

GROUP = "fhir_server.extensions"
HEARD_AT_ONCE = 500
SECONDS_BETWEEN_LOOKS = 0.5
SECONDS_CLAIMED = 30.0
SECONDS_TO_RETRY = 1.0
CLIENT_GONE = 499
"""What a log shows for a request whose client went away: nobody reads the answer."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What an extension is made from: the settings, the node's data folder, the time, and the FHIR base URL."""

    settings: Settings
    data: Path
    clock: Clock
    base: str


@dataclass(frozen=True, slots=True)
class Visit:
    """A request to a route of an extension, by a caller whose scopes fit; `node` shows what the caller may see."""

    request: Request
    caller: Caller
    node: Node


@dataclass(frozen=True, slots=True)
class Row:
    """A route below the prefix of its extension, with a path as Starlette has it.

    `scopes` are what a caller needs, all of them: a resource type and letters of SMART scopes (c, r, u, d, s) each. A
    failure that `answer` raises, a kind of FhirError, becomes an OperationOutcome.
    """

    method: str
    path: str
    answer: Callable[[Visit], Awaitable[Response]]
    scopes: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Listener:
    """Is told all versions in the order of their commits, those included that were made while nobody listened.

    Each is told at least once, by one process at a time; where `hear` fails it is told the same again. `name` tells
    listeners apart and must stay the same.
    """

    name: str
    hear: Callable[[Node, Sequence[Version]], Awaitable[None]]


@asynccontextmanager
async def nothing_open(_node: Node) -> AsyncIterator[None]:
    """Hold nothing open."""
    yield


@dataclass(frozen=True, slots=True)
class Extension:
    """What is added: `rows` below `prefix`, FHIR operations, listeners, and work that never ends by itself.

    `opened` is held open while the server runs: files, connections. `work` is begun after it, in every process, and
    begun again where it fails.
    """

    name: str
    prefix: str = ""
    rows: Sequence[Row] = ()
    operations: Sequence[Operation] = ()
    listeners: Sequence[Listener] = ()
    work: Sequence[Callable[[Node], Awaitable[None]]] = ()
    opened: Callable[[Node], AbstractAsyncContextManager[None]] = nothing_open


Make = Callable[[Surroundings], Extension]


def installed() -> tuple[Make, ...]:
    """Return what makes each installed extension, in the order of their names."""
    return tuple(found.load() for found in sorted(entry_points(group=GROUP), key=lambda each: each.name))


def fhir_routes(extensions: Sequence[Extension]) -> Iterator[Route]:
    """Yield the rows of the FHIR route table for the operations of extensions."""
    for extension in extensions:
        yield from chain.from_iterable(routes_of(operation) for operation in extension.operations)


def web_routes(extensions: Sequence[Extension], service: FhirService, new_id: Callable[[], str]) -> Iterator[WebRoute]:
    """Yield the routes of extensions as the web framework has them."""
    for extension in extensions:
        for row in extension.rows:
            yield WebRoute(extension.prefix + row.path, _endpoint(row, service, new_id), methods=[row.method])


def _endpoint(row: Row, service: FhirService, new_id: Callable[[], str]) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        exchange = Exchange(
            request.method,
            request.url.path.split("/")[1:],
            query=request.scope["query_string"].decode("latin-1"),
            headers=dict(request.scope["headers"]),
            request_id=new_id(),
        )
        try:
            await _let_in(exchange, row, service)
            caller = purposed(exchange)
            return await row.answer(Visit(request, caller, service.context.bound(caller)))
        except ClientDisconnect:
            return Response(status_code=CLIENT_GONE)
        except FhirError as failure:
            return _refusal(service, failure, exchange)

    return endpoint


async def _let_in(exchange: Exchange, row: Row, service: FhirService) -> None:
    """Learn who asks; raise NoToken, BadToken or ScopeMissing."""
    if "access_token=" in exchange.query:
        raise Invalid("A token in the URL is not taken: send it in the header Authorization.")
    exchange.caller = await service.authenticator.authenticate(exchange.header(b"authorization"))
    scopes = exchange.caller.scopes
    for kind, letters in row.scopes:
        if not all(scopes.allows(kind, letter) for letter in letters):
            wanted = f"{'system' if exchange.caller.kind == 'client' else 'user'}/{kind}.{letters}"
            raise ScopeMissing(f"This takes the scope {wanted}; the token was given for: {scopes.text}", wanted)


def _refusal(service: FhirService, failure: FhirError, exchange: Exchange) -> Response:
    reply = service.refusal(failure, exchange)
    headers = {name.decode(): value.decode() for name, value in reply.headers}
    headers["x-request-id"] = exchange.request_id
    return Response(reply.body, int(reply.status), headers, "application/fhir+json")


@asynccontextmanager
async def attended(extensions: Sequence[Extension], store: Store, node: Node) -> AsyncIterator[None]:
    """Hold open what extensions hold, and do their work meanwhile."""
    async with AsyncExitStack() as held:
        for extension in extensions:
            await held.enter_async_context(extension.opened(node))
        doing = [
            *(asyncio.create_task(_persisting(work, node)) for each in extensions for work in each.work),
            *(
                asyncio.create_task(_persisting(Hearing(store, listener).follow, node))
                for each in extensions
                for listener in each.listeners
            ),
        ]
        try:
            yield
        finally:
            for task in doing:
                task.cancel()
            await asyncio.gather(*doing, return_exceptions=True)


async def _persisting(work: Callable[[Node], Awaitable[None]], node: Node) -> None:
    """Do work, and begin it again after a failure, until it is cancelled."""
    while True:
        try:
            await work(node)
        except Exception:
            log.exception("the work of an extension failed; it is begun again")
        await asyncio.sleep(SECONDS_TO_RETRY)


class Hearing:
    """Tells one listener of commits. How far it heard is a note in the store, which one process at a time claims."""

    def __init__(self, store: Store, listener: Listener) -> None:
        self._store = store
        self._listener = listener
        self._note = f"heard by {listener.name}"
        self._me = str(uuid4())

    async def follow(self, node: Node) -> None:
        """Tell what is committed, again and again."""
        while True:
            if not await self._tell(node):
                await asyncio.sleep(SECONDS_BETWEEN_LOOKS)

    async def _tell(self, node: Node) -> bool:
        """Tell the next versions; False where there are none, or another process tells them."""
        kept = await self._store.note(self._note)
        state: dict[str, Any] = {"place": 0, "holder": self._me, "until": 0.0} if kept is None else orjson.loads(kept)
        if state["holder"] != self._me and state["until"] > node.clock():
            return False
        versions = await self._store.history(Scope(), HEARD_AT_ONCE, after=state["place"])
        if not versions:
            return False
        claimed = self._text(state["place"], node)
        if not await self._store.keep(self._note, claimed, kept):
            return False
        await self._listener.hear(node, versions)
        return await self._store.keep(self._note, self._text(versions[-1].place, node), claimed)

    def _text(self, place: int, node: Node) -> str:
        return orjson.dumps({"place": place, "holder": self._me, "until": node.clock() + SECONDS_CLAIMED}).decode()

"""What an extension may add to the server: routes, operations, listeners to commits, work in the background.

An extension is a function in the entry-point group `fhir_server.extensions`: it takes its Surroundings and returns an
Extension. The server knows none of them by name.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import entry_points
from itertools import chain
from pathlib import Path
from typing import Any, Literal
from uuid import uuid4

import orjson
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route as WebRoute

from fhir_server.access.caller import Caller
from fhir_server.audit.account import Account
from fhir_server.errors import FhirError, Invalid
from fhir_server.maintenance import NOTHING_KEPT, Finding, Kept, nothing_found
from fhir_server.repository.check import WriteCheck
from fhir_server.resource.instant import Clock
from fhir_server.rest.authentication import purposed
from fhir_server.rest.exchange import Exchange, Route
from fhir_server.rest.failure import ScopeMissing
from fhir_server.rest.node import Node
from fhir_server.rest.operation import Operation, routes_of
from fhir_server.rest.service import FhirService
from fhir_server.settings import Settings
from fhir_server.store.protocol import Scope, Store, Version
from fhir_server.telling import Tell, tell_nothing

GROUP = "fhir_server.extensions"
HEARD_AT_ONCE = 500
SECONDS_BETWEEN_LOOKS = 0.5
SECONDS_CLAIMED = 30.0
SECONDS_TO_RETRY = 1.0
FAILED = "4"
"""The outcome of what a caller was refused (FHIR R4, AuditEvent.outcome)."""
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
    """A request to a route of an extension, by a caller whose scopes fit; `node` shows what the caller may see.

    `account` is the caller's, for what was done; there is none on a server that asks nobody who they are.
    """

    request: Request
    caller: Caller
    node: Node
    account: Account | None = None
    ask: Callable[[], Awaitable[Caller]] | None = None

    async def again(self) -> Visit:
        """The visit as it would be now, for answers that go on for long; raise BadToken where a token is good no more.

        Whose scopes or facilities have changed is somebody else from then on.
        """
        caller = self.caller if self.ask is None else await self.ask()
        return self if caller is self.caller else replace(self, caller=caller, node=self.node.bound(caller))

    def audited(
        self,
        kind: Literal["C", "R", "U", "D", "Q", "E"],
        interaction: str,
        resources: Sequence[str] = (),
        *,
        patients: Collection[str] = (),
        facilities: Collection[str] = (),
        text: str = "",
        succeeded: bool = True,
    ) -> None:
        """Enter in the ledger of AuditEvents what the caller did; it is durable before the answer begins.

        `resources` are what it was about, each as Type/id; `patients` and `facilities` whose data it was, beside those
        of what `node` read for this request. `interaction` is a code of restful-interaction, or, of kind E, the name of
        an operation. What is written through `node`, and what is refused by raising, is entered without this.
        """
        if self.account is None:
            return
        self.account.touch(facilities, patients)
        told: dict[str, Any] = {"e": list(resources)} if resources else {}
        if kind == "Q":
            told["s"] = asked(self.request)
        if text:
            told["d"] = text
        if not succeeded:
            told["o"] = FAILED
        self.account.shown(int(self.node.clock() * 1000), kind, interaction, told)


def asked(request: Request) -> str:
    """What a request asked for, as it stood in its URL."""
    return f"{request.url.path.lstrip('/')}?{request.scope['query_string'].decode('latin-1')}".rstrip("?")


async def none_of_ours(_header: str | None) -> Caller | None:
    """Know nobody."""
    return None


@dataclass(frozen=True, slots=True)
class Row:
    """A route below the prefix of its extension, with a path as Starlette has it.

    `scopes` are what a caller needs, all of them: a resource type and letters of SMART scopes (c, r, u, d, s) each. A
    failure that `answer` raises, a kind of FhirError, becomes an OperationOutcome. `knows` is asked first whom the
    header Authorization stands for: a caller of the extension's own, who needs no scopes; None leaves it to the server.
    `takes` is the media type that a POST takes, which OPTIONS tells (Accept-Post).
    """

    method: str
    path: str
    answer: Callable[[Visit], Awaitable[Response]]
    scopes: tuple[tuple[str, str], ...]
    knows: Callable[[str | None], Awaitable[Caller | None]] = none_of_ours
    takes: str = ""


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


def nothing_endless() -> None:
    """Have no answers that never end."""


@dataclass(frozen=True, slots=True)
class Extension:
    """What is added: `rows` below `prefix`, FHIR operations, checks of writes, listeners, and work that never ends.

    `opened` is held open while the server runs: files, connections. `work` is begun after it, in every process, and
    begun again where it fails. `stopping` is called when the server begins to stop: answers that never end by
    themselves must end then. `tells` adds its part to the story of a demo; told again, it changes nothing.
    `keeps` is what a backup takes along. `examined` looks, for `nhipcau doctor`, at what the extension needs: the name
    of each check with what it found.
    """

    name: str
    prefix: str = ""
    rows: Sequence[Row] = ()
    operations: Sequence[Operation] = ()
    checks: Sequence[WriteCheck] = ()
    listeners: Sequence[Listener] = ()
    work: Sequence[Callable[[Node], Awaitable[None]]] = ()
    opened: Callable[[Node], AbstractAsyncContextManager[None]] = nothing_open
    stopping: Callable[[], None] = nothing_endless
    keeps: Kept = NOTHING_KEPT
    examined: Callable[[], Iterable[tuple[str, Finding]]] = nothing_found
    tells: Tell = tell_nothing


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
        for path in dict.fromkeys(row.path for row in extension.rows):
            takes = next((row.takes for row in extension.rows if row.path == path and row.method == "POST"), "")
            yield WebRoute(extension.prefix + path, _preflight(takes, service), methods=["OPTIONS"])


def _exchange(request: Request, request_id: str) -> Exchange:
    return Exchange(
        request.method,
        request.url.path.split("/")[1:],
        query=request.scope["query_string"].decode("latin-1"),
        headers=dict(request.scope["headers"]),
        request_id=request_id,
    )


def _preflight(takes: str, service: FhirService) -> Callable[[Request], Awaitable[Response]]:
    """What a browser is told before it calls; nobody is asked who they are."""

    async def endpoint(request: Request) -> Response:
        exchange = _exchange(request, "")
        reply = service.cors.preflight(exchange)
        answer = Response(status_code=int(reply.status), headers={"accept-post": takes} if takes else None)
        answer.raw_headers += reply.headers
        service.cors.allow(exchange, answer.raw_headers)
        return answer

    return endpoint


def _endpoint(row: Row, service: FhirService, new_id: Callable[[], str]) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        exchange = _exchange(request, new_id())
        exchange.address = request.scope.get("client")
        answer = await answered(request, exchange)
        service.cors.allow(exchange, answer.raw_headers)
        return answer

    async def answered(request: Request, exchange: Exchange) -> Response:
        try:
            await _know(exchange, row, service)
        except FhirError as failure:
            return _refusal(service, failure, exchange)
        account = None if service.auditing is None else service.auditing.open(exchange)
        caller = exchange.caller
        visit = Visit(request, caller, service.context.bound(caller), account, partial(_caller, exchange, row, service))
        answer = await _answer(visit, row, service, exchange)
        return await _accounted(visit, answer, service, exchange)

    return endpoint


async def _answer(visit: Visit, row: Row, service: FhirService, exchange: Exchange) -> Response:
    try:
        _check_scopes(exchange.caller, row)
        caller = purposed(exchange)
        stated = visit if caller is visit.caller else replace(visit, caller=caller, node=service.context.bound(caller))
        return await row.answer(stated)
    except ClientDisconnect:
        return Response(status_code=CLIENT_GONE)
    except FhirError as failure:
        answer = _refusal(service, failure, exchange)
        _enter_refusal(visit, row, answer)
        return answer


def _enter_refusal(visit: Visit, row: Row, answer: Response) -> None:
    text = f"{answer.status_code} {row.method} /{asked(visit.request)}"
    visit.audited("E", row.method.lower(), text=text, succeeded=False)


async def _accounted(visit: Visit, answer: Response, service: FhirService, exchange: Exchange) -> Response:
    """The answer, once it is recorded what was done; a refusal where that cannot be recorded."""
    if visit.account is not None and service.auditing is not None:
        try:
            await service.auditing.settle(visit.account)
        except FhirError as failure:
            return _refusal(service, failure, exchange)
    return answer


async def _know(exchange: Exchange, row: Row, service: FhirService) -> None:
    """Learn who asks; raise NoToken or BadToken."""
    if "access_token=" in exchange.query:
        raise Invalid("A token in the URL is not taken: send it in the header Authorization.")
    exchange.caller = await _caller(exchange, row, service)


async def _caller(exchange: Exchange, row: Row, service: FhirService) -> Caller:
    header = exchange.header(b"authorization")
    known = await row.knows(header)
    return known if known is not None else await service.authenticator.authenticate(header)


def _check_scopes(caller: Caller, row: Row) -> None:
    """Raise ScopeMissing where a caller's scopes are not all that a route needs; who is a guest has none."""
    for kind, letters in row.scopes if caller.kind != "guest" else ():
        if not all(caller.scopes.allows(kind, letter) for letter in letters):
            wanted = f"{'system' if caller.kind == 'client' else 'user'}/{kind}.{letters}"
            raise ScopeMissing(f"This takes the scope {wanted}; the token was given for: {caller.scopes.text}", wanted)


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

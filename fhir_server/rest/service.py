"""The ASGI application of all FHIR URLs: from bytes to an exchange, to its route, and back (FHIR R4, 3.1.0)."""

from __future__ import annotations

import logging
import re
from asyncio import CancelledError
from collections.abc import Awaitable, Callable, MutableMapping
from time import perf_counter
from typing import Any
from urllib.parse import unquote

import orjson

from fhir_server.access.caller import LOCAL, Caller
from fhir_server.audit.account import Account
from fhir_server.definitions.registry import Definitions
from fhir_server.errors import FhirError, Invalid, Issue, Throttled, Unavailable, operation_outcome
from fhir_server.rest.auditing import Auditing
from fhir_server.rest.authentication import OPEN, Authenticator, NobodyAsked, check_scopes, purposed
from fhir_server.rest.body import Disconnected, Receive, read_body
from fhir_server.rest.cors import Cors
from fhir_server.rest.exchange import Exchange, Reply, Route, Takes
from fhir_server.rest.failure import (
    SECONDS_TO_RETRY,
    BadToken,
    HeadersTooLong,
    MethodNotAllowed,
    NoToken,
    ScopeMissing,
    UrlTooLong,
    status_of,
)
from fhir_server.rest.presentation import finished
from fhir_server.rest.representation import AS_STORED, accepted, accepted_or_native, with_parameters
from fhir_server.rest.router import Router, steps_of
from fhir_server.settings import Settings

Scope = MutableMapping[str, Any]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Observe = Callable[[Route | None, int, float, str], None]
"""Told of every answer: its route, its status, the seconds that it took, and the request id."""

PREFIX = "/fhir"
REQUEST_ID = b"x-request-id"
UNFINISHED = "The server stops and could not finish this in time. What it was to write may be written: look first."
IS_HOST = re.compile(r"[A-Za-z0-9.\-_:\[\]]{1,255}").fullmatch
LONGEST_REQUEST_ID = 64
MOST_CALLERS = 2000

log = logging.getLogger(__name__)


def observe_nothing(_route: Route | None, _status: int, _seconds: float, _request_id: str) -> None:
    """Keep no account."""


class FhirService:
    """Answers what comes below the base URL; `context` is handed to every handler as its first argument.

    `authenticator` says who asks; it is set before the first request. `auditing` records what callers do.
    """

    def __init__(
        self,
        router: Router,
        definitions: Definitions,
        settings: Settings,
        request_ids: Callable[[], str],
        observe: Observe = observe_nothing,
    ) -> None:
        self.context: Any = None
        self.router = router
        self.authenticator: Authenticator = NobodyAsked()
        self.auditing: Auditing | None = None
        self._bound: dict[int, tuple[Caller, Any]] = {}
        self._definitions = definitions
        self._settings = settings
        self._request_ids = request_ids
        self._observe = observe
        self.cors = Cors(settings.cors_origins)
        self._limits: dict[Takes, int] = {
            "nothing": settings.body_bytes,
            "resource": settings.body_bytes,
            "patch": settings.body_bytes,
            "form": settings.body_bytes,
            "bundle": settings.bundle_bytes,
            "binary": settings.binary_bytes,
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        started = perf_counter()
        exchange, route, account = self._exchange(scope), None, None
        try:
            self._refuse_excess(scope, exchange)
            path = self._path(scope)
            if exchange.method == "OPTIONS":
                reply = self.cors.preflight(exchange)
            else:
                exchange.path = path
                route = self.router.find(exchange)
                if route.interaction not in OPEN:
                    await self._authenticate(exchange)
                    if self.auditing is not None:
                        account = self.auditing.open(exchange)
                    check_scopes(exchange.caller, route, exchange)
                reply = await self._answer(route, exchange, receive)
        except FhirError as failure:
            reply = self.refusal(failure, exchange)
        except Disconnected:
            return
        except CancelledError:
            reply = self.refusal(Unavailable(UNFINISHED), exchange)
        except Exception as failure:  # noqa: BLE001 -- whatever it is, the client gets an answer and the log the fault
            reply = self.fault(failure, exchange)
        if account is not None and route is not None:
            reply = await self._audited(account, route, exchange, reply)
        headers, body = self._finished(reply, exchange)
        self.cors.allow(exchange, headers, to_all=route is not None and route.interaction in OPEN)
        await send({"type": "http.response.start", "status": reply.status, "headers": headers})
        if reply.chunks is not None and exchange.method != "HEAD":
            async for chunk in reply.chunks:
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body", "body": body})
        self._observe(route, reply.status, perf_counter() - started, exchange.request_id)

    def find(self, exchange: Exchange) -> Route:
        """Return the route of an exchange whose caller is known; raise what the router does, or ScopeMissing."""
        route = self.router.find(exchange)
        check_scopes(exchange.caller, route, exchange)
        return route

    async def dispatch(self, exchange: Exchange) -> Reply:
        """Answer an exchange that is part of another, such as an entry of a batch; failures become replies."""
        try:
            route = self.router.find(exchange)
        except FhirError as failure:
            return self.refusal(failure, exchange)
        account = self.auditing.open(exchange, inner=True) if self.auditing is not None else None
        try:
            check_scopes(exchange.caller, route, exchange)
            if exchange.query:
                exchange.representation = with_parameters(AS_STORED, exchange.pairs, native=route.native)
            else:
                exchange.representation = AS_STORED
            reply: Reply = await route.handler(self._context(exchange), exchange)
        except FhirError as failure:
            reply = self.refusal(failure, exchange)
        except Exception as failure:  # noqa: BLE001 -- one entry's fault is not that of the others
            reply = self.fault(failure, exchange)
        if account is not None and self.auditing is not None:
            self.auditing.tell(account, route, exchange, reply)
        return reply

    def refusal(self, failure: FhirError, exchange: Exchange) -> Reply:
        """The answer to a failure: its OperationOutcome, named by the request."""
        outcome = {"resourceType": "OperationOutcome", "id": exchange.request_id, **failure.operation_outcome()}
        reply = Reply(status_of(failure), orjson.dumps(outcome))
        if isinstance(failure, MethodNotAllowed):
            reply.headers.append((b"allow", ", ".join(failure.allowed).encode()))
        if isinstance(failure, NoToken | BadToken | ScopeMissing):
            reply.headers.append((b"www-authenticate", failure.challenge.encode()))
        if isinstance(failure, Unavailable | Throttled):
            reply.headers.append((b"retry-after", b"%d" % SECONDS_TO_RETRY))
        return reply

    def fault(self, failure: Exception, exchange: Exchange) -> Reply:
        """The answer to a fault of the server itself, which tells nothing of its inside: that goes to the log."""
        log.error("%s failed, request %s", exchange.method[:20], exchange.request_id, exc_info=failure)
        issue = Issue("fatal", "exception", "The server failed; the fault is in its log under the id of this request.")
        outcome = {**operation_outcome([issue]), "id": exchange.request_id}
        return Reply(500, orjson.dumps(outcome))

    async def _audited(self, account: Account, route: Route, exchange: Exchange, reply: Reply) -> Reply:
        """The reply, once it is recorded that it was given; a refusal where that cannot be recorded."""
        assert self.auditing is not None
        try:
            self.auditing.tell(account, route, exchange, reply)
            await self.auditing.settle(account)
        except FhirError as failure:
            return self.refusal(failure, exchange)
        except Exception as failure:  # noqa: BLE001 -- what is not recorded is not told
            return self.fault(failure, exchange)
        return reply

    async def _authenticate(self, exchange: Exchange) -> None:
        if "access_token=" in exchange.query:
            # A URL stands in logs and histories (RFC 6750, 5.3).
            raise Invalid("A token in the URL is not taken: send it in the header Authorization.")
        header = exchange.headers.get(b"authorization")
        caller = await self.authenticator.authenticate(None if header is None else header.decode("latin-1"))
        exchange.caller = caller

    async def _answer(self, route: Route, exchange: Exchange, receive: Receive) -> Reply:
        accept = exchange.headers.get(b"accept")
        form = accepted_or_native(accept) if route.native else accepted(accept)
        if exchange.query:
            form = with_parameters(form, exchange.pairs, native=route.native)
        exchange.representation = form
        if exchange.method not in ("GET", "HEAD", "DELETE"):
            limit = self._limits[route.takes]
            exchange.body = await read_body(receive, exchange.headers, limit, self._settings.body_seconds)
        reply: Reply = await route.handler(self._context(exchange), exchange)
        return reply

    def _context(self, exchange: Exchange) -> Any:
        """The node as it is for who asks; made once for each caller, who is the same object for the same token."""
        if exchange.caller is LOCAL:
            return self.context
        caller = purposed(exchange)
        known, found = self._bound.get(id(caller), (None, None))
        if known is not caller:
            if len(self._bound) >= MOST_CALLERS:
                self._bound.clear()
            found = self.context.bound(caller)
            self._bound[id(caller)] = caller, found
        return found

    def _exchange(self, scope: Scope) -> Exchange:
        listed = scope["headers"]
        headers = dict(listed)
        if len(headers) != len(listed):
            headers = joined(listed)
        exchange = Exchange(scope["method"], (), headers=headers, query=scope["query_string"].decode("latin-1"))
        exchange.address = scope.get("client")
        host = headers.get(b"host", b"localhost").decode("latin-1")
        if IS_HOST(host) is None:
            host = "localhost"
        exchange.base = self._settings.base_url or f"{scope['scheme']}://{host}{PREFIX}"
        sent = headers.get(REQUEST_ID)
        exchange.request_id = self._request_ids() if sent is None else self._request_id(sent)
        return exchange

    def _request_id(self, sent: bytes) -> str:
        text = sent.decode("latin-1")
        known = len(text) <= LONGEST_REQUEST_ID and text.replace("-", "").replace(".", "").isalnum() and text.isascii()
        return text if known else self._request_ids()

    def _refuse_excess(self, scope: Scope, exchange: Exchange) -> None:
        limit = self._settings.url_bytes
        if len(scope["path"]) + len(exchange.query) > limit:
            raise UrlTooLong(f"The URL is longer than {limit:,} bytes. Search by POST [type]/_search instead.")
        if sum(map(len, (*exchange.headers, *exchange.headers.values()))) > self._settings.header_bytes:
            raise HeadersTooLong(f"The headers are longer than {self._settings.header_bytes:,} bytes.")

    def _path(self, scope: Scope) -> tuple[str, ...]:
        raw: bytes = scope.get("raw_path") or scope["path"].encode()
        raw = raw.partition(b"?")[0]
        steps = raw.decode("latin-1").split("/")[2:]
        if b"%" in raw:
            try:
                steps = [unquote(step, errors="strict") for step in steps]
            except UnicodeDecodeError:
                raise Invalid(Issue("error", "value", "The path is not UTF-8 in percent-encoding.")) from None
        return steps_of(steps)

    def _finished(self, reply: Reply, exchange: Exchange) -> tuple[list[tuple[bytes, bytes]], bytes]:
        try:
            return finished(reply, exchange, self._definitions, self._settings.gzip_bytes)
        except FhirError as failure:  # a stored resource that XML has no place for
            exchange.representation = AS_STORED
            again = self.refusal(failure, exchange)
            reply.status = again.status
            return finished(again, exchange, self._definitions, self._settings.gzip_bytes)


def joined(listed: list[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    """Return headers that were sent several times as one each (RFC 9110, 5.3)."""
    headers: dict[bytes, bytes] = {}
    for name, value in listed:
        headers[name] = headers[name] + b", " + value if name in headers else value
    return headers

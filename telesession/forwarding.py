"""A request handed on to the process that a session is in, and its answer back, as it comes (RFC 9110, 7.6)."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from fhir_server.errors import Unavailable
from telesession.session import OWNER, Elsewhere, Unreachable

SECONDS_TO_CONNECT = 2.0
MISDIRECTED = 421
HOP_BY_HOP = frozenset(
    {"connection", "keep-alive", "proxy-authenticate", "te", "trailer", "transfer-encoding", "upgrade", "host", "date"}
)
"""Headers that are about one connection, and no part of what is handed on."""

_client: list[httpx.AsyncClient] = []


async def forwarded(request: Request, there: Elsewhere) -> Response:
    """The answer of another process; raise Unreachable where it is no more, or has not got the session."""
    if not _client:
        timeout = httpx.Timeout(None, connect=SECONDS_TO_CONNECT)
        # No connection is kept: on one to a process that has died, nobody could tell whether a request was heard.
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=0)
        _client.append(httpx.AsyncClient(timeout=timeout, limits=limits, trust_env=False))
    headers = [(name, value) for name, value in request.headers.items() if name not in HOP_BY_HOP]
    query = request.scope["query_string"].decode("latin-1")
    path = request.scope["raw_path"].decode("latin-1").partition("?")[0]
    asked = _client[0].build_request(
        request.method,
        f"http://{there.address}{path}" + (f"?{query}" if query else ""),
        headers=[*headers, (OWNER, there.owner), ("host", request.headers.get("host", there.address))],
        content=_body(request),
    )
    try:
        answer = await _client[0].send(asked, stream=True)
    except httpx.ConnectError as failure:
        raise Unreachable from failure
    except httpx.TransportError as failure:
        raise Unavailable("The process that the session was in ended meanwhile; look, and ask again.") from failure
    if answer.status_code == MISDIRECTED:
        await answer.aclose()
        raise Unreachable
    told = [(name, value) for name, value in answer.headers.items() if name not in HOP_BY_HOP]
    response = StreamingResponse(answer.aiter_raw(), answer.status_code, background=BackgroundTask(answer.aclose))
    response.raw_headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in told]
    return response


def _body(request: Request) -> AsyncIterator[bytes] | None:
    has_body = "content-length" in request.headers or "transfer-encoding" in request.headers
    return request.stream() if has_body else None

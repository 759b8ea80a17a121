"""A connection of HTTP/1.1 that neither waits for ever nor keeps others out (RFC 9112, 9.3 and 9.5 time-outs)."""

from __future__ import annotations

import struct
from asyncio import TimerHandle, Transport
from collections.abc import Iterable
from fcntl import ioctl
from http import HTTPStatus
from termios import FIONREAD
from time import monotonic
from typing import Any

import orjson
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from fhir_server.errors import Issue, operation_outcome
from fhir_server.settings import Settings

FHIR_JSON = "application/fhir+json"
SECONDS_TO_RETRY = 5
INT = struct.Struct("i")
SECONDS_TO_READ = 2.0
"""How long a client that is refused may go on sending, so that it comes to read why: a reset would take that away."""


class State(ServerState):
    """What the connections of a server share: also whether it ends, after which they begin nothing new."""

    ending = False


class Connection(HttpToolsProtocol):
    """A connection whose client must ask in time, in so many bytes, or give its place to one that does.

    At the end of the server, what has come is answered, and the connection closed.
    """

    server_state: State
    seconds: float
    bytes_at_most: int
    places: int

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.idle_since = monotonic()
        self._timer: TimerHandle | None = None
        self._asked = 0
        self._head: int | None = None
        self._refused = False

    @property
    def is_idle(self) -> bool:
        """Whether no request is being answered."""
        return self._asked == 0

    @property
    def has_unread(self) -> bool:
        """Whether bytes have come that were not looked at yet."""
        count = ioctl(self.transport.get_extra_info("socket").fileno(), FIONREAD, bytes(INT.size))
        return bool(INT.unpack(count)[0])

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]
        """Take a place; where all are taken, that of the connection which has been idle for longest."""
        super().connection_made(transport)
        self._wait()
        if self.server_state.ending:
            # The end came between its acceptance and this moment, and passed it over.
            self.shutdown()
        elif len(self.connections) > self.places:
            self._make_room()

    def data_received(self, data: bytes) -> None:
        """Read on; stop reading a head that does not end."""
        if self._refused:
            return
        super().data_received(data)
        if self.is_idle and self._timer is None and not self.transport.is_closing():
            self._wait()
        if self._head is not None:
            self._head += len(data)
            if self._head > self.bytes_at_most:
                text = f"The headers are longer than {self.bytes_at_most:,} bytes."
                self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "too-long", text)
        if self.server_state.ending and not self._refused:
            self.shutdown()

    def shutdown(self) -> None:
        """End when what has come is answered."""
        if not self.is_idle:
            self.cycle.keep_alive = False
        elif not self.has_unread:
            self.transport.close()

    def on_message_begin(self) -> None:
        """Count what comes before a request is known."""
        self._head = 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Answer what is asked."""
        self._head = None
        self._wait_no_more()
        super().on_headers_complete()
        self._asked += 1

    def on_response_complete(self) -> None:
        """Be idle, unless more is asked already."""
        self._asked -= 1
        self.idle_since = monotonic()
        super().on_response_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """Give the place back."""
        self._wait_no_more()
        super().connection_lost(exc)

    def send_400_response(self, msg: str) -> None:
        """Refuse what is not HTTP; `msg` is the framework's own text."""
        text = f"{msg} It is not HTTP/1.1, or its URL or a header is not one that is read here."
        self._refuse(HTTPStatus.BAD_REQUEST, "structure", text)

    def _make_room(self) -> None:
        idle = longest_idle(each for each in self.connections if each is not self)
        if idle is not None:
            idle.transport.close()
        else:
            self._refuse(HTTPStatus.SERVICE_UNAVAILABLE, "throttled", "The server is busy; ask again in a moment.")

    def _wait(self) -> None:
        self._timer = self.loop.call_later(self.seconds, self._waited)

    def _wait_no_more(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _waited(self) -> None:
        self._timer = None
        if not self.is_idle or self.transport.is_closing():
            return
        if self._head is None:
            self.transport.close()
        else:
            text = f"The request did not come within {self.seconds:g} seconds."
            self._refuse(HTTPStatus.REQUEST_TIMEOUT, "timeout", text)

    def _refuse(self, status: HTTPStatus, code: str, text: str) -> None:
        self._refused = True
        self._wait_no_more()
        if not self.is_idle:
            if self._asked > 1 or self.cycle.response_started:
                self.transport.close()
                return
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        self.transport.write(refusal(status, code, text))
        self.transport.write_eof()
        self._timer = self.loop.call_later(SECONDS_TO_READ, self.transport.close)


def connection_class(settings: Settings) -> type[Connection]:
    """Return the class of connections with these limits."""

    class LimitedConnection(Connection):
        seconds = settings.head_seconds
        # What the URL and the headers may have together; the first to be too long is told more exactly by its route.
        bytes_at_most = 4 * (settings.url_bytes + settings.header_bytes)
        places = settings.connections

    return LimitedConnection


def longest_idle(connections: Iterable[Any]) -> Connection | None:
    """Return the connection that nothing has been asked on for longest; None where all are being answered, or will be.

    A request may have come that this process, which accepts connections first, has not read.
    """
    idle = [each for each in connections if each.is_idle and not each.transport.is_closing()]
    return next((each for each in sorted(idle, key=lambda each: each.idle_since) if not each.has_unread), None)


def refusal(status: HTTPStatus, code: str, text: str) -> bytes:
    """Return an answer to what never became a request, after which the connection ends."""
    body = orjson.dumps(operation_outcome([Issue("error", code, text)]))
    head = [
        f"HTTP/1.1 {status.value} {status.phrase}",
        f"content-type: {FHIR_JSON}",
        f"content-length: {len(body)}",
        "connection: close",
    ]
    if status is HTTPStatus.SERVICE_UNAVAILABLE:
        head.append(f"retry-after: {SECONDS_TO_RETRY}")
    return "\r\n".join([*head, "", ""]).encode() + body

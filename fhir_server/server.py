"""One process that answers on a socket, from its start to its end: what it accepted is finished (POSIX signals)."""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
from collections.abc import Callable
from types import FrameType

import uvicorn

from fhir_server.app import Service
from fhir_server.connection import State, connection_class
from fhir_server.logs import configure
from fhir_server.metrics import Metrics
from fhir_server.settings import settings

SECONDS_TO_FINISH = 30
TURNS_TO_CONNECT = 3
ENDINGS = (signal.SIGTERM, signal.SIGINT)


class Server(uvicorn.Server):
    """Answers until SIGTERM or SIGINT, or until the other end of its lifeline is closed: a file that is only read.

    Neither a second signal nor a connection that comes in the very end keeps it from finishing what it accepted.
    """

    server_state: State

    def __init__(self, config: uvicorn.Config, stopping: Callable[[], None], lifeline: int | None = None) -> None:
        super().__init__(config)
        self.server_state = State()
        self._stopping = stopping
        self._lifeline = lifeline

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """End. Ctrl+C reaches a worker twice, by the terminal and by its supervisor."""
        self._captured_signals.append(sig)
        self.should_exit = True

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Open the service, then the socket."""
        await super().startup(sockets)
        if self._lifeline is not None:
            asyncio.get_running_loop().add_reader(self._lifeline, self._end_alone)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Answer what has come, then close the service."""
        self.server_state.ending = True
        self._stopping()
        await self._accept_no_more()
        await super().shutdown(sockets)

    async def _accept_no_more(self) -> None:
        """Let connections that were accepted in this turn be made: the loop's server cannot once it is closed."""
        loop = asyncio.get_running_loop()
        for server in self.servers:
            for each in server.sockets:
                loop.remove_reader(each.fileno())
        for _ in range(TURNS_TO_CONNECT):
            await asyncio.sleep(0)

    def _end_alone(self) -> None:
        assert self._lifeline is not None
        asyncio.get_running_loop().remove_reader(self._lifeline)
        self.should_exit = True


def answer(
    listener: socket.socket, service: Callable[[], Service], metrics: Metrics, lifeline: int | None = None
) -> None:
    """Serve until it is told to stop; what was accepted is finished, and the exit status is 0."""
    for name in ENDINGS:
        signal.signal(name, lambda _signal, _frame: sys.exit(0))
    # A worker starts with them blocked.
    signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDINGS)
    configure()
    application = service()
    application.metrics = metrics
    config = uvicorn.Config(
        application,
        http=connection_class(settings()),
        lifespan="on",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=SECONDS_TO_FINISH,
    )
    listeners = [listener]
    if lifeline is not None:
        # A worker's own: the others hand it what only it can answer.
        own = socket.create_server(("127.0.0.1", 0))
        application.address = f"127.0.0.1:{own.getsockname()[1]}"
        listeners.append(own)
    Server(config, application.stopping, lifeline).run(listeners)

"""The end of a server, at each moment in which a connection can be (RFC 9112, 9.6 tear-down)."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any, Self

import orjson
import pytest
import uvicorn

from fhir_server.app import Origin
from fhir_server.app import application as service
from fhir_server.connection import connection_class
from fhir_server.definitions.registry import r4
from fhir_server.server import Server
from fhir_server.settings import Settings

REQUEST = b"GET /a HTTP/1.1\r\nHost: node\r\n\r\n"
HALF = (
    b"POST /fhir/Patient HTTP/1.1\r\nHost: node\r\nContent-Type: application/fhir+json\r\nContent-Length: 30\r\n\r\n{"
)
LONG_ENOUGH = 60


async def briefly(_scope: Any, _receive: Any, send: Any) -> None:
    await asyncio.sleep(0.01)
    await send({"type": "http.response.start", "status": 201, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body", "body": b""})


class Client:
    """A connection that this process has with itself."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port))
        self._socket.settimeout(0)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    async def send(self, data: bytes) -> None:
        await asyncio.get_running_loop().sock_sendall(self._socket, data)

    async def received(self) -> bytes:
        """What comes next; nothing where the connection is closed."""
        try:
            return await asyncio.wait_for(asyncio.get_running_loop().sock_recv(self._socket, 65536), LONG_ENOUGH)
        except ConnectionError:
            return b""

    async def ask_again_and_again(self, answers: list[bytes]) -> None:
        """Ask when the answer comes, as a client does that keeps its connection."""
        with suppress(ConnectionError):
            while answer := await self.received():
                answers.append(answer)
                await self.send(REQUEST)


@asynccontextmanager
async def started(application: Any, seconds: float = LONG_ENOUGH, **options: Any) -> AsyncIterator[tuple[Server, int]]:
    """A server in this loop and its port; it must have ended in the end."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        config = uvicorn.Config(
            application,
            http=connection_class(Settings()),
            log_config=None,
            access_log=False,
            timeout_graceful_shutdown=seconds,  # type: ignore[arg-type]
        )
        server = Server(config, lambda: None, **options)
        running = asyncio.create_task(server.serve([listener]))
        while not server.started:  # noqa: ASYNC110 -- it has no event to wait for
            await asyncio.sleep(0.01)
        yield server, listener.getsockname()[1]
        await asyncio.wait_for(running, LONG_ENOUGH)


async def end(server: Server) -> None:
    """End as the server does."""
    await server.shutdown()


async def end_at_once(server: Server) -> None:
    """End without the turns in which those who wait are let in, which leaves the connections to themselves."""
    server.server_state.ending = True
    await uvicorn.Server.shutdown(server)


@pytest.mark.parametrize(
    ("end", "turns"), [*((end, turns) for turns in range(7)), *((end_at_once, turns) for turns in (0, 2, 3, 4, 5))]
)
def test_a_connection_that_comes_in_the_end_does_not_hold_it_up(end, turns):
    async def story() -> list[bytes]:
        async with started(briefly) as (server, port):
            with Client(port) as client:
                await client.send(REQUEST)
                for _ in range(
                    turns
                ):  # of the loop, which accepts a connection in one and is told of it in a later one
                    await asyncio.sleep(0)
                answers: list[bytes] = []
                asking = asyncio.create_task(client.ask_again_and_again(answers))
                await asyncio.wait_for(end(server), LONG_ENOUGH / 2)
                server.should_exit = True
                await asking
                return answers

    answers = asyncio.run(story())
    assert len(answers) <= 1
    assert all(b"connection: close" in answer for answer in answers)


def test_a_request_that_came_before_the_end_is_answered_though_unread():
    async def story() -> list[bytes]:
        async with started(briefly) as (server, port):
            with Client(port) as client:
                await client.send(REQUEST)
                first = await client.received()
                await client.send(REQUEST)
                server.should_exit = True
                await end_at_once(server)
                return [first, await client.received(), await client.received()]

    first, second, third = asyncio.run(story())
    assert b" 201 " in first
    assert b"connection: close" not in first
    assert b" 201 " in second
    assert b"connection: close" in second
    assert third == b""


def test_the_beginning_of_a_request_is_not_waited_for():
    async def story() -> bytes:
        async with started(briefly) as (server, port):
            with Client(port) as client:
                await client.send(REQUEST)
                await client.received()
                await client.send(REQUEST[:10])
                server.should_exit = True
                return await client.received()

    assert asyncio.run(story()) == b""


def test_what_takes_too_long_is_told_so(tmp_path):
    async def story() -> bytes:
        async with started(service(r4().extended(), Settings(), Origin(tmp_path)), 0.2) as (server, port):
            with Client(port) as client:
                await client.send(HALF)
                await asyncio.sleep(0.1)
                server.should_exit = True
                return await client.received()

    head, _, body = asyncio.run(story()).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 503 ")
    assert b"connection: close" in head
    assert orjson.loads(body)["issue"][0]["code"] == "transient"


def test_it_ends_with_its_lifeline():
    async def story() -> bytes:
        lifeline, other_end = os.pipe()
        try:
            async with started(briefly, lifeline=lifeline) as (_server, port):
                with Client(port) as client:
                    await client.send(REQUEST)
                    os.close(other_end)
                    return await client.received()
        finally:
            os.close(lifeline)

    assert b" 201 " in asyncio.run(story())


def test_a_second_signal_changes_nothing():
    async def story() -> bytes:
        async with started(briefly) as (server, port):
            with Client(port) as client:
                await client.send(REQUEST)
                for _ in range(3):
                    server.handle_exit(signal.SIGINT, None)
                assert not server.force_exit
                server._captured_signals.clear()  # they would end the test
                return await client.received()

    assert b" 201 " in asyncio.run(story())

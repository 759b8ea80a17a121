"""A TCP proxy before a database, which a test tells to cut, to delay or to swallow what goes through it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

from anyio.from_thread import BlockingPortal, start_blocking_portal


class Proxy:
    """Passes bytes on. `loses` replies: so many times what the database answers next is thrown away with its line."""

    def __init__(self, target: tuple[str, int]) -> None:
        self._target = target
        self._lines: set[asyncio.StreamWriter] = set()
        self.swallows = False
        self.delay = 0.0
        self.loses: Callable[[bytes], bool] = lambda _request: False
        self.lost = 0
        self.port = 0

    async def open(self) -> asyncio.Server:
        server = await asyncio.start_server(self._line, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        return server

    async def cut(self) -> None:
        """End all lines."""
        for writer in list(self._lines):
            writer.transport.abort()

    async def _line(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        other_reader, other_writer = await asyncio.open_connection(*self._target)
        self._lines |= {writer, other_writer}
        doomed = asyncio.Event()
        there = asyncio.create_task(self._pass_on(reader, other_writer, doomed, asks=True))
        back = asyncio.create_task(self._pass_on(other_reader, writer, doomed, asks=False))
        await asyncio.wait({there, back}, return_when=asyncio.FIRST_COMPLETED)
        for each in (writer, other_writer):
            self._lines.discard(each)
            each.transport.abort()
        await asyncio.gather(there, back, return_exceptions=True)

    async def _pass_on(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, doomed: asyncio.Event, *, asks: bool
    ) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(1 << 16):
                if asks and self.loses(data):
                    doomed.set()
                if not asks and doomed.is_set():
                    self.lost += 1
                    return
                if self.delay:
                    await asyncio.sleep(self.delay)
                if self.swallows and not asks:
                    continue
                writer.write(data)
                await writer.drain()


class Tamed:
    """A proxy in a thread of its own, for tests that run elsewhere."""

    def __init__(self, portal: BlockingPortal, proxy: Proxy) -> None:
        self._portal = portal
        self.proxy = proxy

    @property
    def url(self) -> str:
        return f"mongodb://127.0.0.1:{self.proxy.port}"

    def cut(self) -> None:
        self._portal.call(self.proxy.cut)


@contextmanager
def proxied(url: str) -> Iterator[Tamed]:
    """A proxy before the server of this URL."""
    parts = urlsplit(url)
    assert parts.hostname
    proxy = Proxy((parts.hostname, parts.port or 27017))
    with start_blocking_portal() as portal:
        server = portal.call(proxy.open)
        yield Tamed(portal, proxy)
        portal.call(proxy.cut)
        portal.call(_closed, server)


async def _closed(server: asyncio.Server) -> None:
    server.close()

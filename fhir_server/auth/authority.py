"""What the endpoints and pages of authentication work with: the authorization server, threads, and who is told."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar
from urllib.parse import urlsplit

from fhir_server.auth.authorization_server import SmartServer
from fhir_server.auth.event import Ask, Tell
from fhir_server.settings import Settings
from fhir_server.store.records import Records

THREADS = 4
SECONDS_BETWEEN_SWEEPS = 300.0

P = ParamSpec("P")
T = TypeVar("T")


class Authority:
    """The authorization server with what surrounds it; `run` calls in a thread what blocks."""

    def __init__(self, server: SmartServer, settings: Settings, *, ask: Ask, tell: Tell) -> None:
        self.server = server
        self.settings = settings
        self.ask = ask
        self.tell = tell
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="auth")
        self._origins: tuple[int, frozenset[str]] = (-1, frozenset())

    @property
    def records(self) -> Records:
        """What authentication remembers."""
        return self.server.records

    @property
    def is_secure(self) -> bool:
        """Whether browsers reach this server by https."""
        return self.server.issuer.startswith("https:")

    async def run(self, function: Callable[P, T], *args: P.args, **keywords: P.kwargs) -> T:
        """Return what a function answers that may block."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, lambda: function(*args, **keywords))

    async def sweep(self) -> None:
        """Forget what expired, again and again."""
        while True:
            await self.run(self.records.sweep, int(self.server.clock()))
            await asyncio.sleep(SECONDS_BETWEEN_SWEEPS)

    async def close(self) -> None:
        """Finish what was begun, and let go of the records."""
        await asyncio.to_thread(self._threads.shutdown)
        self.records.close()

    def allows_origin(self, origin: str) -> bool:
        """Whether a page of this origin belongs to a registered program."""
        stamp = self.records.stamp()
        # A program that was added does not change the stamp: who is not known is looked up again.
        if self._origins[0] != stamp or origin not in self._origins[1]:
            uris = [uri for _, record in self.records.listed("client") for uri in record.body["redirect_uris"]]
            self._origins = (stamp, frozenset(map(origin_of, uris)))
        return origin in self._origins[1]


def origin_of(uri: str) -> str:
    """Return the origin of a URL."""
    parts = urlsplit(uri)
    return f"{parts.scheme}://{parts.netloc}"

"""A server within the test's process: its own folder, a loop in a thread, requests without a network."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

import httpx
import orjson
from anyio.from_thread import BlockingPortal, start_blocking_portal

from fhir_server.app import Origin, Service, application
from fhir_server.definitions.registry import Definitions, r4
from fhir_server.extension import Make
from fhir_server.resource.instant import Clock
from fhir_server.rest.node import Node
from fhir_server.settings import Settings
from fhir_server.store.opening import MongoDatabase
from tests.mongodb import database_of, is_wanted

BASE = "http://node/fhir"
JSON = "application/fhir+json"
Answer = TypeVar("Answer")
Ask = tuple[str, str, Any, dict[str, str]]


class Served:
    """A running server, asked by method and path below its base URL."""

    def __init__(self, portal: BlockingPortal, service: Service, node: Node, client: httpx.AsyncClient) -> None:
        self._portal = portal
        self.service = service
        self.node = node
        self._client = client
        self.cookies = client.cookies

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> httpx.Response:
        """Send one request; `if_match` is the header If-Match. A resource is sent as JSON."""
        return self.ask_together([(method, path, body, headers)])[0]

    def ask_together(self, asks: Sequence[Ask]) -> list[httpx.Response]:
        """Send requests at once."""

        async def together() -> list[httpx.Response]:
            return list(await asyncio.gather(*(self._send(*ask) for ask in asks)))

        return self._portal.call(together)

    async def _send(self, method: str, path: str, body: Any, headers: dict[str, str]) -> httpx.Response:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        content = orjson.dumps(body) if isinstance(body, dict | list) else body
        if content is not None:
            named.setdefault("content-type", JSON)
        return await self._client.request(method, f"{BASE}/{path}" if path else BASE, content=content, headers=named)

    def send(self, method: str, url: str, **arguments: Any) -> httpx.Response:
        """Send a request to any URL of the server, as httpx takes it."""
        return self._portal.call(partial(self._client.request, method, url, **arguments))

    def call(self, function: Callable[[], Awaitable[Answer]]) -> Answer:
        """Return what a function answers on the server's loop."""
        return self._portal.call(function)

    def get(self, path: str, **headers: str) -> httpx.Response:
        """Read."""
        return self.ask("GET", path, **headers)

    def create(self, body: dict[str, Any], **headers: str) -> dict[str, Any]:
        """Create a resource that is sound; return it as stored."""
        answer = self.ask("POST", body["resourceType"], body, **headers)
        assert answer.status_code == 201, answer.text
        return dict(answer.json())

    def put(self, body: dict[str, Any], **headers: str) -> httpx.Response:
        """Update a resource by its id."""
        return self.ask("PUT", f"{body['resourceType']}/{body['id']}", body, **headers)

    def versions(self, path: str) -> int:
        """How many versions a resource has."""
        return int(self.get(f"{path}/_history").json()["total"])

    def found(self, path: str) -> list[str]:
        """The ids that a search finds."""
        answer = self.get(path)
        assert answer.status_code == 200, answer.text
        entries = answer.json().get("entry", [])
        return [entry["resource"]["id"] for entry in entries if entry["search"]["mode"] == "match"]


@contextmanager
def serving(
    folder: Path | None = None,
    *,
    works: bool = False,
    clock: Clock = time.time,
    mongodb: str | None = None,
    extensions: Sequence[Make] = (),
    definitions: Definitions | None = None,
    **chosen: Any,
) -> Iterator[Served]:
    """A server with these settings, on an empty folder or on this one; one that `works` does jobs.

    What it stores is in the folder, or in the folder's own database of a MongoDB.
    """
    server = os.environ["MONGODB_URL"] if is_wanted() else mongodb
    with TemporaryDirectory() as empty, start_blocking_portal() as portal:
        data = folder or Path(empty)
        database = None if server is None else MongoDatabase(database_of(data, server), is_single=True)
        origin = Origin(data, clock, bases=(BASE,), database=database)
        service = application(definitions or r4().extended(), Settings(**chosen), origin, extensions=extensions)
        client = httpx.AsyncClient(transport=httpx.ASGITransport(service, raise_app_exceptions=False))
        with portal.wrap_async_context_manager(service.running(works=works)) as node:
            yield Served(portal, service, node, client)
        portal.call(client.aclose)


def outcome(answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
    """The first issue of a refusal, which must be of this status and code and name its request."""
    assert answer.status_code == status, answer.text
    body = answer.json()
    assert body["resourceType"] == "OperationOutcome"
    assert body["id"] == answer.headers["x-request-id"]
    assert body["issue"][0]["code"] == code, answer.text
    assert body["issue"][0]["details"]["text"]
    return dict(body["issue"][0])

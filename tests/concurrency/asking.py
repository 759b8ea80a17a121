"""Many clients at once, each with a connection of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any, TypeVar

import httpx

PATIENCE = 300.0
"""So long a test waits for an answer: a machine that is slow, or busy, is no fault of the server."""

JSON = {"Content-Type": "application/fhir+json"}
T = TypeVar("T")
Ask = Callable[[httpx.AsyncClient], Awaitable[T]]


async def gathered(base: str, asks: Sequence[Ask[T]]) -> list[T]:
    """What each client gets; all have connected before the first one asks."""
    clients = [httpx.AsyncClient(base_url=base, timeout=PATIENCE, headers=JSON) for _ in asks]
    try:
        await asyncio.gather(*(client.get("/Patient/none") for client in clients))
        return list(await asyncio.gather(*(ask(client) for ask, client in zip(asks, clients, strict=True))))
    finally:
        await asyncio.gather(*(client.aclose() for client in clients))


def together(base: str, asks: Sequence[Ask[T]]) -> list[T]:
    """The same, from a test."""
    return asyncio.run(gathered(base, asks))


def asking(method: str, url: str, body: Any = None, **headers: str) -> Ask[httpx.Response]:
    """One request, to be sent by some client; `if_match` is the header If-Match."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}

    async def ask(client: httpx.AsyncClient) -> httpx.Response:
        return await client.request(method, url, json=body, headers=named)

    return ask


def statuses(answers: Sequence[httpx.Response]) -> dict[int, int]:
    """How many answers have which status."""
    found = [answer.status_code for answer in answers]
    return {status: found.count(status) for status in sorted(set(found))}


def ask_once(method: str, url: str, **more: Any) -> httpx.Response:
    """One request on a connection of its own."""
    return httpx.request(method, url, timeout=PATIENCE, **more)


get, post, put, delete = (partial(ask_once, method) for method in ("GET", "POST", "PUT", "DELETE"))

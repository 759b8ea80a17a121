"""Operations called on a node that runs on a store of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

import orjson

from fhir_server.app import Origin, Service
from fhir_server.definitions.registry import r4
from fhir_server.repository.sent import Sent
from fhir_server.repository.write import Write
from fhir_server.resource.query_string import pairs_in
from fhir_server.rest.exchange import Exchange, Reply
from fhir_server.rest.node import Node
from fhir_server.rest.operation import Operation, called
from fhir_server.settings import Settings

BASE = "http://example.org/fhir"
Resource = dict[str, Any]
Result = TypeVar("Result")


def on_node(resources: list[Resource], work: Callable[[Node], Awaitable[Result]], **settings: Any) -> Result:
    """What the work comes to, done on a node that holds these resources."""

    async def done() -> Result:
        with TemporaryDirectory() as folder:
            service = Service(r4().extended(), Settings(**settings), Origin(Path(folder), bases=(BASE,)))
            async with service.running() as node:
                await store(node, resources)
                return await work(node)

    return asyncio.run(done())


async def store(node: Node, resources: list[Resource]) -> None:
    """Write resources in one transaction, those with an id under it."""
    writes = [
        Write("PUT" if "id" in each else "POST", each["resourceType"], each.get("id"), sent=sent)
        for each in resources
        for sent in (Sent(each, orjson.dumps(each)),)
    ]
    await node.repository.write(writes)


async def asked(node: Node, operation: Operation, *place: str, query: str = "", body: Resource | None = None) -> Reply:
    """The reply to a call at a place: a type, an id."""
    exchange = Exchange(
        "GET" if body is None else "POST",
        (),
        query=query,
        headers={b"content-type": b"application/fhir+json"},
        body=b"" if body is None else orjson.dumps(body),
        base=BASE,
    )
    exchange.type, exchange.id = (*place, "", "")[:2]
    return await called(operation, node, exchange)


async def answered(
    node: Node, operation: Operation, *place: str, query: str = "", body: Resource | None = None
) -> Resource:
    """The resource that a call is answered with."""
    reply = await asked(node, operation, *place, query=query, body=body)
    found: Resource = orjson.loads(reply.body)
    return found


def keys(bundle: Resource, mode: str | None = None) -> list[str]:
    """`Type/id` of the entries of a Bundle, of those of one search mode where it is given."""
    entries = (e for e in bundle.get("entry", ()) if mode is None or e["search"]["mode"] == mode)
    return [f"{entry['resource']['resourceType']}/{entry['resource']['id']}" for entry in entries]


def linked(bundle: Resource, relation: str) -> str | None:
    """The query of a link of a Bundle."""
    urls = [link["url"] for link in bundle.get("link", ()) if link["relation"] == relation]
    return urls[0].partition("?")[2] if urls else None


def next_query(bundle: Resource) -> str | None:
    """The query of the link to the next page, as it can be sent; None at the end."""
    found = linked(bundle, "next")
    assert found is None or pairs_in(found)
    return found

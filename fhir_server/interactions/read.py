"""Read a resource or one of its versions (FHIR R4, 3.1.0.2 read, 3.1.0.3 vread, 3.1.0.1.6 conditional read)."""

from __future__ import annotations

from fhir_server.rest.condition import is_unchanged
from fhir_server.rest.exchange import Exchange, Reply
from fhir_server.rest.header import version_number
from fhir_server.rest.node import Node
from fhir_server.rest.subset import part
from fhir_server.store.protocol import Version


async def read(node: Node, exchange: Exchange) -> Reply:
    """Answer with the current version."""
    return answer(node, exchange, await node.repository.read(exchange.type, exchange.id))


async def vread(node: Node, exchange: Exchange) -> Reply:
    """Answer with the version of that number."""
    number = version_number(exchange.version)
    return answer(node, exchange, await node.repository.version(exchange.type, exchange.id, number))


def answer(node: Node, exchange: Exchange, version: Version) -> Reply:
    """Return a version, or 304 where the client has it."""
    if is_unchanged(exchange, version):
        return Reply(304, version=version)
    body = version.body
    assert body is not None
    if exchange.representation.is_part:
        body = part(body, exchange.representation, node.definitions)
    return Reply(200, body, version)

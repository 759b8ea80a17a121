"""Delete a resource, or those that match (FHIR R4, 3.1.0.7 delete, 3.1.0.7.1 conditional delete)."""

from __future__ import annotations

from fhir_server.repository.write import Write
from fhir_server.rest.answer import written
from fhir_server.rest.condition import needed_criteria, versions_to_match
from fhir_server.rest.exchange import Exchange, Reply
from fhir_server.rest.node import Node


async def delete(node: Node, exchange: Exchange) -> Reply:
    """Delete the resource; what does not exist is deleted already."""
    (saved,) = await node.repository.write([deletion(node, exchange)])
    return written(exchange, saved)


async def conditional_delete(node: Node, exchange: Exchange) -> Reply:
    """Delete what matches: one resource, or as many as the node allows."""
    (saved,) = await node.repository.write([conditional_deletion(node, exchange)])
    return written(exchange, saved)


def deletion(_node: Node, exchange: Exchange) -> Write:
    """What a delete asks for."""
    return Write("DELETE", exchange.type, exchange.id, match=versions_to_match(exchange))


def conditional_deletion(_node: Node, exchange: Exchange) -> Write:
    """What a conditional delete asks for."""
    return Write("DELETE", exchange.type, criteria=needed_criteria(exchange), match=versions_to_match(exchange))

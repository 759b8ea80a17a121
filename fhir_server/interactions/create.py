"""Create a resource, perhaps only if none matches (FHIR R4, 3.1.0.8 create, 3.1.0.8.1 conditional create)."""

from __future__ import annotations

from fhir_server.repository.write import Write
from fhir_server.rest.answer import is_advised, written
from fhir_server.rest.condition import criteria_to_not_exist
from fhir_server.rest.exchange import Exchange, Reply
from fhir_server.rest.node import Node
from fhir_server.rest.received import resource_in


async def create(node: Node, exchange: Exchange) -> Reply:
    """Store the resource under a new id, or find the one that exists."""
    (saved,) = await node.repository.write([creation(node, exchange)])
    return written(exchange, saved)


def creation(node: Node, exchange: Exchange) -> Write:
    """What a create asks for."""
    return Write(
        "POST",
        exchange.type,
        sent=resource_in(node, exchange),
        criteria=criteria_to_not_exist(exchange),
        advised=is_advised(exchange),
    )

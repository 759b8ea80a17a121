"""Update a resource, or create it under the client's id (FHIR R4, 3.1.0.4 update, 3.1.0.4.3 conditional update)."""

from __future__ import annotations

from fhir_server.repository.write import Write
from fhir_server.rest.answer import is_advised, written
from fhir_server.rest.condition import must_not_exist, needed_criteria, versions_to_match
from fhir_server.rest.exchange import Exchange, Reply
from fhir_server.rest.node import Node
from fhir_server.rest.received import refuse_other_id, resource_in


async def update(node: Node, exchange: Exchange) -> Reply:
    """Store the resource as the current version of that id."""
    (saved,) = await node.repository.write([updating(node, exchange)])
    return written(exchange, saved)


async def conditional_update(node: Node, exchange: Exchange) -> Reply:
    """Store the resource as the current version of the one that matches, or as a new one."""
    (saved,) = await node.repository.write([conditional_updating(node, exchange)])
    return written(exchange, saved)


def updating(node: Node, exchange: Exchange) -> Write:
    """What an update asks for."""
    sent = resource_in(node, exchange)
    refuse_other_id(exchange, sent)
    return Write(
        "PUT",
        exchange.type,
        exchange.id,
        sent=sent,
        match=versions_to_match(exchange),
        unless_exists=must_not_exist(exchange),
        advised=is_advised(exchange),
    )


def conditional_updating(node: Node, exchange: Exchange) -> Write:
    """What a conditional update asks for."""
    return Write(
        "PUT",
        exchange.type,
        criteria=needed_criteria(exchange),
        sent=resource_in(node, exchange),
        match=versions_to_match(exchange),
        advised=is_advised(exchange),
    )

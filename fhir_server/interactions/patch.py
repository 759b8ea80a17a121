"""Change parts of a resource (FHIR R4, 3.1.0.9 patch, 3.1.0.9.2 conditional patch)."""

from __future__ import annotations

from fhir_server.repository.write import Pairs, Write
from fhir_server.rest.answer import is_advised, written
from fhir_server.rest.condition import needed_criteria, versions_to_match
from fhir_server.rest.exchange import Exchange, Reply
from fhir_server.rest.node import Node
from fhir_server.rest.received import patch_in


async def patch(node: Node, exchange: Exchange) -> Reply:
    """Store the patched resource as its current version."""
    (saved,) = await node.repository.write([patching(node, exchange)])
    return written(exchange, saved)


async def conditional_patch(node: Node, exchange: Exchange) -> Reply:
    """Patch the resource that matches."""
    (saved,) = await node.repository.write([conditional_patching(node, exchange)])
    return written(exchange, saved)


def patching(_node: Node, exchange: Exchange) -> Write:
    """What a patch asks for."""
    return _patching(exchange, exchange.id, None)


def conditional_patching(_node: Node, exchange: Exchange) -> Write:
    """What a conditional patch asks for."""
    return _patching(exchange, None, needed_criteria(exchange))


def _patching(exchange: Exchange, resource_id: str | None, found: Pairs | None) -> Write:
    return Write(
        "PATCH",
        exchange.type,
        resource_id,
        criteria=found,
        patch=patch_in(exchange),
        match=versions_to_match(exchange),
        advised=is_advised(exchange),
    )

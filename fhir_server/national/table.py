"""The table of the operations on views, and the routes to the views of this server (SQL on FHIR v2)."""

from __future__ import annotations

from itertools import chain

from fhir_server.national import query, run
from fhir_server.national.catalogue import VIEW, own_view, own_views
from fhir_server.resource.exact import dump_exact
from fhir_server.rest.exchange import Exchange, Reply, Route
from fhir_server.rest.node import Node
from fhir_server.rest.operation import Operation, routes_of

JSON = b"application/json"


async def read(node: Node, exchange: Exchange) -> Reply:
    """Return a view of this server."""
    return Reply(200, dump_exact(own_view(exchange.id)), media_type=JSON)


async def listed(node: Node, exchange: Exchange) -> Reply:
    """Return all views of this server."""
    return Reply(200, dump_exact(list(own_views().values())), media_type=JSON)


OPERATIONS: tuple[Operation, ...] = (*run.OPERATIONS, query.OPERATION)
ROUTES: tuple[Route, ...] = (
    Route("view-list", "GET", f"/{VIEW}", listed, "", native=True),
    Route("view", "GET", f"/{VIEW}/{{id}}", read, "", native=True),
    *chain.from_iterable(routes_of(operation) for operation in OPERATIONS),
)

"""The table of all interactions: routing, CapabilityStatement, limits and scopes read it (FHIR R4, 3.1.0)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from fhir_server.interactions.batch import batch
from fhir_server.interactions.binary import of_content, read_binary, vread_binary
from fhir_server.interactions.capabilities import capabilities
from fhir_server.interactions.create import create, creation
from fhir_server.interactions.delete import conditional_delete, conditional_deletion, delete, deletion
from fhir_server.interactions.history import history
from fhir_server.interactions.patch import conditional_patch, conditional_patching, patch, patching
from fhir_server.interactions.read import read, vread
from fhir_server.interactions.search import search, search_by_form
from fhir_server.interactions.transaction import transaction
from fhir_server.interactions.update import conditional_update, conditional_updating, update, updating
from fhir_server.rest.entry import Bundle, bundle_in
from fhir_server.rest.exchange import Exchange, Reply, Route
from fhir_server.rest.node import Node

COMPARTMENTS = ("Device", "Encounter", "Patient", "Practitioner", "RelatedPerson")
"""The types that have a compartment (FHIR R4, 5.5)."""

COMPARTMENT_SEARCH = "/{type}/{id}/{related}/_search"

BUNDLES: Mapping[str, Callable[[Node, Exchange, Bundle], Awaitable[Reply]]] = {
    "batch": batch,
    "transaction": transaction,
}
"""What is done with a Bundle that comes to the base URL, by its type."""


async def work_through(node: Node, exchange: Exchange) -> Reply:
    """Do what the entries of a Bundle ask."""
    sent = bundle_in(node, exchange)
    return await BUNDLES[sent.type](node, exchange, sent)


BINARY = ("Binary",)

ROUTES: tuple[Route, ...] = (
    Route("capabilities", "GET", "/metadata", capabilities, ""),
    Route("search-system", "GET", "/", search, "s"),
    Route("search-system", "POST", "/_search", search_by_form, "s", takes="form"),
    Route("search-type", "GET", "/{type}", search, "s"),
    Route("search-type", "POST", "/{type}/_search", search_by_form, "s", takes="form"),
    Route("search-compartment", "GET", "/{type}/{id}/{related}", search, "s", types=COMPARTMENTS),
    Route(
        "search-compartment", "POST", "/{type}/{id}/{related}/_search", search_by_form, "s", "form", types=COMPARTMENTS
    ),
    Route("history-system", "GET", "/_history", history, "r"),
    Route("history-type", "GET", "/{type}/_history", history, "r"),
    Route("history-instance", "GET", "/{type}/{id}/_history", history, "r"),
    Route("read", "GET", "/{type}/{id}", read_binary, "r", types=BINARY, native=True),
    Route("vread", "GET", "/{type}/{id}/_history/{version}", vread_binary, "r", types=BINARY, native=True),
    Route("update", "PUT", "/{type}/{id}", of_content(update), "u", "binary", types=BINARY, write=updating),
    Route("create", "POST", "/{type}", of_content(create), "c", "binary", types=BINARY, write=creation),
    Route("read", "GET", "/{type}/{id}", read, "r"),
    Route("vread", "GET", "/{type}/{id}/_history/{version}", vread, "r"),
    Route("update", "PUT", "/{type}/{id}", update, "u", takes="resource", write=updating),
    Route("update", "PUT", "/{type}", conditional_update, "u", takes="resource", write=conditional_updating),
    Route("patch", "PATCH", "/{type}/{id}", patch, "u", takes="patch", write=patching),
    Route("patch", "PATCH", "/{type}", conditional_patch, "u", takes="patch", write=conditional_patching),
    Route("delete", "DELETE", "/{type}/{id}", delete, "d", write=deletion),
    Route("delete", "DELETE", "/{type}", conditional_delete, "d", write=conditional_deletion),
    Route("create", "POST", "/{type}", create, "c", takes="resource", write=creation),
    Route("batch", "POST", "/", work_through, "crud", takes="bundle"),
)

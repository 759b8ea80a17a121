"""What this server can do, told from its own tables (FHIR R4, 5.2 CapabilityStatement, 3.1.0.6 capabilities)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib.metadata import version
from typing import Any

import orjson

from fhir_server.definitions.registry import Definitions
from fhir_server.definitions.search_parameter import SearchParameter
from fhir_server.patch.apply import KINDS
from fhir_server.resource.instant import instant
from fhir_server.rest.exchange import Exchange, Reply, Route
from fhir_server.rest.header import etag
from fhir_server.rest.node import Node

Json = dict[str, Any]

ANY_BASE = "urn:nhipcau:base"
"""Stands for the base URL, which a client may know by another name than the next one does."""

CORE = "http://hl7.org/fhir/StructureDefinition/"
OF_TYPES = (
    "read", "vread", "update", "patch", "delete", "history-instance", "history-type", "create", "search-type",
)  # fmt: skip
OF_SYSTEM = ("transaction", "batch", "search-system", "history-system")


async def capabilities(node: Node, exchange: Exchange) -> Reply:
    """Answer with the CapabilityStatement; it is made anew when the definitions grow."""
    generation = node.definitions.generation
    made = node.remembered.get("capabilities")
    if made is None or made[0] != generation:
        made = node.remembered["capabilities"] = (generation, orjson.dumps(statement(node, ANY_BASE)))
    tag = etag(generation)
    if exchange.headers.get(b"if-none-match") == tag:
        return Reply(304, headers=[(b"etag", tag)])
    body = made[1].replace(ANY_BASE.encode(), exchange.base.encode())
    return Reply(200, body, headers=[(b"etag", tag)])


def statement(node: Node, base: str) -> Json:
    """Return the CapabilityStatement of a node."""
    return {
        "resourceType": "CapabilityStatement",
        "id": "nhipcau",
        "url": f"{base}/metadata",
        "version": version("nhipcau"),
        "name": "NhipCau",
        "title": "Nhịp Cầu",
        "status": "active",
        "date": instant(node.started),
        "kind": "instance",
        "software": {"name": "Nhịp Cầu", "version": version("nhipcau")},
        "implementation": {"description": "A node of Nhịp Cầu", "url": base},
        "fhirVersion": "4.0.1",
        "format": ["application/fhir+json", "application/fhir+xml", "json", "xml"],
        "patchFormat": list(KINDS),
        "rest": [rest(node)],
    }


def rest(node: Node) -> Json:
    """Return what can be done by HTTP."""
    definitions = node.definitions
    profiles = profiles_by_type(definitions)
    references = references_by_target(definitions)
    known = {route.interaction for route in node.routes} | {"transaction"}
    return {
        "mode": "server",
        "security": node.security or {"cors": bool(node.settings.cors_origins)},
        "resource": [
            resource(node, kind, profiles.get(kind, ()), references.get(kind, ()))
            for kind in sorted(definitions.resource_types)
        ],
        "interaction": [{"code": code} for code in OF_SYSTEM if code in known],
        "searchParam": [parameter(each) for each in common(definitions)],
        "operation": operations(route for route in node.routes if "{type}" not in route.path),
        "compartment": [
            f"http://hl7.org/fhir/CompartmentDefinition/{kind.lower()}"
            for route in node.routes
            if route.interaction == "search-compartment" and route.method == "GET"
            for kind in route.types
        ],
    }


def resource(node: Node, kind: str, profiles: Iterable[str], referrers: Iterable[str]) -> Json:
    """Return what can be done with one resource type."""
    routes = [route for route in node.routes if "{type}" in route.path and (not route.types or kind in route.types)]
    known = {route.interaction for route in routes}
    searched = [
        each for each in node.definitions.search_parameters(kind).values() if each.expression or is_special(each)
    ]
    policies = ["literal", "logical", "local", *(["enforced"] if node.settings.referential_integrity else [])]
    told: Json = {
        "type": kind,
        "profile": f"{CORE}{kind}",
        "supportedProfile": sorted(profiles),
        "interaction": [{"code": code} for code in OF_TYPES if code in known],
        "versioning": "versioned",
        "readHistory": True,
        "updateCreate": True,
        "conditionalCreate": True,
        "conditionalRead": "full-support",
        "conditionalUpdate": True,
        "conditionalDelete": "multiple" if node.settings.conditional_delete > 1 else "single",
        "referencePolicy": policies,
        "searchInclude": ["*", *sorted(f"{kind}:{each.code}" for each in searched if each.type == "reference")],
        "searchRevInclude": sorted(referrers),
        "searchParam": [parameter(each) for each in sorted(searched, key=lambda each: each.code)],
        "operation": operations(routes),
    }
    return {name: value for name, value in told.items() if value != []}


def is_special(each: SearchParameter) -> bool:
    """Whether a parameter is answered although no expression says what it looks at."""
    return each.code in ("_text", "_content", "_filter", "_list", "_has", "_type")


def common(definitions: Definitions) -> list[SearchParameter]:
    """The parameters that every type has."""
    found = definitions.search_parameters("Basic").values()
    return sorted((each for each in found if each.code.startswith("_")), key=lambda each: each.code)


def parameter(each: SearchParameter) -> Json:
    """Return a search parameter as the statement tells it."""
    return {"name": each.code, "definition": each.url, "type": each.type}


def operations(routes: Iterable[Route]) -> list[Json]:
    """Return the operations among routes, each once."""
    found = {(route.interaction, route.definition): None for route in routes if route.definition is not None}
    return [{"name": name, "definition": definition} for name, definition in sorted(found)]


def profiles_by_type(definitions: Definitions) -> Mapping[str, list[str]]:
    """The profiles that are known for each resource type."""
    found: dict[str, list[str]] = {}
    for canonical in definitions.structures():
        structure = definitions.stated_structure(canonical)
        if structure is not None and structure.kind == "resource" and structure.derivation == "constraint":
            found.setdefault(structure.type, []).append(structure.url)
    return {kind: sorted(set(urls)) for kind, urls in found.items()}


def references_by_target(definitions: Definitions) -> Mapping[str, list[str]]:
    """The parameters by which other types refer to each type, as `_revinclude` names them."""
    found: dict[str, list[str]] = {}
    for kind in definitions.resource_types:
        for each in definitions.search_parameters(kind).values():
            for target in each.target if each.type == "reference" else ():
                found.setdefault(target, []).append(f"{kind}:{each.code}")
    return found

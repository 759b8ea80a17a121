"""The operation $document: a Composition with what it refers to (FHIR R4, OperationDefinition/Composition-document)."""

from __future__ import annotations

from dataclasses import replace
from uuid import NAMESPACE_URL, uuid5

import orjson

from fhir_server.errors import Issue, Unprocessable, Unsupported
from fhir_server.repository.sent import Sent
from fhir_server.repository.write import Write
from fhir_server.resource.instant import now
from fhir_server.resource.parsing import parse
from fhir_server.rest.argument import Arguments, Input
from fhir_server.rest.exchange import Exchange, Reply
from fhir_server.rest.linked import Links
from fhir_server.rest.node import Node
from fhir_server.rest.operation import Operation
from fhir_server.store.protocol import Version


async def document(node: Node, exchange: Exchange, arguments: Arguments) -> Reply:
    """Return a Bundle of type document, its identifier the same for the same version; with `persist` it is stored."""
    composition = await node.repository.read("Composition", exchange.id or composition_named(arguments, exchange.base))
    body = composition.body or b""
    links = Links(node.repository, exchange.base, node.definitions.resource_types)
    direct = set(links.of([body]))
    found = await links.closure([body], {("Composition", exchange.id)}, links.patients_of(body))
    missing = direct - {(each.type, each.id) for each in found} - {("Composition", exchange.id)}
    if missing:
        named = ", ".join("/".join(key) for key in sorted(missing))
        text = f"The document would be incomplete: Composition/{exchange.id} refers to {named}, which cannot be read."
        raise Unprocessable(Issue("error", "not-found", text))
    joined = _joined(exchange.base, [composition, *found], now(node.clock))
    if not arguments.flag("persist"):
        return Reply(200, joined)
    sent = Sent(parse(joined, node.bundle_limits), joined, members_counted=True)
    (saved,) = await node.repository.write([Write("POST", "Bundle", sent=sent)])
    stored = saved.version
    assert stored is not None
    return Reply(200, stored.body or b"", stored, f"Bundle/{stored.id}/_history/{stored.version}")


def composition_named(arguments: Arguments, base: str) -> str:
    """The id of the Composition that is named by its id, or by its URL on this server; raise Invalid for another."""
    text = arguments.text("id") or ""
    path = text.removeprefix(f"{base}/").removeprefix("Composition/")
    if "/" in path:
        raise Unsupported(f"Only a Composition of this server can be made a document, not {text[:100]!r}.")
    return path


def _joined(base: str, versions: list[Version], moment: str) -> bytes:
    """The document, joined from stored bytes."""
    first = versions[0]
    name = uuid5(NAMESPACE_URL, f"{base}/{first.type}/{first.id}/_history/{first.version}")
    head = {
        "resourceType": "Bundle",
        "identifier": {"system": "urn:ietf:rfc:3986", "value": name.urn},
        "type": "document",
        "timestamp": moment,
    }
    entries = b",".join(
        b'{"fullUrl":%b,"resource":%b}' % (orjson.dumps(f"{base}/{each.type}/{each.id}"), each.body)
        for each in versions
        if each.body is not None
    )
    return b'%b,"entry":[%b]}' % (orjson.dumps(head)[:-1], entries)


INPUTS = (
    Input("persist", "boolean"),
    Input("graph", "uri", supported=False, reason="what the Composition refers to comes along, at any distance"),
)
OPERATION = Operation(
    "document",
    "http://hl7.org/fhir/OperationDefinition/Composition-document",
    ("instance",),
    document,
    types=("Composition",),
    inputs=INPUTS,
)
OF_TYPE = replace(OPERATION, levels=("type",), inputs=(Input("id", "uri", required=True), *INPUTS))

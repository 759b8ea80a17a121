"""Resources and patches in the body of a request, in the formats that are read (FHIR R4, 3.1.0.1.9 content types)."""

from __future__ import annotations

from base64 import b64decode
from binascii import Error
from typing import Any

from fhir_server.errors import Invalid, Issue, NotFound
from fhir_server.patch.apply import KINDS, PatchKind
from fhir_server.repository.sent import Sent, read_sent
from fhir_server.rest.exchange import Exchange
from fhir_server.rest.failure import UnknownMediaType, nearest
from fhir_server.rest.node import Node
from fhir_server.rest.representation import format_of, media_type_of


def resource_in(node: Node, exchange: Exchange) -> Sent:
    """Return the resource that a request carries; raise Invalid for one that is not of the type in its URL."""
    sent = exchange.sent
    if sent is None:
        format_of(exchange.headers.get(b"content-type"))
        sent = read_sent(exchange.body, node.definitions, node.limits)
    if exchange.type and sent.type != exchange.type:
        if sent.type not in node.definitions.resource_types:
            near = nearest(sent.type, node.definitions.resource_types)
            raise NotFound(f"R4 has no resource type {sent.type[:80]!r}.{near}")
        text = f"The URL is about {exchange.type}, and the resource sent is {sent.type[:80]}."
        raise Invalid(Issue("error", "invalid", text, (f"{sent.type}",), fix=f"Send it to /{sent.type}."))
    return sent


def refuse_other_id(exchange: Exchange, sent: Sent) -> None:
    """Raise Invalid where a resource sent as an update has not the id in its URL (3.1.0.4)."""
    own_id = sent.body.get("id")
    if own_id != exchange.id:
        what = "has no id" if own_id is None else f"has the id {str(own_id)[:80]!r}"
        text = f"The URL names {exchange.type}/{exchange.id}, and the resource sent {what}; they must be the same."
        raise Invalid(Issue("error", "invalid", text, (f"{exchange.type}.id",)))


def patch_in(exchange: Exchange) -> tuple[PatchKind, bytes | dict[str, Any]]:
    """Return the patch that a request carries; in a Bundle a Parameters is one, and a Binary holds one (3.1.0.9)."""
    sent = exchange.content
    if sent is None:
        name = media_type_of(exchange.headers.get(b"content-type"))
        return _kind_of(name), exchange.body
    if sent.get("resourceType") != "Binary":
        return "fhirpath", sent
    try:
        return _kind_of(str(sent.get("contentType")).partition(";")[0].strip()), b64decode(str(sent.get("data", "")))
    except Error:
        raise Invalid("The data of the Binary with the patch is not base64.") from None


def _kind_of(name: str) -> PatchKind:
    kind = KINDS.get(name)
    if kind is None:
        raise UnknownMediaType(f"A patch cannot be sent as {name[:80] or 'nothing'}. Send one of {', '.join(KINDS)}.")
    return kind

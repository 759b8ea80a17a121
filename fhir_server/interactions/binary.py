"""Binary as the content that it is, in and out (FHIR R4, 2.41 Binary)."""

from __future__ import annotations

from base64 import b64decode, b64encode
from binascii import Error
from typing import Any

import orjson

from fhir_server.errors import Unprocessable
from fhir_server.repository.sent import Sent
from fhir_server.rest.condition import is_unchanged
from fhir_server.rest.exchange import Exchange, Handler, Reply
from fhir_server.rest.header import version_number
from fhir_server.rest.node import Node
from fhir_server.rest.representation import FORMATS, media_type_of
from fhir_server.rest.subset import part, read_stored
from fhir_server.store.protocol import Version

UNKNOWN = "application/octet-stream"
HARMLESS = (
    (b"content-disposition", b"attachment"),
    (b"content-security-policy", b"default-src 'none'; sandbox"),
    (b"x-content-type-options", b"nosniff"),
)
"""What keeps a browser from running what somebody stored."""


async def read_binary(node: Node, exchange: Exchange) -> Reply:
    """Answer with the current content, or with the resource where a FHIR format is asked for."""
    return answer(node, exchange, await node.repository.read("Binary", exchange.id))


async def vread_binary(node: Node, exchange: Exchange) -> Reply:
    """Answer with the content of a version."""
    number = version_number(exchange.version)
    return answer(node, exchange, await node.repository.version("Binary", exchange.id, number))


def answer(node: Node, exchange: Exchange, version: Version) -> Reply:
    """Return the content, or the resource, or 304 where the client has it."""
    if is_unchanged(exchange, version):
        return Reply(304, version=version)
    assert version.body is not None
    if not exchange.representation.native:
        form = exchange.representation
        return Reply(200, part(version.body, form, node.definitions) if form.is_part else version.body, version)
    body = read_stored(version.body)
    try:
        content = b64decode(str(body.get("data", "")))
    except Error:
        raise Unprocessable("The data of this Binary is not base64: read it as application/fhir+json.") from None
    media_type = str(body.get("contentType") or UNKNOWN).encode("latin-1", "replace")
    return Reply(200, content, version, headers=list(HARMLESS), media_type=printable(media_type))


def printable(media_type: bytes) -> bytes:
    """Return a media type that can stand in a header."""
    return media_type if all(32 <= byte < 127 for byte in media_type) else UNKNOWN.encode()


def of_content(handler: Handler) -> Handler:
    """Return a handler of Binary resources that takes content as well: what is announced as no FHIR format."""

    async def takes_content(node: Node, exchange: Exchange) -> Reply:
        announced = exchange.headers.get(b"content-type")
        media_type = media_type_of(announced)
        if exchange.sent is None and announced is not None and media_type not in FORMATS:
            exchange.sent = sent(exchange, announced.decode("latin-1"))
        return await handler(node, exchange)

    return takes_content


def sent(exchange: Exchange, media_type: str) -> Sent:
    """Return the Binary that holds what a request carries."""
    body: dict[str, Any] = {"resourceType": "Binary", "contentType": media_type}
    if exchange.id:
        body["id"] = exchange.id
    context = exchange.header(b"x-security-context")
    if context:
        body["securityContext"] = {"reference": context.removeprefix(f"{exchange.base}/")}
    body["data"] = b64encode(exchange.body).decode()
    return Sent(body, orjson.dumps(body), members_counted=True)

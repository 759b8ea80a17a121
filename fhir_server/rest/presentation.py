"""Answers in the form that the client asked for: XML, lines, parts, packed (FHIR R4, 3.1.0.1.9 content types)."""

from __future__ import annotations

import zlib

from fhir_server.definitions.registry import Definitions
from fhir_server.resource.indented import indented
from fhir_server.rest.exchange import Exchange, Reply
from fhir_server.rest.header import etag, http_date
from fhir_server.rest.representation import AS_STORED, AS_STORED_OR_NATIVE, JSON, XML, Representation
from fhir_server.rest.subset import read_stored
from fhir_server.xml_format import write_xml

Headers = list[tuple[bytes, bytes]]

WITHOUT_BODY = frozenset({204, 304})
PACKING_LEVEL = 1
WITH_HEADER = 31


def represented(body: bytes, form: Representation, definitions: Definitions) -> bytes:
    """Return a resource's JSON in the form asked for."""
    if form.format == "xml":
        return write_xml(read_stored(body), definitions)
    return indented(body) if form.pretty else body


def headers_of(reply: Reply, exchange: Exchange) -> Headers:
    """Return the headers that say which version and which request an answer is about."""
    headers = [(b"x-request-id", exchange.request_id.encode("latin-1"))]
    version = reply.version
    if version is not None:
        headers.append((b"etag", etag(version.version)))
        headers.append((b"last-modified", http_date(version.at // 1000)))
    if reply.location is not None:
        headers.append((b"location", f"{exchange.base}/{reply.location}".encode()))
    headers += reply.headers
    return headers


def finished(reply: Reply, exchange: Exchange, definitions: Definitions, packed_from: int) -> tuple[Headers, bytes]:
    """Return the headers and the bytes of an answer."""
    headers = headers_of(reply, exchange)
    if reply.status in WITHOUT_BODY:
        return headers, b""
    body, form = reply.body, exchange.representation
    if reply.chunks is not None:
        return [*headers, (b"content-type", reply.media_type or JSON)], b""
    if reply.media_type is not None:
        headers.append((b"content-type", reply.media_type))
    elif body:
        if form is AS_STORED or form is AS_STORED_OR_NATIVE:
            headers.append((b"content-type", JSON))
        else:
            body = represented(body, form, definitions)
            headers.append((b"content-type", XML if form.format == "xml" else JSON))
    if len(body) >= packed_from and b"gzip" in exchange.headers.get(b"accept-encoding", b""):
        body = packed(body)
        headers.append((b"content-encoding", b"gzip"))
        headers.append((b"vary", b"accept, accept-encoding"))
    headers.append((b"content-length", b"%d" % len(body)))
    return headers, b"" if exchange.method == "HEAD" else body


def packed(body: bytes) -> bytes:
    """Return the body as gzip."""
    packing = zlib.compressobj(PACKING_LEVEL, zlib.DEFLATED, WITH_HEADER)
    return packing.compress(body) + packing.flush()

"""Bodies in: read with a limit, and unpacked without trusting what they say of themselves (RFC 9110, 8.4)."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any

from fhir_server.errors import Invalid, Issue, TooLarge
from fhir_server.rest.failure import TooSlow, UnknownMediaType

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]

LARGEST_RATIO = 100
RATIO_COUNTS_FROM = 1_000_000
WITH_HEADER = 31
_PACKED = frozenset({b"gzip", b"x-gzip"})


class Disconnected(Exception):
    """The client went away before its request was complete."""


async def read_body(receive: Receive, headers: Mapping[bytes, bytes], limit: int, seconds: float) -> bytes:
    """Return the body, unpacked; raise TooLarge as soon as it passes the limit, TooSlow when it does not come."""
    announced = headers.get(b"content-length")
    if announced is not None and announced.isdigit() and int(announced) > limit:
        raise too_long(limit)
    message = await receive()
    if message["type"] == "http.disconnect":
        raise Disconnected
    body: bytes = message.get("body", b"")
    if message.get("more_body"):
        body = await _rest(receive, body, limit, seconds)
    if len(body) > limit:
        raise too_long(limit)
    encoding = headers.get(b"content-encoding")
    return body if encoding is None else await _unpacked(body, encoding, limit)


def too_long(limit: int) -> TooLarge:
    """The failure of a body that passes its limit."""
    return TooLarge(f"The body is longer than the {limit:,} bytes that are read here.")


async def _rest(receive: Receive, first: bytes, limit: int, seconds: float) -> bytes:
    chunks, length = [first], len(first)
    try:
        async with asyncio.timeout(seconds):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise Disconnected
                chunk = message.get("body", b"")
                length += len(chunk)
                if length > limit:
                    raise too_long(limit)
                chunks.append(chunk)
                if not message.get("more_body"):
                    return b"".join(chunks)
    except TimeoutError:
        raise TooSlow(f"The body did not come within {seconds:g} seconds.") from None


async def _unpacked(body: bytes, encoding: bytes, limit: int) -> bytes:
    name = encoding.strip().lower()
    if name == b"identity":
        return body
    if name not in _PACKED:
        raise UnknownMediaType(
            f"Content-Encoding: {encoding.decode('latin-1')[:40]} is not read here. Send gzip, once, or nothing."
        )
    return unpack(body, limit) if len(body) < RATIO_COUNTS_FROM // 10 else await asyncio.to_thread(unpack, body, limit)


def unpack(body: bytes, limit: int) -> bytes:
    """Return what gzip packed; raise TooLarge for a bomb, Invalid for what is broken, UnknownMediaType for layers."""
    unpacking = zlib.decompressobj(WITH_HEADER)
    most = min(limit, max(RATIO_COUNTS_FROM, LARGEST_RATIO * len(body)))
    try:
        found = unpacking.decompress(body, most + 1)
    except zlib.error:
        raise Invalid(Issue("fatal", "structure", "The body is announced as gzip, and is not.")) from None
    if len(found) > most:
        if most < limit:
            raise TooLarge(f"The body unpacks to more than {LARGEST_RATIO} times its size.")
        raise TooLarge(f"The body unpacks to more than the {limit:,} bytes that are read here.")
    if not unpacking.eof:
        raise Invalid(Issue("fatal", "structure", "The packed body ends too early."))
    if unpacking.unused_data:
        raise Invalid(Issue("fatal", "structure", "Something follows the packed body."))
    if found[:2] == b"\x1f\x8b":
        raise UnknownMediaType("The body is packed more than once. Send gzip, once, or nothing.")
    return found

"""Documents of others (keys, discovery) fetched without being led astray (OWASP: server-side request forgery)."""

from __future__ import annotations

import ipaddress
import re
import socket
import ssl
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit

import httpx
import orjson

from fhir_server.errors import Unprocessable

MOST_BYTES = 200_000
SECONDS_TO_CONNECT = 5.0
SECONDS_IN_ALL = 8.0
NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
PIECE = 1 << 16
NO_HEADERS: Mapping[str, str] = MappingProxyType({})
MAX_AGE = re.compile(r"max-age=(\d{1,9})")

Resolve = Callable[[str, int], list[str]]


class Unreachable(Unprocessable):
    """A document could not be had, or must not be asked for; it says why."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """A JSON document, and how many seconds its server lets it be kept."""

    body: Any
    max_age: int


def addresses_of(host: str, port: int) -> list[str]:
    """The addresses of a host."""
    try:
        return [str(found[4][0]) for found in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
    except OSError as error:
        raise Unreachable(f"{host} has no address") from error


class Outbound:
    """Fetches JSON by https from public addresses; the `allowed` hosts ("name" or "name:port") may be anywhere.

    A name is resolved once and the connection made to that very address. Redirects are not followed.
    """

    def __init__(self, allowed: Iterable[str] = (), resolve: Resolve = addresses_of) -> None:
        self._allowed = frozenset(allowed)
        self._resolve = resolve
        self._tls = ssl.create_default_context()

    def check(self, url: str) -> tuple[str, int, str]:
        """Return host, port and the address to connect to; raise Unreachable for what must not be asked."""
        try:
            parts = urlsplit(url)
            host, port = parts.hostname or "", parts.port
        except ValueError as error:
            raise Unreachable(f"{url[:200]!r} is no URL") from error
        if not host or parts.username is not None or parts.fragment or not url.isascii() or not url.isprintable():
            raise Unreachable(f"{url[:200]!r} is no URL of a document")
        wanted = port or (443 if parts.scheme == "https" else 80)
        listed = host in self._allowed or f"{host}:{wanted}" in self._allowed
        if parts.scheme != "https" and not (parts.scheme == "http" and listed):
            raise Unreachable("only https is asked")
        found = self._resolve(host, wanted)
        if not found or not (listed or all(is_public(address) for address in found)):
            raise Unreachable(f"{host} is not on the public network")
        return host, wanted, found[0]

    def fetch(self, url: str) -> Fetched:
        """Return a JSON document; raise Unreachable where it cannot be had."""
        host, port, address = self.check(url)
        request = pinned_request(url, host, port, address, "application/json, application/jwk-set+json")
        try:
            with httpx.Client(verify=self._tls, trust_env=False, follow_redirects=False) as client:
                answer = client.send(request, stream=True)
                if answer.status_code != httpx.codes.OK:
                    raise Unreachable(f"{host} answered {answer.status_code}")
                return Fetched(orjson.loads(_body(answer)), _max_age(answer))
        except (httpx.HTTPError, orjson.JSONDecodeError, ssl.SSLError) as error:
            raise Unreachable(f"{host} gave no JSON: {type(error).__name__}") from error

    def save(self, url: str, target: Path, most: int, seconds: float, headers: Mapping[str, str] = NO_HEADERS) -> None:
        """Write what is at a URL into a file, unpacked; raise Unreachable where it cannot be had, or is too long."""
        host, port, address = self.check(url)
        request = pinned_request(url, host, port, address, "application/fhir+ndjson, application/json", headers)
        until = time.monotonic() + seconds
        try:
            with httpx.Client(verify=self._tls, trust_env=False, follow_redirects=False) as client:
                answer = client.send(request, stream=True)
                if answer.status_code != httpx.codes.OK:
                    raise Unreachable(f"{host} answered {answer.status_code}")
                length = 0
                with target.open("wb") as file:
                    for piece in answer.iter_bytes(PIECE):
                        length += file.write(piece)
                        if length > most:
                            raise Unreachable(f"it is longer than {most:,} bytes, unpacked")
                        if time.monotonic() > until:
                            raise Unreachable("it comes too slowly")
        except (httpx.HTTPError, ssl.SSLError) as error:
            raise Unreachable(f"{host} gave no file: {type(error).__name__}") from error


def pinned_request(
    url: str, host: str, port: int, address: str, accept: str, headers: Mapping[str, str] = NO_HEADERS
) -> httpx.Request:
    """Return a request for a URL to the very address that its host was resolved to."""
    parts = urlsplit(url)
    pinned = f"{parts.scheme}://{f'[{address}]' if ':' in address else address}:{port}{parts.path or '/'}"
    return httpx.Request(
        "GET",
        f"{pinned}?{parts.query}" if parts.query else pinned,
        headers={**headers, "host": parts.netloc, "accept": accept, "accept-encoding": "gzip"},
        extensions={"sni_hostname": host, "timeout": httpx.Timeout(SECONDS_TO_CONNECT).as_dict()},
    )


def _body(answer: httpx.Response) -> bytes:
    body, until = b"", time.monotonic() + SECONDS_IN_ALL
    for piece in answer.iter_bytes():
        body += piece
        if len(body) > MOST_BYTES:
            raise Unreachable("the document is too long")
        if time.monotonic() > until:
            raise Unreachable("the document comes too slowly")
    return body


def _max_age(answer: httpx.Response) -> int:
    control = answer.headers.get("cache-control", "")
    if "no-store" in control or "no-cache" in control:
        return 0
    found = MAX_AGE.search(control)
    return int(found[1]) if found else 300


def is_public(text: str) -> bool:
    """Whether an address is one of the public network, whatever clothes it wears."""
    try:
        address: ipaddress.IPv4Address | ipaddress.IPv6Address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return False
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        if address in NAT64:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if inner is not None:
            address = inner
    return address.is_global and not address.is_multicast


class Documents:
    """Documents that are fetched again when they grow old, or, at most every `LEAST_SECONDS`, when asked to."""

    LEAST_SECONDS = 30
    MOST_SECONDS = 3600

    def __init__(self, outbound: Outbound, clock: Callable[[], float]) -> None:
        self.outbound = outbound
        self._clock = clock
        self._kept: dict[str, tuple[float, float, Any]] = {}
        self._failed: dict[str, tuple[float, str]] = {}

    def body(self, url: str, *, anew: bool = False) -> Any:
        """The document, from memory while its server lets it be kept; raise Unreachable where it cannot be had."""
        now = self._clock()
        kept = self._kept.get(url)
        if kept is not None:
            fetched, until, body = kept
            if now < until and (not anew or now < fetched + self.LEAST_SECONDS):
                return body
        failed = self._failed.get(url)
        if failed is not None and now < failed[0] + self.LEAST_SECONDS:
            raise Unreachable(failed[1])
        try:
            found = self.outbound.fetch(url)
        except Unreachable as error:
            self._failed[url] = (now, str(error))
            raise
        self._failed.pop(url, None)
        self._kept[url] = (now, now + min(found.max_age, self.MOST_SECONDS), found.body)
        return found.body

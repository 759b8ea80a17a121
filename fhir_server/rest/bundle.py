"""Bundles joined from stored bytes (FHIR R4, 2.36.4 Bundle)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import quote, urlencode

import orjson

from fhir_server.errors import Issue, operation_outcome
from fhir_server.resource.instant import instant
from fhir_server.store.protocol import Version

STATUS_OF_METHOD: Mapping[str, str] = {"POST": "201", "PUT": "200", "PATCH": "200", "DELETE": "204"}


def bundle(
    kind: str, entries: Iterable[bytes], *, links: Iterable[tuple[str, str]] = (), total: int | None = None, at: int = 0
) -> bytes:
    """Return a Bundle with these entries; `at` is the moment in milliseconds that its content is of."""
    head = [b'{"resourceType":"Bundle"']
    if at:
        head.append(b'"meta":{"lastUpdated":"%b"}' % instant(at).encode())
    head.append(b'"type":"%b"' % kind.encode())
    if total is not None:
        head.append(b'"total":%d' % total)
    linked = [{"relation": relation, "url": url} for relation, url in links]
    if linked:
        head.append(b'"link":' + orjson.dumps(linked))
    joined = b",".join(entries)
    if joined:
        head.append(b'"entry":[%b]' % joined)
    return b",".join(head) + b"}"


def match_entry(base: str, version: Version, body: bytes, mode: str, fragment: str = "") -> bytes:
    """Return the entry of a resource that a search found or included; `fragment` names one that it contains."""
    url = f"{base}/{version.type}/{version.id}{fragment}".encode()
    return b'{"fullUrl":"%b","resource":%b,"search":{"mode":"%b"}}' % (url, body, mode.encode())


def found_entries(base: str, versions: Iterable[Version], mode: bytes) -> Iterator[bytes]:
    """Yield the entries of resources that a search found or included."""
    start = base.encode()
    for version in versions:
        path = f"{version.type}/{version.id}".encode()
        yield b'{"fullUrl":"%b/%b","resource":%b,"search":{"mode":"%b"}}' % (start, path, version.body or b"", mode)


def outcome_entry(issues: Iterable[Issue]) -> bytes:
    """Return the entry of a search that says what was left out of it."""
    outcome = orjson.dumps(operation_outcome(issues))
    return b'{"resource":%b,"search":{"mode":"outcome"}}' % outcome


def version_entry(base: str, version: Version, body: bytes | None) -> bytes:
    """Return the entry of a version in a history."""
    path = f"{version.type}/{version.id}".encode()
    resource = b"" if body is None else b'"resource":%b,' % body
    created = version.version == 1 and version.method in ("POST", "PUT")
    status = "201" if created else STATUS_OF_METHOD[version.method]
    url = path if version.method != "POST" else version.type.encode()
    return (
        b'{"fullUrl":"%b/%b",%b"request":{"method":"%b","url":"%b"},'
        b'"response":{"status":"%b","etag":"W/\\"%d\\"","lastModified":"%b"}}'
    ) % (
        base.encode(),
        path,
        resource,
        version.method.encode(),
        url,
        status.encode(),
        version.version,
        instant(version.at).encode(),
    )


def response_entry(response: Mapping[str, Any], resource: bytes = b"", outcome: bytes = b"") -> bytes:
    """Return the entry that answers one of a batch or transaction."""
    fields = orjson.dumps(response)
    if outcome:
        fields = b'%b,"outcome":%b}' % (fields[:-1], outcome)
    return b'{%b"response":%b}' % (b'"resource":%b,' % resource if resource else b"", fields)


def link(base: str, path: str, pairs: Iterable[tuple[str, str]]) -> str:
    """Return a URL of this server with its parameters encoded, as they can be read."""
    query = urlencode(list(pairs), safe=":,|/$@*", quote_via=quote)
    where = f"{base}/{path}" if path else base
    return f"{where}?{query}" if query else where

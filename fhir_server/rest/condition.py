"""What a request makes its answer or its effect depend on: If-Match and its kin (FHIR R4, 3.1.0.5; RFC 9110, 13.1)."""

from __future__ import annotations

from fhir_server.errors import Invalid
from fhir_server.resource.query_string import Pairs, pairs_in
from fhir_server.rest.exchange import Exchange
from fhir_server.rest.header import ANY, seconds_of, versions_in
from fhir_server.store.protocol import Version

GENERAL = frozenset({"_format", "_pretty", "_summary", "_elements"})
"""Parameters that are about the answer, in every interaction."""


def is_unchanged(exchange: Exchange, version: Version) -> bool:
    """Whether a client that asks for a resource has this version of it already."""
    headers = exchange.headers
    tags = headers.get(b"if-none-match")
    if tags is not None:
        named = versions_in(tags.decode("latin-1"), "If-None-Match")
        return named == ANY or version.version in named
    since = headers.get(b"if-modified-since")
    if since is not None:
        seconds = seconds_of(since.decode("latin-1"))
        return seconds is not None and version.at // 1000 <= seconds
    return False


def versions_to_match(exchange: Exchange) -> tuple[int, ...] | str | None:
    """The versions that If-Match names; None without the header."""
    tags = exchange.header(b"if-match")
    return None if tags is None else versions_in(tags, "If-Match")


def must_not_exist(exchange: Exchange) -> bool:
    """Whether the client asks that there be no such resource yet: If-None-Match: *."""
    tags = exchange.header(b"if-none-match")
    if tags is None:
        return False
    if tags.strip() != ANY:
        raise Invalid("On a write, If-None-Match can only be *: it asks that the resource does not exist.")
    return True


def criteria(exchange: Exchange) -> Pairs | None:
    """The search that names the resource in the URL of a conditional interaction; None where there is none."""
    found = [pair for pair in exchange.pairs if pair[0] not in GENERAL]
    return found or None


def needed_criteria(exchange: Exchange) -> Pairs:
    """The same where the URL has no id, so that there must be criteria; raise Invalid without."""
    found = criteria(exchange)
    if found is None:
        method, kind = exchange.method, exchange.type
        example = f"{method} {kind}/[id] or {method} {kind}?identifier=..."
        raise Invalid(f"A {method} names its resource, by an id or by search parameters: {example}")
    return found


def criteria_to_not_exist(exchange: Exchange) -> Pairs | None:
    """The search that If-None-Exist holds; None without the header. Raise Invalid for one that names nothing.

    Some clients (fhirpy, for one) write it into the URL, where nothing else could be meant.
    """
    query = exchange.header(b"if-none-exist")
    if query is None:
        return criteria(exchange)
    found = pairs_in(query.strip().rpartition("?")[2])
    if not found:
        raise Invalid("If-None-Exist holds no search parameter, such as identifier=http://example.org|1.")
    return found

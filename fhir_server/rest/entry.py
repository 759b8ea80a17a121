"""The entries of a batch or a transaction as exchanges, and their answers (FHIR R4, 3.1.0.11 batch/transaction)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from typing import Any
from urllib.parse import unquote

from fhir_server.errors import Invalid, Issue, TooLarge
from fhir_server.repository.sent import Sent, entries_of, read_bundle
from fhir_server.resource.instant import instant
from fhir_server.rest.bundle import response_entry
from fhir_server.rest.envelope import refuse_unfit
from fhir_server.rest.exchange import Exchange, Reply
from fhir_server.rest.node import Node
from fhir_server.rest.representation import format_of
from fhir_server.rest.router import steps_of
from fhir_server.settings import Settings

HEADERS: Mapping[str, bytes] = {
    "ifMatch": b"if-match",
    "ifNoneMatch": b"if-none-match",
    "ifModifiedSince": b"if-modified-since",
    "ifNoneExist": b"if-none-exist",
}
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"})
PHRASES = {status.value: f"{status.value} {status.phrase}" for status in HTTPStatus}
MINIMAL = b"return=minimal"


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry: its place, what others call it, and what it asks."""

    place: int
    full_url: str | None
    exchange: Exchange


@dataclass(frozen=True, slots=True)
class Bundle:
    """A Bundle to be worked through."""

    type: str
    entries: tuple[Entry, ...]


def bundle_in(node: Node, exchange: Exchange) -> Bundle:
    """Return the Bundle that a request carries; raise Invalid for another resource, TooLarge for too many entries."""
    format_of(exchange.headers.get(b"content-type"))
    refuse = partial(refuse_excess, node.settings)
    body, exact = read_bundle(exchange.body, node.definitions, node.bundle_limits, refuse)
    refuse_unfit(body)
    listed = entries_of(body, exact, exchange.body)
    return Bundle(str(body.get("type")), tuple(_entry(exchange, *each, place) for place, each in enumerate(listed)))


def refuse_excess(settings: Settings, body: Mapping[str, Any]) -> None:
    """Raise Invalid for what is no Bundle, TooLarge for one with too many entries."""
    if body["resourceType"] != "Bundle":
        kind = str(body["resourceType"])[:80]
        fix = f"Send a {kind} to /{kind}, or a Bundle of type batch or transaction here."
        raise Invalid(Issue("error", "invalid", f"The base URL takes a Bundle, not a {kind}.", fix=fix))
    kind, listed = str(body.get("type")), body.get("entry")
    limit = settings.batch_entries if kind == "batch" else settings.transaction_entries
    if isinstance(listed, list) and len(listed) > limit:
        text = f"The {kind[:40]} has {len(listed):,} entries; at most {limit:,} are taken at once."
        raise TooLarge(Issue("error", "too-costly", text, ("Bundle.entry",)))


def _entry(outer: Exchange, entry: Mapping[str, Any], sent: Sent | None, place: int) -> Entry:
    where = f"Bundle.entry[{place}].request"
    request = entry.get("request")
    if not isinstance(request, dict):
        raise Invalid(Issue("error", "required", "Each entry needs a request with method and url.", (where,)))
    method, url = request.get("method"), request.get("url")
    if method not in METHODS:
        text = f"The method of an entry is one of {', '.join(sorted(METHODS))}, not {str(method)[:40]!r}."
        raise Invalid(Issue("error", "value", text, (f"{where}.method",)))
    if not isinstance(url, str):
        raise Invalid(Issue("error", "required", "The request of an entry needs a url.", (f"{where}.url",)))
    headers = {name: _text(request[key], f"{where}.{key}") for key, name in HEADERS.items() if key in request}
    headers[b"prefer"] = outer.headers.get(b"prefer", MINIMAL)
    path, query = _parts(url, outer.base, f"{where}.url")
    exchange = Exchange(str(method), path, query=query, headers=headers, base=outer.base, request_id=outer.request_id)
    exchange.sent, exchange.caller, exchange.address = sent, outer.caller, outer.address
    full_url = entry.get("fullUrl")
    return Entry(place, full_url if isinstance(full_url, str) else None, exchange)


def _text(value: Any, where: str) -> bytes:
    if not isinstance(value, str):
        raise Invalid(Issue("error", "structure", "This must be a string.", (where,)))
    return value.encode("latin-1", "replace") if value.isascii() else value.encode()


def _parts(url: str, base: str, where: str) -> tuple[Sequence[str], str]:
    below = url.removeprefix(f"{base}/") if "://" in url else url.removeprefix("/")
    path, _, query = below.partition("?")
    steps = [unquote(step) for step in path.split("/")]
    if ":" in steps[0] or ".." in steps:
        text = f"The url of an entry is relative to this server's base, such as Patient/1; {url[:100]!r} is not."
        raise Invalid(Issue("error", "invalid", text, (where,)))
    if steps == [""] and not query:
        text = "A batch or transaction cannot be an entry of another."
        raise Invalid(Issue("error", "not-supported", text, (where,)))
    return steps_of(steps), query


def answer_entry(reply: Reply) -> bytes:
    """Return the entry that holds the answer to one."""
    response: dict[str, Any] = {"status": PHRASES[reply.status]}
    if reply.location is not None:
        response["location"] = reply.location
    if reply.version is not None:
        response["etag"] = f'W/"{reply.version.version}"'
        response["lastModified"] = instant(reply.version.at)
    is_outcome = reply.body.startswith(b'{"resourceType":"OperationOutcome"')
    if is_outcome:
        return response_entry(response, outcome=reply.body)
    return response_entry(response, reply.body)

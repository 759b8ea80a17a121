"""Search by GET or POST, in a type, a compartment or everything (FHIR R4, 3.1.0.9 search, 3.1.1 Search)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import orjson

from fhir_server.errors import Issue, operation_outcome
from fhir_server.resource.query_string import Pairs, pairs_in
from fhir_server.rest.bundle import bundle, found_entries, link, match_entry, outcome_entry
from fhir_server.rest.cursor import PARAMETER as CURSOR
from fhir_server.rest.exchange import Exchange, Reply
from fhir_server.rest.failure import UnknownMediaType
from fhir_server.rest.node import Node
from fhir_server.rest.representation import accepted, media_type_of, with_parameters
from fhir_server.rest.subset import part
from fhir_server.search.query import Query
from fhir_server.store.protocol import Page, Version

FORM = "application/x-www-form-urlencoded"
OF_THE_ANSWER = frozenset({"_format", "_pretty"})
EVERY_TYPE = "*"


async def search(node: Node, exchange: Exchange) -> Reply:
    """Answer with a page of what matches."""
    return await searched(node, exchange, exchange.pairs)


async def search_by_form(node: Node, exchange: Exchange) -> Reply:
    """Answer a search whose parameters stand in the body, and perhaps in the URL as well."""
    media_type = media_type_of(exchange.headers.get(b"content-type"))
    if exchange.body and media_type != FORM:
        raise UnknownMediaType(f"The parameters of a search are sent as {FORM}, not as {media_type[:80] or 'nothing'}.")
    pairs = [*exchange.pairs, *pairs_in(exchange.body.decode("latin-1"))]
    if exchange.sent is None:
        exchange.representation = with_parameters(accepted(exchange.headers.get(b"accept")), pairs)
    return await searched(node, exchange, pairs)


async def searched(node: Node, exchange: Exchange, pairs: Pairs) -> Reply:
    """Answer a search for these parameters."""
    compartment = (exchange.type, exchange.id) if exchange.id else None
    kind = exchange.related if exchange.id else exchange.type
    query = node.repository.query(
        () if kind in ("", EVERY_TYPE) else (kind,),
        [pair for pair in pairs if pair[0] not in OF_THE_ANSWER],
        lenient=exchange.preference.lenient,
        compartment=compartment,
    )
    if query.explain:
        return Reply(200, explained(node, query))
    path = "/".join(step for step in exchange.path if step != "_search")
    applied = [pair for pair in query.applied if pair[0] != CURSOR]
    applied += [pair for pair in pairs if pair[0] in OF_THE_ANSWER]
    about = link("", path, applied)
    links = [("self", exchange.base + about)]
    if query.summary == "count" or query.count == 0:
        counted = await node.repository.count(query.plan)
        return Reply(200, bundle("searchset", told(node, query), links=links, total=counted))
    cursor = None if query.cursor is None else node.cursors.read(query.cursor, about)
    page = await node.repository.page(query.plan, query.count or node.settings.page_entries, cursor)
    if page.following is not None:
        signed = node.cursors.sign(page.following, about)
        links.append(("next", f"{exchange.base}{about}{'&' if applied else '?'}{CURSOR}={signed}"))
    total = await total_of(node, query, page, cursor)
    return Reply(200, bundle("searchset", entries(node, exchange, query, page), links=links, total=total))


async def total_of(node: Node, query: Query, page: Page, cursor: str | None) -> int | None:
    """How many match: counted where that is asked for, known where all stand on the one page."""
    if query.total in ("accurate", "estimate"):
        return await node.repository.count(query.plan, page.t)
    if query.total is None and cursor is None and page.following is None and query.alone is None:
        return len(page.matches)
    return None


def entries(node: Node, exchange: Exchange, query: Query, page: Page) -> Iterator[bytes]:
    """Yield the matches, what is included with them, and what the client should know of the search."""
    form, base, most = exchange.representation, exchange.base, node.settings.included_entries

    def body_of(body: bytes) -> bytes:
        return part(body, form, node.definitions) if form.is_part else body

    def whole(versions: Sequence[Version]) -> Iterable[Version]:
        return (v._replace(body=body_of(v.body or b"")) for v in versions) if form.is_part else versions

    if query.alone is None:
        yield from found_entries(base, whole(page.matches), b"match")
    else:
        for version in page.matches:
            for fragment, body in node.repository.alone(version, query.alone):
                yield match_entry(base, version, body_of(body), "match", fragment)
    yield from found_entries(base, whole(page.included[:most]), b"include")
    if len(page.included) > most:
        text = f"More than {most:,} resources would be included; the others are left out. Ask for a smaller page."
        yield outcome_entry([Issue("warning", "too-costly", text)])
    yield from told(node, query)


def told(node: Node, query: Query) -> Iterator[bytes]:
    """Yield the entry that says which parameters had no effect, and which do not reach all resources yet."""
    issues = (*query.ignored, *node.coverage.gaps(query.plan))
    if issues:
        yield outcome_entry(issues)


def explained(node: Node, query: Query) -> bytes:
    """Return how a search is understood: Parameters that hold the plan as JSON, and what was ignored."""
    plan = orjson.dumps(node.repository.explain(query), option=orjson.OPT_INDENT_2).decode()
    parameters: list[dict[str, Any]] = [{"name": "plan", "valueString": plan}]
    if query.ignored:
        parameters.append({"name": "ignored", "resource": operation_outcome(query.ignored)})
    return orjson.dumps({"resourceType": "Parameters", "parameter": parameters})

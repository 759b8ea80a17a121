"""Transaction: all entries or none, in one commit (FHIR R4, 3.1.0.11.2 transaction processing rules)."""

from __future__ import annotations

from fhir_server.errors import Invalid, Issue
from fhir_server.repository.write import Write, placed
from fhir_server.rest.answer import written
from fhir_server.rest.bundle import bundle
from fhir_server.rest.entry import Bundle, Entry, answer_entry
from fhir_server.rest.exchange import Exchange, Reply
from fhir_server.rest.node import Node

READS = frozenset({"GET", "HEAD"})


async def transaction(node: Node, exchange: Exchange, sent: Bundle) -> Reply:
    """Write what the entries ask for, then read what they ask to read."""
    writing = [entry for entry in sent.entries if entry.exchange.method not in READS]
    writes = [write_of(node, entry) for entry in writing]
    replies: dict[int, Reply] = {}
    if writes:
        for entry, saved in zip(writing, await node.repository.write(writes), strict=True):
            replies[entry.place] = written(entry.exchange, saved)
    for entry in sent.entries:
        if entry.place not in replies:
            replies[entry.place] = await node.dispatch(entry.exchange)
    return Reply(200, bundle("transaction-response", (answer_entry(replies[entry.place]) for entry in sent.entries)))


def write_of(node: Node, entry: Entry) -> Write:
    """What an entry asks to be written; raise Invalid for what cannot be part of a transaction."""
    with placed(entry.place):
        route = node.find(entry.exchange)
        if route.write is None:
            text = f"{entry.exchange.method} {'/'.join(entry.exchange.path)[:100]} cannot be part of a transaction."
            raise Invalid(Issue("error", "not-supported", text))
        write = route.write(node, entry.exchange)
        write.place, write.full_url = entry.place, entry.full_url
        return write

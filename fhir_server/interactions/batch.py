"""Batch: each entry for itself (FHIR R4, 3.1.0.11.1 batch processing rules)."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from fhir_server.rest.bundle import bundle
from fhir_server.rest.entry import Bundle, answer_entry
from fhir_server.rest.exchange import Exchange, Reply
from fhir_server.rest.node import Node

AT_ONCE = 32
"""So many entries are under way together: their commits share the wait for the disk."""

ORDER: Mapping[str, int] = {"DELETE": 0, "POST": 1, "PUT": 2, "PATCH": 2, "GET": 3, "HEAD": 3}


async def batch(node: Node, exchange: Exchange, sent: Bundle) -> Reply:
    """Answer every entry; the failure of one is no concern of the others."""
    replies: dict[int, Reply] = {}
    for step in sorted(set(ORDER.values())):
        entries = [entry for entry in sent.entries if ORDER[entry.exchange.method] == step]
        for first in range(0, len(entries), AT_ONCE):
            group = entries[first : first + AT_ONCE]
            answers = await asyncio.gather(*(node.dispatch(entry.exchange) for entry in group))
            replies.update((entry.place, reply) for entry, reply in zip(group, answers, strict=True))
    entries_answered = (answer_entry(replies[entry.place]) for entry in sent.entries)
    return Reply(200, bundle("batch-response", entries_answered))

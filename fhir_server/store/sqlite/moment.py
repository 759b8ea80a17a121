"""Moments and the places of versions: both rise together, so that one is found from the other by halving."""

from __future__ import annotations

from fhir_server.store.sqlite.connection import Connection, row


def place_at(connection: Connection, at: int) -> int:
    """The place of the first version at or after a moment, or one after the last; moments rise with places."""
    last = row(connection, "SELECT max(vid) FROM version")[0] or 0
    low, high = 0, last + 1
    while low < high:
        middle = (low + high) // 2
        found = row(connection, "SELECT vid, at FROM version WHERE vid>=? ORDER BY vid LIMIT 1", (middle,))
        if found is None or found[1] >= at:
            high = middle
        else:
            low = found[0] + 1
    return low

"""The notices of a caller as server-sent events: GET /telesession/notices (WHATWG HTML 9.2)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any

import orjson
from starlette.responses import Response, StreamingResponse

from fhir_server.errors import Invalid, Issue
from fhir_server.extension import Row, Visit
from fhir_server.resource.instant import instant
from fhir_server.resource.parsing import parse
from fhir_server.rest.node import Node
from telesession.gathering import NO_LIMITS, of_server
from telesession.notice import recipients_of, told_of
from telesession.vocabulary import NOTICE

SECONDS_BETWEEN_LOOKS = 0.5
SECONDS_OF_SILENCE = 15.0
SECONDS_OPEN = 600.0
"""A stream ends after that, so that whoever comes back is asked for a token again."""
MILLISECONDS_BACK = 2_000
"""How far each look goes back: commits of other processes may be seen a little later than their time."""
LONGEST_BACK = 24 * 3600 * 1000
MOST = 200

News = tuple[int, str, Mapping[str, Any]]
"""When in milliseconds, the id of the Communication, and its body."""


class Board:
    """The notices of one process, looked for while somebody reads them."""

    def __init__(self) -> None:
        self._readers: set[asyncio.Queue[News]] = set()
        self._stop = asyncio.Event()

    def rows(self) -> tuple[Row, ...]:
        """The route."""
        return (Row("GET", "/notices", self.stream, (("Communication", "rs"),)),)

    def stopping(self) -> None:
        """End all streams."""
        self._stop.set()

    async def work(self, node: Node) -> None:
        """Look for new notices again and again."""
        seen: dict[str, int] = {}
        since = int(node.clock() * 1000)
        while True:
            if self._readers:
                for news in await noted(node, since - MILLISECONDS_BACK):
                    if news[1] not in seen:
                        seen[news[1]] = news[0]
                        self._tell(news)
                        since = max(since, news[0])
                seen = {name: at for name, at in seen.items() if at >= since - 2 * MILLISECONDS_BACK}
            else:
                since = int(node.clock() * 1000)
            await asyncio.sleep(SECONDS_BETWEEN_LOOKS)

    def _tell(self, news: News) -> None:
        for reader in self._readers:
            if not reader.full():
                reader.put_nowait(news)

    async def stream(self, visit: Visit) -> Response:
        """Tell a caller their notices, those since Last-Event-ID first."""
        last = visit.request.headers.get("last-event-id", "")
        if last and not (last.isascii() and last.isdigit() and len(last) < 16):
            raise Invalid(Issue("error", "value", "Last-Event-ID is one that this stream gave."))
        mine = await visit.node.repository.identities()
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        told = self._told(visit.node, mine, int(last) if last else None)
        return StreamingResponse(told, media_type="text/event-stream", headers=headers)

    async def _told(self, node: Node, mine: frozenset[str], last: int | None) -> AsyncIterator[bytes]:
        queue: asyncio.Queue[News] = asyncio.Queue(MOST)
        self._readers.add(queue)
        everything = not mine and not node.repository.is_guarded
        told: set[str] = set()
        try:
            yield b": welcome\n\n"
            if last is not None:
                earliest = int(node.clock() * 1000) - LONGEST_BACK
                for news in await noted(node, max(last, earliest)):
                    told.add(news[1])
                    if everything or not mine.isdisjoint(recipients_of(news[2])):
                        yield frame(news)
            end = asyncio.get_running_loop().time() + SECONDS_OPEN
            while not self._stop.is_set() and asyncio.get_running_loop().time() < end:
                found = await self._next(queue)
                if found is None:
                    yield b": still here\n\n"
                elif found[1] not in told and (everything or not mine.isdisjoint(recipients_of(found[2]))):
                    yield frame(found)
        finally:
            self._readers.discard(queue)

    async def _next(self, queue: asyncio.Queue[News]) -> News | None:
        """The next notice; None after a while without one, or when the server stops."""
        coming = asyncio.create_task(queue.get())
        stop = asyncio.create_task(self._stop.wait())
        try:
            await asyncio.wait((coming, stop), timeout=SECONDS_OF_SILENCE, return_when=asyncio.FIRST_COMPLETED)
            return coming.result() if coming.done() else None
        finally:
            for each in (coming, stop):
                each.cancel()


async def noted(node: Node, since: int) -> list[News]:
    """The notices from a moment on, the oldest first."""
    repository = of_server(node)
    pairs = [("category", f"{NOTICE}|"), ("_lastUpdated", f"ge{instant(max(since, 0))}"), ("_sort", "_lastUpdated")]
    found: list[News] = []
    cursor: str | None = None
    plan = repository.query(("Communication",), pairs).plan
    while True:
        page = await repository.page(plan, MOST, cursor)
        found += [(each.at, each.id, parse(each.body or b"", NO_LIMITS)) for each in page.matches]
        cursor = page.following
        if cursor is None:
            return found


def frame(news: News) -> bytes:
    """A notice as an event of the stream."""
    told = told_of(news[2])
    return f"id: {news[0]}\nevent: {told['notice']}\ndata: ".encode() + orjson.dumps(told) + b"\n\n"

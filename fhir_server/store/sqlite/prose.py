"""The index of words in SQLite, brought up to date when a search asks for it (FHIR R4, 3.1.1.4.15 _text and _content).

Words are indexed by version, when a search asks for them: who never searches text does not pay for it at every write.
The first such search of a large file starts that, and does not wait for its end.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

import orjson

from fhir_server.errors import Unavailable
from fhir_server.search.plan import Text
from fhir_server.store.prose import Phrase, Wording, wording, words
from fhir_server.store.sqlite.connection import Connection, rows, value

AT_ONCE = 50
"""How many versions are told in one turn of a writer, so that others need not wait long."""

PATIENCE = 5.0
"""The seconds that a search waits for words."""

INSERT = "INSERT INTO prose(rowid, narrative, content) VALUES(?,?,?)"


class Prose:
    """Brings the index of words up to date; in the turn of a writer."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def catch_up(self) -> bool:
        """Index the words of the next versions; True when there are none left."""
        told = value(self._connection, "SELECT told FROM merging")
        statement = "SELECT vid, body FROM version WHERE vid>? ORDER BY vid LIMIT ?"
        found = rows(self._connection, statement, (told, AT_ONCE))
        for vid, body in found:
            if body is not None:
                self._connection.execute(INSERT, (vid, *words(orjson.loads(body))))
        if found:
            self._connection.execute("UPDATE merging SET told=?", (found[-1][0],))
        return len(found) < AT_ONCE


class Submit(Protocol):
    """Does something in the next turn of a writer; what comes back is done when that is durable."""

    def __call__(self, work: Callable[[], bool], /) -> asyncio.Future[bool]:
        """Queue the work."""
        ...


class Telling:
    """Brings the words up to date in the background, in small turns, once a search has asked for them."""

    def __init__(self, prose: Prose, submit: Submit, progress: Callable[[], tuple[int, int]]) -> None:
        self._prose = prose
        self._submit = submit
        self._progress = progress
        self._task: asyncio.Task[None] | None = None

    async def told(self) -> None:
        """Wait until all words are indexed; raise Unavailable, which says how far it is, where that takes long."""
        if self._task is None:
            self._task = asyncio.create_task(self._catch_up())
            self._task.add_done_callback(self._forget)
        task = self._task
        await asyncio.wait({task}, timeout=PATIENCE)
        if not task.done():
            told, all_of_them = self._progress()
            raise Unavailable(
                f"Words are being indexed: so far those of about {told:,} of {all_of_them:,} resources."
                " Ask again later, or search without _text and _content."
            )
        task.result()
        # Another search may have started the task, and something may have been written since its last look.
        await self._catch_up()

    async def close(self) -> None:
        """Stop; what is indexed stays."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})

    async def _catch_up(self) -> None:
        while not await self._submit(self._prose.catch_up):
            pass

    def _forget(self, task: asyncio.Task[None]) -> None:
        self._task = None
        if not task.cancelled():
            # It is raised to whoever waits; nobody may.
            task.exception()


def match_expression(text: Text) -> str:
    """What the index is asked: the expression with every word quoted."""
    return f"{text.within} : ({_asked(wording(text.expression))})"


def _asked(asked: Wording) -> str:
    if isinstance(asked, Phrase):
        return f'"{asked.text}"{"*" if asked.is_prefix else ""}'
    return f"({f' {asked.operator} '.join(map(_asked, asked.items))})"

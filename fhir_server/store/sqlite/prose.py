"""The index of words in SQLite, brought up to date when a search asks for it (FHIR R4, 3.1.1.4.15 _text and _content).

Words are indexed by version, when a search asks for them: who never searches text does not pay for it at every write.
"""

from __future__ import annotations

import orjson

from fhir_server.search.plan import Text
from fhir_server.store.prose import Phrase, Wording, wording, words
from fhir_server.store.sqlite.connection import Connection, rows, value

AT_ONCE = 200

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


def match_expression(text: Text) -> str:
    """What the index is asked: the expression with every word quoted."""
    return f"{text.within} : ({_asked(wording(text.expression))})"


def _asked(asked: Wording) -> str:
    if isinstance(asked, Phrase):
        return f'"{asked.text}"{"*" if asked.is_prefix else ""}'
    return f"({f' {asked.operator} '.join(map(_asked, asked.items))})"

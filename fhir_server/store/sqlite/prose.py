"""The words of resources, for searches on narrative and whole text (FHIR R4, 3.1.1.4.15 _text and _content).

Words are indexed by version, when a search asks for them: who never searches text does not pay for it at every write.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from typing import Any

import orjson

from fhir_server.search.folding import fold
from fhir_server.search.plan import And, Chain, Not, Or, Plan, Predicate, Referrer, Text
from fhir_server.store.sqlite.connection import Connection, rows, value

AT_ONCE = 200
TAG = re.compile(r"<[^>]*>")
TOKEN = re.compile(r'"([^"]*)"|([()])|([^\s()"]+)')
NO_WORD = '""'
OPERATORS = frozenset({"AND", "OR", "NOT"})
NOT_TEXT = frozenset({"data", "hash"})
"""Members whose strings are bytes in disguise."""

INSERT = "INSERT INTO prose(rowid, narrative, content) VALUES(?,?,?)"


class Unreadable(Exception):
    """An expression is not well formed."""


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


def asks_for_text(plan: Plan) -> bool:
    """Whether any part of a plan looks at words."""
    return any(map(_has_text, plan.arms.values()))


def _has_text(predicate: Predicate) -> bool:
    match predicate:
        case Text():
            return True
        case And(items) | Or(items):
            return any(map(_has_text, items))
        case Not(item):
            return _has_text(item)
        case Referrer():
            return _has_text(predicate.predicate)
        case Chain(_, targets):
            return any(_has_text(target) for _, target in targets)
        case _:
            return False


def words(body: dict[str, Any]) -> tuple[str, str]:
    """The folded words of the narrative, and of the whole resource."""
    text = body.get("text")
    div = text.get("div") if isinstance(text, dict) else None
    narrative = fold(plain(div)) if isinstance(div, str) else ""
    return narrative, fold(" ".join(plain(found) if found is div else found for found in strings(body)))


def plain(div: str) -> str:
    """XHTML without its tags."""
    return html.unescape(TAG.sub(" ", div))


def strings(item: Any) -> Iterator[str]:
    """Every string in a resource."""
    if isinstance(item, str):
        yield item
    elif isinstance(item, list):
        for one in item:
            yield from strings(one)
    elif isinstance(item, dict):
        for name, one in item.items():
            if name not in NOT_TEXT:
                yield from strings(one)


def match_expression(text: Text) -> str:
    """What the index is asked: the expression with every word quoted; one that is not well formed is its words."""
    tokens = [_token(*found) for found in TOKEN.findall(text.expression)]
    try:
        asked, rest = _either(tokens)
    except Unreadable:
        asked, rest = NO_WORD, tokens
    if rest:
        asked = " AND ".join(token for token in tokens if token.startswith('"')) or NO_WORD
    return f"{text.within} : ({asked})"


def _token(phrase: str, parenthesis: str, word: str) -> str:
    if parenthesis or word in OPERATORS:
        return parenthesis or word
    folded = fold(phrase or word.rstrip("*")).replace('"', "")
    return f'"{folded}"{"*" if word.endswith("*") else ""}'


def _either(tokens: list[str]) -> tuple[str, list[str]]:
    left, rest = _both(tokens)
    while rest and rest[0] == "OR":
        right, rest = _both(rest[1:])
        left = f"{left} OR {right}"
    return left, rest


def _both(tokens: list[str]) -> tuple[str, list[str]]:
    left, rest = _one(tokens)
    while rest and rest[0] not in ("OR", ")"):
        operator = rest[0] if rest[0] in OPERATORS else "AND"
        right, rest = _one(rest[1:] if rest[0] in OPERATORS else rest)
        left = f"({left} {operator} {right})"
    return left, rest


def _one(tokens: list[str]) -> tuple[str, list[str]]:
    if not tokens or tokens[0] == ")" or tokens[0] in OPERATORS:
        raise Unreadable
    if tokens[0] != "(":
        return tokens[0], tokens[1:]
    inner, rest = _either(tokens[1:])
    if not rest:
        raise Unreadable
    return f"({inner})", rest[1:]

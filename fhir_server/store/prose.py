"""The words of resources, and what a search asks of them (FHIR R4, 3.1.1.4.15 _text and _content)."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from fhir_server.search.folding import fold
from fhir_server.search.plan import And, Chain, Not, Or, Plan, Predicate, Referrer, Text

TAG = re.compile(r"<[^>]*>")
TOKEN = re.compile(r'"([^"]*)"|([()])|([^\s()"]+)')
OPERATORS = frozenset({"AND", "OR", "NOT"})
NOT_TEXT = frozenset({"data", "hash"})
"""Members whose strings are bytes in disguise."""

Operator = Literal["AND", "OR", "NOT"]


@dataclass(frozen=True, slots=True)
class Phrase:
    """Words that follow each other, folded; of the last one perhaps only the beginning. Without words: nothing."""

    text: str
    is_prefix: bool = False


@dataclass(frozen=True, slots=True)
class Joined:
    """All of the items, any of them, or the first without the others."""

    operator: Operator
    items: tuple[Wording, ...]


Wording = Phrase | Joined
NO_WORD = Phrase("")


class Unreadable(Exception):
    """An expression is not well formed."""


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


def wording(expression: str) -> Wording:
    """What an expression asks; one that is not well formed asks for all its words."""
    tokens = [_token(*found) for found in TOKEN.findall(expression)]
    try:
        asked, rest = _either(tokens)
    except Unreadable:
        asked, rest = NO_WORD, tokens
    if rest:
        phrases = [token for token in tokens if isinstance(token, Phrase)]
        asked = Joined("AND", tuple(phrases)) if phrases else NO_WORD
    return asked


Token = Phrase | str


def _token(phrase: str, parenthesis: str, word: str) -> Token:
    if parenthesis or word in OPERATORS:
        return parenthesis or word
    return Phrase(fold(phrase or word.rstrip("*")).replace('"', ""), word.endswith("*"))


def _either(tokens: Sequence[Token]) -> tuple[Wording, Sequence[Token]]:
    left, rest = _both(tokens)
    while rest and rest[0] == "OR":
        right, rest = _both(rest[1:])
        left = _joined("OR", left, right)
    return left, rest


def _both(tokens: Sequence[Token]) -> tuple[Wording, Sequence[Token]]:
    left, rest = _one(tokens)
    while rest and rest[0] not in ("OR", ")"):
        operator: Operator = "NOT" if rest[0] == "NOT" else "AND"
        right, rest = _one(rest[1:] if rest[0] in OPERATORS else rest)
        left = _joined(operator, left, right)
    return left, rest


def _one(tokens: Sequence[Token]) -> tuple[Wording, Sequence[Token]]:
    if not tokens or tokens[0] == ")" or tokens[0] in OPERATORS:
        raise Unreadable
    first = tokens[0]
    if isinstance(first, Phrase):
        return first, tokens[1:]
    inner, rest = _either(tokens[1:])
    if not rest:
        raise Unreadable
    return inner, rest[1:]


def _joined(operator: Operator, left: Wording, right: Wording) -> Wording:
    """The two joined; a row of the same operator stays one, so that many words do not nest deep."""
    if isinstance(left, Joined) and left.operator == operator:
        return Joined(operator, (*left.items, right))
    return Joined(operator, (left, right))

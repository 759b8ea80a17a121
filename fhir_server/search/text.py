"""Expressions of `_text` and `_content`: words, phrases and the logic between them (FHIR R4, 3.1.1.4.20)."""

from __future__ import annotations

import re

from fhir_server.search.question import Unreadable

TOKEN = re.compile(r'\s*(?:(?P<phrase>"[^"]*")|(?P<bracket>[()])|(?P<word>[^\s"()]+))')
OPERATORS = ("AND", "OR", "NOT")
DEEPEST = 20


class TextParser:
    """Reads one expression; what stands side by side must all be there."""

    def __init__(self, text: str) -> None:
        self.tokens = [match[0].strip() for match in TOKEN.finditer(text)]
        if text.count('"') % 2:
            raise Unreadable("a quotation mark has no partner")
        self.at = 0

    def parsed(self) -> str:
        """The expression, written in the one way that stores are given."""
        if not self.tokens:
            raise Unreadable("it is blank; write words, or a phrase in quotation marks")
        found = self.either(0)
        if self.at < len(self.tokens):
            raise Unreadable(f"{self.tokens[self.at]!r} stands where a word should")
        return found

    @property
    def next(self) -> str:
        """The token to be read; empty after the last."""
        return self.tokens[self.at] if self.at < len(self.tokens) else ""

    def takes(self, token: str) -> bool:
        """Whether the next token is this one, which is then read."""
        if self.next != token:
            return False
        self.at += 1
        return True

    def either(self, depth: int) -> str:
        """Parts with OR between them."""
        if depth > DEEPEST:
            raise Unreadable("its parentheses are too deep")
        parts = [self.both(depth)]
        while self.takes("OR"):
            parts.append(self.both(depth))
        return " OR ".join(parts)

    def both(self, depth: int) -> str:
        """Parts with AND, or nothing, between them."""
        parts = [self.single(depth)]
        while self.takes("AND") or self.next not in ("", ")", "OR"):
            parts.append(self.single(depth))
        return " AND ".join(parts)

    def single(self, depth: int) -> str:
        """A word, a phrase, something in parentheses, or one of these with NOT before it."""
        if self.takes("NOT"):
            return f"NOT {self.single(depth + 1)}" if depth < DEEPEST else self.either(depth + 1)
        if self.takes("("):
            inner = self.either(depth + 1)
            if not self.takes(")"):
                raise Unreadable("a parenthesis is not closed")
            return f"({inner})"
        token = self.next
        if token in ("", ")", *OPERATORS) or not any(character.isalnum() for character in token):
            raise Unreadable(f"a word is missing before {token!r}" if token else "a word is missing at its end")
        self.at += 1
        return token

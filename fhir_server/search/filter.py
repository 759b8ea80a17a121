"""The grammar of `_filter` (FHIR R4, 3.1.3 Filter parameter).

Operators between tests have no precedence: they are applied from left to right, and parentheses say otherwise.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Literal

from fhir_server.search.limits import Limits

OPERATORS = (
    "eq",
    "ne",
    "co",
    "sw",
    "ew",
    "gt",
    "lt",
    "ge",
    "le",
    "ap",
    "sa",
    "eb",
    "pr",
    "po",
    "ss",
    "sb",
    "in",
    "ni",
    "re",
)
SPACE = re.compile(r"\s*")
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_\-]*")
TYPE = re.compile(r":[A-Za-z]+")
HAS = re.compile(r"_has:([A-Za-z0-9]+):([A-Za-z_][A-Za-z0-9_\-]*):")
STRING = re.compile(r'"(?:[^"\\]|\\.)*"')
TOKEN = re.compile(r"[^\s\])]+")
WORD = re.compile(r"[a-z]+")


@dataclass(frozen=True, slots=True)
class Step:
    """One name of a path: a reference that is followed to a resource of a type, which must pass a filter itself.

    With `source` it is followed the other way: from resources of that type that refer here.
    """

    code: str
    type: str | None = None
    filter: Filter | None = None
    source: str | None = None


@dataclass(frozen=True, slots=True)
class Comparison:
    """A test of what a path leads to."""

    path: tuple[Step, ...]
    operator: str
    value: str


@dataclass(frozen=True, slots=True)
class Logic:
    """Two filters with a word between them."""

    word: Literal["and", "or"]
    left: Filter
    right: Filter


@dataclass(frozen=True, slots=True)
class Negation:
    """A filter that must not hold."""

    filter: Filter


Filter = Comparison | Logic | Negation


class WrongFilter(ValueError):
    """A filter cannot be read."""

    def __init__(self, problem: str, position: int) -> None:
        super().__init__(f"{problem}, at character {position + 1}")


class FilterTooCostly(ValueError):
    """A filter is longer or deeper than a search may be."""


class FilterParser:
    """Reads one filter."""

    def __init__(self, text: str, limits: Limits) -> None:
        self.text = text
        self.at = 0
        self.limits = limits
        self.terms = 0

    def parsed(self) -> Filter:
        """The tree of the filter."""
        if len(self.text) > self.limits.filter_characters:
            raise FilterTooCostly(f"it may have {self.limits.filter_characters} characters")
        found = self.logic(0)
        if self.at < len(self.text):
            raise WrongFilter(f"{self.text[self.at : self.at + 20]!r} stands where and, or or the end should", self.at)
        return found

    def skip(self) -> None:
        """Go past white space."""
        match = SPACE.match(self.text, self.at)
        assert match is not None
        self.at = match.end()

    def taken(self, pattern: re.Pattern[str]) -> str | None:
        """What a pattern matches here, which is then read."""
        match = pattern.match(self.text, self.at)
        if match is None:
            return None
        self.at = match.end()
        return match[0]

    def takes(self, character: str) -> bool:
        """Whether a character stands here, which is then read."""
        if not self.text.startswith(character, self.at):
            return False
        self.at += len(character)
        return True

    def expect(self, character: str) -> None:
        """Read a character that must stand here."""
        if not self.takes(character):
            raise WrongFilter(f"{character} is missing", self.at)

    def logic(self, depth: int) -> Filter:
        """Filters with `and` and `or` between them."""
        if depth > self.limits.filter_depth:
            raise FilterTooCostly(f"its parentheses may be {self.limits.filter_depth} deep")
        found = self.single(depth)
        while True:
            self.skip()
            start = self.at
            word = self.taken(WORD)
            if word not in ("and", "or"):
                self.at = start
                return found
            found = Logic("and" if word == "and" else "or", found, self.single(depth))

    def single(self, depth: int) -> Filter:
        """A test, or a filter in parentheses, perhaps after `not`."""
        self.skip()
        if self.takes("("):
            found = self.logic(depth + 1)
            self.skip()
            self.expect(")")
            return found
        start = self.at
        if self.taken(NAME) == "not":
            self.skip()
            if self.text.startswith("(", self.at):
                return Negation(self.single(depth))
        self.at = start
        return self.comparison(depth)

    def comparison(self, depth: int) -> Comparison:
        """A path, an operator and a value."""
        self.terms += 1
        if self.terms > self.limits.filter_terms:
            raise FilterTooCostly(f"it may have {self.limits.filter_terms} tests")
        path = self.path(depth)
        self.skip()
        start = self.at
        operator = self.taken(WORD)
        if operator not in OPERATORS:
            raise WrongFilter(f"an operator is missing; they are {' '.join(OPERATORS)}", start)
        self.skip()
        return Comparison(path, operator, self.value())

    def path(self, depth: int) -> tuple[Step, ...]:
        """Names with dots between them, each but the last perhaps with a filter in brackets."""
        steps: list[Step] = []
        while True:
            if len(steps) > self.limits.filter_depth:
                raise FilterTooCostly(f"its paths may have {self.limits.filter_depth} steps")
            if has := HAS.match(self.text, self.at):
                self.at = has.end()
                steps.append(Step(has[2], source=has[1]))
                continue
            name = self.taken(NAME)
            if name is None:
                raise WrongFilter("the name of a search parameter is missing", self.at)
            kind = (self.taken(TYPE) or ":")[1:] or None
            inner = None
            if self.takes("["):
                inner = self.logic(depth + 1)
                self.skip()
                self.expect("]")
                self.expect(".")
                steps.append(Step(name, kind, inner))
                continue
            steps.append(Step(name, kind))
            if not self.takes("."):
                return tuple(steps)

    def value(self) -> str:
        """A string as in JSON, or a token up to white space or a closing bracket."""
        start = self.at
        if self.text.startswith('"', start):
            text = self.taken(STRING)
            try:
                found = json.loads(text or "")
            except ValueError:
                raise WrongFilter("a string is not closed, or not written as in JSON", start) from None
            return str(found)
        token = self.taken(TOKEN)
        if token is None:
            raise WrongFilter("a value is missing", start)
        return token

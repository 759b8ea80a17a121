"""Scopes: their grammar, and what a set of them grants (SMART App Launch 2.2, Scopes for requesting FHIR Resources)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal, cast
from urllib.parse import unquote_plus

Context = Literal["patient", "user", "system"]

LETTERS = "cruds"
"""create, read (with vread and history of one), update, delete, search (with history of a type), in their one order."""

V1_LETTERS = {"read": "rs", "write": "cud", "*": LETTERS}
"""What the permissions of SMART 1 are in letters."""

PLAIN = (
    "openid", "fhirUser", "profile", "launch", "launch/patient", "launch/encounter", "offline_access", "online_access",
)  # fmt: skip
"""The scopes that are not about resources, and that this server knows."""

MOST_CHARACTERS = 8_000
MOST_SCOPES = 200

IS_RESOURCE_SCOPE = re.compile(
    r"(patient|user|system)/(\*|[A-Z][A-Za-z]{1,63})\.(?:(read|write|\*)|(c?r?u?d?s?)(?:\?([!-~]{1,2000}))?)"
).fullmatch
IS_ARGUMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_.:\-]*=.+").fullmatch

OF_EVERY_RESOURCE = frozenset({"_id", "_language", "_profile", "_security", "_source", "_tag"})
"""The arguments with an underscore that ask something of a resource itself."""


class ScopeError(ValueError):
    """The text is no scope; it says why."""


@dataclass(frozen=True, slots=True)
class Scope:
    """What may be done (`letters`) to resources of a type ("*": of any) that a search with `query` would find.

    `context` says whose: the patient in context's, what the person may see, or what the client may see. `query` is as
    it was sent, percent-encoded, empty for no condition. `text` is how it was asked for.
    """

    context: Context
    type: str
    letters: str
    query: str = ""
    text: str = field(default="", compare=False)

    def __str__(self) -> str:
        return self.text or f"{self.context}/{self.type}.{self.letters}{'?' if self.query else ''}{self.query}"

    def grants(self, type: str, letter: str) -> bool:  # noqa: A002 -- FHIR's word
        """Whether it is about this type and letter; `query` and `context` still bound what is seen."""
        return letter in self.letters and self.type in ("*", type)

    @property
    def arguments(self) -> tuple[tuple[str, str], ...]:
        """Names and values of the query, decoded."""
        pairs = (each.partition("=") for each in self.query.split("&") if each)
        return tuple((unquote_plus(name), unquote_plus(value)) for name, _, value in pairs)


@dataclass(frozen=True)
class Scopes:
    """A set of scopes; it grants what any of them grants. The order is that of the asking."""

    resources: tuple[Scope, ...] = ()
    plain: tuple[str, ...] = ()

    def __iter__(self) -> Iterator[str]:
        yield from self.plain
        yield from map(str, self.resources)

    @cached_property
    def text(self) -> str:
        """The scopes as OAuth2 writes them (RFC 6749, 3.3)."""
        return " ".join(self)

    def granting(self, type: str, letter: str) -> tuple[Scope, ...]:  # noqa: A002 -- FHIR's word
        """The scopes that are about this type and letter: what is seen is what any of them lets see."""
        return tuple(each for each in self.resources if each.grants(type, letter))

    def allows(self, type: str, letter: str) -> bool:  # noqa: A002 -- FHIR's word
        """Whether any scope is about this type and letter."""
        return any(each.grants(type, letter) for each in self.resources)

    def covers(self, asked: Scopes) -> bool:
        """Whether nothing is asked that is not in this set."""
        return set(asked.plain) <= set(self.plain) and all(self._covers(each) for each in asked.resources)

    def _covers(self, asked: Scope) -> bool:
        fitting = [
            each
            for each in self.resources
            if each.context == asked.context and each.type in ("*", asked.type) and each.query in ("", asked.query)
        ]
        return all(any(letter in each.letters for each in fitting) for letter in asked.letters)

    def narrowed(self, to: Scopes) -> Scopes:
        """What is in this set and in the other, spelt as here where it is here as a whole."""
        found = (both for each in self.resources for both in _intersections(each, to))
        return Scopes(tuple(dict.fromkeys(found)), tuple(each for each in self.plain if each in to.plain))

    def without(self, removed: Iterable[str]) -> Scopes:
        """The set less those that are written so."""
        gone = set(removed)
        return Scopes(
            tuple(each for each in self.resources if str(each) not in gone),
            tuple(each for each in self.plain if each not in gone),
        )


def _intersections(asked: Scope, to: Scopes) -> Iterator[Scope]:
    if to._covers(asked):  # noqa: SLF001 -- its own class
        yield asked
        return
    for each in to.resources:
        if each.context != asked.context or ("*" not in (each.type, asked.type) and each.type != asked.type):
            continue
        letters = "".join(letter for letter in asked.letters if letter in each.letters)
        if letters:
            yield Scope(
                asked.context,
                each.type if asked.type == "*" else asked.type,
                letters,
                "&".join(dict.fromkeys(filter(None, (asked.query, each.query)))),
            )


def parse_scope(text: str) -> Scope | str:
    """Return one scope: of resources, or a plain one as its text; raise ScopeError for what is neither."""
    if text in PLAIN:
        return text
    found = IS_RESOURCE_SCOPE(text)
    if found is None:
        raise ScopeError(f"{text[:100]!r} is no scope of SMART App Launch")
    context, kind, former, letters, query = found.groups()
    if not former and not letters:
        raise ScopeError(f"{text[:100]!r} names none of the letters {LETTERS}")
    if query is not None and not all(IS_ARGUMENT(each) for each in query.split("&")):
        raise ScopeError(f"the query of {text[:100]!r} is not name=value&...")
    for name in (each.partition("=")[0] for each in (query or "").split("&")):
        if looks_further(name):
            raise ScopeError(f"{name[:50]} in {text[:100]!r} looks at more than the resource itself")
    return Scope(cast("Context", context), kind, V1_LETTERS[former] if former else letters, query or "", text)


def looks_further(name: str) -> bool:
    """Whether an argument asks for what one resource cannot tell: a chain, `_has`, words, times, what to include.

    A scope with such an argument could bind searches and not reads, so there is none.
    """
    plain, _, _ = name.partition(":")
    return "." in name or (plain.startswith("_") and plain not in OF_EVERY_RESOURCE)


def parse_scopes(text: str) -> Scopes:
    """Return the scopes of a text, each once; raise ScopeError where one is none, or they are too many."""
    if len(text) > MOST_CHARACTERS:
        raise ScopeError(f"scopes may be {MOST_CHARACTERS:,} characters in all")
    words = dict.fromkeys(text.split())
    if len(words) > MOST_SCOPES:
        raise ScopeError(f"{MOST_SCOPES} scopes may be asked for at once")
    parsed = [parse_scope(word) for word in words]
    return Scopes(
        tuple(dict.fromkeys(each for each in parsed if isinstance(each, Scope))),
        tuple(each for each in parsed if isinstance(each, str)),
    )


NOTHING = Scopes()
EVERYTHING = Scopes((Scope("system", "*", LETTERS),))

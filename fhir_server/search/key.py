"""Names of search parameters taken apart: modifiers, chains and `_has` (FHIR R4, 3.1.1.4.5, .14 and .15)."""

from __future__ import annotations

from dataclasses import dataclass

HAS = "_has"
MOST_STEPS = 32


@dataclass(frozen=True, slots=True)
class Own:
    """A parameter of the resource itself, with its modifier: `code:not`."""

    code: str
    modifier: str | None = None


@dataclass(frozen=True, slots=True)
class Chained:
    """What a reference points to, perhaps of one type only, has something: `subject:Patient.name`."""

    code: str
    type: str | None
    rest: Key


@dataclass(frozen=True, slots=True)
class Reverse:
    """What refers to the resource has something: `_has:Observation:patient:code`."""

    source: str
    code: str
    rest: Key


Key = Own | Chained | Reverse


class WrongKey(ValueError):
    """The name of a parameter cannot be read."""


def parse_key(text: str, steps: int = 0) -> Key:
    """The tree of a parameter's name; WrongKey says what is wrong with it."""
    if steps > MOST_STEPS:
        raise WrongKey("it has too many steps")
    if text == HAS or text.startswith(f"{HAS}:"):
        parts = text.split(":", 3)
        if len(parts) < 4 or not all(parts):
            raise WrongKey("_has is written as _has:Type:reference:parameter, as in _has:Observation:patient:code")
        return Reverse(parts[1], parts[2], parse_key(parts[3], steps + 1))
    head, dot, rest = text.partition(".")
    code, colon, said = head.partition(":")
    if not code or (colon and not said):
        raise WrongKey("a name is missing before or after its colon")
    if not dot:
        return Own(code, said or None)
    if not rest:
        raise WrongKey("nothing follows its last dot")
    return Chained(code, said or None, parse_key(rest, steps + 1))


def depth(key: Key) -> int:
    """How many references a key follows."""
    return 0 if isinstance(key, Own) else 1 + depth(key.rest)

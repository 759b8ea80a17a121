"""Characters to tokens (FHIRPath 2.0, appendix on the formal grammar, lexical elements)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from fhir_server.fhirpath.error import FHIRPathError

LONGEST_EXPRESSION = 64_000

TOKEN = re.compile(
    r"""
      (?P<space>[ \t\r\n]+|//[^\r\n]*|/\*[^*]*\*+(?:[^/*][^*]*\*+)*/)
    | (?P<temporal>@(?:
          T[0-9]{2}(?::[0-9]{2}(?::[0-9]{2}(?:\.[0-9]+)?)?)?
        | [0-9]{4}(?:-[0-9]{2}(?:-[0-9]{2})?)?
          (?:T(?:[0-9]{2}(?::[0-9]{2}(?::[0-9]{2}(?:\.[0-9]+)?)?)?(?:Z|[+-][0-9]{2}:[0-9]{2})?)?)?
      ))
    | (?P<number>[0-9]+(?:\.[0-9]+)?)
    | (?P<string>'(?:[^'\\]|\\.)*')
    | (?P<name>[A-Za-z_][A-Za-z0-9_]*)
    | (?P<delimited>`(?:[^`\\]|\\.)*`)
    | (?P<special>\$(?:this|index|total)\b)
    | (?P<symbol><=|>=|!=|!~|[<>=~|&+\-*/()\[\]{}.,%])
    """,
    re.VERBOSE | re.DOTALL,
)
ESCAPE = re.compile(r"\\(u[0-9A-Fa-f]{4}|.)", re.DOTALL)
ESCAPES = {"f": "\f", "n": "\n", "r": "\r", "t": "\t", "\\": "\\", "/": "/", "'": "'", "`": "`", '"': '"'}


@dataclass(frozen=True, slots=True)
class Token:
    """A lexical element: its kind, its meaning (quotes and escapes taken off) and where it starts."""

    kind: str
    text: str
    position: int


def tokens(source: str) -> Iterator[Token]:
    """The tokens of an expression, closed by one of kind `end`; FHIRPathError where none matches."""
    if len(source) > LONGEST_EXPRESSION:
        raise FHIRPathError(f"The expression is longer than {LONGEST_EXPRESSION} characters", 0)
    position = 0
    while position < len(source):
        match = TOKEN.match(source, position)
        if match is None:
            raise FHIRPathError(unreadable(source, position), position)
        kind = str(match.lastgroup)
        text = match.group()
        if kind in ("string", "delimited"):
            text = unescaped(text[1:-1], position)
        if kind != "space":
            yield Token(kind, text, position)
        position = match.end()
    yield Token("end", "", position)


def unreadable(source: str, position: int) -> str:
    """What is wrong with text that starts no token."""
    openings = {"'": "The string is not closed", "`": "The identifier is not closed", "/": "The comment is not closed"}
    character = source[position]
    return openings.get(character, f"Unexpected character {character!r}")


def unescaped(text: str, position: int) -> str:
    """The text with its escape sequences replaced."""
    if "\\" not in text:
        return text

    def character(match: re.Match[str]) -> str:
        code = match.group(1)
        if len(code) == 5:
            return chr(int(code[1:], 16))
        if code not in ESCAPES:
            raise FHIRPathError(f"Unknown escape sequence \\{code}", position + 1 + match.start())
        return ESCAPES[code]

    return paired(ESCAPE.sub(character, text), position)


def paired(text: str, position: int) -> str:
    """The text, whose characters beyond the basic plane may have been escaped as surrogate pairs."""
    try:
        return text.encode("utf-16", "surrogatepass").decode("utf-16")
    except UnicodeDecodeError:
        raise FHIRPathError("An escaped surrogate lacks its partner", position) from None

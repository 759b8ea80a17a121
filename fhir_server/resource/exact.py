"""JSON values that keep how numbers and strings were spelled (FHIR R4, 2.24.0.1 decimal: precision is significant)."""

import json
import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Any, Self

import orjson

from fhir_server.errors import Invalid, Issue
from fhir_server.resource.parsing import STANDARD_LIMITS, Limits, parse, parse_json

_SMALLEST_INTEGER, _LARGEST_INTEGER = -(2**63), 2**64 - 1
_LITERALS = {"true": True, "false": False, "null": None}

# A float prints as sent what has at most 15 digits, no exponent, no zero at the end and not many in front. Strings come
# back as sent unless they escape what needs no escape. FHIR has no arrays of numbers, so one of those is enough. Alarms
# from within a string are false and harmless. Four patterns, since each with one first byte is faster than all in one.
_PERHAPS_LOST = tuple(
    re.compile(pattern).search
    for pattern in (
        rb"\\[/u]",
        rb":[ \t\r\n]*-?[0-9](?:[0-9]*\.[0-9]*0(?![0-9])|[0-9]*(?:\.[0-9]+)?[eE]|[0-9.]{15}|\.000|(?<=-0)(?![.0-9]))",
        rb"\[[ \t\r\n]*-?[0-9]",
        rb",[ \t\r\n]*-?[0-9]",
    )
)
_NEEDLESS_ESCAPE = re.compile(r"\\[/u]").search
_TOKEN = re.compile(r'"([^"\\]*+(?:\\.[^"\\]*+)*+)"|([\[\]{}])|([^\s,:\[\]{}"]+)').finditer
_STRING, _BRACKET = 1, 2
_ABSURD_EXPONENT = re.compile(r"[eE][-+]?0*[1-9][0-9]{3}").search


class SpelledDecimal(Decimal):
    """A number with the text that it was sent as: equal to its value, written as its text."""

    __slots__ = ("spelling",)
    spelling: str

    def __new__(cls, spelling: str) -> Self:
        """Read a JSON number."""
        number = super().__new__(cls, spelling)
        number.spelling = spelling
        return number

    def __reduce__(self) -> tuple[type[Self], tuple[str]]:
        return type(self), (self.spelling,)

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, _memo: object) -> Self:
        return self


class SpelledString(str):
    """A string with the escapes that it was sent with: equal to its characters, written as its text."""

    __slots__ = ("spelling",)
    spelling: str

    def __new__(cls, spelling: str) -> Self:
        """Read what stands between the quotes of a JSON string."""
        string = super().__new__(cls, json.loads(f'"{spelling}"'))
        string.spelling = spelling
        return string

    def __reduce__(self) -> tuple[type[Self], tuple[str]]:
        return type(self), (self.spelling,)

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, _memo: object) -> Self:
        return self


def may_lose(raw: bytes) -> bool:
    """Whether `parse` and plain writing could change a number or a string of `raw`; sometimes true without need."""
    return any(search(raw) for search in _PERHAPS_LOST)


def parse_exact(raw: bytes, limits: Limits = STANDARD_LIMITS) -> dict[str, Any]:
    """Return the resource in `raw` so that `dump_exact` writes each of its tokens as it was sent.

    Numbers that are not integers of 64 bits are SpelledDecimal. The failures are those of `parse`, and Invalid for an
    exponent of four digits, which no measurement has and which arithmetic with exact decimals could not bear.
    """
    parse(raw, limits)
    body = _exact(raw)
    assert isinstance(body, dict)
    return body


def parse_exact_json(raw: bytes, limits: Limits = STANDARD_LIMITS) -> Any:
    """Return the JSON in `raw` in the same way, whether or not it is a resource."""
    parse_json(raw, limits)
    return _exact(raw)


def dump_exact(value: Any) -> bytes:
    """Return `value` as JSON without white space, each number and string as it was spelled; UTF-8, not escaped."""
    try:
        return orjson.dumps(value, default=_fragment, option=orjson.OPT_PASSTHROUGH_SUBCLASS)
    except orjson.JSONEncodeError:  # the name of a member is a SpelledString
        return _dump(value)


def _exact(raw: bytes) -> Any:
    text = raw.decode()
    if _NEEDLESS_ESCAPE(text):
        tokens = _TOKEN(text)
        return _value(next(tokens), tokens)
    return json.loads(text, parse_float=_decimal, parse_int=_integer)


def _decimal(text: str) -> SpelledDecimal:
    if _ABSURD_EXPONENT(text):
        raise Invalid(Issue("error", "value", f"The exponent of {text[:40]} is beyond what a decimal may have."))
    return SpelledDecimal(text)


def _integer(text: str) -> int | SpelledDecimal:
    number = int(text)
    fits = _SMALLEST_INTEGER <= number <= _LARGEST_INTEGER
    return number if fits and text != "-0" else SpelledDecimal(text)


def _string(spelling: str) -> str:
    if "\\" not in spelling:
        return spelling
    return SpelledString(spelling) if _NEEDLESS_ESCAPE(spelling) else str(json.loads(f'"{spelling}"'))


def _value(token: re.Match[str], tokens: Iterator[re.Match[str]]) -> Any:
    """Build the value that starts with `token`, of a text that is known to be JSON."""
    if token.lastindex == _STRING:
        return _string(token[_STRING])
    if token.lastindex == _BRACKET:
        return _object(tokens) if token[_BRACKET] == "{" else _array(tokens)
    text = token[0]
    if text in _LITERALS:
        return _LITERALS[text]
    return _decimal(text) if any(mark in text for mark in ".eE") else _integer(text)


def _object(tokens: Iterator[re.Match[str]]) -> dict[str, Any]:
    members = {}
    for token in tokens:
        if token.lastindex == _BRACKET:
            break
        members[_string(token[_STRING])] = _value(next(tokens), tokens)
    return members


def _array(tokens: Iterator[re.Match[str]]) -> list[Any]:
    items = []
    for token in tokens:
        if token[_BRACKET] == "]":
            break
        items.append(_value(token, tokens))
    return items


def _fragment(value: Any) -> orjson.Fragment:
    if isinstance(value, SpelledDecimal):
        return orjson.Fragment(value.spelling.encode())
    if isinstance(value, SpelledString):
        return orjson.Fragment(f'"{value.spelling}"'.encode())
    if isinstance(value, Decimal) and value.is_finite():
        return orjson.Fragment(str(value).encode())
    raise TypeError(f"{value!r:.100} has no form in JSON")


def _dump(value: Any) -> bytes:
    if isinstance(value, dict):
        return b"{%b}" % b",".join(b"%b:%b" % (_dump(name), _dump(inner)) for name, inner in value.items())
    if isinstance(value, list):
        return b"[%b]" % b",".join(map(_dump, value))
    return orjson.dumps(value, default=_fragment, option=orjson.OPT_PASSTHROUGH_SUBCLASS)

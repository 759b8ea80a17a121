"""Bytes to a JSON resource, or a refusal that says what is wrong and where (FHIR R4, 2.6.2 JSON representation)."""

import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import orjson

from fhir_server.errors import Invalid, Issue, TooComplex


@dataclass(frozen=True, slots=True)
class Limits:
    """What one body may hold: levels of nesting, keys of all objects together, characters of one string."""

    depth: int = 64
    keys: int = 100_000
    string: int = 1024 * 1024


STANDARD_LIMITS = Limits()

# FHIR R4, 2.24.0.1: the megabyte is the limit of `string` and what derives from it; xhtml and base64Binary have none.
_UNLIMITED = frozenset({"div", "data", "hash", "query", "carrierAIDC"})
_UNLIMITED_SUFFIX = "Base64Binary"

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_BLANKS = b" \t\r\n"
_ALL_BUT_OPENINGS = bytes(set(range(256)) - set(b"{["))
_ALL_BUT_MARKS = bytes(set(range(256)) - set(b'{[]}"'))
_ALIKE = bytes.maketrans(b"[]", b"{}")
_SHORTEST_MEMBER = len(b'"":1,')
_REPEATED_AT_MOST = 20

# FHIR R4, 2.24.0.1 string: no character below U+0020 other than tab, line feed and carriage return.
_PERHAPS_CONTROL = re.compile(rb"\\(?:[bf]|u00[01])").search
_ESCAPED = re.compile(rb"\\[\\\"]")
_BARE_QUOTE = re.compile(rb'(?<!\\)"').search
_BYTES_PER_RARE_ESCAPE = 100
_ESCAPE = re.compile(rb"\\(?:u....|.)")
_ALLOWED_CONTROL = frozenset({b"\\u0009", b"\\u000a", b"\\u000A", b"\\u000d", b"\\u000D"})

# What stands where the reader stopped, when all it says is that it expected something else.
_SURPRISES = tuple(
    (re.compile(pattern), text)
    for pattern, text in (
        (r"//|/\*|#", "JSON has no comments"),
        (r"(?:NaN|nan|Infinity|inf)\b", "NaN and Infinity are not JSON numbers"),
        (r"'", "JSON strings and names stand in double quotes"),
        (r"[A-Za-z_$]", "a word must stand in double quotes"),
    )
)


def parse(raw: bytes, limits: Limits = STANDARD_LIMITS) -> dict[str, Any]:
    """Return the resource in `raw`, decimals as floats; raise Invalid or TooComplex for a body that is not one.

    Of members with one name the last is kept: `repeated_members` finds them, by a count that validation makes anyway.
    """
    body = parse_json(raw, limits)
    if type(body) is not dict:
        raise Invalid(Issue("fatal", "structure", "The body must be one JSON object: a resource."))
    kind = body.get("resourceType")
    if type(kind) is not str or not kind:
        wanted = "is missing" if kind is None else "must be a string"
        raise Invalid(Issue("error", "structure", f"resourceType {wanted}: it names the type of the resource."))
    return body


def parse_json(raw: bytes, limits: Limits = STANDARD_LIMITS) -> Any:
    """Return the JSON in `raw`, whether or not it is a resource; the failures are those of `parse`."""
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise Invalid(Issue("fatal", "structure", _syntax_fault(raw, error))) from None
    _refuse_excess(raw, body, limits)
    if b"\\" in raw:
        _refuse_control_characters(raw)
    return body


def repeated_members(raw: bytes, body: dict[str, Any] | list[Any], keys: int | None = None) -> tuple[Issue, ...]:
    """Return an issue for each object of `raw` that has two members of one name (the first 20).

    `body` is what `parse` made of `raw`, and `keys` the number of keys of all its objects, if the caller has counted.
    """
    # A bare quote in JSON always starts or ends a string, so with blanks taken out a quote before a colon stands
    # after each name, and elsewhere only where a string starts with a colon: the count is never below the number of
    # members sent. If it equals the number of keys kept, no member was lost to another of its name.
    if raw.translate(None, _BLANKS).count(b'":') == (_key_count(body) if keys is None else keys):
        return ()
    return _repeated_members(raw)


def _syntax_fault(raw: bytes, error: orjson.JSONDecodeError) -> str:
    if not raw.strip(_BLANKS):
        return "The body is empty."
    if raw.startswith(_BYTE_ORDER_MARK):
        return "The body starts with a byte order mark; JSON in UTF-8 has none."
    try:
        text = raw.decode()
    except UnicodeDecodeError as encoding:
        return f"The body is not UTF-8: byte {encoding.start + 1}, {_place(raw, encoding.start)}, is no character."
    at = error.pos
    place = f"line {text.count(chr(10), 0, at) + 1}, column {at - text.rfind(chr(10), 0, at)}"
    if at >= len(text.rstrip()):
        return f"The body ends before the JSON does, at {place}."
    return f"The body is not JSON: {_surprise(text, at) or error.msg}, at {place}."


def _surprise(text: str, at: int) -> str | None:
    return next((saying for pattern, saying in _SURPRISES if pattern.match(text, at)), None)


def _place(raw: bytes, at: int) -> str:
    before = raw[:at].decode()
    return f"line {before.count(chr(10)) + 1}, column {len(before) - before.rfind(chr(10))}"


def _refuse_excess(raw: bytes, body: Any, limits: Limits) -> None:
    # Most bodies are too small to pass any limit, which their length and number of opening brackets show at once.
    may_have_keys = len(raw) > limits.keys * _SHORTEST_MEMBER and raw.count(b":") > limits.keys
    is_short = len(raw) <= limits.string
    if not may_have_keys and ((is_short and _openings(raw) <= limits.depth) or _is_within(raw, limits)):
        return
    keys = 0
    for depth, containers in enumerate(_levels(body), 1):
        if depth > limits.depth:
            raise TooComplex(Issue("error", "too-long", f"The body is nested more than {limits.depth} levels deep."))
        keys += sum(len(each) for each in containers if type(each) is dict)
        if len(raw) > limits.string:
            _refuse_long_strings(body, containers, limits.string)
    if keys > limits.keys:
        raise TooComplex(Issue("error", "too-long", f"The body has {keys} members; at most {limits.keys} are read."))


def _openings(raw: bytes) -> int:
    return len(raw.translate(None, _ALL_BUT_OPENINGS))


def _is_within(raw: bytes, limits: Limits) -> bool:
    """Whether JSON surely has no string too long and is not too deep, told from its text, without a walk over it."""
    if len(raw) > limits.string and not _has_quotes_everywhere(raw, limits.string // 2 or 1):
        return False
    return _is_shallow(_without_escapes(raw), limits.depth)


def _has_quotes_everywhere(raw: bytes, length: int) -> bool:
    """Whether a string starts or ends in each stretch of that length, as a quote behind no backslash surely does."""
    return all(_BARE_QUOTE(raw, start, start + length) for start in range(0, len(raw) - length, length))


def _without_escapes(raw: bytes) -> bytes:
    """JSON with other characters for its escapes: what quotes are left start or end a string."""
    escapes = raw.count(b"\\")
    if escapes * _BYTES_PER_RARE_ESCAPE < len(raw):
        return _ESCAPED.sub(b"..", raw) if escapes else raw
    return raw.replace(b"\\\\", b"..").replace(b'\\"', b"..")


def _is_shallow(text: bytes, depth: int) -> bool:
    # Without all but quotes and brackets, most strings are two quotes. Taking such a pair away leaves within quotes
    # what was within, also where it is the end of a string and the start of the next.
    marks = text.translate(_ALIKE, _ALL_BUT_MARKS).replace(b'""', b"")
    brackets = b"".join(marks.split(b'"')[::2])
    # Openings and closings of both kinds are alike now; each round takes away the pairs with nothing between them.
    for _ in range(depth):
        brackets = brackets.replace(b"{}", b"")
    return not brackets


def _levels(body: Any) -> Iterator[list[dict[str, Any] | list[Any]]]:
    """Yield the objects and arrays of each level of nesting, the outermost first."""
    containers: list[Any] = [body] if isinstance(body, dict | list) else []
    while containers:
        yield containers
        containers = [
            value
            for each in containers
            for value in (each.values() if type(each) is dict else each)
            if type(value) is dict or type(value) is list
        ]


def _key_count(body: Any) -> int:
    return sum(len(each) for containers in _levels(body) for each in containers if type(each) is dict)


def _refuse_long_strings(body: Any, containers: list[dict[str, Any] | list[Any]], limit: int) -> None:
    for each in containers:
        for step, value in each.items() if isinstance(each, dict) else enumerate(each):
            if type(value) is str and len(value) > limit and not _is_unlimited(step):
                text = f"A string has {len(value)} characters; FHIR allows {limit}."
                raise TooComplex(Issue("error", "too-long", text, (_steps(body)[id(each)] + _step(step),)))


def _is_unlimited(step: str | int) -> bool:
    return isinstance(step, str) and (step in _UNLIMITED or step.endswith(_UNLIMITED_SUFFIX))


def _refuse_control_characters(raw: bytes) -> None:
    if _PERHAPS_CONTROL(raw) is None:
        return
    for escape in _ESCAPE.finditer(raw):
        if _PERHAPS_CONTROL(escape[0]) and escape[0] not in _ALLOWED_CONTROL:
            text = (
                f"The control character {escape[0].decode()} is not allowed in FHIR, at {_place(raw, escape.start())}."
            )
            raise Invalid(Issue("error", "invalid", text))


def _repeated_members(raw: bytes) -> tuple[Issue, ...]:
    repeated: list[tuple[dict[str, Any], str]] = []

    def one_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        members = dict(pairs)
        if len(members) != len(pairs):
            uses = Counter(name for name, _ in pairs)
            repeated.extend((members, name) for name in members if uses[name] > 1)
        return members

    body = json.loads(raw.decode(), object_pairs_hook=one_object)
    if not repeated:
        return ()
    # An object that another of its name replaced is not found, but then the member that held it is.
    places = _steps(body)
    return tuple(
        Issue("error", "structure", f"The member {name!r} appears more than once.", (places[id(holder)] + _step(name),))
        for holder, name in repeated
        if id(holder) in places
    )[:_REPEATED_AT_MOST]


def _steps(body: Any) -> dict[int, str]:
    """Return the FHIRPath of each object and array, by identity."""
    root = str(body.get("resourceType") or "Resource") if isinstance(body, dict) else "$this"
    places = {id(body): root}
    for containers in _levels(body):
        for each in containers:
            for step, value in each.items() if isinstance(each, dict) else enumerate(each):
                if isinstance(value, dict | list):
                    places[id(value)] = places[id(each)] + _step(step)
    return places


def _step(step: str | int) -> str:
    return f"[{step}]" if isinstance(step, int) else f".{step}"

"""String functions (FHIRPath 2.0, section 5.6, and those that the next version adds)."""

from __future__ import annotations

import base64
import binascii
import html
import json
import re
from collections.abc import Callable
from typing import Any

from fhir_server.fhirpath import pattern
from fhir_server.fhirpath.collection import integer, string
from fhir_server.fhirpath.error import FHIRPathError
from fhir_server.fhirpath.evaluation import Frame
from fhir_server.fhirpath.function import Evaluate, Function, Table
from fhir_server.fhirpath.static import always, system

JSON_ESCAPE = re.compile(r"\\(?:u[0-9A-Fa-f]{4}|[^u])", re.DOTALL)
LONGEST_STRING = 1_000_000


def on_strings(convert: Callable[..., Any]) -> Evaluate:
    """A function on a string whose arguments are strings; empty when any of them is."""

    def evaluate(frame: Frame, focus: list[Any], *arguments: list[Any]) -> list[Any]:
        text = string(focus, "a string as input")
        values = [string(argument) for argument in arguments]
        if text is None or None in values:
            return []
        result = convert(text, *values)
        if isinstance(result, list):
            return result
        return [] if result is None else [result]

    return evaluate


def substring(frame: Frame, focus: list[Any], start: list[Any], length: list[Any] | None = None) -> list[Any]:
    """The part from a position, counted from 0; empty when there is no such position."""
    text = string(focus, "a string as input")
    begin = integer(start, "the start of a substring")
    if text is None or begin is None or not 0 <= begin < len(text):
        return []
    count = integer(length, "the length of a substring") if length else None
    return [text[begin:] if count is None else text[begin : begin + max(count, 0)]]


def replace(text: str, old: str, new: str) -> str:
    """The text with a part replaced; an empty part stands between all characters."""
    if len(text) + text.count(old) * len(new) > LONGEST_STRING:
        raise FHIRPathError(f"replace() yields more than {LONGEST_STRING} characters")
    return text.replace(old, new)


def replace_matches(text: str, expression: str, substitution: str) -> str:
    """The text with matches replaced; an empty expression matches nothing."""
    return pattern.replaced(expression, text, substitution) if expression else text


def index_of(text: str, part: str) -> int:
    """Where a part first stands; -1 when it does not."""
    return text.find(part)


def last_index_of(text: str, part: str) -> int:
    """Where a part last stands; -1 when it does not."""
    return text.rfind(part)


def join(frame: Frame, focus: list[Any], separator: list[Any] | None = None) -> list[Any]:
    """The strings in one."""
    between = string(separator, "a separator") if separator else ""
    parts = [string([item], "strings to join") for item in focus]
    return [(between or "").join(part for part in parts if part is not None)] if focus else []


def url_base64(text: str) -> str:
    """Base64 with an alphabet that URLs take."""
    return base64.urlsafe_b64encode(text.encode()).decode()


ENCODERS: dict[str, tuple[Callable[[str], str], Callable[[str], str]]] = {
    "hex": (lambda text: text.encode().hex(), lambda text: bytes.fromhex(text).decode()),
    "base64": (
        lambda text: base64.b64encode(text.encode()).decode(),
        lambda text: base64.b64decode(text, validate=True).decode(),
    ),
    "urlbase64": (url_base64, lambda text: base64.b64decode(text, altchars=b"-_", validate=True).decode()),
}
ESCAPERS: dict[str, tuple[Callable[[str], str], Callable[[str], str]]] = {
    "html": (lambda text: html.escape(text, quote=True), html.unescape),
    "json": (
        lambda text: json.dumps(text, ensure_ascii=False)[1:-1],
        lambda text: JSON_ESCAPE.sub(lambda match: str(json.loads(f'"{match.group()}"')), text),
    ),
}


def through(table: dict[str, tuple[Callable[[str], str], Callable[[str], str]]], way: int) -> Callable[[str, str], Any]:
    """A function that writes or reads text in a named form; empty for an unknown form or unreadable text."""

    def convert(text: str, form: str) -> str | None:
        if form not in table:
            return None
        try:
            return table[form][way](text)
        except (ValueError, binascii.Error):
            return None

    return convert


def row(convert: Callable[..., Any], arguments: int, result: str, *, many: bool = False) -> Function:
    """A row for a function on strings."""
    return Function(on_strings(convert), arguments, result=always(system(result, many=many)), accepts=("String",))


FUNCTIONS: Table = {
    "indexOf": row(index_of, 1, "Integer"),
    "lastIndexOf": row(last_index_of, 1, "Integer"),
    "substring": Function(substring, 1, 2, result=always(system("String")), accepts=("String",)),
    "startsWith": row(str.startswith, 1, "Boolean"),
    "endsWith": row(str.endswith, 1, "Boolean"),
    "contains": row(str.__contains__, 1, "Boolean"),
    "upper": row(str.upper, 0, "String"),
    "lower": row(str.lower, 0, "String"),
    "replace": row(replace, 2, "String"),
    "matches": row(lambda text, expression: pattern.contains(expression, text), 1, "Boolean"),
    "matchesFull": row(lambda text, expression: pattern.matches_whole(expression, text), 1, "Boolean"),
    "replaceMatches": row(replace_matches, 2, "String"),
    "length": row(len, 0, "Integer"),
    "toChars": row(list, 0, "String", many=True),
    "trim": row(str.strip, 0, "String"),
    "split": row(lambda text, separator: text.split(separator) if separator else list(text), 1, "String", many=True),
    "join": Function(join, 0, 1, result=always(system("String"))),
    "encode": row(through(ENCODERS, 0), 1, "String"),
    "decode": row(through(ENCODERS, 1), 1, "String"),
    "escape": row(through(ESCAPERS, 0), 1, "String"),
    "unescape": row(through(ESCAPERS, 1), 1, "String"),
}

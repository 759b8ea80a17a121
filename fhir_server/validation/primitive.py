"""Formats of primitive values (FHIR R4, 2.24.0.1 primitive types).

For each type a fast test that is only true of right values, and an explanation that has the last word.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from typing import Any

# Python's \s takes the no-break space for white space without re.ASCII, which R4's expressions do not.
TEXT = re.compile(r"[ \r\n\t\S]+", re.ASCII).fullmatch
CODE = re.compile(r"[^\s\x00-\x1f]+( [^\s\x00-\x1f]+)*", re.ASCII).fullmatch
ID = re.compile(r"[A-Za-z0-9\-.]{1,64}", re.ASCII).fullmatch
OID = re.compile(r"urn:oid:[0-2](\.(0|[1-9][0-9]*))+", re.ASCII).fullmatch
UUID = re.compile(r"urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.ASCII).fullmatch
PARTIAL = re.compile(r"[0-9]{4}(-(0[1-9]|1[0-2]))?", re.ASCII).fullmatch
DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII).fullmatch
CLOCK = r"([01][0-9]|2[0-3]):[0-5][0-9]:([0-5][0-9]|60)(\.[0-9]+)?"
ZONED = re.compile(rf"T{CLOCK}(Z|[+-]((0[0-9]|1[0-3]):[0-5][0-9]|14:00))", re.ASCII).fullmatch
TIME = re.compile(CLOCK, re.ASCII).fullmatch

BASE64_LETTERS = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
BASE64_BLANKS = b" \t\r\n\v\f"
PADDING = (b"", b"=", b"==")
MOST_END = 64

MAX_STRING = 1024 * 1024
MEMO_SIZE = 16384
MEMO_LENGTH = 200

DAYS: set[str] = set()
URIS: set[str] = set()
CODES: set[str] = set()


def remember(memo: set[str], value: str) -> None:
    """Keep a value found right, so that it is not looked at again; the memory is emptied when full."""
    if len(memo) >= MEMO_SIZE:
        memo.clear()
    if len(value) < MEMO_LENGTH:
        memo.add(value)


def is_day(value: str) -> bool:
    """True for a date of the calendar, `YYYY-MM-DD`."""
    if value in DAYS:
        return True
    if not DAY(value):
        return False
    try:
        date.fromisoformat(value)
    except ValueError:
        return False
    remember(DAYS, value)
    return True


def is_string(value: Any) -> bool:
    """True for a string that is not empty, up to a megabyte."""
    return value.__class__ is str and 0 < len(value) <= MAX_STRING and (value.isprintable() or TEXT(value) is not None)


def is_xhtml(value: Any) -> bool:
    """True for text; what it holds is judged where narratives are."""
    return value.__class__ is str and value != ""


def is_uri(value: Any) -> bool:
    """True for a uri: without white space."""
    if value.__class__ is not str or not value or not value.isprintable() or " " in value:
        return False
    if value[0] != "#":  # each use of a fragment counts as a reference to what is contained
        remember(URIS, value)
    return True


def is_code(value: Any) -> bool:
    """True for a code: no white space at its ends, single spaces within."""
    if value.__class__ is not str or CODE(value) is None:
        return False
    remember(CODES, value)
    return True


def is_partial_date(value: Any) -> bool:
    """True for a year, a month or a day."""
    if value.__class__ is not str or value[:4] == "0000":
        return False
    return is_day(value) if len(value) == 10 else PARTIAL(value) is not None


def is_instant(value: Any) -> bool:
    """True for a day, a time to the second at least, and a zone."""
    return value.__class__ is str and is_day(value[:10]) and ZONED(value, 10) is not None and value[:4] != "0000"


def is_date_time(value: Any) -> bool:
    """True for a partial date, or a whole instant."""
    return is_instant(value) if value.__class__ is str and len(value) > 10 else is_partial_date(value)


def is_time(value: Any) -> bool:
    """True for a time of day to the second at least, without zone."""
    return value.__class__ is str and TIME(value) is not None


def is_base64(value: Any) -> bool:
    """True for base64 in blocks of four, white space between characters allowed; linear, unlike R4's expression."""
    if value.__class__ is not str or not value:
        return False
    text = value.encode("utf-8", "replace")
    rest = text.translate(None, BASE64_LETTERS)
    padding = rest.translate(None, BASE64_BLANKS)
    if padding not in PADDING:
        return False
    length = len(text) - len(rest) + len(padding)
    end = b"".join(text[-MOST_END:].split()) if padding else b""
    return length > 0 and length % 4 == 0 and end.endswith(padding)


def is_decimal(value: Any) -> bool:
    """True for a JSON number."""
    return value.__class__ in (float, int) or isinstance(value, Decimal)


def is_boolean(value: Any) -> bool:
    """True for the JSON literals true and false."""
    return value is True or value is False


def within(low: int) -> Callable[[Any], bool]:
    """A test for whole numbers from `low` to 2,147,483,647."""
    return lambda value: value.__class__ is int and low <= value <= 2147483647


def matching(pattern: Callable[[str], Any]) -> Callable[[Any], bool]:
    """A test for strings that a regular expression matches whole."""
    return lambda value: value.__class__ is str and pattern(value) is not None


# Type: the test, and what a right value looks like.
FORMATS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "base64Binary": (is_base64, "base64 characters in blocks of four"),
    "boolean": (is_boolean, "true or false, without quotes"),
    "canonical": (is_uri, "a URI without white space, perhaps with |version"),
    "code": (is_code, "a code: no white space at the ends, single spaces within"),
    "date": (is_partial_date, "a date: YYYY, YYYY-MM or YYYY-MM-DD"),
    "dateTime": (is_date_time, "YYYY, YYYY-MM, YYYY-MM-DD or YYYY-MM-DDThh:mm:ss with a zone (Z or +hh:mm)"),
    "decimal": (is_decimal, "a number, without quotes"),
    "id": (matching(ID), "an id: 1 to 64 of A-Z, a-z, 0-9, - and ."),
    "instant": (is_instant, "YYYY-MM-DDThh:mm:ss with a zone (Z or +hh:mm)"),
    "integer": (within(-2147483648), "a whole number of 32 bits, without quotes"),
    "markdown": (is_string, "text of up to a megabyte"),
    "oid": (matching(OID), "urn:oid: followed by numbers and dots"),
    "positiveInt": (within(1), "a whole number of 1 or more, without quotes"),
    "string": (is_string, "text of up to a megabyte"),
    "time": (is_time, "a time: hh:mm:ss"),
    "unsignedInt": (within(0), "a whole number of 0 or more, without quotes"),
    "uri": (is_uri, "a URI without white space"),
    "url": (is_uri, "a URL without white space"),
    "uuid": (matching(UUID), "urn:uuid: followed by a UUID in lower case"),
    "xhtml": (is_xhtml, "XHTML within one div"),
}

# Types whose right values are remembered: membership is the whole test of a value seen before.
MEMOS: dict[str, set[str]] = {
    "uri": URIS,
    "url": URIS,
    "canonical": URIS,
    "code": CODES,
    "date": DAYS,
    "dateTime": DAYS,
}

SHOWN = 60


def shown(value: Any) -> str:
    """A value as it may stand in a message: short, in quotes where it is text."""
    text = repr(value) if value.__class__ is str else str(value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"


def kind_of(value: Any) -> str:
    """What JSON calls a value."""
    if value is None:
        return "null"
    kinds = {dict: "an object", list: "an array", str: "a string", bool: "a boolean"}
    return kinds.get(value.__class__, "a number")


def format_fault(kind: str, value: Any) -> str:
    """What is wrong with a value of a primitive type, and what was expected."""
    expected = FORMATS[kind][1]
    if value.__class__ in (dict, list) or value is None:
        return f"Expected a {kind} ({expected}), found {kind_of(value)}."
    if value == "":
        return f"An empty string is not allowed: leave the member out, or give {expected}."
    return f"{shown(value)} is not a valid {kind}: expected {expected}."

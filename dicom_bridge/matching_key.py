"""Whether a data set matches the keys of a C-FIND (PS3.4, C.2.2.2); both are DICOM JSON."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

import re2

from dicom_bridge.dicom_json import Json, texts_of
from fhir_server.search.folding import fold

NOT_MATCHED = frozenset({"00080005", "00080201"})
LONGEST_PATTERN = 200


def matches(held: Json, asked: Json) -> bool:
    """Whether a data set matches every key. A key without a value matches all, and so does one nobody knows."""
    return all(_matches(held[tag], key) for tag, key in asked.items() if tag in held and tag not in NOT_MATCHED)


def _matches(held: Json, key: Json) -> bool:
    wanted = key.get("Value", ())
    if held["vr"] == "SQ":
        return not wanted or any(matches(item, wanted[0]) for item in held.get("Value", ()))
    values = [text for text in texts_of({"": key}, "") if text]
    if not values:
        return True
    have = list(texts_of({"": held}, ""))
    return any(_fits(held["vr"], text, value) for value in values for text in have)


def _fits(vr: str, text: str, wanted: str) -> bool:
    """Whether a value is the one that is wanted, in the range, or like the pattern."""
    if vr in ("DA", "TM"):
        low, dash, high = wanted.replace(":", "").partition("-")
        if dash:
            # A shorter time means all that begin with it.
            return (not low or text >= low) and (not high or text <= high + "~")
        return text.startswith(low)
    if vr == "PN":
        text, wanted = _folded(text), _folded(wanted)
    return _pattern(wanted[:LONGEST_PATTERN])(text) is not None


def _folded(text: str) -> str:
    """Names are found without accents and case; wildcards stay."""
    words = re.split(r"([*?])", text.replace("^", " ").replace("=", " "))
    return "".join(word if word in ("*", "?") else fold(word) for word in words)


@lru_cache(maxsize=256)
def _pattern(wanted: str) -> Any:
    # In linear time, whatever somebody asks for.
    return re2.compile("(?s)" + "".join(_piece(part) for part in re.split(r"(\*+|\?)", wanted))).fullmatch


def _piece(part: str) -> str:
    return ".*" if part.startswith("*") else "." if part == "?" else re2.escape(part)

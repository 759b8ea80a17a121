"""Text as search compares it: without case, accents and punctuation (FHIR R4, 3.1.1.4.8 string)."""

from __future__ import annotations

import unicodedata

from fhir_server.search.row import Memo

BASE_LETTERS = str.maketrans(
    {"đ": "d", "ð": "d", "ø": "o", "ł": "l", "ħ": "h", "\u0131": "i", "æ": "ae", "œ": "oe", "þ": "th", "ŧ": "t"}
)
"""Letters that Unicode does not take apart into a base letter and a mark."""

PARTING = frozenset("/&@#%…·")
"""Punctuation that stands between words, beside dashes and underscores; other punctuation is as if not there."""

_known = Memo(16384)


def without_punctuation(character: str) -> str:
    """The character, a space for what parts words, or nothing."""
    category = unicodedata.category(character)
    if category[0] in "CZ":
        return "" if category == "Cf" else " "
    if category[0] != "P":
        return character
    return " " if category in ("Pd", "Pc") or character in PARTING else ""


ASCII = {code: without_punctuation(chr(code)) for code in range(128)}


def fold(text: str) -> str:
    """The text in lower-case base letters, words parted by one space; punctuation alone stays as it is.

    `fold(fold(text)) == fold(text)`, and what is equal but for case, accents (Vietnamese ones included, `Đ` is `d`),
    punctuation and repeated white space folds to the same.
    """
    found: str | None = _known.get(text)
    if found is None:
        found = _folded_ascii(text) if text.isascii() else _folded(text)
        _known.keep(text, found)
    return found


def _folded_ascii(text: str) -> str:
    lower = text.lower()
    if lower.isalnum():
        return lower
    return " ".join(lower.translate(ASCII).split()) or " ".join(lower.split())


def _folded(text: str) -> str:
    """Until nothing changes: a few characters need two rounds, because folding can make one that folds again."""
    before, after = "", text
    while after != before:
        before, after = after, _folded_once(after)
    return after


def _folded_once(text: str) -> str:
    folded = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", text).casefold())
    bare = "".join(c for c in folded if not unicodedata.combining(c)).translate(BASE_LETTERS)
    words = " ".join("".join(map(without_punctuation, bare)).split())
    return words or " ".join(bare.split())

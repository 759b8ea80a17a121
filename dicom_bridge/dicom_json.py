"""DICOM JSON: what it consists of, and reading values out of it (PS3.18, Annex F)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

Json = dict[str, Any]
Place = tuple[str, ...]
"""Where an element is: its tag, after the tag and the number of the item of each sequence around it."""

BULK = "bulk:"
"""What a BulkDataURI begins with here; who serves the JSON puts the address of the instance in its place."""


def texts_of(json: Json, tag: str) -> Iterator[str]:
    """Yield the values of an element that are text, the alphabetic group of names."""
    for value in json.get(tag, {}).get("Value", ()):
        if isinstance(value, dict):
            value = value.get("Alphabetic")  # noqa: PLW2901 -- the one part of it that is asked for
        if value is not None:
            yield str(value)


def text_of(json: Json, tag: str) -> str:
    """Return the first value of an element as text; empty where there is none."""
    return next(texts_of(json, tag), "")

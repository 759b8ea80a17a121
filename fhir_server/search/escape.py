r"""Values parted at `,`, `$` and `|`, which a backslash takes for themselves (FHIR R4, 3.1.1.4.19 escaping)."""

from __future__ import annotations

import re

ESCAPED = re.compile(r"\\([\\,$|])")
SPECIAL = re.compile(r"[\\,$|]")


def split(text: str, separator: str) -> list[str]:
    """The parts between separators that are not escaped, each still with its escapes."""
    if "\\" not in text:
        return text.split(separator)
    parts, start, index = [], 0, 0
    while index < len(text):
        if text[index] == "\\":
            index += 2
            continue
        if text[index] == separator:
            parts.append(text[start:index])
            start = index + 1
        index += 1
    return [*parts, text[start:]]


def unescaped(text: str) -> str:
    """The text that is meant; a backslash before anything else stands for itself."""
    return ESCAPED.sub(r"\1", text) if "\\" in text else text


def escaped(text: str) -> str:
    """The text as it is written in a value, so that none of it separates."""
    return SPECIAL.sub(r"\\\g<0>", text)

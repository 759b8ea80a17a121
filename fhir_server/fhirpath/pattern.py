"""Regular expressions of users, in time linear in the text (FHIRPath 2.0, section 5.6: matches, replaceMatches).

RE2 has no lookaround and no backreferences, which no linear engine can have; none of R4's own invariants uses them.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import re2

from fhir_server.fhirpath.error import FHIRPathError

LONGEST_PATTERN = 4096
MOST_MEMORY = 4 << 20
OPTIONS = re2.Options()
OPTIONS.log_errors = False
OPTIONS.dot_nl = True
OPTIONS.max_mem = MOST_MEMORY


@lru_cache(maxsize=1024)
def compiled(pattern: str) -> Any:
    """The pattern, in which a dot matches line ends too; FHIRPathError for one that RE2 does not take."""
    if len(pattern) > LONGEST_PATTERN:
        raise FHIRPathError(f"The regular expression is longer than {LONGEST_PATTERN} characters")
    try:
        return re2.compile(pattern, OPTIONS)
    except re2.error as error:
        reason = error.args[0] if error.args else ""
        text = reason.decode(errors="replace") if isinstance(reason, bytes) else str(reason)
        raise FHIRPathError(f"The regular expression '{pattern}' is not supported: {text}") from None


def contains(pattern: str, text: str) -> bool:
    """True when the pattern matches a part of the text."""
    return compiled(pattern).search(text) is not None


def matches_whole(pattern: str, text: str) -> bool:
    """True when the pattern matches the whole text."""
    return compiled(pattern).fullmatch(text) is not None


def replaced(pattern: str, text: str, substitution: str) -> str:
    """The text with each match replaced; `$1` and `${1}` stand for what a group matched."""
    expression = compiled(pattern)
    found: list[str] = []
    position = 0
    for match in expression.finditer(text):
        found.append(text[position : match.start()])
        found.append(expanded(substitution, match))
        position = match.end()
    return "".join(found) + text[position:]


def expanded(substitution: str, match: Any) -> str:
    """A substitution with its group references filled in."""
    if "$" not in substitution:
        return substitution
    found: list[str] = []
    for part in SUBSTITUTION.finditer(substitution):
        number, name = part.group(1) or part.group(2), part.group(3)
        found.append(part.group() if number is None and name is None else group_text(match, number or name))
    return "".join(found)


SUBSTITUTION = re2.compile(r"\$([0-9])|\$\{([0-9]+)\}|\$\{([A-Za-z_][A-Za-z0-9_]*)\}|[^$]+|\$")


def group_text(match: Any, group: str) -> str:
    """What a group matched."""
    try:
        return match.group(int(group) if group.isdigit() else group) or ""
    except (IndexError, KeyError, re2.error):
        raise FHIRPathError(f"The regular expression has no group {group}") from None

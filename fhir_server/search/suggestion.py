"""The nearest right name for a wrong one."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

ALIKE = 0.55


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that looks most like this one, case aside; None where none does."""
    by_folded = {one.casefold(): one for one in sorted(known)}
    found = get_close_matches(name[:100].casefold(), by_folded, n=1, cutoff=ALIKE)
    return by_folded[found[0]] if found else None


def hint(name: str, known: Iterable[str]) -> str:
    """A question that follows a sentence about a wrong name; empty where nothing is near."""
    found = nearest(name, known)
    return f" Did you mean {found}?" if found else ""

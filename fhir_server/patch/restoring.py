"""What XML cannot carry, given back after an XML Patch: spelling, order of members (FHIR R4, 2.6.2 JSON)."""

from decimal import Decimal
from typing import Any

from fhir_server.resource.exact import SpelledDecimal


def restored(original: Any, before: Any, after: Any) -> Any:
    """Return `after` with every part that is the same in `before` as it is in `original`.

    `before` is what came of `original` through XML unpatched, `after` what came of it patched.
    """
    if _is_same(before, after):
        return original
    if isinstance(original, dict) and isinstance(before, dict) and isinstance(after, dict):
        kept = {
            key: restored(value, before[key], after[key])
            for key, value in original.items()
            if key in after and key in before
        }
        return kept | {key: value for key, value in after.items() if key not in kept}
    if isinstance(original, list) and isinstance(before, list) and isinstance(after, list):
        return _restored_items(original, before, after) if len(original) == len(before) else after
    return after


def _restored_items(original: list[Any], before: list[Any], after: list[Any]) -> list[Any]:
    """Items at the start and at the end that are the same are so; those between are compared in turn."""
    shorter = min(len(before), len(after))
    start = 0
    while start < shorter and _is_same(before[start], after[start]):
        start += 1
    end = 0
    while end < shorter - start and _is_same(before[-1 - end], after[-1 - end]):
        end += 1
    old, new = range(start, len(before) - end), after[start : len(after) - end]
    paired = [restored(original[at], before[at], item) for at, item in zip(old, new, strict=False)]
    return original[:start] + paired + new[len(paired) :] + original[len(original) - end :]


def _is_same(one: Any, other: Any) -> bool:
    """Whether two values are the same in the text of XML: decimals of other spelling are not."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_is_same(value, other[key]) for key, value in one.items())
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_is_same, one, other))
    if isinstance(one, Decimal) and isinstance(other, Decimal):
        return _spelled(one) == _spelled(other)
    return type(one) is type(other) and bool(one == other)


def _spelled(number: Decimal) -> str:
    return number.spelling if isinstance(number, SpelledDecimal) else str(number)

"""Palettes in segments: runs, lines and repetitions that stand for the entries of a table (PS3.3, C.7.9.2)."""

from __future__ import annotations

from collections.abc import Sequence

DISCRETE, LINEAR, INDIRECT = 0, 1, 2
MOST_ENTRIES = 65_536


def expanded(words: Sequence[int]) -> list[int]:
    """Return the entries that segments stand for; raise ValueError where they are none."""
    entries: list[int] = []
    at = 0
    while at + 2 <= len(words) and len(entries) <= MOST_ENTRIES:
        at = _taken(words, at, entries, is_inner=False)
    if len(entries) > MOST_ENTRIES:
        raise ValueError("its segments stand for more entries than a palette has")
    return entries


def _taken(words: Sequence[int], at: int, entries: list[int], *, is_inner: bool) -> int:
    """Add what the segment at a place stands for; return where the next one begins."""
    opcode, length = words[at], words[at + 1]
    if opcode == DISCRETE:
        entries += words[at + 2 : at + 2 + length]
        return at + 2 + length
    if opcode == LINEAR and entries and at + 2 < len(words):
        first, last = entries[-1], words[at + 2]
        entries += [round(first + (last - first) * step / length) for step in range(1, length + 1)]
        return at + 3
    if opcode == INDIRECT and not is_inner and at + 3 < len(words):
        place = words[at + 2] | words[at + 3] << 16
        for _ in range(length):
            if place + 2 > len(words) or len(entries) > MOST_ENTRIES:
                break
            place = _taken(words, place, entries, is_inner=True)
        return at + 4
    raise ValueError("its segments are none of those that there are")

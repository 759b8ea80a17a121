"""Prefixes of ordered values: `ge2024`, `lt5.4` (FHIR R4, 3.1.1.4.6 prefixes)."""

from __future__ import annotations

from typing import Literal, cast, get_args

Prefix = Literal["eq", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap"]
PREFIXES: tuple[Prefix, ...] = get_args(Prefix)
OPPOSITE: dict[Prefix, Prefix] = {"gt": "lt", "lt": "gt", "ge": "le", "le": "ge", "sa": "eb", "eb": "sa"}
"""What a prefix becomes where the order of values is reversed."""


def parted(text: str) -> tuple[Prefix, str]:
    """The prefix of a value, `eq` where there is none, and the rest."""
    if text[:2] in PREFIXES:
        return cast("Prefix", text[:2]), text[2:]
    return "eq", text

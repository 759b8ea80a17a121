"""What an indicator counted: in all, and by each of its dimensions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Count:
    """A numerator, a denominator (None for a plain count), the median of minutes (None where nothing was measured)."""

    numerator: int
    denominator: int | None = None
    minutes: float | None = None


@dataclass(frozen=True, slots=True)
class Counted:
    """A count in all, and the counts by dimension and value; None is a stratum that is masked."""

    total: Count | None
    strata: Mapping[str, Mapping[str, Count | None]]

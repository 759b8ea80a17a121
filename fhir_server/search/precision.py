"""Numbers with the precision that their digits imply: `100` is [99.5, 100.5) (FHIR R4, 3.1.1.4.6 number)."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Context, Decimal

from fhir_server.search.plan import Column, Test
from fhir_server.search.prefix import OPPOSITE, Prefix
from fhir_server.search.question import Unreadable
from fhir_server.search.row import HIGHEST, LOWEST

NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,4})?", re.ASCII)
LONGEST = 64
ROOM = Context(prec=4000, Emin=-99999, Emax=99999)
"""Enough for the sum of any two numbers of that length."""


@dataclass(frozen=True, slots=True)
class Amount:
    """A number, the range [low, high) that its digits imply, and the range [least, most] of what is about the same."""

    value: Decimal
    low: Decimal
    high: Decimal
    least: Decimal
    most: Decimal

    def mapped(self, convert: Callable[[Decimal], Decimal]) -> Amount:
        """The same in another unit; the ranges are turned round where greater becomes less."""
        value = convert(self.value)
        low, high = sorted((convert(self.low), convert(self.high)))
        least, most = sorted((convert(self.least), convert(self.most)))
        return Amount(value, low, high, least, most)


def amount(text: str) -> Amount:
    """The number of a text such as `5.40`, `-3` or `1e2`."""
    if len(text) > LONGEST or not NUMBER.fullmatch(text):
        raise Unreadable(f"{text[:LONGEST]!r} is not a number; write one such as 5.4, -3 or 1e2")
    value = Decimal(text)
    half = Decimal((0, (5,), last_place(value) - 1))
    low, high = ROOM.subtract(value, half), ROOM.add(value, half)
    tenth = abs(value).scaleb(-1, ROOM)
    least, most = ROOM.subtract(value, tenth), ROOM.add(value, tenth)
    return Amount(value, low, high, min(low, least), max(high, most))


def last_place(value: Decimal) -> int:
    """The power of ten of the last digit that counts; R4's example reads 1e2 as [95, 105), so as 1.0e2."""
    _, digits, exponent = value.as_tuple()
    assert isinstance(exponent, int)
    return exponent - 1 if exponent > 0 and len(digits) == 1 else exponent


def sortable(value: Decimal) -> float:
    """The number as index rows hold it."""
    return min(max(float(value), LOWEST), HIGHEST)


def ordered(prefix: Prefix, asked: Amount, low: Column, high: Column) -> tuple[tuple[Test, ...], ...]:
    """The tests, in alternatives, that the range in two columns stands to a number as the prefix says.

    Only `eq`, `ne` and `ap` look at the precision; both columns may be one. What is implied for the first column is
    said as well, since an index is ordered by it.
    """
    value, start = sortable(asked.value), sortable(asked.low)
    stop = max(sortable(asked.high), math.nextafter(value, math.inf))
    match prefix:
        case "eq":
            return (tuple(dict.fromkeys((Test(low, ">=", start), Test(low, "<", stop), Test(high, "<", stop)))),)
        case "ne":
            return ((Test(low, "<", start),), (Test(high, ">=", stop),))
        case "gt":
            return ((Test(high, ">", value),),)
        case "ge":
            return ((Test(high, ">=", value),),)
        case "lt":
            return ((Test(low, "<", value),),)
        case "le":
            return ((Test(low, "<=", value),),)
        case "sa":
            return ((Test(low, ">", value),),)
        case "eb":
            return (tuple(dict.fromkeys((Test(low, "<", value), Test(high, "<", value)))),)
        case "ap":
            return ((Test(low, "<=", sortable(asked.most)), Test(high, ">=", sortable(asked.least))),)


def converted(prefix: Prefix, asked: Amount, convert: Callable[[Decimal], Decimal]) -> tuple[Prefix, Amount]:
    """The question in another unit, its prefix turned round where greater becomes less."""
    found = asked.mapped(convert)
    is_reversed = convert(asked.low) > convert(asked.high)
    return OPPOSITE.get(prefix, prefix) if is_reversed else prefix, found

"""Index rows of quantity parameters: as sent, and in UCUM's base units (FHIR R4, 3.1.1.4.11 quantity)."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import Any

from fhir_server.search.leaf import UCUM, Context, Leaf, Write
from fhir_server.search.row import HIGHEST, LOWEST, Quantity, Rows, joined

CURRENCY = "urn:iso:std:iso:4217"

Number = int | float
Cell = tuple[int, Number, str]


def sortable(value: Any) -> Number:
    """A JSON number as stores compare it."""
    if value.__class__ is float or value.__class__ is int:
        return value
    if isinstance(value, Decimal):
        return float(value)
    raise TypeError(value)


def sent_unit(value: Any) -> str:
    """The name of a Quantity's unit as sent."""
    return joined(value.get("system") or "", value.get("code") or "", value.get("unit") or "")


def in_base_units(context: Context, number: Number, code: str) -> tuple[float, str] | None:
    """The number in UCUM's base units with their name; a float counts with the digits that were sent."""
    if number in (LOWEST, HIGHEST):
        bound = context.canonical(Decimal(1), code)
        return (number, bound[1]) if bound else None
    try:
        found = context.canonical(Decimal(repr(number)), code)
    except InvalidOperation:
        return None
    return (float(found[0]), found[1]) if found else None


def point_cells(context: Context, value: Any, number: Number) -> tuple[Cell, ...]:
    """Facet, number and unit of each view of one value."""
    unit, code = sent_unit(value), value.get("code")
    based = in_base_units(context, number, code) if code and value.get("system") == UCUM else None
    sent = (int(Quantity.SENT), number, unit)
    return (sent,) if based is None else (sent, (int(Quantity.CANONICAL), *based))


def point_rows(leaf: Leaf, value: Any, number: Number) -> Rows:
    """The rows of one value with a unit."""
    cells = point_cells(leaf.context, value, number)
    return [(n + facet, amount, unit) for facet, amount, unit in cells for n in leaf.numbers]


def range_rows(leaf: Leaf, value: Any, low: Number, high: Number) -> Rows:
    """The rows of all values from low to high, in the unit of a Quantity."""
    if low == high:
        return point_rows(leaf, value, low)
    unit, code = sent_unit(value), value.get("code")
    rows: Rows = [(n + Quantity.SENT_RANGE, low, high, 0, unit) for n in leaf.numbers]
    if code and value.get("system") == UCUM:
        ends = [in_base_units(leaf.context, end, code) for end in (low, high)]
        if ends[0] is not None and ends[1] is not None:
            (start, name), (stop, _) = sorted((ends[0], ends[1]))
            rows += [(n + Quantity.CANONICAL_RANGE, start, stop, 0, name) for n in leaf.numbers]
    return rows


def quantity_writer(leaf: Leaf) -> Write:
    """Quantity: a value, or the range that its comparator opens."""
    known, numbers, context = leaf.context.memo("quantities"), leaf.numbers, leaf.context

    def write(value: Any, rows: Rows, resource: Any) -> None:
        number = value.get("value")
        if number is None:
            return
        if "comparator" in value:
            rows += compared_rows(leaf, value, sortable(number))
            return
        key = (number, value.get("code"), value.get("unit"), value.get("system"))
        cells = known.get(key) or known.keep(key, point_cells(context, value, sortable(number)))
        for facet, amount, unit in cells:
            for n in numbers:
                rows.append((n + facet, amount, unit))

    return write


def compared_rows(leaf: Leaf, value: Any, number: Number) -> Rows:
    """The rows of `< 5` and its like: all values on that side."""
    if value["comparator"][:1] == "<":
        return range_rows(leaf, value, LOWEST, number)
    return range_rows(leaf, value, number, HIGHEST)


def money_writer(leaf: Leaf) -> Write:
    """Money: the currency is its unit."""

    def write(value: Any, rows: Rows, resource: Any) -> None:
        number, currency = value.get("value"), value.get("currency")
        if number is not None:
            unit = joined(CURRENCY if currency else "", currency or "", "")
            rows += [(n + Quantity.SENT, sortable(number), unit) for n in leaf.numbers]

    return write


def range_writer(leaf: Leaf) -> Write:
    """Range: from low to high, in the unit of either."""

    def write(value: Any, rows: Rows, resource: Any) -> None:
        low, high = value.get("low") or {}, value.get("high") or {}
        if "value" in low or "value" in high:
            start = sortable(low["value"]) if "value" in low else LOWEST
            stop = sortable(high["value"]) if "value" in high else HIGHEST
            rows += range_rows(leaf, low if "value" in low else high, start, stop)

    return write


def sampled_writer(leaf: Leaf) -> Write:
    """SampledData: from the lowest to the highest of its samples; the origin where there is none."""

    def write(value: Any, rows: Rows, resource: Any) -> None:
        origin = value.get("origin") or {}
        if "value" in origin:
            low, high = sampled_bounds(value, Decimal(repr(sortable(origin["value"]))))
            rows += range_rows(leaf, origin, low, high)

    return write


def sampled_bounds(value: Any, origin: Decimal) -> tuple[Number, Number]:
    """The lowest and the highest sample: origin + factor * data; E, U and L are no samples but U and L tell limits."""
    factor = Decimal(repr(sortable(value.get("factor", 1))))
    words = (value.get("data") or "").split(" ")
    samples = [word for word in words if word and word not in "EUL"]
    limits = [Decimal(repr(sortable(value[key]))) for key, word in LIMITS if word in words and key in value]
    data = [Decimal(pick(samples, key=float)) * factor for pick in (min, max)] if samples else []
    everything = data + [limit * factor for limit in limits] or [Decimal(0)]
    return float(origin + min(everything)), float(origin + max(everything))


LIMITS = (("lowerLimit", "L"), ("upperLimit", "U"))

WRITERS = {
    "Quantity": quantity_writer,
    "Money": money_writer,
    "Range": range_writer,
    "SampledData": sampled_writer,
}

"""Partial dates, dateTimes and times with their precision and zone (FHIRPath 2.0, sections 4.1, 6.1, 6.2 and 6.6.8)."""

from __future__ import annotations

import re
from calendar import monthrange
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import ClassVar

from fhir_server.fhirpath.error import FHIRPathError

DATE = re.compile(r"([0-9]{4})(?:-([0-9]{2})(?:-([0-9]{2}))?)?\Z")
CLOCK = r"([0-9]{2})(?::([0-9]{2})(?::([0-9]{2})(?:\.([0-9]+))?)?)?"
TIME = re.compile(CLOCK + r"\Z")
DATE_TIME = re.compile(
    r"([0-9]{4})(?:T|-([0-9]{2})(?:T|-([0-9]{2})(?:T|T" + CLOCK + r"(Z|[+-][0-9]{2}:[0-9]{2})?)?)?)?\Z"
)
LOWEST = (1, 1, 1, 0, 0, 0)
LIMITS = ((1, 9999), (1, 12), (1, 31), (0, 23), (0, 59), (0, 60))
MOST_POSITIVE_OFFSET = 14 * 60
MOST_NEGATIVE_OFFSET = -12 * 60

CALENDAR_UNITS = {
    name: unit
    for unit in ("year", "month", "week", "day", "hour", "minute", "second", "millisecond")
    for name in (unit, unit + "s")
}
UCUM_DURATIONS = {"wk": "week", "d": "day", "h": "hour", "min": "minute", "s": "second", "ms": "millisecond"}
UNIT_LEVEL = {"year": 1, "month": 2, "week": 3, "day": 3, "hour": 4, "minute": 5, "second": 6, "millisecond": 7}
UNIT_SECONDS = {
    "week": Decimal(604800),
    "day": Decimal(86400),
    "hour": Decimal(3600),
    "minute": Decimal(60),
    "second": Decimal(1),
    "millisecond": Decimal("0.001"),
}
DAYS_IN_YEAR = 365
DAYS_IN_MONTH = 30


@dataclass(frozen=True, slots=True)
class Temporal:
    """Fields from the coarsest (year, or hour of a Time) to the finest given; `fraction` holds digits of a second."""

    fields: tuple[int, ...]
    fraction: str = ""
    offset: int | None = None

    name: ClassVar[str] = ""
    first: ClassVar[int] = 0
    digits: ClassVar[tuple[int, ...]] = ()

    @property
    def precision(self) -> int:
        """The number of digits given: 4 for a year, 17 for a dateTime with milliseconds."""
        return self.digits[len(self.fields) - (0 if self.fraction else 1)]

    @property
    def has_time(self) -> bool:
        """True when at least the hour is given."""
        return self.first + len(self.fields) > 3

    def in_utc(self) -> Temporal:
        """The same moment in UTC; itself without zone."""
        if not self.offset:
            return self
        return shifted(self, -self.offset)


@dataclass(frozen=True, slots=True)
class Date(Temporal):
    """A date of year, month or day precision."""

    name: ClassVar[str] = "Date"
    digits: ClassVar[tuple[int, ...]] = (4, 6, 8)

    def __str__(self) -> str:
        return date_text(self.fields)


@dataclass(frozen=True, slots=True)
class DateTime(Temporal):
    """A date and time; without time it still is a DateTime."""

    name: ClassVar[str] = "DateTime"
    digits: ClassVar[tuple[int, ...]] = (4, 6, 8, 10, 12, 14, 17)

    def __str__(self) -> str:
        text = date_text(self.fields[:3])
        if len(self.fields) > 3:
            text += "T" + clock_text(self.fields[3:], self.fraction)
            text += offset_text(self.offset)
        return text


@dataclass(frozen=True, slots=True)
class Time(Temporal):
    """A time of day without zone."""

    name: ClassVar[str] = "Time"
    first: ClassVar[int] = 3
    digits: ClassVar[tuple[int, ...]] = (2, 4, 6, 9)

    def __str__(self) -> str:
        return clock_text(self.fields, self.fraction)


def date_text(fields: tuple[int, ...]) -> str:
    """Year, month and day as ISO 8601 writes them."""
    return "-".join(f"{field:0{2 if index else 4}}" for index, field in enumerate(fields))


def clock_text(fields: tuple[int, ...], fraction: str) -> str:
    """Hour, minute and second as ISO 8601 writes them."""
    text = ":".join(f"{field:02}" for field in fields)
    return f"{text}.{fraction}" if fraction else text


def offset_text(offset: int | None) -> str:
    """`Z`, `+07:00` or nothing."""
    if offset is None:
        return ""
    if offset == 0:
        return "Z"
    return f"{'-' if offset < 0 else '+'}{abs(offset) // 60:02}:{abs(offset) % 60:02}"


def offset_from(text: str | None) -> int | None:
    """Minutes east of UTC."""
    if text is None:
        return None
    if text == "Z":
        return 0
    minutes = int(text[1:3]) * 60 + int(text[4:6])
    return -minutes if text[0] == "-" else minutes


def fields_from(groups: tuple[str | None, ...], first: int) -> tuple[int, ...] | None:
    """The given fields as numbers; None when one is out of its range."""
    fields = tuple(int(group) for group in groups if group is not None)
    for value, (low, high) in zip(fields, LIMITS[first:], strict=False):
        if not low <= value <= high:
            return None
    if first == 0 and len(fields) > 2 and fields[2] > monthrange(fields[0], fields[1])[1]:
        return None
    return fields


@lru_cache(maxsize=8192)
def parse_date(text: str) -> Date | None:
    """Read `2012-04`; None when the text is not a date."""
    match = DATE.match(text)
    fields = fields_from(match.groups(), 0) if match else None
    return Date(fields) if fields else None


@lru_cache(maxsize=8192)
def parse_date_time(text: str) -> DateTime | None:
    """Read `2012-04-15T10:30:00+07:00` or any shorter form; None when the text is not a dateTime."""
    match = DATE_TIME.match(text)
    if match is None:
        return None
    *groups, fraction, zone = match.groups()
    fields = fields_from(tuple(groups), 0)
    offset = offset_from(zone)
    if fields is None or abs(offset or 0) > MOST_POSITIVE_OFFSET:
        return None
    return DateTime(fields, fraction or "", offset)


@lru_cache(maxsize=1024)
def parse_time(text: str) -> Time | None:
    """Read `10:30`; None when the text is not a time."""
    match = TIME.match(text)
    fields = fields_from(match.groups()[:3], 3) if match else None
    return Time(fields, (match and match.group(4)) or "") if fields is not None else None


def from_clock(moment: datetime) -> DateTime:
    """A dateTime with milliseconds from a clock that knows its zone."""
    shift = moment.utcoffset()
    offset = None if shift is None else int(shift.total_seconds() // 60)
    fields = (moment.year, moment.month, moment.day, moment.hour, moment.minute, moment.second)
    return DateTime(fields, f"{moment.microsecond // 1000:03}", offset)


def shifted(value: Temporal, minutes: int) -> Temporal:
    """The same wall-clock precision, `minutes` later, with no zone but UTC."""
    year, month, day, hour, minute, *rest = value.fields + LOWEST[len(value.fields) :]
    days, remainder = divmod(hour * 60 + minute + minutes, 1440)
    if days:
        try:
            moved = date(year, month, day) + timedelta(days=days)
        except OverflowError:
            return value
        year, month, day = moved.year, moved.month, moved.day
    fields = (year, month, day, remainder // 60, remainder % 60, *rest)
    return replace(value, fields=fields[: max(len(value.fields), 5 if minutes % 60 else 0)], offset=0)


def compare(left: Temporal, right: Temporal) -> int | None:
    """-1, 0 or 1; None when precision or a missing zone leave it open, or the kinds are not comparable."""
    if left.first != right.first:
        return None
    if left.has_time and right.has_time and left.first == 0 and (left.offset is None) != (right.offset is None):
        return compare_floating(left, right)
    return compare_fields(left.in_utc(), right.in_utc())


def compare_fields(left: Temporal, right: Temporal) -> int | None:
    """Field by field from the coarsest; seconds and fractions count as one."""
    for one, other in zip(left.fields, right.fields, strict=False):
        if one != other:
            return -1 if one < other else 1
    if len(left.fields) != len(right.fields):
        return None
    one_fraction, other_fraction = left.fraction.rstrip("0"), right.fraction.rstrip("0")
    if one_fraction == other_fraction:
        return 0
    return -1 if one_fraction < other_fraction else 1


def compare_floating(left: Temporal, right: Temporal) -> int | None:
    """Compare where one side has no zone: decided only when every zone gives the same answer."""
    if left.offset is None:
        outcomes = {compare_fields(zoned(left, o).in_utc(), right.in_utc()) for o in EXTREME_OFFSETS}
    else:
        outcomes = {compare_fields(left.in_utc(), zoned(right, o).in_utc()) for o in EXTREME_OFFSETS}
    return outcomes.pop() if len(outcomes) == 1 else None


EXTREME_OFFSETS = (MOST_POSITIVE_OFFSET, MOST_NEGATIVE_OFFSET)


def zoned(value: Temporal, offset: int) -> Temporal:
    """The value read in a zone."""
    return replace(value, offset=offset)


def equal(left: Temporal, right: Temporal) -> bool | None:
    """True, False, or None when precision leaves it open; a date never equals a time."""
    if left.first != right.first:
        return False
    order = compare(left, right)
    return None if order is None else order == 0


def equivalent(left: Temporal, right: Temporal) -> bool:
    """Equal, with different precision counting as different."""
    return equal(left, right) is True


def key(value: Temporal) -> tuple[object, ...]:
    """Equal for equal moments of the same precision, so that sets can hold them."""
    utc = value.in_utc()
    return ("temporal", value.first, utc.fields, utc.fraction.rstrip("0"), value.offset is None)


# --- arithmetic ---------------------------------------------------------------------------------------------------


def add(value: Temporal, amount: Decimal, unit: str) -> Temporal | None:
    """The value moved by a time-valued quantity; None when no such date exists."""
    name = CALENDAR_UNITS.get(unit) or UCUM_DURATIONS.get(unit)
    if name is None:
        raise FHIRPathError(f"A {value.name} cannot be moved by '{unit}': expected a calendar unit such as day")
    if isinstance(value, Time):
        return add_to_time(value, amount, name)
    if isinstance(value, Date) and UNIT_LEVEL[name] > 3:
        raise FHIRPathError(f"A Date cannot be moved by {name}s: expected years, months, weeks or days")
    if UNIT_LEVEL[name] < 6:
        amount = Decimal(int(amount))
    try:
        return move(value, amount, name)
    except (OverflowError, ValueError, ArithmeticError):
        return None


def move(value: Temporal, amount: Decimal, unit: str) -> Temporal:
    """Move a date or dateTime; a unit finer than its precision is first brought to that precision."""
    level = len(value.fields)
    if unit == "year" or (unit == "month" and level == 1):
        return move_months(value, int(amount) * 12 if unit == "year" else int(int(amount) / 12) * 12)
    if unit == "month":
        return move_months(value, int(amount))
    seconds = amount * UNIT_SECONDS[unit]
    days = int(seconds / 86400)
    if level == 1:
        return move_months(value, int(days / DAYS_IN_YEAR) * 12)
    if level == 2:
        return move_months(value, int(days / DAYS_IN_MONTH))
    if level == 3:
        moved = date(*value.fields) + timedelta(days=days)
        return replace(value, fields=(moved.year, moved.month, moved.day))
    return move_seconds(value, seconds)


def move_months(value: Temporal, months: int) -> Temporal:
    """Move by calendar months; a day that the month lacks becomes its last."""
    year, month, day, *rest = value.fields + LOWEST[len(value.fields) :]
    total = year * 12 + month - 1 + months
    year, month = divmod(total, 12)
    month += 1
    if not 1 <= year <= 9999:
        raise OverflowError(year)
    day = min(day, monthrange(year, month)[1])
    fields = (year, month, day, *rest)
    return replace(value, fields=fields[: len(value.fields)])


def move_seconds(value: Temporal, seconds: Decimal) -> Temporal:
    """Move a dateTime that has a time, truncating to its precision."""
    step = (Decimal(3600), Decimal(60), Decimal(1))[len(value.fields) - 4]
    if not value.fraction:
        seconds = int(seconds / step) * step
    year, month, day, hour, minute, second = value.fields + LOWEST[len(value.fields) :]
    within = Decimal(hour * 3600 + minute * 60 + second) + Decimal(f"0.{value.fraction or 0}") + seconds
    days, rest = divmod_floor(within, 86400)
    moved = date(year, month, day) + timedelta(days=days)
    fields = (moved.year, moved.month, moved.day, *clock_fields(rest))
    return replace(value, fields=fields[: len(value.fields)], fraction=fraction_of(rest, value.fraction))


def add_to_time(value: Time, amount: Decimal, unit: str) -> Time:
    """Move a time of day; it wraps at midnight."""
    if UNIT_LEVEL[unit] < 4:
        raise FHIRPathError(f"A Time cannot be moved by {unit}s: expected hours, minutes, seconds or milliseconds")
    if UNIT_LEVEL[unit] < 6:
        amount = Decimal(int(amount))
    seconds = amount * UNIT_SECONDS[unit]
    step = (Decimal(3600), Decimal(60), Decimal(1))[len(value.fields) - 1]
    if not value.fraction:
        seconds = int(seconds / step) * step
    hour, minute, second = value.fields + (0, 0, 0)[len(value.fields) :]
    within = Decimal(hour * 3600 + minute * 60 + second) + Decimal(f"0.{value.fraction or 0}") + seconds
    _, rest = divmod_floor(within, 86400)
    return replace(value, fields=clock_fields(rest)[: len(value.fields)], fraction=fraction_of(rest, value.fraction))


def divmod_floor(value: Decimal, step: int) -> tuple[int, Decimal]:
    """Quotient rounded down, and what is left, never negative."""
    whole = int(value // step)
    rest = value - whole * step
    return (whole - 1, rest + step) if rest < 0 else (whole, rest)


def clock_fields(seconds: Decimal) -> tuple[int, int, int]:
    """Hour, minute and second of a number of seconds since midnight."""
    whole = int(seconds)
    return whole // 3600, whole // 60 % 60, whole % 60


def fraction_of(seconds: Decimal, like: str) -> str:
    """The digits after the point, as many as the example has."""
    if not like:
        return ""
    return f"{seconds % 1:.{max(len(like), 3) + 3}f}"[2 : 2 + len(like)]


# --- boundaries ---------------------------------------------------------------------------------------------------


def boundary(value: Temporal, digits: int | None, *, high: bool) -> Temporal | None:
    """The earliest or latest value that the given precision covers, to so many digits (None: the finest)."""
    digits = value.digits[-1] if digits is None else digits
    if digits not in value.digits:
        return None
    level = value.digits.index(digits)
    wants_fraction = digits > 14 or (isinstance(value, Time) and digits == 9)
    count = level if wants_fraction else level + 1
    fields = list(value.fields[:count])
    while len(fields) < count:
        fields.append(bound_field(fields, value.first + len(fields), high=high))
    fraction = (value.fraction + ("999" if high else "000")[len(value.fraction) :]) if wants_fraction else ""
    offset = value.offset if value.first + count > 3 else None
    if isinstance(value, DateTime) and count > 3 and offset is None:
        offset = MOST_NEGATIVE_OFFSET if high else MOST_POSITIVE_OFFSET
    return replace(value, fields=tuple(fields), fraction=fraction, offset=offset)


def bound_field(fields: list[int], level: int, *, high: bool) -> int:
    """The lowest or highest value of the next field after these."""
    if not high:
        return LOWEST[level]
    return monthrange(fields[0], fields[1])[1] if level == 2 else (9999, 12, 31, 23, 59, 59)[level]

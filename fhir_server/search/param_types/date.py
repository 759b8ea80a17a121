"""Index rows of date parameters: the range that a date covers, in milliseconds (FHIR R4, 3.1.1.4.7 date)."""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, tzinfo
from typing import Any

from fhir_server.search.leaf import Leaf, Span, Write
from fhir_server.search.row import LONGEST_RANGE, UNKNOWN_END, UNKNOWN_START, Memo, Range, Rows

SECOND = 1000
MINUTE = 60 * SECOND
DAY = 86_400 * SECOND
FIRST_DAY, LAST_DAY = date(1970, 1, 1).toordinal(), date.max.toordinal()
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
YEAR_LENGTH, MONTH_LENGTH, DAY_LENGTH = len("2026"), len("2026-11"), len("2026-11-23")


def span_in(zone: tzinfo) -> Span:
    """What reads dates of any precision; one without a zone is read in `zone`.

    The span is [first, after last): a year, month or day of the zone, a minute, a second, or the fraction that was
    written, down to a millisecond. ValueError for text that is no date.
    """
    known, calendar = Memo(16384), Calendar(zone)

    def span(text: str) -> tuple[int, int]:
        found: tuple[int, int] | None = known.get(text)
        if found is None:
            found = calendar.partial_span(text) if len(text) <= DAY_LENGTH else moment_span(text, zone)
            known.keep(text, found)
        return found

    return span


class Calendar:
    """The days of a time zone."""

    def __init__(self, zone: tzinfo) -> None:
        self.zone = zone
        self._starts = Memo(16384)

    def start(self, ordinal: int) -> int:
        """The first millisecond of a day, by its number; the day after the last of all is 24 hours long."""
        found: int | None = self._starts.get(ordinal)
        if found is None:
            day = date.fromordinal(min(ordinal, LAST_DAY))
            offset = datetime(day.year, day.month, day.day, tzinfo=self.zone).utcoffset()
            assert offset is not None
            seconds = offset.days * 86_400 + offset.seconds
            found = self._starts.keep(ordinal, (ordinal - FIRST_DAY) * DAY - seconds * SECOND)
        return found

    def partial_span(self, text: str) -> tuple[int, int]:
        """The span of a year, month or day."""
        year = int(text[:4])
        if len(text) == YEAR_LENGTH:
            first, after = date(year, 1, 1).toordinal(), date(year, 12, 31).toordinal() + 1
        elif len(text) == MONTH_LENGTH:
            month = int(text[5:7])
            first = date(year, month, 1).toordinal()
            after = first + monthrange(year, month)[1]
        elif len(text) == DAY_LENGTH:
            first = date(year, int(text[5:7]), int(text[8:])).toordinal()
            after = first + 1
        else:
            raise ValueError(text)
        return self.start(first), self.start(after)


def moment_span(text: str, zone: tzinfo) -> tuple[int, int]:
    """The span of a date with a time; ISO 8601 has forms of dates that FHIR has not."""
    if text[4:8:3] != "--" or text[10] != "T":
        raise ValueError(text)
    leap = SECOND if text[17:19] == "60" else 0
    moment = datetime.fromisoformat(text[:17] + "59" + text[19:] if leap else text)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=zone)
    gone = moment - EPOCH
    start = gone.days * DAY + gone.seconds * SECOND + gone.microseconds // 1000 + leap
    if text[19:20] == ".":
        return start, start + fraction_width(text)
    return start, start + (SECOND if text[16:17] == ":" else MINUTE)


def fraction_width(text: str) -> int:
    """The milliseconds that a fraction of a second stands for by its digits."""
    if text[21:22].isdigit():
        return 1 if text[22:23].isdigit() else 10
    return 100


def moment_writer(leaf: Leaf) -> Write:
    """Date or dateTime: the range of its precision."""
    span, numbers = leaf.context.span, [number + Range.RANGE for number in leaf.numbers]

    def write(value: Any, rows: Rows, resource: Any) -> None:
        start, end = span(value)
        for number in numbers:
            rows.append((number, start, end))
        if end - start > LONGEST_RANGE:
            rows += [(number + Range.LONG, start, end) for number in numbers]

    return write


def instant_writer(leaf: Leaf) -> Write:
    """Instant: a point in time, whatever digits it was written with."""
    span, numbers = leaf.context.span, [number + Range.RANGE for number in leaf.numbers]

    def write(value: Any, rows: Rows, resource: Any) -> None:
        start = span(value)[0]
        for number in numbers:
            rows.append((number, start, start + 1))

    return write


def ranges_writer(ranges: Callable[[Any, Span], tuple[int, int] | None]) -> Callable[[Leaf], Write]:
    """What makes the writer of an object that covers one range."""

    def make(leaf: Leaf) -> Write:
        span, numbers = leaf.context.span, [number + Range.RANGE for number in leaf.numbers]

        def write(value: Any, rows: Rows, resource: Any) -> None:
            found = ranges(value, span)
            if found is not None:
                rows += [(number, *found) for number in numbers]
                if found[1] - found[0] > LONGEST_RANGE:
                    rows += [(number + Range.LONG, *found) for number in numbers]

        return write

    return make


def period_range(value: Mapping[str, Any], span: Span) -> tuple[int, int] | None:
    """From the start to the end, either perhaps unknown; None without both."""
    start, end = value.get("start"), value.get("end")
    if start is None and end is None:
        return None
    return span(start)[0] if start is not None else UNKNOWN_START, span(end)[1] if end is not None else UNKNOWN_END


def timing_range(value: Mapping[str, Any], span: Span) -> tuple[int, int] | None:
    """The outer limits of its events and bounds."""
    spans = [span(event) for event in value.get("event") or () if event is not None]
    bounds = (value.get("repeat") or {}).get("boundsPeriod")
    bounded = period_range(bounds, span) if bounds is not None else None
    if bounded is not None:
        spans.append(bounded)
    return (min(s[0] for s in spans), max(s[1] for s in spans)) if spans else None


WRITERS = {
    "date": moment_writer,
    "dateTime": moment_writer,
    "instant": instant_writer,
    "Period": ranges_writer(period_range),
    "Timing": ranges_writer(timing_range),
}

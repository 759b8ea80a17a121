"""Values of date parameters: `2024`, `ge2024-05-01`, `lt2024-05-01T08:00:00+07:00` (FHIR R4, 3.1.1.4.7 date)."""

from __future__ import annotations

import re
from functools import partial

from fhir_server.search.plan import Row, Test
from fhir_server.search.prefix import PREFIXES, Prefix, parted
from fhir_server.search.question import Form, Question, Rows, Unreadable
from fhir_server.search.row import LONGEST_RANGE, Range

DATE = re.compile(
    r"\d{4}(-\d\d(-\d\d(T\d\d:\d\d(:\d\d(\.\d{1,9})?)?(Z|[+-]\d\d:\d\d)?)?)?)?",
    re.ASCII,
)
MOMENTS = frozenset({"date", "dateTime", "instant"})
LONGEST_MOMENT = 367 * 86_400_000
"""No date is longer than a leap year, whose ends may lie in different offsets of the zone."""


def span(text: str, question: Question) -> tuple[int, int]:
    """The first millisecond of a date and the one after its last.

    A space is taken for the plus sign that it was before a URL was decoded.
    """
    written = text.replace(" ", "+") if text[-6:-5] == " " else text
    if DATE.fullmatch(written):
        try:
            return question.context.span(written)
        except (ValueError, OverflowError):
            pass
    raise Unreadable(f"{text[:64]!r} is not a date; write one such as 2024, 2024-05-31 or 2024-05-31T08:00:00+07:00")


def widened(start: int, stop: int, now: int) -> tuple[int, int]:
    """The span and a tenth of the time between it and now, on either side."""
    tenth = max(start - now, now - stop, 0) // 10
    return start - tenth, stop + tenth


def compared(text: str, question: Question, prefix: str) -> Rows:
    """The rows [v, x) that stand to a date as the prefix says; `po` asks for any overlap.

    What a test of x implies for v is said as well, since an index is ordered by v.
    """
    start, stop = span(text, question)
    match prefix:
        case "eq":
            return (row(Test("v", ">=", start), Test("v", "<", stop), Test("x", "<=", stop)),)
        case "ne":
            return (row(Test("v", "<", start)), *ending_after(stop, question))
        case "gt":
            return ending_after(stop, question)
        case "ge":
            return ending_after(start, question)
        case "lt":
            return (row(Test("v", "<", start)),)
        case "le":
            return (row(Test("v", "<", stop)),)
        case "sa":
            return (row(Test("v", ">=", stop)),)
        case "eb":
            return (row(Test("v", "<", start), Test("x", "<=", start)),)
        case "ap":
            start, stop = widened(start, stop, question.now)
    return ending_after(start, question, Test("v", "<", stop))


def row(*tests: Test) -> Row:
    """A range that passes tests."""
    return Row(Range.RANGE, tests)


def ending_after(moment: int, question: Question, *more: Test) -> tuple[Row, ...]:
    """Ranges that go on after a moment: they begin not long before it, or are long."""
    late = Test("x", ">", moment)
    if question.is_part:
        return (row(*more, late),)
    if question.kinds is not None and question.kinds <= MOMENTS:
        return (row(*more, Test("v", ">", moment - LONGEST_MOMENT), late),)
    return row(*more, Test("v", ">", moment - LONGEST_RANGE), late), Row(Range.LONG, (*more, late))


def read(text: str, question: Question) -> Rows:
    """A date with its prefix."""
    prefix, rest = parted(text)
    return compared(rest, question, prefix)


def updated(text: str, question: Question, prefix: Prefix | None = None) -> tuple[tuple[int | None, int | None], ...]:
    """The ranges [low, high) of moments, in alternatives, that stand to a date as its prefix says."""
    if prefix is None:
        prefix, text = parted(text)
    start, stop = span(text, question)
    match prefix:
        case "eq":
            return ((start, stop),)
        case "ne":
            return ((None, start), (stop, None))
        case "gt" | "sa":
            return ((stop, None),)
        case "ge":
            return ((start, None),)
        case "lt" | "eb":
            return ((None, start),)
        case "le":
            return ((None, stop),)
        case "ap":
            return (widened(start, stop, question.now),)


FORMS = {"": Form(read)}
OPERATORS: dict[str, Form] = {prefix: Form(partial(compared, prefix=prefix)) for prefix in (*PREFIXES, "po")}

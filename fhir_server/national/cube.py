"""The counts of all months and provinces in memory, as stored MeasureReports tell them, and questions to them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from fhir_server.errors import Invalid, Issue
from fhir_server.national.disclosure import RULES, Rule, masked_keys
from fhir_server.national.division import provinces
from fhir_server.national.indicator import BY_ID, Indicator
from fhir_server.national.measure_report import counted_in, heading_of
from fhir_server.national.stratum import Count, Counted

MONTH, PROVINCE = "month", "province"
MOST_YEARS = 10
STOCKS = frozenset({"T1", "T12", "W1"})
"""What does not add up over months: the last of those asked for counts."""

Json = dict[str, Any]
Key = tuple[str, str]
Body = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Entry:
    """What a province told of a month."""

    month: str
    province: str
    date: str
    counted: Counted


@dataclass(frozen=True, slots=True)
class Question:
    """Counts of an indicator by one or two of month, province and a dimension; of some provinces, or all of them."""

    indicator: Indicator
    first: str
    last: str
    by: tuple[str, ...]
    provinces: frozenset[str] = frozenset()

    @property
    def dimension(self) -> str:
        """What it is asked by beside month and province; empty where it is nothing else."""
        return next((each for each in self.by if each not in (MONTH, PROVINCE)), "")

    def units(self) -> frozenset[str]:
        """What is counted together in one number: the months and the provinces, where it is not asked by them."""
        together = set() if PROVINCE in self.by else set(self.provinces or provinces())
        return frozenset(together if MONTH in self.by else {*together, *months(self)})


@dataclass(slots=True)
class Cube:
    """What is known; `seen` is the place of the last version of a MeasureReport that was looked at."""

    seen: int = 0
    keys: dict[str, tuple[str, str, str]] = field(default_factory=dict)
    entries: dict[tuple[str, str, str], Entry] = field(default_factory=dict)

    def take(self, name: str, body: Body | None) -> None:
        """Learn the MeasureReport of an id: of a whole month, for the ministry, on today's map. None is one deleted."""
        self.entries.pop(self.keys.pop(name, ("", "", "")), None)
        heading = None if body is None else heading_of(body)
        if body is None or heading is None or (heading.audience, heading.map) != ("ministry", "today"):
            return
        month = heading.first[:7]
        if heading.last[:7] == month and heading.first.endswith("-01"):
            key = self.keys[name] = (heading.indicator, month, heading.province)
            self.entries[key] = Entry(month, heading.province, str(body.get("date", "")), counted_in(body))

    def of(self, indicator: str) -> list[Entry]:
        """What was told of an indicator, by month and province."""
        return [entry for key, entry in sorted(self.entries.items()) if key[0] == indicator]


def months(question: Question) -> list[str]:
    """Return the months of a question."""
    year, month = int(question.first[:4]), int(question.first[5:])
    found = []
    while (named := f"{year}-{month:02}") <= question.last:
        found.append(named)
        year, month = (year, month + 1) if month < 12 else (year + 1, 1)
    return found


def figures(cube: Cube, question: Question, rule: Rule) -> list[Json]:
    """Return the counts that answer a question, with what the audience may not see masked."""
    cells: dict[Key, Count] = {}
    for entry in chosen(cube, question):
        for value, count in parts_of(entry.counted, question.dimension):
            key = key_of(question, entry, value)
            if count is not None:
                cells[key] = added(cells.get(key), count)
    hidden = hidden_of(cells, rule)
    return [
        {**dict(zip(question.by, key, strict=False)), **_told(None if key in hidden else count, rule)}
        for key, count in sorted(cells.items())
    ]


def chosen(cube: Cube, question: Question) -> list[Entry]:
    """Return what was told of the months and provinces of a question."""
    found = [
        entry for entry in cube.of(question.indicator.id)
        if question.first <= entry.month <= question.last
        and (not question.provinces or entry.province in question.provinces)
    ]  # fmt: skip
    if question.indicator.id in STOCKS and MONTH not in question.by and found:
        newest: dict[str, Entry] = {entry.province: entry for entry in found}
        return list(newest.values())
    return found


def parts_of(counted: Counted, dimension: str) -> list[tuple[str, Count | None]]:
    """Return the counts by a dimension, or the one in all."""
    return list(counted.strata.get(dimension, {}).items()) if dimension else [("", counted.total)]


def key_of(question: Question, entry: Entry, value: str) -> Key:
    """Return the place of a count in the table."""
    named = {MONTH: entry.month, PROVINCE: entry.province}
    parts = [named.get(each, value) for each in question.by]
    return parts[0], parts[1] if len(parts) > 1 else "all"


def added(one: Count | None, other: Count) -> Count:
    """Return the sum of two counts; of medians, their mean by the size of what they are of."""
    if one is None:
        return other
    whole = None
    if one.denominator is not None and other.denominator is not None:
        whole = one.denominator + other.denominator
    measured = [(each.minutes, max(1, each.numerator)) for each in (one, other) if each.minutes is not None]
    weight = sum(size for _, size in measured)
    minutes = round(sum(value * size for value, size in measured) / weight, 1) if weight else None
    return Count(one.numerator + other.numerator, whole, minutes)


def hidden_of(cells: Mapping[Key, Count], rule: Rule) -> set[Key]:
    """Return the places that are masked, as small or so that a small one cannot be recomputed from the margins."""
    if rule.threshold == 0 or not cells:
        return set()
    hidden = {key for key, count in cells.items() if count.denominator is not None and _is_close(count, rule)}
    for table in (
        {key: count.numerator for key, count in cells.items() if count.numerator},
        {key: count.denominator for key, count in cells.items() if count.denominator},
    ):
        hidden |= {key for key in masked_keys(table, rule.threshold, hidden) if key in cells}
    return hidden


def _is_close(count: Count, rule: Rule) -> bool:
    return 0 < (count.denominator or 0) - count.numerator < rule.threshold


def _told(count: Count | None, rule: Rule) -> Json:
    if count is None:
        return {"masked": True}
    told: Json = {"numerator": rule.rounded(count.numerator)}
    if count.denominator is not None:
        told["denominator"] = rule.rounded(count.denominator)
    return told if count.minutes is None else {**told, "minutes": count.minutes}


def question_of(asked: Mapping[str, str]) -> Question:
    """Return what the parameters of a request ask for; raise Invalid."""
    indicator = BY_ID.get(asked.get("indicator", ""))
    if indicator is None:
        raise _unfit("indicator", f"indicator is one of {', '.join(BY_ID)}.")
    first, last = asked.get("from", ""), asked.get("to", "") or asked.get("from", "")
    if not (is_month(first) and is_month(last)) or not first <= last or int(last[:4]) - int(first[:4]) > MOST_YEARS:
        raise _unfit("from", f"from and to are months such as 2026-03, {MOST_YEARS} years apart at most.")
    by = tuple(filter(None, asked.get("by", MONTH).split(",")))
    known = (MONTH, PROVINCE, *indicator.dimensions)
    if not 1 <= len(set(by)) == len(by) <= 2 or not set(by) <= set(known):
        raise _unfit("by", f"by is one or two of {', '.join(dict.fromkeys(known))}.")
    if len(set(by) - {MONTH, PROVINCE}) > 1:
        raise _unfit("by", "Two dimensions together are not in the reports: one of them goes with month or province.")
    return Question(indicator, first, last, by, frozenset(filter(None, asked.get(PROVINCE, "").split(","))))


def is_month(text: str) -> bool:
    """Whether a text is a month, such as 2026-03."""
    return len(text) == 7 and text[4] == "-" and text.replace("-", "").isdecimal() and "01" <= text[5:] <= "12"


def rule_of(audience: str) -> Rule:
    """Return the rule of an audience; raise Invalid."""
    if audience not in RULES:
        raise _unfit("audience", f"audience is one of {', '.join(RULES)}.")
    return RULES[audience]


def _unfit(name: str, text: str) -> Invalid:
    return Invalid(Issue("error", "value", text, (name,)))

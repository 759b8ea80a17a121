"""A search for studies, series or instances, read from the parameters of a URL (PS3.18, 8.3.4 and 10.6)."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from dicom_bridge.attribute import ATTRIBUTES, BY_NAME, LEVELS, Attribute, Level
from fhir_server.errors import Invalid, InvalidValue
from fhir_server.part import Part
from fhir_server.rest.failure import nearest

DEFAULT_LIMIT = 100
MOST_ANSWERS = 1_000
LONGEST_VALUE = 8_000
CONTROLS = ("limit", "offset", "includefield", "fuzzymatching", "includemandatory")

IS_DATE = re.compile(r"\d{8}").fullmatch
IS_TIME = re.compile(r"\d{2}(\d{2}(\d{2}(\.\d{1,6})?)?)?").fullmatch
IS_UID = re.compile(r"[0-9]+(\.[0-9]+)*").fullmatch
IS_TAG = re.compile(r"[0-9A-Fa-f]{8}").fullmatch
LONGEST_UID = 64
TAG_OF: Part[Callable[[str], str]] = Part("dicom_bridge.data_set:tag_of")
"""What knows the keywords of all attributes, and takes pydicom along."""


@dataclass(frozen=True, slots=True)
class Condition:
    """What an attribute must be: one of `values`, which may hold wildcards, or in the range from `low` to `high`."""

    attribute: Attribute
    values: tuple[str, ...] = ()
    low: str = ""
    high: str = ""


@dataclass(frozen=True, slots=True)
class Question:
    """A search on a level; `fields` are the tags of what answers hold beside what they always do ("all": everything).

    `notes` say what was asked for and is not done so.
    """

    level: Level
    conditions: tuple[Condition, ...] = ()
    fields: frozenset[str] = frozenset()
    limit: int = DEFAULT_LIMIT
    offset: int = 0
    notes: tuple[str, ...] = ()


def question(level: Level, pairs: Sequence[tuple[str, str]], within: Sequence[tuple[str, str]] = ()) -> Question:
    """Return the search that parameters ask for, below the UIDs of the path; raise Invalid for what is none of them."""
    conditions: list[Condition] = []
    fields: set[str] = set()
    numbers = {"limit": DEFAULT_LIMIT, "offset": 0}
    notes: list[str] = []
    for name, value in (*within, *pairs):
        if len(value) > LONGEST_VALUE:
            raise InvalidValue(f"{name[:40]} is longer than {LONGEST_VALUE:,} characters.")
        if name in numbers:
            numbers[name] = _count(name, value)
        elif name == "includefield":
            fields.update(_field(each) for each in value.split(",") if each)
        elif name == "fuzzymatching":
            if value == "true":
                notes.append("Names are found without accents and case, and not otherwise fuzzily.")
        elif name != "includemandatory":
            found = condition(_matched(level, name), value)
            if found is not None:
                conditions.append(found)
    if numbers["limit"] > MOST_ANSWERS:
        numbers["limit"] = MOST_ANSWERS
        notes.append(f"There are {MOST_ANSWERS:,} answers at most; go on with offset.")
    return Question(level, tuple(conditions), frozenset(fields), numbers["limit"], numbers["offset"], tuple(notes))


def _matched(level: Level, name: str) -> Attribute:
    """The attribute of a parameter, which is a keyword or a tag; of this level or one above."""
    attribute = BY_NAME.get(name) or BY_NAME.get(name.upper())
    reached = LEVELS[: LEVELS.index(level) + 1]
    known = [each.keyword for each in ATTRIBUTES if each.is_matched and each.level in reached]
    if attribute is None or attribute.keyword not in known:
        what = f"{name[:60]!r} is nothing that {'studies' if level == 'study' else level} can be searched by."
        raise Invalid(f"{what}{nearest(name, (*known, *CONTROLS))}")
    return attribute


def _field(name: str) -> str:
    if name == "all" or IS_TAG(name):
        return name.upper() if name != "all" else name
    tag = TAG_OF.load()(name)
    if not tag:
        raise Invalid(f"includefield={name[:60]!r} is no attribute of DICOM.")
    return tag


def _count(name: str, value: str) -> int:
    if not (value.isascii() and value.isdigit() and len(value) < 16):
        raise InvalidValue(f"{name}={value[:40]!r} is no number.")
    return int(value)


def condition(attribute: Attribute, value: str) -> Condition | None:
    """Return what a value asks of an attribute, None for nothing; raise InvalidValue where it is none of its kind."""
    if value.strip("* ") == "" and attribute.kind != "uid":
        return None
    if attribute.kind in ("date", "time"):
        return _span(attribute, value)
    separated = attribute.kind in ("uid", "modalities", "code", "number")
    values = tuple(part for part in re.split(r"[\\,]", value) if part) if separated else (value,)
    for each in values:
        if attribute.kind == "uid" and not is_uid(each):
            raise InvalidValue(f"{attribute.keyword}={each[:80]!r} is no UID.")
        if attribute.kind == "number":
            _count(attribute.keyword, each)
    return Condition(attribute, values) if values else None


def _span(attribute: Attribute, value: str) -> Condition:
    is_sound = IS_DATE if attribute.kind == "date" else IS_TIME
    low, dash, high = (part.replace(":", "") for part in value.strip().partition("-"))
    if not all(is_sound(part) for part in (low, high) if part) or not (low or high):
        form = "YYYYMMDD" if attribute.kind == "date" else "HHMMSS"
        raise InvalidValue(f"{attribute.keyword}={value[:40]!r} is neither {form} nor a range {form}-{form}.")
    return Condition(attribute, low=low, high=high if dash else low)


def is_uid(text: str) -> bool:
    """Whether a text is a UID (PS3.5, 9.1); zeros that lead a component are let pass, as many devices write them."""
    return len(text) <= LONGEST_UID and IS_UID(text) is not None

"""Looking at images together: who presents, which study, how it is shown, pointers, marks (FHIRcast 3.0 in idea).

The state is a value, each event makes the next. A study that is open is FHIRcast's context, with a version that changes
whenever it does; what is drawn on it is its content: so a hub can be put on it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import orjson

from fhir_server.errors import Conflict, Forbidden, Invalid

Json = dict[str, Any]

IS_UID = re.compile(r"[0-9]+(\.[0-9]+)*").fullmatch
IS_ID = re.compile(r"[A-Za-z0-9\-]{1,64}").fullmatch
MOST_MARKS = 500
MOST_POINTS = 500
LONGEST_TEXT = 500
LONGEST_UID = 64
SHAPES = frozenset({"length", "arrow", "ellipse", "rectangle", "polyline", "text", "angle", "point"})


@dataclass(frozen=True, slots=True)
class Review:
    """What is looked at. `version` counts changes of everything but pointers, which are told and not kept."""

    version: int = 0
    presenter: str = ""
    study: str = ""
    viewport: Mapping[str, Any] = field(default_factory=dict)
    window: Mapping[str, Any] = field(default_factory=dict)
    marks: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def told(self) -> Json:
        """The state as viewers are told it."""
        return {
            "version": self.version,
            "presenter": self.presenter or None,
            "study": self.study or None,
            "viewport": dict(self.viewport) or None,
            "window": dict(self.window) or None,
            "annotations": [dict(each) for each in self.marks.values()],
        }

    def hidden(self) -> Json:
        """The state as who may not see the study is told it: that there is one."""
        return {**Review(self.version, self.presenter).told(), "hidden": bool(self.study)}


@dataclass(frozen=True, slots=True)
class By:
    """Who sends an event: a participant, whether they may present, and whether they may moderate."""

    id: str
    name: str
    may_present: bool
    may_moderate: bool


def apply(review: Review, by: By, event: Mapping[str, Any], new_id: str) -> Review:
    """The review after an event; raise Invalid for what is none, Forbidden for who may not, Conflict."""
    kind = event.get("type")
    made = EVENTS.get(kind) if isinstance(kind, str) else None
    if made is None:
        raise Invalid(f"A review has events of the types {', '.join(sorted(EVENTS))} and cursor.", expression=("type",))
    after = made(review, by, event, new_id)
    return after if after == review else replace(after, version=review.version + 1)


def _present(review: Review, by: By, _event: Mapping[str, Any], _new_id: str) -> Review:
    if not by.may_present:
        raise Forbidden("Your role in this session does not let you present.")
    if review.presenter not in ("", by.id) and not by.may_moderate:
        raise Conflict("Somebody else presents; they, or the host, can hand over.")
    return replace(review, presenter=by.id)


def _yield(review: Review, by: By, _event: Mapping[str, Any], _new_id: str) -> Review:
    if review.presenter != by.id and not by.may_moderate:
        raise Forbidden("You do not present.")
    return replace(review, presenter="")


def _open(review: Review, by: By, event: Mapping[str, Any], _new_id: str) -> Review:
    _presents(review, by)
    study = event.get("study")
    if not isinstance(study, str) or len(study) > LONGEST_UID or IS_UID(study) is None:
        raise Invalid("study must be the UID of a study.", expression=("study",))
    if study == review.study:
        return review
    return replace(review, study=study, viewport={}, window={})


def _close(review: Review, by: By, _event: Mapping[str, Any], _new_id: str) -> Review:
    _presents(review, by)
    return replace(review, study="", viewport={}, window={})


def _viewport(review: Review, by: By, event: Mapping[str, Any], _new_id: str) -> Review:
    _presents(review, by)
    found: Json = {name: _uid(event, name) for name in ("series", "instance") if event.get(name) is not None}
    found |= {name: _number(event, name) for name in NUMBERS if event.get(name) is not None}
    found |= {name: event[name] is True for name in ("flipHorizontal", "flipVertical", "invert") if name in event}
    return replace(review, viewport=found)


NUMBERS = ("frame", "x", "y", "zoom", "rotation")


def _window(review: Review, by: By, event: Mapping[str, Any], _new_id: str) -> Review:
    _presents(review, by)
    return replace(review, window={"center": _number(event, "center"), "width": _number(event, "width")})


def _annotate(review: Review, by: By, event: Mapping[str, Any], new_id: str) -> Review:
    if not by.may_present:
        raise Forbidden("Your role in this session does not let you draw.")
    if not review.study:
        raise Conflict("No study is open to draw on.")
    name = event.get("id", new_id)
    if not isinstance(name, str) or IS_ID(name) is None:
        raise Invalid("id must be up to 64 letters, digits and hyphens.", expression=("id",))
    known = review.marks.get(name)
    if known is not None and known["by"] != by.id:
        raise Forbidden("Somebody else drew this.")
    if known is None and len(review.marks) >= MOST_MARKS:
        raise Conflict(f"There are {MOST_MARKS} annotations; erase some.")
    shape = event.get("shape")
    if not isinstance(shape, str) or shape not in SHAPES:
        raise Invalid(f"shape must be one of: {', '.join(sorted(SHAPES))}.", expression=("shape",))
    mark = {
        "id": name,
        "by": by.id,
        "name": by.name,
        "study": review.study,
        "instance": _uid(event, "instance"),
        "frame": int(_number({"frame": 1, **event}, "frame")),
        "shape": shape,
        "points": _points(event),
        "text": _text(event),
    }
    return replace(review, marks={**review.marks, name: mark})


def _erase(review: Review, by: By, event: Mapping[str, Any], _new_id: str) -> Review:
    name = event.get("id")
    known = review.marks.get(name) if isinstance(name, str) else None
    if known is None:
        raise Conflict("There is no such annotation.")
    if known["by"] != by.id and not by.may_moderate and review.presenter != by.id:
        raise Forbidden("Somebody else drew this.")
    return replace(review, marks={each: mark for each, mark in review.marks.items() if each != name})


EVENTS: Mapping[str, Callable[[Review, By, Mapping[str, Any], str], Review]] = {
    "present": _present,
    "yield": _yield,
    "open": _open,
    "close": _close,
    "viewport": _viewport,
    "window": _window,
    "annotate": _annotate,
    "erase": _erase,
}


def cursor(review: Review, by: By, event: Mapping[str, Any]) -> Json:
    """A pointer of somebody, as it is told; raise Conflict where there is nothing to point at."""
    if not review.study:
        raise Conflict("No study is open to point at.")
    at = {name: _number(event, name) for name in ("x", "y")}
    return {"by": by.id, "name": by.name, "instance": _uid(event, "instance"), **at}


def without(review: Review, participant: str) -> Review:
    """The review when somebody has left: who presented, does so no more."""
    if review.presenter != participant:
        return review
    return replace(review, presenter="", version=review.version + 1)


def review_text(review: Review) -> str:
    """The review as the text that is kept of it."""
    return orjson.dumps(asdict(review)).decode()


def review_in(text: str | None) -> Review:
    """The review that was kept so; an empty one where none was."""
    return Review() if text is None else Review(**orjson.loads(text))


def _presents(review: Review, by: By) -> None:
    if review.presenter != by.id:
        raise Forbidden("Only who presents decides what is shown: send the event present first.")


def _number(event: Mapping[str, Any], name: str) -> float:
    value = event.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 1e9:
        raise Invalid(f"{name} must be a number.", expression=(name,))
    return value


def _uid(event: Mapping[str, Any], name: str) -> str:
    value = event.get(name)
    if not isinstance(value, str) or len(value) > LONGEST_UID or IS_UID(value) is None:
        raise Invalid(f"{name} must be a UID.", expression=(name,))
    return value


def _points(event: Mapping[str, Any]) -> list[list[float]]:
    listed = event.get("points")
    if not isinstance(listed, list) or not 0 < len(listed) <= MOST_POINTS:
        raise Invalid(f"points must be 1 to {MOST_POINTS} pairs of numbers.", expression=("points",))
    found = []
    for each in listed:
        if not isinstance(each, list) or len(each) != 2:
            raise Invalid("A point is a pair of numbers.", expression=("points",))
        found.append([_number({"points": value}, "points") for value in each])
    return found


def _text(event: Mapping[str, Any]) -> str:
    value = event.get("text", "")
    if not isinstance(value, str) or len(value) > LONGEST_TEXT:
        raise Invalid(f"text must be a string of at most {LONGEST_TEXT} characters.", expression=("text",))
    return value

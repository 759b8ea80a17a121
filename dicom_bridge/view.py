"""What a request for a rendered image asks for, read from the parameters of its URL (PS3.18, 8.3.5)."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from dicom_bridge.acceptance import RELATED, ranges_of
from fhir_server.errors import Invalid, InvalidValue, Issue
from fhir_server.rest.failure import NotAcceptable, nearest

MEDIA_TYPES = ("image/jpeg", "image/png")
FUNCTIONS = {"linear": "LINEAR", "linear-exact": "LINEAR_EXACT", "sigmoid": "SIGMOID"}
LARGEST_SIDE = 8_192
THUMBNAIL_SIDE = 128
DEFAULT_QUALITY = 90
NOT_DRAWN = "Nothing is drawn into images here: a viewer draws it over them. Ask without annotation."


@dataclass(frozen=True, slots=True)
class View:
    """How an image is to be shown: `viewport` is width, height, and the part of the image: left, top, width, height.

    An extent of that part that is 0 goes to the image's edge; a negative one turns the image over.
    """

    media_type: str = MEDIA_TYPES[0]
    quality: int = DEFAULT_QUALITY
    window: tuple[float, float, str] | None = None
    viewport: tuple[int, int, float, float, float, float] | None = None

    def as_json(self) -> dict[str, Any]:
        """The same as plain values."""
        return asdict(self)


def view_of(
    pairs: Sequence[tuple[str, str]], accept: str | None, kind: Literal["rendered", "thumbnail"]
) -> tuple[View, bool]:
    """Return how an image is to be shown, and whether as parts; raise Invalid for what is no such parameter."""
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name not in PARAMETERS or (kind == "thumbnail" and name not in ("viewport", "accept")):
            known = PARAMETERS if kind == "rendered" else ("viewport", "accept")
            raise Invalid(f"{name[:40]!r} says nothing about how an image is {kind}.{nearest(name, tuple(known))}")
        field, read = PARAMETERS[name]
        if field in found:
            raise Invalid(f"{name} is asked for twice.")
        found[field] = read(value)
    accepted = found.pop("accept", None) or accept
    if kind == "thumbnail":
        found.setdefault("viewport", (THUMBNAIL_SIDE, THUMBNAIL_SIDE, 0.0, 0.0, 0.0, 0.0))
    media_type, is_parted = media_type_for(accepted)
    return View(media_type=media_type, **{name: each for name, each in found.items() if each is not None}), is_parted


def media_type_for(accept: str | None) -> tuple[str, bool]:
    """Return the media type that an image is answered in, and whether as parts; raise NotAcceptable for others."""
    for each in ranges_of(accept):
        is_related = each.name == RELATED
        wanted = each.parameters.get("type", "*/*").lower() if is_related else each.name
        for media_type in MEDIA_TYPES:
            if wanted in ("*/*", "image/*", "image/", media_type):
                return media_type, is_related
    raise NotAcceptable(
        f"Images are rendered as {' and '.join(MEDIA_TYPES)}; ask for one of these in the header Accept."
    )


def _quality(value: str) -> int:
    if not (value.isascii() and value.isdigit() and 1 <= int(value[:4]) <= 100):
        raise InvalidValue(f"quality={value[:20]!r} is no number from 1 to 100.")
    return int(value)


def _numbers(name: str, value: str, parts: Sequence[str]) -> list[float]:
    try:
        found = [float(each) for each in parts]
    except ValueError:
        found = [math.nan]
    if not all(math.isfinite(each) and abs(each) < 1e9 for each in found):
        raise InvalidValue(f"{name}={value[:60]!r} are no numbers.")
    return found


def _window(value: str) -> tuple[float, float, str]:
    parts = value.split(",")
    if len(parts) != 3 or parts[2].lower() not in FUNCTIONS:
        raise InvalidValue(f"window={value[:60]!r} is not CENTER,WIDTH,FUNCTION; functions are {', '.join(FUNCTIONS)}.")
    center, width = _numbers("window", value, parts[:2])
    function = FUNCTIONS[parts[2].lower()]
    if width <= 0 or (function == "LINEAR" and width < 1):
        raise InvalidValue(f"window={value[:60]!r} has no width: linear takes 1 or more, the others more than 0.")
    return center, width, function


def _viewport(value: str) -> tuple[int, int, float, float, float, float]:
    parts = value.split(",")
    if len(parts) not in (2, 6):
        raise InvalidValue(f"viewport={value[:60]!r} is neither WIDTH,HEIGHT nor that with ,LEFT,TOP,WIDTH,HEIGHT.")
    width, height, *rest = _numbers("viewport", value, [part or "0" for part in parts])
    if width != int(width) or height != int(height) or min(width, height) < 1:
        raise InvalidValue(f"viewport={value[:60]!r}: its width and its height are whole numbers from 1.")
    if max(width, height) > LARGEST_SIDE:
        text = f"viewport={value[:60]!r} is larger than {LARGEST_SIDE:,} by {LARGEST_SIDE:,}."
        raise Invalid(Issue("error", "too-costly", text))
    left, top, part_width, part_height = rest or (0.0, 0.0, 0.0, 0.0)
    if min(left, top) < 0:
        raise InvalidValue(f"viewport={value[:60]!r}: its part of the image begins outside of it.")
    return int(width), int(height), left, top, part_width, part_height


def _accept(value: str) -> str:
    return value


def _annotation(value: str) -> None:
    if value:
        raise InvalidValue(NOT_DRAWN)


def _profile(value: str) -> None:
    if value.lower() not in ("no", ""):
        raise InvalidValue(f"iccprofile={value[:20]!r}: no colour profile is put into images here; ask for no.")


PARAMETERS: Mapping[str, tuple[str, Callable[[str], Any]]] = {
    "accept": ("accept", _accept),
    "annotation": ("annotation", _annotation),
    "quality": ("quality", _quality),
    "viewport": ("viewport", _viewport),
    "window": ("window", _window),
    "iccprofile": ("iccprofile", _profile),
}

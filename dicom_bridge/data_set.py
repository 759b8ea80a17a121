"""Data sets read into DICOM JSON, without the bulk of their data (PS3.18, Annex F)."""

from __future__ import annotations

import math
from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from struct import iter_unpack
from typing import Any, cast

from pydicom.charset import convert_encodings, decode_bytes
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.tag import BaseTag
from pydicom.valuerep import PersonName

from dicom_bridge.dicom_json import BULK, Json, Place

INLINE_BYTES = 1_024
PIXELS = frozenset({"7FE00008", "7FE00009", "7FE00010"})
CHARACTER_SET = 0x00080005
PIXEL_REPRESENTATION = 0x00280103
UTF_8 = "ISO_IR 192"
DEPTH = 64
"""Sequences within sequences; the deepest of the standard's own are some ten."""

NAME_GROUPS = ("Alphabetic", "Ideographic", "Phonetic")
TEXT_DELIMITERS = {0x0D, 0x0A, 0x09, 0x0C}
NAME_DELIMITERS = {0x5E, 0x3D, 0x5C}


class TooDeep(ValueError):
    """Sequences are nested more deeply than anybody has a use for."""


class TooLong(ValueError):
    """An element that is no bulk of data has the length of one."""


def json_of(dataset: Dataset) -> Json:
    """Return a data set as DICOM JSON, its elements in their order; group lengths and group 2 are left out.

    Text is decoded by the character sets of the data set, letters that are none of them as U+FFFD. What is longer than
    INLINE_BYTES, and every pixel, is a BulkDataURI.
    """
    return _dataset_json(dataset, ["iso8859"], (), is_signed=False)


def _dataset_json(dataset: Dataset, encodings: list[str], place: Place, *, is_signed: bool) -> Json:
    if len(place) > 2 * DEPTH:
        raise TooDeep(f"sequences are nested more than {DEPTH} deep")
    encodings = encodings_of(dataset, encodings)
    if PIXEL_REPRESENTATION in dataset:
        is_signed = dataset[PIXEL_REPRESENTATION].value == 1
    found: Json = {}
    for tag in sorted(dataset.keys()):
        if tag.element == 0 or tag.group == 2:
            continue
        key = f"{tag:08X}"
        element = element_as_read(dataset, tag)
        raw_vr = _simple_representation(element)
        if tag == CHARACTER_SET:
            found[key] = {"vr": "CS", "Value": [UTF_8]}
        elif isinstance(element, RawDataElement) and raw_vr:
            if element.value is None and element.length:
                found[key] = _left_aside(raw_vr, (*place, key))
                continue
            little = "<" if element.is_little_endian else ">"
            found[key] = raw_json(raw_vr, element.value or b"", encodings, little, (*place, key))
        else:
            found[key] = _element_json(dataset[tag], encodings, (*place, key), is_signed=is_signed)
    return found


def _left_aside(vr: str, place: Place) -> Json:
    """An element that was too long to be read with the others."""
    if vr not in BYTES:
        raise TooLong(f"the element {place[-1]} is too long for one of its kind")
    return {"vr": vr, "BulkDataURI": f"{BULK}{'/'.join(place)}"}


def element_as_read(dataset: Dataset, tag: BaseTag) -> DataElement | RawDataElement:
    """Return an element, as bytes where nobody has looked at its value yet; without a value where that stays aside."""
    return cast("DataElement | RawDataElement", dataset.get_item(tag, keep_deferred=True))


def _simple_representation(element: DataElement | RawDataElement) -> str:
    """The value representation of what can be told without pydicom; empty for all else: private, ambiguous, sequences.

    Where the file does not say it, the dictionary does (PS3.6).
    """
    vr = element.VR if isinstance(element, RawDataElement) else "SQ"
    if vr in (None, "UN"):
        try:
            vr = dictionary_VR(element.tag)
        except KeyError:
            return ""
    return str(vr) if vr in TEXTS or vr in NUMBERS or vr in BYTES else ""


def encodings_of(dataset: Dataset, inherited: list[str]) -> list[str]:
    """Return the encodings of a data set: of its own character sets, or of those around it (PS3.5, 6.1.2)."""
    if CHARACTER_SET not in dataset:
        return inherited
    element = element_as_read(dataset, BaseTag(CHARACTER_SET))
    if element.value is None:
        return inherited
    value = element.value.decode("ascii", "replace") if isinstance(element.value, bytes) else element.value
    names = value.split("\\") if isinstance(value, str) else list(value)
    try:
        return convert_encodings([name.strip(" \0") for name in names])
    except LookupError:
        return inherited


def raw_json(vr: str, value: bytes, encodings: list[str], little: str, place: Place) -> Json:
    """Return an element as it stands in the file, which has one of the simple value representations."""
    if vr in BYTES:
        return bulk_json(vr, value, place)
    if not value:
        return {"vr": vr}
    if vr in TEXTS:
        values = TEXTS[vr](value, encodings)
    else:
        form, length = NUMBERS[vr]
        found = iter_unpack(little + form, value[: len(value) - len(value) % length])
        values = [f"{each[0]:04X}{each[1]:04X}" if vr == "AT" else finite(each[0]) for each in found]
    return valued(vr, values)


def valued(vr: str, values: Sequence[Any]) -> Json:
    """Return an element with these values, of which empty ones are null (PS3.18, F.2.5)."""
    return {"vr": vr, "Value": list(values)} if any(value is not None for value in values) else {"vr": vr}


def bulk_json(vr: str, value: bytes, place: Place) -> Json:
    """Return bytes: within, or where they are to be had (PS3.18, F.2.6 and F.2.7)."""
    if len(value) > INLINE_BYTES or place[-1] in PIXELS:
        return {"vr": vr, "BulkDataURI": f"{BULK}{'/'.join(place)}"}
    return {"vr": vr, "InlineBinary": b64encode(value).decode()} if value else {"vr": vr}


def decoded(value: bytes, encodings: list[str], delimiters: set[int]) -> str:
    """Return text; with code extensions, the first encoding holds again after each delimiter (PS3.5, 6.1.2.5)."""
    if len(encodings) == 1 or b"\x1b" not in value:
        return value.decode(encodings[0], "replace")
    return str(decode_bytes(value, encodings, delimiters))


def _short(value: bytes, _encodings: list[str]) -> list[str | None]:
    """Codes, dates, times and addresses, which are ASCII."""
    return [part.strip(" \0") or None for part in value.decode("latin-1").split("\\")]


def _text(value: bytes, encodings: list[str]) -> list[str | None]:
    text = decoded(value, encodings, TEXT_DELIMITERS | {0x5C})
    return [part.strip(" \0") or None for part in text.split("\\")]


def _long_text(value: bytes, encodings: list[str]) -> list[str | None]:
    """A text in which a backslash is a backslash, and what it begins with counts."""
    return [decoded(value, encodings, TEXT_DELIMITERS).rstrip(" \0") or None]


def _address(value: bytes, _encodings: list[str]) -> list[str | None]:
    return [value.decode("latin-1").rstrip(" \0") or None]


def _names(value: bytes, encodings: list[str]) -> list[Json | None]:
    return [name_json(part) for part in decoded(value, encodings, NAME_DELIMITERS).split("\\")]


def name_json(text: str) -> Json | None:
    """Return the groups of a person's name (PS3.18, F.2.2; PS3.5, 6.2.1)."""
    groups = zip(NAME_GROUPS, text.split("="), strict=False)
    return {name: group for name, part in groups if (group := part.strip(" \0"))} or None


def _decimals(value: bytes, _encodings: list[str]) -> list[Any]:
    return [decimal_json(part) for part in value.decode("latin-1").split("\\")]


def decimal_json(text: str) -> Any:
    """Return a number as one, what is none (or none that JSON has) as its text."""
    bare = text.strip(" \0")
    try:
        return int(bare) if bare.lstrip("+-").isdigit() and len(bare) < 17 else finite(float(bare))
    except ValueError:
        return bare or None


def finite(number: float) -> Any:
    """Return a number; those that JSON has no word for as text (PS3.18, F.2.2)."""
    if isinstance(number, int) or math.isfinite(number):
        return number
    return "NaN" if math.isnan(number) else ("inf" if number > 0 else "-inf")


TEXTS: Mapping[str, Callable[[bytes, list[str]], list[Any]]] = {
    **dict.fromkeys(("AE", "AS", "CS", "DA", "DT", "TM", "UI"), _short),
    **dict.fromkeys(("LO", "SH", "UC"), _text),
    **dict.fromkeys(("LT", "ST", "UT"), _long_text),
    **dict.fromkeys(("DS", "IS"), _decimals),
    "PN": _names,
    "UR": _address,
}
NUMBERS = {
    "AT": ("HH", 4), "FD": ("d", 8), "FL": ("f", 4), "SL": ("i", 4), "SS": ("h", 2), "SV": ("q", 8), "UL": ("I", 4),
    "US": ("H", 2), "UV": ("Q", 8),
}  # fmt: skip
"""How numbers stand in a file, and how many bytes each takes (PS3.5, 6.2)."""
BYTES = frozenset({"OB", "OD", "OF", "OL", "OV", "OW", "UN"})


def _element_json(element: DataElement, encodings: list[str], place: Place, *, is_signed: bool) -> Json:
    """An element that pydicom had to read: sequences, private ones, those of several representations."""
    vr, value = str(element.VR), element.value
    if vr == "SQ":
        items = [
            _dataset_json(item, encodings, (*place, str(number)), is_signed=is_signed)
            for number, item in enumerate(value or ())
        ]
        return {"vr": vr, "Value": items} if items else {"vr": vr}
    vr = _one_representation(vr, is_signed=is_signed)
    if isinstance(value, bytes | bytearray):
        return bulk_json(vr if vr in BYTES else "UN", bytes(value), place)
    values = value if isinstance(value, MultiValue | list | tuple) else [value]
    return valued(vr, [_value_json(vr, each) for each in values])


def _one_representation(vr: str, *, is_signed: bool) -> str:
    """One of the representations that an element may have, by the sign of pixels where it is about them."""
    choices = vr.split(" or ")
    if len(choices) == 1:
        return vr
    return "SS" if is_signed and "SS" in choices else choices[0] if "OW" not in choices else "OW"


def _value_json(vr: str, value: Any) -> Any:
    if value is None or value == "":
        return None
    if isinstance(value, PersonName):
        return name_json(str(value))
    if vr == "AT":
        return f"{int(value):08X}"
    if vr in ("DS", "IS"):
        return decimal_json(str(value))
    return finite(value) if isinstance(value, int | float) else str(value)


def tag_of(keyword: str) -> str:
    """Return the tag of a keyword in eight hexadecimal digits; empty where DICOM has none (PS3.6)."""
    tag = tag_for_keyword(keyword)
    return "" if tag is None else f"{tag:08X}"

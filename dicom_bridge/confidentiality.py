"""What becomes of each attribute when a data set is de-identified (PS3.15, Annex E): a table, and its options."""

from __future__ import annotations

import hmac
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Literal

TABLE = Path(__file__).with_name("confidentiality.tsv")
Action = Literal["remove", "empty", "replace", "uid", "keep", "shift", "clean"]

BASIC: Mapping[str, Action] = {
    "X": "remove", "Z": "empty", "D": "replace", "U": "uid", "X/Z": "empty", "X/D": "replace", "Z/D": "replace",
    "X/Z/D": "replace", "X/Z/U*": "clean",
}  # fmt: skip
"""What is done where the table leaves a choice: what keeps an image valid whatever its class asks for."""


@dataclass(frozen=True, slots=True)
class Option:
    """An option of the profile: its letter in the table, and its code (PS3.16, CID 7050)."""

    letter: str
    code: str
    meaning: str


PROFILE = Option("", "113100", "Basic Application Confidentiality Profile")
CLEAN_PIXELS = Option("", "113101", "Clean Pixel Data Option")
OPTIONS: Mapping[str, Option] = {
    "retain-dates": Option("F", "113106", "Retain Longitudinal Temporal Information Full Dates Option"),
    "shift-dates": Option("M", "113107", "Retain Longitudinal Temporal Information Modified Dates Option"),
    "retain-characteristics": Option("C", "113108", "Retain Patient Characteristics Option"),
    "retain-device": Option("V", "113109", "Retain Device Identity Option"),
    "retain-institution": Option("I", "113112", "Retain Institution Identity Option"),
}
TEMPORAL = {"retain-dates": "UNMODIFIED", "shift-dates": "MODIFIED"}

PIXELS_ALONE = frozenset({"CT", "MR", "PT", "NM", "DX", "CR", "MG", "PX", "IO"})
"""The modalities whose devices give pixels and nothing drawn into them, where they do not say otherwise."""
COPIES = ("SCREEN", "SAVE", "SECONDARY", "DERIVED\\SECONDARY")
SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
SHIFTED_DAYS = 3_650


@cache
def table() -> Mapping[str, tuple[str, Mapping[str, str]]]:
    """Return the action and those of options, by tag; "x" stands for any digit, PRIVATE for private attributes."""
    found: dict[str, tuple[str, Mapping[str, str]]] = {}
    for line in TABLE.read_text().splitlines():
        if not line.startswith("#"):
            tag, basic, *rest = line.split("\t")
            found[tag] = basic, {each[0]: each[1:] for each in rest[0].split(",")} if rest and rest[0] else {}
    return found


def action_for(tag: int, options: Collection[str]) -> Action | None:
    """Return what becomes of an attribute; None for one that the table does not name."""
    if (tag >> 16) % 2:
        return "remove"
    name = f"{tag:08X}"
    row = table().get(name) or table().get(f"{name[:2]}xx{name[4:]}") or table().get(f"{name[:2]}xxxxxx")
    if row is None:
        return None
    basic, of_options = row
    for option in options:
        match of_options.get(OPTIONS[option].letter), option:
            case "K", _:
                return "keep"
            case "C", "shift-dates":
                return "shift"
    return BASIC[basic]


def may_show_people(modality: str, sop_class: str, image_type: Sequence[str], burned_in: str) -> bool:
    """Whether pixels may hold what identifies somebody, drawn into them or seen by a camera."""
    return (
        modality not in PIXELS_ALONE
        or sop_class.startswith(SECONDARY_CAPTURE)
        or burned_in not in ("", "NO")
        or any(copy in value.upper() for value in image_type for copy in COPIES)
    )


def digest_of(key: bytes, kind: str, value: str) -> bytes:
    """Return what stands for a value: always the same under a key, and nothing to who has none."""
    return hmac.new(key, f"{kind}\0{value}".encode(), sha256).digest()


def uid_for(key: bytes, uid: str) -> str:
    """Return the UID that stands for another (PS3.5, B.2)."""
    return f"2.25.{int.from_bytes(digest_of(key, 'uid', uid)[:16])}"


def pseudonym_for(key: bytes, issuer: str, patient: str) -> str:
    """Return the name that stands for a patient."""
    return f"P-{digest_of(key, 'patient', f'{issuer}|{patient}').hex()[:16].upper()}"


def days_for(key: bytes, issuer: str, patient: str) -> int:
    """Return by how many days the dates of a patient are shifted into the past; distances between them stay."""
    return 1 + int.from_bytes(digest_of(key, "days", f"{issuer}|{patient}")[:4]) % SHIFTED_DAYS

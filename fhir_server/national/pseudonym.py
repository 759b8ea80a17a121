"""Rows without whose they are: columns that are allowed, ids under a key that the receiver does not have.

A row holds what the table below allows of its view and nothing else, so that no extension travels that nobody knows.
Pseudonymised rows stay personal data (Law 91/2025/QH15): they are for receivers with a legal basis.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from secrets import token_bytes
from tempfile import NamedTemporaryFile
from typing import Any

KEY_FILE = "pseudonym.key"
OWN_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9._\-]{0,39}").fullmatch
MOMENT = re.compile(r"\d{4}(-\d{2}(-\d{2}(T[0-9:.]{5,20}(Z|[+-]\d{2}:\d{2})?)?)?)?").fullmatch
YEAR = re.compile(r"\d{4}").match
FACILITY = re.compile(r"Organization/[A-Za-z0-9.\-]{1,64}").fullmatch

Value = Any
Way = Callable[[bytes, Value], Value]


def pseudonym(key: bytes, value: Value) -> Value:
    """Return a reference of somebody or something under the key; facilities are nobody, and stay."""
    if not isinstance(value, str) or FACILITY(value):
        return value if isinstance(value, str) else None
    kind, _, name = value.rpartition("/")
    return f"{kind}/{hmac.new(key, value.encode(), sha256).hexdigest()[:40]}" if kind and name else None


def facility(_key: bytes, value: Value) -> Value:
    """Return a reference to a facility, and none to anybody else."""
    return value if isinstance(value, str) and FACILITY(value) else None


def word(_key: bytes, value: Value) -> Value:
    """Return a code, unless it is text that only calls itself one."""
    return value if isinstance(value, str) and OWN_WORD(value) else None


def moment(_key: bytes, value: Value) -> Value:
    """Return a time."""
    return value if isinstance(value, str) and MOMENT(value) else None


def year(_key: bytes, value: Value) -> Value:
    """Return the year of a date."""
    found = YEAR(value) if isinstance(value, str) else None
    return found[0] if found else None


def flag(_key: bytes, value: Value) -> Value:
    """Return a yes or no."""
    return value if isinstance(value, bool) else None


def _columns(**by_way: str) -> dict[str, Way]:
    ways: dict[str, Way] = {
        "pseudonyms": pseudonym, "facilities": facility, "words": word, "moments": moment, "years": year, "flags": flag,
    }  # fmt: skip
    return {column: ways[way] for way, columns in by_way.items() for column in columns.split()}


ALLOWED: Mapping[str, Mapping[str, Way]] = {
    "appointments": _columns(pseudonyms="id request", words="status", moments="last_updated start end created"),
    "compositions": _columns(pseudonyms="id encounter", words="status", moments="last_updated date", flags="attested"),
    "conditions": _columns(pseudonyms="id encounter", words="clinical_status code", moments="last_updated recorded"),
    "consultation_requests": _columns(
        pseudonyms="id", facilities="requester", words="status priority activity mode",
        moments="last_updated authored_on",
    ),
    "encounters": _columns(
        pseudonyms="id patient request", facilities="facility",
        words="status class type service_type priority disposition", moments="last_updated period_start period_end",
    ),
    "homes": _columns(pseudonyms="id", words="gender ethnicity ward ward_list", years="birth_date",
                      moments="last_updated"),
    "imaging_studies": _columns(pseudonyms="id encounter request", words="status modality",
                                moments="last_updated started"),
    "interruptions": _columns(pseudonyms="id", moments="last_updated started ended"),
    "medication_requests": _columns(pseudonyms="id encounter", words="status intent",
                                    moments="last_updated authored_on"),
    "reads": _columns(pseudonyms="id encounter request", facilities="facility", words="status category",
                      moments="last_updated effective issued"),
    "shared_images": _columns(pseudonyms="id study", moments="last_updated"),
    "sites": _columns(facilities="id part_of", words="tier province province_list ward ward_list", flags="active",
                      moments="last_updated"),
}  # fmt: skip
"""What travels of each view, and how: the policy that a privacy officer reads."""


def shared(view: str, row: Mapping[str, Any], key: bytes) -> dict[str, Any]:
    """Return what may travel of a row."""
    return {column: way(key, row.get(column)) for column, way in ALLOWED[view].items()}


def is_modified(value: Any) -> bool:
    """Whether a resource, or anything in it, has a modifierExtension: what it says may be the contrary then."""
    if isinstance(value, dict):
        return "modifierExtension" in value or any(is_modified(each) for each in value.values())
    return isinstance(value, list) and any(is_modified(each) for each in value)


def key_in(folder: Path) -> bytes:
    """Return the key of a node, made where it has none."""
    file = folder / KEY_FILE
    if not file.exists():
        with NamedTemporaryFile(dir=folder, prefix=KEY_FILE) as made:
            made.write(token_bytes(32))
            made.flush()
            with suppress(FileExistsError):
                file.hardlink_to(made.name)
    return file.read_bytes()

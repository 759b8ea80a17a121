"""The header Prefer (FHIR R4, 3.1.0.1.8 return, 3.1.1.3 handling; RFC 7240)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

_ITEM = re.compile(r'([a-z\-]+)\s*(?:=\s*"?([A-Za-z\-]+)"?)?').fullmatch
_LONGEST = 200


@dataclass(frozen=True, slots=True)
class Preference:
    """What is to be returned (minimal, representation or OperationOutcome), and whether to be lenient."""

    returned: str | None = None
    lenient: bool = False


NO_PREFERENCE = Preference()


def read_preference(value: bytes) -> Preference:
    """Return what a value of the header asks for; what it asks beyond that is nothing to refuse."""
    return _read(value) if len(value) <= _LONGEST else NO_PREFERENCE


@lru_cache(maxsize=256)
def _read(value: bytes) -> Preference:
    found: dict[str, str | None] = {}
    for item in re.split("[,;]", value.decode("latin-1")):
        if parts := _ITEM(item.strip()):
            found.setdefault(parts[1], parts[2])
    return Preference(found.get("return"), found.get("handling") == "lenient")

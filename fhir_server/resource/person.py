"""What papers say of people: a name, a permit to practise, a gender (FHIR R4, 8.1 Patient and 8.4 Practitioner)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

LICENCES = frozenset({"gphn", "cchn", "practicing_license"})
"""The last steps of the systems of permits to practise, by the law of 2023 and by the one before."""
GENDERS: Mapping[str, str] = {"male": "Nam", "female": "Nữ", "other": "Khác"}


def licence_of(practitioner: Mapping[str, Any]) -> str:
    """Return the number of a Practitioner's permit to practise; empty where there is none."""
    qualified = [each for item in practitioner.get("qualification", ()) for each in item.get("identifier", ())]
    for each in (*qualified, *practitioner.get("identifier", ())):
        if re.split("[/:]", str(each.get("system", "")).lower())[-1] in LICENCES and each.get("value"):
            return str(each["value"])
    return ""


def name_of(person: Mapping[str, Any]) -> str:
    """Return how a person is called."""
    for name in person.get("name", ()):
        parts = [*name.get("prefix", ()), name.get("family", ""), *name.get("given", ())]
        if told := name.get("text") or " ".join(filter(None, parts)):
            return str(told)
    return ""

"""Ids of elements are unique within their resource (FHIR R4, 2.24.0.1 Element.id)."""

from __future__ import annotations

from typing import Any

from fhir_server.definitions.datatype import Member
from fhir_server.validation.primitive import shown
from fhir_server.validation.run import Check, Json, Run

# A structure's snapshot says again what its differential says.
SAID_TWICE = frozenset({"ElementDefinition"})


def element_id_check(kind: str, member: Member, one: Check) -> Check:
    """The check of a text member; that of any other than `id` is left as it is."""
    if member.key != "id" or kind in SAID_TWICE:
        return one

    def check(value: Any, holder: Json, run: Run) -> int:
        count = one(value, holder, run)
        if value.__class__ is not str:
            return count
        seen = run.memo.setdefault(("ids", id(run.resource)), set())
        if value in seen:
            run.error(holder, "id", "business-rule", f"The id {shown(value)} is used more than once in the resource.")
        else:
            seen.add(value)
        return count

    return check

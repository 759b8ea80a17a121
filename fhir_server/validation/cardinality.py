"""How often a member may be there by a profile (FHIR R4, 2.32 ElementDefinition.min, max)."""

from __future__ import annotations

from collections.abc import Sequence

from fhir_server.definitions.datatype import Member
from fhir_server.validation.item import Finder
from fhir_server.validation.run import Fault, Json, Rule, Run

Bounds = tuple[int, int | None]


def cardinality_rule(find: Finder, members: Sequence[Member], bounds: Bounds, label: str, profile: str) -> Rule | None:
    """The rule for the least and the greatest number of a member; None without bounds."""
    low, top = bounds
    if not low and top is None:
        return None
    if len(members) == 1 and low <= 1 and top in (None, 0):
        return presence_rule(members[0].key, bounds, label, profile)

    def rule(holder: Json, run: Run) -> None:
        count = len(find(holder))
        if count < low:
            lacking(holder, run, label, bounds, count, profile)
        elif top is not None and count > top:
            key = find(holder)[0].key
            text = f"{label}: at most {top} allowed, found {count}." if top else f"{label} is not allowed here."
            run.report(Fault(holder, key, None, "error", "structure", text, None, profile))

    return rule


def presence_rule(key: str, bounds: Bounds, label: str, profile: str) -> Rule:
    """The rule that a member must be there, or must not be."""
    sibling = f"_{key}"
    if bounds[0]:

        def required(holder: Json, run: Run) -> None:
            if key not in holder and sibling not in holder:
                lacking(holder, run, label, bounds, 0, profile)

        return required

    def prohibited(holder: Json, run: Run) -> None:
        if key in holder or sibling in holder:
            text = f"{label} is not allowed here."
            run.report(Fault(holder, key, None, "error", "structure", text, None, profile))

    return prohibited


def lacking(holder: Json, run: Run, label: str, bounds: Bounds, count: int, profile: str) -> None:
    """Report that too few are there."""
    text = f"{label}: at least {bounds[0]} required, found {count}."
    run.report(Fault(holder, None, None, "error", "required", text, None, profile))

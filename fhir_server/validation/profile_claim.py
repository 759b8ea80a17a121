"""Profiles that a resource claims in meta.profile, or that somebody asks for (FHIR R4, 2.16 Validating Resources)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from fhir_server.validation.item import Item
from fhir_server.validation.primitive import shown
from fhir_server.validation.profile import Profiles
from fhir_server.validation.run import Fault, Json, Rule, Run


def claimed_profile_rule(profiles: Profiles, depth: str = "write") -> Rule:
    """The rule that a resource must meet the profiles in its meta, and those that guides ask of all of its type.

    What breaks them has the depth given. A claim that is not known is a warning at full depth.
    """
    global_profiles = profiles.definitions.global_profiles

    def rule(resource: Json, run: Run) -> None:
        for canonical in global_profiles(str(resource.get("resourceType"))):
            met(profiles, canonical, resource, run, depth)
        meta: Any = resource.get("meta")
        claimed = meta.get("profile") if meta.__class__ is dict else None
        if claimed.__class__ is not list:
            return
        for index, canonical in enumerate(claimed):
            if canonical.__class__ is str and not met(profiles, canonical, resource, run, depth):
                text = f"The profile {shown(canonical)} is not known here, so it was not applied."
                run.report(Fault(meta, "profile", index, "warning", "not-found", text, None, None, "full"))

    return rule


def met(profiles: Profiles, canonical: str, resource: Json, run: Run, depth: str = "write") -> bool:
    """Add the faults of a resource by a profile; False when the profile is not known."""
    if profiles.item_check(canonical) is None:
        return False
    item = Item(resource, None, None, resource, str(resource.get("resourceType")))
    faults = profiles.judge(item, canonical, run)
    run.faults.extend(faults if depth == "write" else [replace(fault, depth=depth) for fault in faults])
    return True


def apply_profile(profiles: Profiles, canonical: str, resource: Json, run: Run) -> None:
    """Check a whole resource by a profile that was asked for; an unknown one is an error."""
    if not met(profiles, canonical, resource, run):
        text = f"The profile {shown(canonical)} is not known here, so the resource cannot be checked by it."
        run.report(Fault(resource, None, None, "error", "not-found", text))

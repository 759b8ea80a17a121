"""Rules of every resource at full depth: labels that are sets, claims of another type (FHIR R4, 2.27 Resource.meta)."""

from __future__ import annotations

import re
from typing import Any

from fhir_server.validation.primitive import shown
from fhir_server.validation.run import Fault, Json, Run

# A profile of the specification with its version in the path: http://hl7.org/fhir/4.0/StructureDefinition/Patient
VERSIONED = re.compile(r"http://hl7\.org/fhir/4\.0(?:\.\d)?/StructureDefinition/(.+)").fullmatch


def meta_rule(resource: Json, run: Run) -> None:
    """Report a security label that is there twice, and a claim to be of another base type."""
    meta: Any = resource.get("meta")
    if meta.__class__ is not dict:
        return
    labels: Any = meta.get("security")
    seen: set[tuple[str, str]] = set()
    for index, label in enumerate(labels if labels.__class__ is list else ()):
        name = (str(label.get("system")), str(label.get("code"))) if label.__class__ is dict else ("", str(index))
        if name in seen:
            complain(meta, "security", index, f"The security label {'|'.join(name)} is there more than once.", run)
        seen.add(name)
    claims: Any = meta.get("profile")
    for index, claim in enumerate(claims if claims.__class__ is list else ()):
        found = VERSIONED(claim) if claim.__class__ is str else None
        if found is not None and found[1] != resource.get("resourceType"):
            complain(meta, "profile", index, f"{shown(claim)} is not about {resource.get('resourceType')}.", run)


def complain(meta: Json, key: str, index: int, text: str, run: Run) -> None:
    """Report an error of a resource's meta."""
    run.report(Fault(meta, key, index, "error", "business-rule", text, None, None, "full"))

"""References: what they may name, and contained resources that must be there (FHIR R4, 2.3.0 Reference)."""

from __future__ import annotations

import re
from functools import partial
from typing import Any

from fhir_server.definitions.datatype import Member
from fhir_server.definitions.registry import Definitions
from fhir_server.definitions.structure import TYPE_URL
from fhir_server.validation.primitive import shown
from fhir_server.validation.run import Check, Json, Run

LITERAL = re.compile(
    r"(?:https?://[^?#]*/)?([A-Z][A-Za-z]+)/[A-Za-z0-9\-.]{1,64}(?:/_history/[A-Za-z0-9\-.]{1,64})?(?:#.*)?"
).fullmatch


def target_types(definitions: Definitions, member: Member) -> frozenset[str] | None:
    """The resource types that a Reference element may name; None for any."""
    names = set()
    for canonical in member.reference.target_profiles:
        structure = definitions.structure(canonical)
        names.add(structure.type if structure else canonical.removeprefix(TYPE_URL))
    return frozenset(names) if names and "Resource" not in names else None


def literal_type(reference: str, resource_types: frozenset[str]) -> str | None:
    """The resource type that a literal reference names by its form, None where the form does not tell."""
    match = LITERAL(reference)
    return match[1] if match and match[1] in resource_types else None


def reference_check(definitions: Definitions, member: Member, inner: Check) -> Check:
    """The check of a Reference with the types that its element allows."""
    targets = target_types(definitions, member)
    resource_types = definitions.resource_types
    allowed = targets or resource_types

    def check(value: Any, holder: Json, run: Run) -> int:
        count = inner(value, holder, run)
        reference = value.get("reference") if value.__class__ is dict else None
        if reference.__class__ is not str or reference.partition("/")[0] in allowed:
            return count
        if reference[:1] == "#":
            run.fragments.add(reference)
            run.later.append(partial(contained_target, reference, value, run.root, targets, run))
        elif targets is not None:
            named = literal_type(reference, resource_types)
            if named is not None and named not in targets:
                run.error(value, "reference", "structure", wrong_target(reference, named, targets))
        return count

    return check


def wrong_target(reference: str, named: str, targets: frozenset[str]) -> str:
    """What is wrong with a reference to a type that the element does not allow."""
    return f"{shown(reference)} refers to {named}, but this element allows {' or '.join(sorted(targets))}."


def contained_target(reference: str, value: Json, root: Json, targets: frozenset[str] | None, run: Run) -> None:
    """Report a `#id` that names no contained resource (ref-1), or one of a type that the element does not allow."""
    if reference == "#":
        return
    found = contained_by_id(root, run).get(reference[1:])
    if found is None:
        text = f"{shown(reference)} names a contained resource that is not there (ref-1)."
        run.error(value, "reference", "invariant", text)
    elif targets is not None and str(named := found.get("resourceType")) not in targets:
        run.error(value, "reference", "structure", wrong_target(reference, str(named), targets))


def contained_by_id(root: Json, run: Run) -> dict[str, Json]:
    """The contained resources of a resource by their ids, looked through once in a run; of two the first."""
    key = ("contained by id", id(root))
    found: dict[str, Json] | None = run.memo.get(key)
    if found is None:
        contained = root.get("contained")
        found = run.memo[key] = {}
        for resource in contained if contained.__class__ is list else ():
            if resource.__class__ is dict and resource.get("id").__class__ is str:
                found.setdefault(resource["id"], resource)
    return found

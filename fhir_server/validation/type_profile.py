"""Profiles on the type of an element, and on what it refers to (FHIR R4, 2.32 ElementDefinition.type)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from fhir_server.definitions.datatype import Member
from fhir_server.definitions.registry import Definitions
from fhir_server.validation.element_check import Floor
from fhir_server.validation.element_tree import ElementNode, profiles_by_type
from fhir_server.validation.item import Item
from fhir_server.validation.primitive import shown
from fhir_server.validation.reference import literal_type
from fhir_server.validation.resolution import resolved
from fhir_server.validation.run import Check, Fault, Json, Run
from fhir_server.validation.slicing import ItemCheck, fault_at

EXTENSION = "Extension"


class Profiles(Protocol):
    """What these checks ask of the profiles."""

    definitions: Definitions
    full: bool

    def item_check(self, canonical: str) -> ItemCheck | None:
        """The check of a profile; None when it is unknown."""

    def judge(self, item: Item, canonical: str, run: Run) -> list[Fault]:
        """The faults of an item by a profile."""


def type_profile_check(profiles: Profiles, node: ElementNode, floor: Floor, profile: str) -> ItemCheck | None:
    """The check of an item by the profiles on its type and on its target; None where there are none."""
    own = profiles_by_type(node.types)
    targets = profiles_by_type(node.types, targets=True)
    checks: list[ItemCheck] = []
    if own and not floor.has(lambda e: profiles_by_type(e.types) == own):
        checks += [one_of_check(profiles, code, named, profile) for code, named in own.items()]
    if targets and not floor.has(lambda e: profiles_by_type(e.types, targets=True) == targets):
        checks += [target_check(profiles, named, profile) for code, named in targets.items() if code == "Reference"]
    modes = {mode for t in node.types if t.code == "Reference" for mode in t.aggregation}
    if modes:
        checks.append(aggregation_check(frozenset(modes), profile))
    if len(checks) < 2:
        return checks[0] if checks else None

    def check(item: Item, run: Run) -> None:
        for one in checks:
            one(item, run)

    return check


def member_profile_check(profiles: Profiles) -> Callable[[str, Member, Check], Check]:
    """What wraps the check of a member whose own type names a profile, as SimpleQuantity."""

    def wrap(kind: str, member: Member, one: Check) -> Check:
        named = member.reference.profiles
        if not named:
            return one
        meets = one_of_check(profiles, member.type, named, named[0])

        def check(value: Any, holder: Json, run: Run) -> int:
            count = one(value, holder, run)
            if value.__class__ is dict:
                meets(Item(value, None, None, value, member.type), run)
            return count

        return check

    return wrap


def one_of_check(profiles: Profiles, code: str, named: Sequence[str], profile: str) -> ItemCheck:
    """The check of an item of a type that must meet one of some profiles."""
    is_subtype = profiles.definitions.is_subtype

    def check(item: Item, run: Run) -> None:
        if not is_subtype(item.type, code):
            return
        if len(named) == 1:
            one = profiles.item_check(named[0])
            if one is not None:
                one(item, run)
            elif profiles.full and code != EXTENSION:
                run.report(unknown_profile(item, named[0], profile))
            return
        run.faults.extend(unmet(profiles, item, named, profile, run))

    return check


def unknown_profile(item: Item, canonical: str, profile: str) -> Fault:
    """The fault of an item that should meet a profile which is not known."""
    holder, key, index = item.place
    text = f"The profile {canonical}, which is asked for here, is not known, so it was not applied."
    return Fault(holder, key, index, "error", "not-found", text, None, profile, "full")


def unmet(profiles: Profiles, item: Item, named: Sequence[str], profile: str, run: Run) -> list[Fault]:
    """The fault of an item that meets none of some profiles, with the reason for each; none when it meets one."""
    reasons = []
    for canonical in named:
        if profiles.item_check(canonical) is None:
            return []
        faults = [f for f in profiles.judge(item, canonical, run) if f.severity == "error"]
        if not faults:
            return []
        reasons.append(f"{canonical}: {faults[0].text}")
    text = f"None of the allowed profiles is met. {' '.join(reasons)}"
    return [fault_at(item, "structure", text, profile)]


def target_check(profiles: Profiles, named: Sequence[str], profile: str) -> ItemCheck:
    """The check of what a reference names: its type, and its profile where the resource can be seen."""
    definitions = profiles.definitions
    structures = {c: definitions.structure(c) for c in named}
    types = {s.type for s in structures.values() if s is not None}
    open_ended = None in structures.values()
    free = {s.type for s in structures.values() if s is not None and s.derivation != "constraint"}

    def allows(kind: str, some: set[str]) -> bool:
        return any(definitions.is_subtype(kind, t) for t in some)

    def check(item: Item, run: Run) -> None:
        reference: Any = item.value.get("reference") if item.value.__class__ is dict else None
        if reference.__class__ is not str:
            return
        found = resolved(reference, run)
        kind = found.type if found is not None else literal_type(reference, definitions.resource_types)
        if open_ended:
            if profiles.full and found is not None and not types:
                run.report(unknown_profile(item, named[0], profile))
            return
        if kind is None:
            return
        if not allows(kind, types):
            text = f"{shown(reference)} refers to {kind}, but this element allows {' or '.join(sorted(types))}."
            run.report(Fault(item.value, "reference", None, "error", "structure", text, None, profile))
        elif found is not None and not allows(kind, free):
            fitting = [c for c, s in structures.items() if s is not None and definitions.is_subtype(kind, s.type)]
            for fault in unmet(profiles, found, fitting, profile, run):
                text = f"{shown(reference)}: {fault.text}"
                run.report(Fault(item.value, "reference", None, "error", "structure", text, None, profile))

    return check


def aggregation_check(modes: frozenset[str], profile: str) -> ItemCheck:
    """The check of where what a reference names may be: contained, bundled, or referenced (anywhere but contained)."""

    def check(item: Item, run: Run) -> None:
        reference: Any = item.value.get("reference") if item.value.__class__ is dict else None
        if reference.__class__ is not str:
            return
        found = resolved(reference, run)
        if found is None:
            mode = "referenced"
        else:
            mode = "contained" if reference[:1] == "#" else "bundled"
        if mode not in modes and not (mode == "bundled" and "referenced" in modes):
            text = f"{shown(reference)} is {mode}, but here a resource must be {' or '.join(sorted(modes))}."
            run.report(Fault(item.value, "reference", None, "error", "structure", text, None, profile))

    return check

"""What invariants may ask beyond their element: other resources, terminology, profiles (FHIR R4, 2.9.1 functions)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fhir_server.definitions.structure import TYPE_URL
from fhir_server.fhirpath.node import Node
from fhir_server.terminology.protocol import Membership, Terminology
from fhir_server.validation.binding import coding_in
from fhir_server.validation.item import Item
from fhir_server.validation.profile import Profiles
from fhir_server.validation.resolution import resolved
from fhir_server.validation.run import Check, Fault, Run


class ValidationEnvironment:
    """Answers invariants in one run."""

    def __init__(
        self, run: Run, terminology: Terminology, profiles: Profiles, check_of: Callable[[str], Check]
    ) -> None:
        self._run = run
        self._terminology = terminology
        self._profiles = profiles
        self._check_of = check_of

    def resolve(self, reference: str) -> dict[str, Any] | None:
        """The contained resource, the Bundle's entry, or the known resource that a reference names."""
        found = resolved(reference, self._run)
        return None if found is None else found.value

    def member_of(self, node: Node, value_set: str) -> bool | None:
        """Whether a code, Coding, CodeableConcept or Quantity is in a value set."""
        membership = self._terminology.membership(value_set)
        return None if membership is None else in_value_set(node.value, membership)

    def subsumes(self, general: Node, special: Node) -> bool | None:
        """Whether one Coding is the same as, or above, another."""
        first, second = general.value, special.value
        if first.__class__ is not dict or second.__class__ is not dict or first.get("system") != second.get("system"):
            return None
        system, above, below = first.get("system"), first.get("code"), second.get("code")
        if above is None or above == below:
            return above == below and above is not None
        return self._terminology.subsumes(str(system), above, str(below))

    def conforms_to(self, node: Node, structure: str) -> bool | None:
        """Whether an element meets a profile and the type that it is about; None for an unknown profile."""
        definitions, run = self._profiles.definitions, self._run
        known = definitions.structure(structure)
        if known is None:
            return None
        if not definitions.is_subtype(node.type, known.type):
            return False
        faults = base_faults(node, self._check_of(node.type), run)
        item = Item(node.owner or node.value, node.key or None, None, node.value, node.type, node.extra)
        return not any(f.severity == "error" for f in faults) and self._profiles.conforms(item, structure, run)


def environments(
    terminology: Terminology, profiles: Profiles, check_of: Callable[[str], Check]
) -> Callable[[Run], ValidationEnvironment]:
    """What makes the environment of a run."""
    return lambda run: ValidationEnvironment(run, terminology, profiles, check_of)


def base_faults(node: Node, check: Check, run: Run) -> list[Fault]:
    """The faults of an element by its type, found once; an element that is being looked at is taken to be sound."""
    if node.value.__class__ is not dict:
        return []
    key = id(node.value), TYPE_URL + node.type
    found: list[Fault] | None = run.memo.get(key)
    if found is None:
        found = run.memo[key] = []
        outer = run.faults, run.later
        run.faults, run.later = found, []
        check(node.value, node.owner or node.value, run)
        run.faults, run.later = outer
    return found


def in_value_set(value: Any, membership: Membership) -> bool | None:
    """Whether a value is in a value set; None where it cannot be told."""
    if value.__class__ is str:
        return membership.contains(None, value)
    if value.__class__ is not dict:
        return None
    codings = value.get("coding") if "coding" in value else [value]
    answers = [coding_in(c, membership) for c in codings] if codings.__class__ is list else []
    return True if True in answers else (None if None in answers else False)

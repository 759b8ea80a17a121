"""Required bindings: the value sets that codes must come from (FHIR R4, 4.1.5 binding strengths)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from fhir_server.definitions.datatype import Member
from fhir_server.definitions.structure import Binding
from fhir_server.terminology.protocol import Membership, Terminology
from fhir_server.validation.primitive import shown
from fhir_server.validation.run import Check, Json, Run

CODED_PRIMITIVES = frozenset({"code", "uri", "string", "url"})
SAMPLE = 8


class Bindings:
    """Checks of coded members against the value sets that they are bound to."""

    def __init__(self, terminology: Terminology) -> None:
        self._terminology = terminology

    def coded(self, member: Member, one: Check) -> Check:
        """The check of a member with its required binding; the check itself where there is none."""
        binding = member.element.binding
        if binding is None or binding.strength != "required":
            return one
        return self.bound(member.key, member.type, binding, one)

    def absent(self, member: Member) -> str | None:
        """What is wrong with a member that has extensions in place of a code; None where that may be."""
        return None

    def bound(self, key: str, kind: str, binding: Binding | None, one: Check) -> Check:
        """The check of a value of a type that must come from the value set of a binding."""
        if binding is None:
            return one
        membership = self._terminology.membership(binding.value_set)
        make = BOUND.get(kind)
        if membership is None or make is None:
            return one
        return make(key, binding.value_set, membership, one)


def bound_primitive(key: str, value_set: str, membership: Membership, one: Check) -> Check:
    """The check of a code, whose system the element implies."""
    codes = membership.codes

    def check(value: Any, holder: Json, run: Run) -> int:
        try:
            if value in codes:
                return 0
        except TypeError:  # an object or array has no hash
            return one(value, holder, run)
        before = len(run.faults)
        count = one(value, holder, run)
        if len(run.faults) == before and membership.contains(None, value) is False:
            run.error(holder, key, "code-invalid", not_in(value_set, shown(value), membership))
        return count

    return check


def bound_coding(key: str, value_set: str, membership: Membership, one: Check) -> Check:
    """The check of a Coding or Quantity by its system and code."""

    def check(value: Any, holder: Json, run: Run) -> int:
        count = one(value, holder, run)
        if value.__class__ is dict and "code" in value and coding_in(value, membership) is False:
            run.error(value, None, "code-invalid", not_in(value_set, coding_text(value), membership))
        return count

    return check


def bound_concept(key: str, value_set: str, membership: Membership, one: Check) -> Check:
    """The check of a CodeableConcept: one of its codings at least must be in the value set."""

    def check(value: Any, holder: Json, run: Run) -> int:
        count = one(value, holder, run)
        if value.__class__ is not dict:
            return count
        codings = value.get("coding")
        if codings.__class__ is not list:
            run.error(value, None, "code-invalid", not_in(value_set, "A concept without coding", membership))
        elif all(coding_in(c, membership) is False for c in codings):
            found = " and ".join(coding_text(c) for c in codings)
            run.error(value, None, "code-invalid", not_in(value_set, found, membership))
        return count

    return check


def coding_in(coding: Any, membership: Membership) -> bool | None:
    """Whether a Coding is in a value set; None where it cannot be told or the coding has no proper shape."""
    if coding.__class__ is not dict:
        return None
    system, code = coding.get("system"), coding.get("code")
    if code.__class__ is not str:
        return False if code is None else None
    if system.__class__ is not str:
        return False if system is None else None
    return membership.contains(system, code)


def coding_text(coding: Any) -> str:
    """A coding as system|code."""
    return f"{coding.get('system', '')}|{coding.get('code', '')}" if coding.__class__ is dict else shown(coding)


def not_in(value_set: str, found: str, membership: Membership) -> str:
    """What is wrong with a code outside its value set; a short value set is listed."""
    some = sorted(membership.codes)
    listed = f" ({', '.join(some)})" if membership.closed and len(some) <= SAMPLE else ""
    return f"{found} is not in the value set {value_set}{listed}, from which a code is required."


BOUND: Mapping[str, Callable[[str, str, Membership, Check], Check]] = {
    **dict.fromkeys(CODED_PRIMITIVES, bound_primitive),
    "Coding": bound_coding,
    "Quantity": bound_coding,
    "CodeableConcept": bound_concept,
}

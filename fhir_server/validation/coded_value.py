"""Coded values at full depth: every binding strength, and codes that no binding speaks of (FHIR R4, 4.1.5 strengths).

The codes of a complete code system are all there are, whatever the binding; to miss a weaker binding is a warning.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fhir_server.definitions.datatype import Member
from fhir_server.definitions.registry import Definitions
from fhir_server.definitions.structure import Binding
from fhir_server.terminology.protocol import Membership, Terminology
from fhir_server.validation.binding import CODED_PRIMITIVES, Bindings, coding_text, not_in
from fhir_server.validation.coding import REMOTE_SYSTEMS, UNJUDGED, Codings, Judgement, Memory, Question, report
from fhir_server.validation.primitive import shown
from fhir_server.validation.run import Check, Fault, Json, Run

CONCEPT = "CodeableConcept"
Code = tuple[str | None, str]


class CodedValues(Bindings):
    """Checks of coded members by their binding and by the code systems that their codes come from."""

    def __init__(self, definitions: Definitions, terminology: Terminology) -> None:
        super().__init__(terminology)
        self._definitions = definitions
        self.codings = Codings(definitions, terminology)

    def coded(self, member: Member, one: Check) -> Check:
        """The check of a member of a coded type."""
        return self.bound(member.key, member.type, member.element.binding, one)

    def absent(self, member: Member) -> str | None:
        """A code that must be from a value set must be there."""
        binding = member.element.binding
        if binding is None or binding.strength != "required" or member.type not in CODED_PRIMITIVES:
            return None
        return f"{member.key} has no code, and one of the value set {binding.value_set} is required."

    def bound(self, key: str, kind: str, binding: Binding | None, one: Check) -> Check:
        """The check of a value of a type with a binding, or without."""
        rule = None if binding is None else self._rule(binding)
        if kind == CONCEPT:
            return concept_check(self._memory(binding, rule, alone=False), rule, one)
        if kind == "Coding":
            return one if key == "coding" and binding is None else self._alone(binding, rule, "display", one)
        if self._is_quantity(kind):
            return self._alone(binding, rule, None, one)
        if kind not in CODED_PRIMITIVES or rule is None:
            return one
        if rule.strength == "required":
            return super().bound(key, kind, binding, one)
        return weak_primitive_check(key, rule, one)

    def _is_quantity(self, kind: str) -> bool:
        return kind[:1].isupper() and "." not in kind and self._definitions.is_subtype(kind, "Quantity")

    def _alone(self, binding: Binding | None, rule: BindingRule | None, shows: str | None, one: Check) -> Check:
        return coding_check(self._memory(binding, rule, alone=True), rule, shows, one)

    def _memory(self, binding: Binding | None, rule: BindingRule | None, *, alone: bool) -> Memory:
        if binding is None or rule is None:
            return self.codings.memory(Question(alone=alone))
        required = rule.strength == "required"
        return self.codings.memory(Question(binding.value_set, rule.membership, required, alone))

    def _rule(self, binding: Binding) -> BindingRule | None:
        """What a binding asks; None for an example, or where the value set is not known."""
        if binding.strength == "example":
            return None
        membership = self._terminology.membership(binding.value_set)
        if membership is None:
            return None
        most = binding.max_value_set
        return BindingRule(binding, membership, self._terminology.membership(most) if most else None)


class BindingRule:
    """What a binding says of values outside its value set."""

    def __init__(self, binding: Binding, membership: Membership, most: Membership | None) -> None:
        self.strength = binding.strength
        self.value_set = binding.value_set
        self.membership = membership
        self._most = most
        self._most_name = binding.max_value_set or ""

    def outside(self, holder: Any, key: str | None, codes: Sequence[Code], found: str) -> Fault | None:
        """The fault of a value whose codes are all outside the value set; None where that is no fault."""
        if self.strength == "required":
            return Fault(holder, key, None, "error", "code-invalid", not_in(self.value_set, found, self.membership))
        if self._most is not None and all(self._most.contains(*code) is False for code in codes):
            severity = "error" if self._most.closed else "warning"  # a form proves nothing
            text = not_in(self._most_name, found, self._most)
            return Fault(holder, key, None, severity, "code-invalid", text, None, None, "full")
        if self.strength == "preferred":
            return None
        text = f"{found} is not in the value set {self.value_set}, from which a code should come where one fits."
        return Fault(holder, key, None, "warning", "code-invalid", text, None, None, "full")


def concept_check(memory: Memory, rule: BindingRule | None, one: Check) -> Check:
    """The check of a CodeableConcept: each coding by its system, all together by the binding."""

    def check(value: Any, holder: Json, run: Run) -> int:
        count = one(value, holder, run)
        if value.__class__ is not dict:
            return count
        codings = value.get("coding")
        if codings.__class__ is not list:
            if rule is not None:
                report_outside(rule, value, (), run)
            return count
        language = run.resource.get("language")
        outside = rule is not None
        for coding in codings:
            if coding.__class__ is dict:
                found = judged(memory, coding, language)
                if found.findings:
                    report(found.findings, coding, run, softened=any(map(is_remote, codings)))
                outside = outside and found.member is False
        if outside and rule is not None:
            report_outside(rule, value, codings, run)
        return count

    return check


def is_remote(coding: Any) -> bool:
    """True for a coding that only a terminology server can judge; it then judges the whole concept."""
    return coding.__class__ is dict and coding.get("system") in REMOTE_SYSTEMS


def judged(memory: Memory, coding: Json, language: Any, shows: str | None = "display") -> Judgement:
    """What is known of a coding; nothing where its members have a wrong shape."""
    display = coding.get(shows) if shows else None
    try:
        return memory[coding.get("system"), coding.get("version"), coding.get("code"), display, language]
    except TypeError:  # an object or array has no hash
        return UNJUDGED


def report_outside(rule: BindingRule, value: Json, codings: Sequence[Any], run: Run) -> None:
    """Report a concept none of whose codings is in the value set of its binding."""
    found = " and ".join(coding_text(c) for c in codings) or "A concept without coding"
    codes = [(c.get("system"), str(c.get("code"))) for c in codings if c.__class__ is dict]
    fault = rule.outside(value, None, codes, found)
    if fault is not None:
        run.report(fault)


def coding_check(memory: Memory, rule: BindingRule | None, shows: str | None, one: Check) -> Check:
    """The check of a Coding or Quantity that stands alone; `shows` is the member that shows its code."""

    def check(value: Any, holder: Json, run: Run) -> int:
        count = one(value, holder, run)
        if value.__class__ is dict and "code" in value:
            found = judged(memory, value, run.resource.get("language"), shows)
            if found.findings:
                report(found.findings, value, run)
            if rule is not None and found.member is False:
                fault = rule.outside(value, None, [(value.get("system"), value["code"])], coding_text(value))
                if fault is not None:
                    run.report(fault)
        return count

    return check


def weak_primitive_check(key: str, rule: BindingRule, one: Check) -> Check:
    """The check of a code under a binding that is not required."""
    codes = rule.membership.codes

    def check(value: Any, holder: Json, run: Run) -> int:
        before = len(run.faults)
        count = one(value, holder, run)
        if value.__class__ is not str or value in codes or len(run.faults) != before:
            return count
        if rule.membership.contains(None, value) is False:
            fault = rule.outside(holder, key, [(None, value)], shown(value))
            if fault is not None:
                run.report(fault)
        return count

    return check

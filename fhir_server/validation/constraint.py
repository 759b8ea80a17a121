"""Invariants compiled to rules on JSON objects (FHIR R4, 2.32.4 constraints)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fhir_server.definitions.datatype import Member, Type
from fhir_server.definitions.registry import Definitions
from fhir_server.definitions.structure import TYPE_URL, Constraint
from fhir_server.fhirpath.engine import Engine
from fhir_server.fhirpath.error import FHIRPathError
from fhir_server.validation.primitive import FORMATS
from fhir_server.validation.run import Check, Fault, Json, Rule, Run

Predicate = Callable[[Any, Run], bool]
Invariant = tuple[Predicate, Constraint]

# Checked where structures are walked, at no cost of their own: ele-1 by object_check and sibling_check, dom-2 to
# dom-5 by contained_check, ref-1 by reference_check, txt-1 and txt-2 by narrative_check.
BUILT_IN = frozenset({"ele-1", "dom-2", "dom-3", "dom-4", "dom-5", "ref-1", "txt-1", "txt-2"})


def extension_is_whole(value: Json, run: Run) -> bool:
    """ext-1: an extension has either extensions or a value, without trying the fifty types of value[x]."""
    rest = len(value) - ("url" in value) - ("_url" in value) - ("id" in value)
    return rest == 1 if "extension" in value else rest > 0


# What an expression raises for a value whose shape is not that of its type.
UNDECIDABLE = (
    FHIRPathError,
    TypeError,
    ValueError,
    AttributeError,
    LookupError,
    ArithmeticError,
    AssertionError,
)

# By key, for constraints that R4 itself defines: what the expression says, in a form that costs less.
NATIVE: dict[str, Predicate] = {"ext-1": extension_is_whole}


class Constraints:
    """Rules for the constraints of types and members, at one depth: `severities` are those that matter there."""

    def __init__(self, definitions: Definitions, engine: Engine, severities: frozenset[str]) -> None:
        self._definitions = definitions
        self._engine = engine
        self._severities = severities
        self._rules: dict[tuple[Constraint, str], Rule] = {}

    def invariants(self, kind: Type) -> tuple[Invariant, ...]:
        """The constraints on values of a type, each with its predicate."""
        return tuple((self.predicate(c, kind.name), c) for c in kind.constraints if self.matters(c))

    def matters(self, constraint: Constraint) -> bool:
        """True for a constraint that is looked at here and not built into the walk."""
        built_in = constraint.key in BUILT_IN and constraint.source.startswith(TYPE_URL)
        return constraint.severity in self._severities and not built_in

    def added(self, kind: Type, member: Member) -> list[Constraint]:
        """The constraints that a member adds to those of its own type."""
        if member.type == kind.name or not self._definitions.has_type(member.type):
            return []
        own = {(c.key, c.expression) for c in self._definitions.type(member.type).constraints}
        return [c for c in member.constraints if (c.key, c.expression) not in own and self.matters(c)]

    def constrained(self, kind: Type, member: Member, one: Check) -> Check:
        """The check of a member with the constraints that its element adds."""
        added = self.added(kind, member)
        if not added:
            return one
        if member.type in FORMATS:
            return self._on_primitive(member, one, added)
        rules = tuple(self.rule(c, member.type) for c in added)

        def check(value: Any, holder: Json, run: Run) -> int:
            count = one(value, holder, run)
            if value.__class__ is dict:
                for rule in rules:
                    rule(value, run)
            return count

        return check

    def _on_primitive(self, member: Member, one: Check, added: list[Constraint]) -> Check:
        predicates = tuple((c, self.predicate(c, member.type)) for c in added)

        def check(value: Any, holder: Json, run: Run) -> int:
            before = len(run.faults)
            count = one(value, holder, run)
            if len(run.faults) == before:
                for constraint, holds in predicates:
                    if not holds(value, run):
                        run.report(broken(constraint, holder, member.key))
            return count

        return check

    def rule(self, constraint: Constraint, kind: str) -> Rule:
        """The rule that reports a constraint broken by an object of a type."""
        identity = (constraint, kind)
        if identity not in self._rules:
            self._rules[identity] = rule_of(constraint, self.predicate(constraint, kind))
        return self._rules[identity]

    def predicate(self, constraint: Constraint, kind: str) -> Predicate:
        """Whether a constraint holds for a raw value of a type."""
        if constraint.key in NATIVE and constraint.source.startswith(TYPE_URL):
            return NATIVE[constraint.key]
        return self._engine.predicate(constraint.expression, kind)


def rule_of(constraint: Constraint, holds: Predicate) -> Rule:
    """The rule of a compiled constraint; a value of the wrong shape was reported before and is left alone."""

    def rule(value: Json, run: Run) -> None:
        try:
            if not holds(value, run):
                run.report(broken(constraint, value, None))
        except UNDECIDABLE as error:
            if not run.faults:
                run.report(undecided(constraint, value, error))

    return rule


def broken(constraint: Constraint, holder: Any, key: str | None) -> Fault:
    """The fault of a constraint that does not hold."""
    text = f"Rule {constraint.key} does not hold: {constraint.expression}"
    return Fault(holder, key, None, constraint.severity, "invariant", text, constraint.key, constraint.source)


def undecided(constraint: Constraint, holder: Any, error: Exception) -> Fault:
    """The fault of a constraint that could not be evaluated."""
    text = f"Rule {constraint.key} could not be evaluated ({error}): {constraint.expression}"
    return Fault(holder, None, None, constraint.severity, "exception", text, constraint.key, constraint.source)

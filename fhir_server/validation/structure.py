"""Types compiled to checks: members, cardinality, choices, invariants (FHIR R4, 2.6.2 JSON, 2.32 ElementDefinition)."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fhir_server.definitions.datatype import Member, Type
from fhir_server.definitions.registry import Definitions
from fhir_server.validation.binding import Bindings
from fhir_server.validation.constraint import UNDECIDABLE, Constraints, Invariant, broken, rule_of
from fhir_server.validation.member import array_check, primitive_array_check, primitive_check, sibling_check
from fhir_server.validation.nested import contained_check, resource_check
from fhir_server.validation.primitive import FORMATS, kind_of
from fhir_server.validation.reference import reference_check
from fhir_server.validation.run import Check, Json, Rule, Run

MemberCheck = Callable[[str, Member, Check], Check]
"""Wraps the check of a member, given the name of the type that has it."""

ABSTRACT_RESOURCES = frozenset({"Resource", "DomainResource"})
TYPE_NAME = "resourceType"
MOST_REMEMBERED = 8192
LONGEST_REMEMBERED = 500


@dataclass(frozen=True, slots=True)
class Needs:
    """What an object must have: members as (key, `_key`), and choices as the set of keys of which one must be there."""

    members: tuple[tuple[str, str], ...]
    choices: tuple[tuple[str, frozenset[str]], ...]


class StructureChecks:
    """The checks of all types at one depth, compiled when first asked for.

    `rules` adds to the invariants of a type what no FHIRPath says; `member_checks` wraps the check of a member of a
    type (for extensions, canonicals and the like), `extension_check` that of an extension of a primitive member. Types
    that are `repeating` often have the same values, of which nothing around them changes what is said.
    """

    def __init__(
        self,
        definitions: Definitions,
        bindings: Bindings,
        constraints: Constraints,
        rules: Mapping[str, Sequence[Rule]],
        member_checks: Mapping[str, MemberCheck],
        extension_check: MemberCheck | None = None,
        repeating: Container[str] = (),
    ) -> None:
        self.definitions = definitions
        self._bindings = bindings
        self._constraints = constraints
        self._rules = rules
        self._member_checks = member_checks
        self._extension_check = extension_check
        self._repeating = repeating
        self._checks: dict[str, Check] = {}

    def check(self, name: str) -> Check:
        """The check of values of a type, as one JSON object; KeyError when there is no such type."""
        if name not in self._checks:
            self._compile(self.definitions.type(name))
        return self._checks[name]

    def _compile(self, kind: Type) -> None:
        table: dict[str, Check] = {}
        is_resource = kind.kind == "resource"
        invariants, rules = self._constraints.invariants(kind), self._rules.get(kind.name, ())
        needs = needs_of(kind)
        check = object_check(kind.name, table, needs, invariants, rules, may_be_bare=is_resource)
        self._checks[kind.name] = remembering(check) if kind.name in self._repeating else check
        if is_resource:
            table[TYPE_NAME] = lambda value, holder, run: 0
        for member in kind.members.values():
            table[member.key] = self._member(kind, member)
            if member.type in FORMATS:
                sibling, absent = self._sibling(kind, member), self._bindings.absent(member)
                table[f"_{member.key}"] = sibling_check(member, sibling, absent)

    def _sibling(self, kind: Type, member: Member) -> Check:
        """The check of the id and extensions of a primitive, compiled when the first one is met."""
        compiled: list[Check] = []

        def check(value: Any, holder: Json, run: Run) -> int:
            if not compiled:
                compiled.append(self._element(kind, member))
            return compiled[0](value, holder, run)

        return check

    def _element(self, kind: Type, member: Member) -> Check:
        element = self.definitions.type("Element")
        table = {m.key: self._member(element, m) for m in element.members.values()}
        if self._extension_check is not None:
            one = self._extension_check(kind.name, member, self._lazy("Extension"))
            table["extension"] = array_check("extension", one, 1, None)
        invariants = self._constraints.invariants(element)
        return object_check("Element", table, needs_of(element), invariants, (), may_be_bare=True)

    def _member(self, kind: Type, member: Member) -> Check:
        one = self._one(kind, member)
        one = self._constraints.constrained(kind, member, one)
        wrap = self._member_checks.get(member.type)
        if wrap is not None:
            one = wrap(kind.name, member, one)
        if not member.many:
            return single_choice(kind, member, one) if member.choice is not None else one
        low = max(1, member.min)
        top = member.max if member.max is not None else None
        make = primitive_array_check if member.type in FORMATS else array_check
        return make(member.key, one, low, top)

    def _one(self, kind: Type, member: Member) -> Check:
        if member.type in FORMATS:
            return self._bindings.coded(member, primitive_check(member.key, member.type))
        if member.type in ABSTRACT_RESOURCES:
            nest = contained_check if member.key == "contained" else resource_check
            return nest(self.definitions.resource_types, self.check)
        inner = self._lazy(member.type)
        if member.type == "Reference":
            inner = reference_check(self.definitions, member, inner)
        return self._bindings.coded(member, inner)

    def _lazy(self, name: str) -> Check:
        if name not in self._checks:
            self._compile(self.definitions.type(name))
        return self._checks[name]


def needs_of(kind: Type) -> Needs:
    """The required members of a type."""
    needed = [m for m in kind.members.values() if m.min > 0]
    choices: dict[str, set[str]] = {}
    for member in needed:
        if member.choice is not None:
            choices.setdefault(member.choice, set()).update((member.key, f"_{member.key}"))
    return Needs(
        tuple((m.key, m.key if m.element.xml_attribute else f"_{m.key}") for m in needed if m.choice is None),
        tuple((name, frozenset(keys)) for name, keys in choices.items()),
    )


def object_check(
    name: str,
    table: Mapping[str, Check],
    needs: Needs,
    invariants: Sequence[Invariant],
    rules: Sequence[Rule],
    *,
    may_be_bare: bool,
) -> Check:
    """The check of an object: each member by the table, what it needs, then invariants and rules about it as a whole.

    `may_be_bare` is for what needs no members of its own: a resource, and the id and extensions beside a primitive.
    Should an invariant fail to be evaluated, each is looked at alone; a fault that is found twice is told once.
    """
    find, members = table.get, needs.members
    rules = (*(choice_needed(name, choice, keys) for choice, keys in needs.choices), *rules)

    def check(value: Any, holder: Json, run: Run) -> int:
        if value.__class__ is not dict:
            return not_an_object(name, value, holder, run)
        count = len(value)
        if count < 2 and not may_be_bare and (count == 0 or "id" in value):
            run.error(value, None, "invariant", "An element must have a value or children (ele-1).")
        for key, inner in value.items():
            member = find(key)
            if member is None:
                unknown_member(name, key, table, value, run)
            else:
                count += member(inner, value, run)
        for key, sibling in members:
            if key not in value and sibling not in value:
                run.error(value, None, "required", f"{name}.{key} is required (minimum 1) and missing.")
        try:
            for holds, constraint in invariants:
                if not holds(value, run):
                    run.report(broken(constraint, value, None))
        except UNDECIDABLE:
            each_alone(invariants, value, run)
        for rule in rules:
            rule(value, run)
        return count

    return check


def remembering(check: Check) -> Check:
    """The same check, which does not look again at an object of strings in which it found nothing."""
    sound: set[tuple[tuple[str, Any], ...]] = set()

    def look(value: Any, holder: Json, run: Run) -> int:
        if value.__class__ is not dict:
            return check(value, holder, run)
        key = tuple(value.items())
        try:
            if key in sound:
                return len(value)
        except TypeError:  # an object or array has no hash
            return check(value, holder, run)
        before = len(run.faults)
        count = check(value, holder, run)
        if len(run.faults) == before and is_plain(value):
            if len(sound) >= MOST_REMEMBERED:
                sound.clear()
            sound.add(key)
        return count

    return look


def is_plain(value: Json) -> bool:
    """True for a small object of strings that are the same wherever they stand: neither ids nor fragments."""
    texts = [text for text in value.values() if text.__class__ is str and text[:1] != "#"]
    return len(texts) == len(value) and "id" not in value and sum(map(len, texts)) < LONGEST_REMEMBERED


def choice_needed(name: str, choice: str, keys: frozenset[str]) -> Rule:
    """The rule that one type of a choice must be there."""

    def rule(value: Json, run: Run) -> None:
        if value.keys().isdisjoint(keys):
            run.error(value, None, "required", f"{name}.{choice}[x] is required (minimum 1) and missing.")

    return rule


def each_alone(invariants: Sequence[Invariant], value: Json, run: Run) -> None:
    """Evaluate each invariant by itself, since one of them could not be."""
    for holds, constraint in invariants:
        rule_of(constraint, holds)(value, run)


def not_an_object(name: str, value: Any, holder: Json, run: Run) -> int:
    """Report a value that should be an object of a type."""
    key = next((k for k, v in holder.items() if v is value or (v.__class__ is list and value in v)), None)
    return run.error(holder, key, "structure", f"Expected an object of type {name}, found {kind_of(value)}.")


def unknown_member(name: str, key: str, table: Mapping[str, Check], holder: Json, run: Run) -> None:
    """Report a member that the type does not have, and the nearest that it has."""
    near = difflib.get_close_matches(key, [k for k in table if not k.startswith("_")], n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    run.error(holder, key, "structure", f"{name} has no member {key!r}.{hint}")


def single_choice(kind: Type, member: Member, one: Check) -> Check:
    """The check of one type of a choice: no other of its types may be there."""
    same = (m for m in kind.names[member.name] if m is not member)
    others = frozenset(key for m in same for key in (m.key, f"_{m.key}"))

    def check(value: Any, holder: Json, run: Run) -> int:
        if not holder.keys().isdisjoint(others):
            found = ", ".join(k for k in holder if k in others or k == member.key)
            run.error(holder, member.key, "structure", f"Only one {member.name}[x] is allowed, found {found}.")
        return one(value, holder, run)

    return check

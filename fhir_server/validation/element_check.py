"""What one element of a profile says of each occurrence: types, values, codes, constraints (FHIR R4, 2.32)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Protocol

from fhir_server.definitions.registry import Definitions
from fhir_server.definitions.structure import TYPE_URL, Binding, Constraint, Element
from fhir_server.fhirpath.error import FHIRPathError
from fhir_server.fhirpath.pattern import compiled, matches_whole
from fhir_server.validation.binding import Bindings
from fhir_server.validation.constraint import UNDECIDABLE, Constraints, broken
from fhir_server.validation.element_tree import ElementNode
from fhir_server.validation.item import Item
from fhir_server.validation.narrative_language import narrative_language_check
from fhir_server.validation.primitive import FORMATS, shown
from fhir_server.validation.run import Fault, Run
from fhir_server.validation.slicing import ItemCheck, fault_at
from fhir_server.validation.value_bound import bound_check
from fhir_server.validation.value_pattern import difference, is_same, is_within

# R4 binds component.value[x] of a vital sign, whatever its type, to units that not even its own panels keep to.
MISTAKEN = frozenset({"http://hl7.org/fhir/ValueSet/ucum-vitals-common"})
WEAKER = frozenset({"required", "extensible", "preferred"})


@dataclass(frozen=True, slots=True)
class Floor:
    """What is checked already for the same items: by the base type's element, and by the elements of a slice's head."""

    base: Element | None
    heads: tuple[Element, ...]
    type: str

    @property
    def elements(self) -> tuple[Element, ...]:
        """All elements that are checked already."""
        return self.heads if self.base is None else (self.base, *self.heads)

    def has(self, holds: Callable[[Element], bool]) -> bool:
        """True when one of the elements already says the same."""
        return any(holds(e) for e in self.elements)

    def cardinality(self, element: Element) -> tuple[int | None, int | None]:
        """The bounds of an element that are tighter than those checked already."""
        low = element.min or 0
        least = max((e.min or 0 for e in self.elements), default=0)
        tops = [e.max for e in self.elements if e.max is not None]
        top = element.max if not tops or (element.max is not None and element.max < min(tops)) else None
        return low if low > least else None, top


class Profiles(Protocol):
    """What these checks ask of the profiles."""

    definitions: Definitions
    full: bool


class ElementChecks:
    """Compiles the parts of an element that look at one occurrence."""

    def __init__(self, profiles: Profiles, bindings: Bindings, constraints: Constraints) -> None:
        self._definitions = profiles.definitions
        self._strengths = WEAKER if profiles.full else frozenset({"required"})
        self._bindings = bindings
        self._constraints = constraints

    def checks(self, node: ElementNode, floor: Floor, profile: str) -> Sequence[ItemCheck]:
        """The checks of what an element says beyond what is checked already."""
        return tuple(c for c in self._parts(node, floor, profile) if c is not None)

    def _parts(self, node: ElementNode, floor: Floor, profile: str) -> Iterator[ItemCheck | None]:
        element = node.element
        yield self._types(node, floor, profile)
        if element.fixed is not None and not floor.has(lambda e: e.fixed == element.fixed):
            yield value_check(element.fixed.value, is_same, "fixed", profile)
        if element.pattern is not None and not floor.has(lambda e: e.pattern == element.pattern):
            yield value_check(element.pattern.value, is_within, "the pattern", profile)
        if element.min_value is not None and not floor.has(lambda e: e.min_value == element.min_value):
            yield bound_check(element.min_value, profile, least=True)
        if element.max_value is not None and not floor.has(lambda e: e.max_value == element.max_value):
            yield bound_check(element.max_value, profile, least=False)
        if element.max_length is not None and not floor.has(lambda e: e.max_length == element.max_length):
            yield length_check(element.max_length, profile)
        if element.regex is not None and not floor.has(lambda e: e.regex == element.regex):
            yield regex_check(element.regex, profile)
        if element.binding is not None and not floor.has(lambda e: e.binding == element.binding):
            yield self._binding(element.binding, profile)
        if element.must_have_value or element.value_alternatives:
            yield presence_check(node.label, element.value_alternatives, profile)
        if element.narrative_languages:
            yield narrative_language_check(element.narrative_languages, profile)
        yield self._invariants(element, floor)

    def _types(self, node: ElementNode, floor: Floor, profile: str) -> ItemCheck | None:
        codes = {t.code for t in node.types if t.code}  # three of the core's extensions leave it out
        if not codes or floor.has(lambda e: {t.code for t in e.types} <= codes) or node.root is None:
            return None
        is_subtype, label = self._definitions.is_subtype, node.label
        allowed: dict[str, bool] = {}

        def check(item: Item, run: Run) -> None:
            kind = item.type
            if kind not in allowed:
                allowed[kind] = any(is_subtype(kind, code) for code in codes)
            if not allowed[kind]:
                text = f"{label} must be of type {' or '.join(sorted(codes))}, found {kind}."
                run.report(fault_at(item, "structure", text, profile))

        return check

    def _binding(self, binding: Binding, profile: str) -> ItemCheck | None:
        if binding.strength not in self._strengths or binding.value_set.partition("|")[0] in MISTAKEN:
            return None
        by_type: dict[str, Callable[[Any, Any, Run], int]] = {}

        def check(item: Item, run: Run) -> None:
            if not isinstance(item.value, str | dict):
                return
            one = by_type.get(item.type)
            if one is None:
                one = by_type[item.type] = self._bindings.bound(item.key or "", item.type, binding, nothing)
            before = len(run.faults)
            one(item.value, item.holder, run)
            if len(run.faults) != before:
                mark(run, before, item, profile)

        return check

    def _invariants(self, element: Element, floor: Floor) -> ItemCheck | None:
        known = {(c.key, c.expression) for e in floor.elements for c in e.constraints}
        names = [floor.type, *(t.code for t in element.types)]
        for name in names:
            if self._definitions.has_type(name):
                known |= {(c.key, c.expression) for c in self._definitions.type(name).constraints}
        keys = {key for key, _ in known}
        elsewhere = self._sources(element)
        added = [
            c for c in element.constraints
            if (c.key, c.expression) not in known
            and not (c.key in keys and c.source.startswith(TYPE_URL))
            and c.source not in elsewhere
            and self._constraints.matters(c)
        ]  # fmt: skip
        return self._constrained(added) if added else None

    def _sources(self, element: Element) -> set[str]:
        """The profiles of the element's types and what they derive from, whose constraints are theirs to check."""
        found: set[str] = set()
        for canonical in (c for t in element.types for c in t.profiles):
            structure = self._definitions.structure(canonical)
            while structure is not None and structure.url not in found and structure.derivation == "constraint":
                found.add(structure.url)
                base = structure.base_definition
                structure = self._definitions.structure(base) if base else None
        return found

    def _test_primitive(self, item: Item, added: Sequence[Constraint], run: Run) -> None:
        for constraint in added:
            try:
                holds = self._constraints.predicate(constraint, item.type)(item.value, run)
            except UNDECIDABLE:
                continue  # its shape was found wrong before
            if not holds:
                holder, key, index = item.place
                fault = broken(constraint, holder, key)
                run.report(fault if index is None else fault.at(index))

    def _constrained(self, added: Sequence[Constraint]) -> ItemCheck:
        constraints = self._constraints

        def check(item: Item, run: Run) -> None:
            value = item.value
            if value.__class__ is dict:
                for constraint in added:
                    constraints.rule(constraint, item.type)(value, run)
            elif value is not None and item.type in FORMATS:
                self._test_primitive(item, added, run)

        nested = within_resource(check)
        # For FHIRPath an entry's resource is %resource itself, a contained one is seen from its container.
        return lambda item, run: (nested if item.key == "resource" else check)(item, run)


def within_resource(check: ItemCheck) -> ItemCheck:
    """A check of a resource that may stand in another: %resource and references are then its own."""

    def nested(item: Item, run: Run) -> None:
        value: Any = item.value
        if value is run.resource or value.__class__ is not dict:
            check(item, run)
            return
        outer = run.resource, run.root
        run.resource = value
        if item.key != "contained":
            run.root = value
        check(item, run)
        run.resource, run.root = outer

    return nested


def nothing(value: Any, holder: Any, run: Run) -> int:
    """Check nothing of its own."""
    return 0


def mark(run: Run, before: int, item: Item, profile: str) -> None:
    """Say of the faults found since `before` which item they are about and which profile asks for it.

    What was found of the code itself, by the check of its type, is not said twice.
    """
    fresh = run.faults[before:]
    del run.faults[before:]
    said = {(id(f.holder), f.key, f.text) for f in run.faults}
    for found in fresh:
        place = (found.holder, found.key, item.index if found.key == item.key else found.index)
        if (id(found.holder), found.key, found.text) not in said:
            run.report(Fault(*place, found.severity, found.code, found.text, found.rule, profile, found.depth))


def value_check(wanted: Any, same: Callable[[Any, Any], bool], word: str, profile: str) -> ItemCheck:
    """The check of a fixed value or a pattern."""

    def check(item: Item, run: Run) -> None:
        if not same(item.value, wanted):
            text = f"The value does not match what is {word} here: {difference(item.value, wanted, same)}."
            run.report(fault_at(item, "value", text, profile))

    return check


def presence_check(label: str, alternatives: Sequence[str], profile: str) -> ItemCheck:
    """The check that a primitive has a value, or one of the extensions that may stand for it."""

    def check(item: Item, run: Run) -> None:
        if item.value is not None:
            return
        extensions = item.parts.get("extension")
        urls = [x.get("url") for x in extensions if x.__class__ is dict] if extensions.__class__ is list else []
        if not any(a in urls for a in alternatives):
            instead = f", or the extension {' or '.join(alternatives)}" if alternatives else ""
            run.report(fault_at(item, "required", f"{label} must have a value{instead}.", profile))

    return check


def regex_check(expression: str, profile: str) -> ItemCheck | None:
    """The check of a primitive's text by a regular expression; None for one that cannot be run in linear time."""
    try:
        compiled(expression)
    except FHIRPathError:
        return None

    def check(item: Item, run: Run) -> None:
        value = item.value
        if isinstance(value, str | int | float | Decimal) and not matches_whole(expression, spelled(value)):
            text = f"{shown(value)} does not match the regular expression {expression}."
            run.report(fault_at(item, "value", text, profile))

    return check


def spelled(value: Any) -> str:
    """A primitive as XML writes it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def length_check(most: int, profile: str) -> ItemCheck:
    """The check of a text's length."""

    def check(item: Item, run: Run) -> None:
        if item.value.__class__ is str and len(item.value) > most:
            text = f"The text may have at most {most} characters, found {len(item.value)}."
            run.report(fault_at(item, "too-long", text, profile))

    return check

"""Extensions by their definitions: value, place, modifier or not (FHIR R4, 2.5 Extensibility).

Most extensions in a resource are unknown or right; they cost one look-up by url. What depends on the type that has the
extension is decided once for that type, what depends on the elements above it when the resource is seen.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from fhir_server.definitions.datatype import Member
from fhir_server.definitions.registry import Definitions
from fhir_server.definitions.structure import Structure
from fhir_server.fhirpath.engine import Engine
from fhir_server.fhirpath.error import FHIRPathError
from fhir_server.validation.element_tree import ElementNode
from fhir_server.validation.extension_context import (
    ElementContexts,
    Site,
    element_expressions,
    is_selected,
    site_in,
    site_of,
)
from fhir_server.validation.item import Item
from fhir_server.validation.primitive import shown
from fhir_server.validation.profile import Profiles
from fhir_server.validation.run import Check, Json, Run

EXTENSION = "Extension"
MODIFIER = "modifierExtension"
MOST_UNKNOWN = 512
OWN_VALUE = re.compile(r"%extension\.value[A-Z]\w*")  # so R4 names a choice that FHIRPath calls `value`

HolderRule = Callable[[Json, Json, Run], None]
"""Looks at an extension and the object that has it."""


class Extensions:
    """The checks of extensions, by the types that have them."""

    def __init__(self, definitions: Definitions, engine: Engine, profiles: Profiles) -> None:
        self._definitions = definitions
        self._engine = engine
        self._profiles = profiles
        self._contexts = ElementContexts(definitions)
        self._known: list[dict[str, HolderRule | None]] = []
        self._generation = definitions.generation

    def refresh(self) -> None:
        """Forget what was compiled from definitions that have changed since."""
        if self._generation != self._definitions.generation:
            self._generation = self._definitions.generation
            for rules in self._known:
                rules.clear()

    def check(self, kind: str, member: Member, one: Check) -> Check:
        """The check of each extension of a type's objects, around the check of its shape."""
        site = site_of(self._definitions, kind) if kind != "Element" else None
        return self._around(site, member.key == MODIFIER, one)

    def primitive_check(self, kind: str, member: Member, one: Check) -> Check:
        """The check of each extension of a primitive that a type's objects have as a member."""
        return self._around(site_of(self._definitions, kind, member), modifier=False, one=one)

    def _around(self, site: Site | None, modifier: bool, one: Check) -> Check:  # noqa: FBT001 the caller's finding
        rules: dict[str, HolderRule | None] = {}
        self._known.append(rules)
        nested = site is not None and site.types[-1] == EXTENSION
        find = rules.get

        def check(value: Any, holder: Json, run: Run) -> int:
            count = one(value, holder, run)
            url = value.get("url") if value.__class__ is dict else None
            if url.__class__ is not str:
                return count
            rule = find(url, unseen)
            if rule is unseen:
                rule = self._remember(rules, url, site, modifier)
            if rule is not None:
                rule(value, holder, run)
            elif not nested and ":" not in url:
                text = f"The url of an extension must be absolute, found {shown(url)}."
                run.error(value, "url", "value", text)
            return count

        return check

    def _remember(
        self,
        rules: dict[str, HolderRule | None],
        url: str,
        site: Site | None,
        modifier: bool,  # noqa: FBT001
    ) -> HolderRule | None:
        structure = self._definitions.structure(url) if ":" in url else None
        known = structure is not None and structure.type == EXTENSION and structure.derivation == "constraint"
        rule = self._rule(url, structure, site, modifier) if known and structure is not None else None
        if (rule is not None and "#" not in url) or len(rules) < MOST_UNKNOWN:  # clients choose what nobody knows
            rules[url] = rule
        return rule

    def _rule(self, url: str, structure: Structure, site: Site | None, modifier: bool) -> HolderRule:  # noqa: FBT001
        found = self._profiles.node(url)
        value_rule = self._value_rule(url, found[1]) if found is not None else None
        rules = [
            rule_of_modifier(structure, modifier, found[1] if found is not None else None),
            self._context_rule(structure, site),
            *(self._invariant_rule(structure, e, site) for e in structure.context_invariants),
        ]
        others = tuple(r for r in rules if r is not None)

        def rule(value: Json, holder: Json, run: Run) -> None:
            if value_rule is not None:
                value_rule(value, holder, run)
            for other in others:
                other(value, holder, run)

        return rule if others or value_rule is None else value_rule

    # Value

    def _value_rule(self, url: str, node: ElementNode) -> HolderRule | None:
        check = self._profiles.item_check(url)
        if check is None:
            return None
        keys = self._plain_keys(node)
        parts = part_urls(node)

        def rule(value: Json, holder: Json, run: Run) -> None:
            if len(value) == 2 and not keys.isdisjoint(value):
                return
            check(Item(value, None, None, value, EXTENSION), run)
            if parts and "extension" in value:
                unknown_parts(value, url, parts, run)

        return rule

    def _plain_keys(self, node: ElementNode) -> frozenset[str]:
        """The keys of a value that beside the url is all that a sound extension of this kind needs to have."""
        value = node.children.get("value")
        below = node.children.get("extension")
        if value is None or value.slices or (below is not None and (below.element.min or 0) > 0):
            return frozenset()
        if value.element.max == 0:
            return frozenset()
        codes = (t.code for t in value.types if not self._profiles.says_more(value, t.code))
        return frozenset(f"value{code[0].upper()}{code[1:]}" for code in codes)

    # Place

    def _context_rule(self, structure: Structure, site: Site | None) -> HolderRule | None:
        expressions = element_expressions(structure.url, structure.contexts)
        if not structure.contexts or site is None:
            return None
        allowed = self._contexts.allows(expressions, site)
        if allowed is True:
            return None
        parents = frozenset(c.expression for c in structure.contexts if c.type == "extension")
        paths = tuple(c.expression for c in structure.contexts if c.type == "fhirpath")
        kind = site.types[-1]
        is_extension = kind == EXTENSION

        def rule(value: Json, holder: Json, run: Run) -> None:
            if is_extension and holder.get("url") in parents:
                return
            if allowed is False and not paths:
                misplaced(structure, site, value, run)
                return
            resource = run.resource

            def decide() -> None:
                whole = site_in(self._definitions, resource, holder, kind, run)
                if not self._contexts.allows(expressions, whole) and not self._selected(paths, resource, holder, run):
                    misplaced(structure, whole, value, run)

            run.later.append(decide)

        return rule

    def _selected(self, paths: tuple[str, ...], resource: Json, holder: Json, run: Run) -> bool:
        for path in paths:
            try:
                found = self._engine.compile(path, resource.get("resourceType"), strict=False).evaluate(
                    resource, environment=run.environment
                )
            except FHIRPathError:
                continue
            if is_selected(found, holder):
                return True
        return False

    def _invariant_rule(self, structure: Structure, expression: str, site: Site | None) -> HolderRule | None:
        kind = site.types[-1] if site is not None else "Element"
        try:
            compiled = self._engine.compile(OWN_VALUE.sub("%extension.value", expression), kind, strict=False)
        except FHIRPathError:
            return None

        def rule(value: Json, holder: Json, run: Run) -> None:
            node = self._engine.node(value, EXTENSION)
            try:
                holds = compiled.holds(
                    holder,
                    type=kind,
                    resource=run.resource,
                    root=run.root,
                    variables={"extension": node},
                    environment=run.environment,
                )
            except (FHIRPathError, TypeError, ValueError, AttributeError, LookupError, ArithmeticError):
                return
            if not holds:
                text = f"The extension {structure.url} may only be used where {expression}."
                run.error(value, None, "invariant", text)

        return rule


def part_urls(node: ElementNode) -> frozenset[str]:
    """The urls of the extensions that a complex extension is made of."""
    below = node.children.get("extension")
    urls = (part.children["url"].element.fixed for part in below.slices if "url" in part.children) if below else ()
    return frozenset(fixed.value for fixed in urls if fixed is not None and fixed.value.__class__ is str)


def unknown_parts(value: Json, url: str, parts: frozenset[str], run: Run) -> None:
    """Report the parts of a complex extension that its definition does not have; absolute urls are definitions' own."""
    inner = value["extension"]
    for part in inner if inner.__class__ is list else ():
        named = part.get("url") if part.__class__ is dict else None
        if named.__class__ is str and ":" not in named and named not in parts:
            text = f"The extension {url} has no part {shown(named)}; it has {', '.join(sorted(parts))}."
            run.error(part, "url", "structure", text)


def unseen(value: Json, holder: Json, run: Run) -> None:
    """Stand for a url that was not looked up yet."""


def misplaced(structure: Structure, site: Site, value: Json, run: Run) -> None:
    """Report an extension on an element that its definition does not name."""
    here = site.types[-1] if not site.steps else ".".join((site.types[0], *(name for name, _ in site.steps)))
    allowed = ", ".join(c.expression for c in structure.contexts)
    text = f"The extension {structure.url} is not allowed on {here}; it may stand on: {allowed}."
    run.error(value, None, "structure", text)


def rule_of_modifier(structure: Structure, modifier: bool, node: ElementNode | None) -> HolderRule | None:  # noqa: FBT001
    """The rule that a modifier stands in modifierExtension, and nothing else does; None where that is so."""
    if node is None or node.element.is_modifier == modifier:
        return None
    wanted, found = (MODIFIER, "extension") if node.element.is_modifier else ("extension", MODIFIER)
    text = f"The extension {structure.url} must stand in {wanted}, found in {found}."

    def rule(value: Json, holder: Json, run: Run) -> None:
        run.error(value, None, "structure", text)

    return rule

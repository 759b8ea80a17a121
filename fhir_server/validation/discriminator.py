"""Discriminators: what tells the slices of an element apart (FHIR R4, 5.1.0.15 discriminator)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any, Protocol

from fhir_server.definitions.registry import Definitions
from fhir_server.definitions.structure import Binding, Discriminator, Structure, TypeRef
from fhir_server.terminology.protocol import Membership
from fhir_server.validation.criterion import (
    Answer,
    Criterion,
    Equals,
    KeyTest,
    Test,
    absent,
    any_item,
    any_of,
    equal_to,
    is_unseen,
    member_of,
    path_test,
    present,
    unknown,
)
from fhir_server.validation.element_tree import ElementNode, profiles_by_type
from fhir_server.validation.item import Finder, Item, finder
from fhir_server.validation.reference import literal_type
from fhir_server.validation.resolution import resolved
from fhir_server.validation.run import Run

STEP = re.compile(r"\s*(\$this|[A-Za-z_][\w\-]*(?:\[x\])?)(?:\(\s*(?:'([^']*)'|([\w.]*))\s*\))?\s*(?:\.|$)")
EXTENSION = "Extension"
FUNCTIONS = frozenset({"resolve", "extension", "ofType", "as"})


class Profiles(Protocol):
    """What discriminators ask of the profiles."""

    definitions: Definitions

    def node(self, canonical: str) -> tuple[Structure, ElementNode] | None:
        """The element that a profile, or a part of it, starts from."""

    def membership(self, binding: Binding) -> Membership | None:
        """The codes of a binding."""

    def conforms(self, item: Item, canonical: str, run: Run) -> bool:
        """Whether an item meets a profile."""


class Step:
    """One step of a path: a name, or a function with its argument."""

    __slots__ = ("argument", "function", "name")

    def __init__(self, name: str, argument: str | None) -> None:
        self.function = argument is not None and name in FUNCTIONS
        self.name = name.removesuffix("[x]")
        self.argument = argument or ""


def steps_of(path: str) -> list[Step] | None:
    """The steps of a discriminator's path; None when it is not of the subset of FHIRPath allowed there."""
    steps, at = [], 0
    while at < len(path):
        match = STEP.match(path, at)
        if match is None:
            return None
        called = path[match.end(1) : match.end()].lstrip().startswith("(")
        if match[1] != "$this":
            steps.append(Step(match[1], (match[2] or match[3] or "") if called else None))
        at = match.end()
    return steps


class Discriminators:
    """Compiles discriminators to tests of items."""

    def __init__(self, profiles: Profiles) -> None:
        self._profiles = profiles
        self._definitions = profiles.definitions
        self._finders: dict[tuple[str, str], Finder] = {}

    def test(self, discriminator: Discriminator, node: ElementNode) -> Test | None:
        """Whether an item belongs to the slice of a node; None where the profile does not say by what."""
        steps = steps_of(discriminator.path)
        if steps is None:
            return None
        criterion = self._criterion(discriminator.type, node, steps, None)
        if criterion is None:
            return None
        if isinstance(criterion, Equals) and is_plain(node, steps):
            if len(steps) == 1:
                return KeyTest(steps[0].name, criterion.wanted, self.tester(steps, criterion))
            return path_test([step.name for step in steps], criterion.wanted)
        return self.tester(steps, criterion)

    def tester(self, steps: Sequence[Step], criterion: Criterion) -> Test:
        """The test of an item by the values at the end of a path."""
        return lambda item, run: criterion(self.values(item, steps, run), run)

    # Values

    def values(self, item: Item, steps: Sequence[Step], run: Run) -> list[Item]:
        """The items at the end of a path."""
        found = [item]
        for step in steps:
            found = [inner for one in found for inner in self._follow(one, step, run)]
        return found

    def _follow(self, item: Item, step: Step, run: Run) -> Iterable[Item]:
        if is_unseen(item):
            return (Item(item.holder, item.key, item.index, None, ""),)
        if not step.function:
            return self._members(item, step.name)
        if step.name == "resolve":
            return self._resolve(item, run)
        if step.name == "extension":
            return (x for x in self._members(item, "extension") if x.parts.get("url") == step.argument)
        return (item,) if self._definitions.is_subtype(item.type, step.argument) else ()

    def _members(self, item: Item, name: str) -> Sequence[Item]:
        find = self._finders.get((item.type, name))
        if find is None:
            find = self._finders[item.type, name] = self._finder(item.type, name)
        return find(item.parts)

    def _finder(self, type_name: str, name: str) -> Finder:
        if not self._definitions.has_type(type_name):
            return lambda holder: ()
        kind = self._definitions.type(type_name)
        members = kind.names.get(name) or ((kind.members[name],) if name in kind.members else ())
        return finder(members) if members else lambda holder: ()

    def _resolve(self, item: Item, run: Run) -> Iterable[Item]:
        reference: Any = item.value.get("reference") if item.value.__class__ is dict else item.value
        if reference.__class__ is not str:
            return ()
        found = resolved(reference, run)
        if found is not None:
            return (found,)
        # What cannot be seen is judged by the type that the reference shows.
        named = literal_type(reference, self._definitions.resource_types) if reference[:1] != "#" else "none"
        return () if named == "none" else (Item(item.holder, item.key, item.index, None, named or ""),)

    # Criteria

    def _criterion(self, kind: str, node: ElementNode, steps: Sequence[Step], code: str | None) -> Criterion | None:
        """The criterion at the end of a path from an element; `code` limits the types of a choice."""
        if not steps:
            return self._at(kind, node, code)
        step, rest = steps[0], steps[1:]
        if step.function:
            return self._through_function(kind, node, step, rest)
        return (
            self._of_child(kind, node.children.get(step.name), rest)
            or self._of_slices(kind, node, steps)
            or self._of_profiles(kind, node, steps)
            or self._of_child(kind, node.child(step.name), rest)
            or self._of_base(kind, node, steps)
        )

    def _of_child(self, kind: str, child: ElementNode | None, rest: Sequence[Step]) -> Criterion | None:
        return None if child is None else self._criterion(kind, child, rest, None)

    def _of_slices(self, kind: str, node: ElementNode, steps: Sequence[Step]) -> Criterion | None:
        """The criterion that one of an element's own slices sets."""
        return any_of(self._criterion(kind, part, steps, None) for part in node.slices)

    def _of_profiles(self, kind: str, node: ElementNode, steps: Sequence[Step]) -> Criterion | None:
        named = [c for canonicals in profiles_by_type(node.types).values() for c in canonicals]
        urls = [c for t in node.types if t.code == EXTENSION for c in t.profiles]
        if steps[0].name == "url" and len(urls) == 1 and self._profiles.node(urls[0]) is None:
            return Equals(urls[0])  # the extension is not known, but its url is
        return any_of(self._criterion(kind, found, steps, None) for found in self._nodes(named))

    def _of_base(self, kind: str, node: ElementNode, steps: Sequence[Step]) -> Criterion | None:
        """The criterion that a datatype, or the content that the element refers to, sets."""
        names = [node.element.content_reference.rpartition("#")[2]] if node.element.content_reference else []
        names += [node.element.path, *(t.code for t in node.types)]
        for name in names:
            if not self._definitions.has_type(name):
                continue
            members = self._definitions.type(name).names.get(steps[0].name)
            if members:
                leaf = ElementNode(members[0].element, steps[0].name)
                return self._criterion(kind, leaf, steps[1:], None)
        return None

    def _through_function(self, kind: str, node: ElementNode, step: Step, rest: Sequence[Step]) -> Criterion | None:
        if step.name == "resolve":
            return self._of_targets(kind, node, rest)
        if step.name == "extension":
            return any_of(self._criterion(kind, found, rest, None) for found in self._extensions(node, step.argument))
        parts = [s for s in node.slices if any(t.code == step.argument for t in s.types)]
        return any_of(self._criterion(kind, part, rest, step.argument) for part in (*parts, node))

    def _extensions(self, node: ElementNode, url: str) -> Iterable[ElementNode]:
        head = node.child("extension")
        for part in head.slices if head is not None else ():
            fixed = part.children["url"].element.fixed if "url" in part.children else None
            if (fixed is not None and fixed.value == url) or any(url in t.profiles for t in part.types):
                yield part
        yield from self._nodes([url])

    def _of_targets(self, kind: str, node: ElementNode, rest: Sequence[Step]) -> Criterion | None:
        targets = [c for t in node.types for c in t.target_profiles]
        if not rest and kind == "profile":
            return self._meets(targets)
        if not rest and kind == "type":
            known = [s for s in map(self._definitions.structure, targets) if s is not None]
            return self._typed([s.type for s in known]) if known or not targets else unknown
        return any_of(self._criterion(kind, found, rest, None) for found in self._nodes(targets))

    def _nodes(self, canonicals: Iterable[str]) -> Iterable[ElementNode]:
        return (found[1] for found in map(self._profiles.node, canonicals) if found is not None)

    def _at(self, kind: str, node: ElementNode, code: str | None) -> Criterion | None:
        """The criterion that an element itself sets."""
        element = node.element
        if element.has_max and element.max == 0:
            return absent
        if kind == "exists":
            return present if (element.min or 0) > 0 else None
        if kind == "type":
            return self._typed([code] if code else type_codes(node))
        if kind == "profile":
            return self._profiled(node)
        own = self._valued(node)
        return own or any_of(self._valued(part) for part in node.slices) or self._of_root(kind, node)

    def _of_root(self, kind: str, node: ElementNode) -> Criterion | None:
        """The value that a datatype's profile sets at its root."""
        named = [c for canonicals in profiles_by_type(node.types).values() for c in canonicals]
        return any_of(self._valued(found) for found in self._nodes(named))

    def _valued(self, node: ElementNode) -> Criterion | None:
        element = node.element
        wanted = element.fixed or element.pattern
        if wanted is not None:  # what is more than fixed does not keep an item out of its slice: it is wrong there
            return equal_to(wanted.value)
        if element.binding is not None and element.binding.strength == "required":
            return self._bound(element.binding)
        return self._inside(node)

    def _inside(self, node: ElementNode) -> Criterion | None:
        """The values that the members of an element set where it sets none itself."""
        tests = []
        for name, child in node.children.items():
            criterion = self._valued(child)
            if criterion is not None and (child.element.fixed or child.element.pattern or child.children):
                tests.append((name, criterion))
        if not tests:
            return None

        def holds(item: Item, run: Run) -> Answer:
            answers = [criterion(self._members(item, name), run) for name, criterion in tests]
            return False if False in answers else (None if None in answers else True)

        return any_item(holds)

    def _bound(self, binding: Binding) -> Criterion | None:
        membership = self._profiles.membership(binding)
        return unknown if membership is None else member_of(membership)

    def _typed(self, codes: Sequence[str]) -> Criterion | None:
        if not codes:
            return None
        is_subtype = self._definitions.is_subtype

        def holds(item: Item, run: Run) -> Answer:
            return any(is_subtype(item.type, code) for code in codes) if item.type else None

        return any_item(holds)

    def _profiled(self, node: ElementNode) -> Criterion | None:
        by_type = profiles_by_type(node.types)
        without = [t.code for t in node.types if t.code not in by_type]
        return any_of((self._meets([c for cs in by_type.values() for c in cs]), self._typed(without)))

    def _meets(self, canonicals: Sequence[str]) -> Criterion | None:
        if not canonicals:
            return None
        if all(self._profiles.node(c) is None for c in canonicals):
            return unknown
        conforms = self._profiles.conforms

        def holds(item: Item, run: Run) -> Answer:
            return None if is_unseen(item) else any(conforms(item, c, run) for c in canonicals)

        return any_item(holds)


def is_plain(node: ElementNode, steps: Sequence[Step]) -> bool:
    """True for a path of names that are keys in JSON as well, which those of choices are not."""
    at: ElementNode | None = node
    for step in steps:
        at = None if at is None or step.function else at.child(step.name)
        if at is None or at.element.is_choice:
            return False
    return bool(steps)


def type_codes(node: ElementNode) -> list[str]:
    """The types of an element; of a choice divided by type, those of its slices."""
    parts: list[TypeRef] = [t for s in node.slices if s.element.max != 0 for t in s.types]
    return [t.code for t in (parts if node.element.is_choice and parts else node.types)]

"""Profiles compiled to rules that look only at what they say beyond their base type (FHIR R4, 5.1 profiling)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from fhir_server.definitions.datatype import Member, Type
from fhir_server.definitions.registry import Definitions
from fhir_server.definitions.structure import Binding, Discriminator, Element, Slicing, Structure
from fhir_server.terminology.protocol import Membership, Terminology
from fhir_server.validation.binding import Bindings
from fhir_server.validation.cardinality import Cardinality, cardinality_rule
from fhir_server.validation.constraint import Constraints
from fhir_server.validation.criterion import Test, all_of
from fhir_server.validation.discriminator import Discriminators
from fhir_server.validation.element_check import ElementChecks, Floor, within_resource
from fhir_server.validation.element_tree import ElementNode, tree_of
from fhir_server.validation.item import Finder, Item, finder
from fhir_server.validation.primitive import remember
from fhir_server.validation.run import Fault, Json, Rule, Run
from fhir_server.validation.slicing import GroupCheck, ItemCheck, Slice, fault_at, slicing_check
from fhir_server.validation.type_profile import type_profile_check

DEPTH = "depth of profiles"
DEEPEST = 24
TYPE_SLICING = Slicing((Discriminator("type", "$this"),), "open", ordered=False)
URL_SLICING = Slicing((Discriminator("value", "url"),), "open", ordered=False)


class Profiles:
    """The checks of all profiles known, each compiled when first asked for and again when definitions change.

    What a profile says in agreement with its base type is left to the check of that type, which runs beside.
    """

    def __init__(
        self,
        definitions: Definitions,
        terminology: Terminology,
        bindings: Bindings,
        constraints: Constraints,
        *,
        full: bool = False,
    ) -> None:
        """Compile nothing yet; at `full` depth a profile that names an unknown one is told."""
        self.definitions = definitions
        self.full = full
        self.discriminators = Discriminators(self)
        self.elements = ElementChecks(self, bindings, constraints)
        self._terminology = terminology
        self._generation = definitions.generation
        self._nodes: dict[str, tuple[Structure, ElementNode]] = {}
        self._checks: dict[str, ItemCheck] = {}
        self._unknown: set[str] = set()

    def check(self, canonical: str) -> Rule | None:
        """The rule of a profile for an object of its type; None for an unknown profile."""
        one = self.item_check(canonical)
        if one is None:
            return None

        def rule(value: Json, run: Run) -> None:
            one(Item(value, None, None, value, str(value.get("resourceType", ""))), run)

        return rule

    def item_check(self, canonical: str) -> ItemCheck | None:
        """The check of a profile for one occurrence of an element; None for an unknown profile."""
        self.refresh()
        check = self._checks.get(canonical)
        if check is None and (found := self.node(canonical)) is not None:
            check = self._checks[canonical] = self._compile(*found)
        return check

    def refresh(self) -> None:
        """Forget what was compiled from definitions that have changed since."""
        if self._generation != self.definitions.generation:
            self._generation = self.definitions.generation
            self._nodes.clear()
            self._checks.clear()
            self._unknown.clear()

    def node(self, canonical: str) -> tuple[Structure, ElementNode] | None:
        """The element that a profile starts from: its root, or the one that `#id` names."""
        found = self._nodes.get(canonical)
        if found is not None or canonical in self._unknown:
            return found
        found = self._find_node(canonical)
        if found is None:
            remember(self._unknown, canonical)  # clients choose the profiles that nobody knows
        else:
            self._nodes[canonical] = found
        return found

    def _find_node(self, canonical: str) -> tuple[Structure, ElementNode] | None:
        structure = self.definitions.structure(canonical)
        if structure is None or not structure.elements:
            return None
        root, part = tree_of(structure.elements), canonical.partition("#")[2]
        node = root.find(part) if part else root
        return None if node is None else (structure, node)

    def membership(self, binding: Binding) -> Membership | None:
        """The codes of a binding; None where the value set is not known."""
        return self._terminology.membership(binding.value_set)

    def judge(self, item: Item, canonical: str, run: Run) -> list[Fault]:
        """The faults of an item by a profile, found once for an object.

        A profile that leads back to itself is taken to hold, and so is one at the end of a long chain of references.
        """
        if item.value.__class__ is not dict:
            return self._judge(item, canonical, run, [])
        key = id(item.value), canonical
        found: list[Fault] | None = run.memo.get(key)
        if found is None:
            found = run.memo[key] = []
            self._judge(item, canonical, run, found)
        return found

    def _judge(self, item: Item, canonical: str, run: Run, found: list[Fault]) -> list[Fault]:
        check = self.item_check(canonical)
        depth = run.memo.get(DEPTH, 0)
        if check is not None and depth < DEEPEST:
            outer, run.faults = run.faults, found
            run.memo[DEPTH] = depth + 1
            check(item, run)
            run.memo[DEPTH] = depth
            run.faults = outer
        return found

    def conforms(self, item: Item, canonical: str, run: Run) -> bool:
        """True when an item meets a profile; an unknown profile is met by nothing."""
        if self.item_check(canonical) is None:
            return False
        return not any(f.severity == "error" for f in self.judge(item, canonical, run))

    def says_more(self, node: ElementNode, kind: str) -> bool:
        """True when an element says more of values of a type than which types there may be."""
        element = node.element
        facets = (element.fixed, element.pattern, element.min_value, element.max_value, element.max_length)
        bound = element.binding is not None and element.binding.strength == "required"
        profiled = any(t.profiles or t.target_profiles for t in node.types if t.code == kind)
        return bound or profiled or bool(node.slices) or bool(node.children) or any(f is not None for f in facets)

    # Compilation

    def _compile(self, structure: Structure, node: ElementNode) -> ItemCheck:
        compiler = Compiler(self, structure)
        wanted = structure.type if node.root is None else node.element.path
        checks = [*compiler.inner(node, ()), *compiler.whole(node)]
        is_subtype = self.definitions.is_subtype
        name, is_resource = structure.url, structure.kind == "resource" or self.is_resource(structure.type)

        def check(item: Item, run: Run) -> None:
            if item.type and not is_subtype(item.type, wanted) and not is_subtype(wanted, item.type):
                text = f"The profile {name} is about {wanted}, found {item.type}."
                run.report(fault_at(item, "structure", text, name))
                return
            for one in checks:
                one(item, run)

        return within_resource(check) if is_resource and node.root is None else check

    def is_resource(self, kind: str) -> bool:
        """True for the name of a resource type, abstract ones included."""
        return self.definitions.has_type(kind) and self.definitions.type(kind).kind == "resource"


class Compiler:
    """Compiles the elements of one profile. `heads` are elements whose own checks the same items get as well."""

    def __init__(self, profiles: Profiles, structure: Structure) -> None:
        self._profiles = profiles
        self._definitions = profiles.definitions
        self._profile = structure.url
        self._structure = structure

    def whole(self, node: ElementNode) -> Sequence[ItemCheck]:
        """The checks of a profile's root element as a whole: its constraints, a fixed value."""
        base = self._structure.type if node.root is None else node.element.path
        floor = Floor(self._base_element(base), (), base)
        return self._profiles.elements.checks(node, floor, self._profile)

    def _base_element(self, name: str) -> Element | None:
        return self._definitions.type(name).element if self._definitions.has_type(name) else None

    def inner(self, node: ElementNode, heads: Sequence[ElementNode]) -> Sequence[ItemCheck]:
        """The check of an element's members, compiled for each type that an item turns out to have."""
        if not node.children:
            return ()
        by_type: dict[str, Sequence[Rule]] = {}
        fallback = node.types[0].code if node.types else self._structure.type

        def check(item: Item, run: Run) -> None:
            kind = item.type or fallback
            rules = by_type.get(kind)
            if rules is None:
                rules = by_type[kind] = self.rules(node, heads, kind)
            if rules:
                apply(rules, item, run)

        nested = any(self._profiles.is_resource(t.code) for t in node.types)
        return (within_resource(check) if nested else check,)

    def rules(self, node: ElementNode, heads: Sequence[ElementNode], name: str) -> Sequence[Rule]:
        """The rules for the members of an element, for items of a type."""
        if not self._definitions.has_type(name):
            return ()
        kind = self._definitions.type(name)
        found = []
        for key, child in node.children.items():
            members = kind.names.get(key) or ((kind.members[key],) if key in kind.members else ())
            if members:
                above = [h.children[key] for h in heads if key in h.children]
                rule = self._member_rule(kind, child, members, above)
                if rule is not None:
                    found.append(rule)
        return tuple(found)

    def _member_rule(
        self, kind: Type, node: ElementNode, members: Sequence[Member], heads: Sequence[ElementNode]
    ) -> Rule | None:
        """The rule for one member of an object: how many, what each is, how they divide into slices."""
        floor = Floor(members[0].element, tuple(h.element for h in heads), members[0].type)
        low, top = floor.cardinality(node.element)
        checks = self.item_checks(node, floor, heads)
        group = self.group(node)
        if low is None and top is None and not checks and group is None:
            return None
        cardinality = Cardinality(low or 0, top, node.label, self._profile)
        find = finder(members)
        if not checks and group is None:
            return cardinality_rule(find, members, cardinality)
        rule = items_rule(find, checks, group, cardinality)
        fixed = node.element.fixed
        plain = len(members) == 1 and len(checks) == 1 and not members[0].many and group is None
        if fixed is None or fixed.value.__class__ is not str or not plain:
            return rule
        return fixed_text_rule(members[0].key, fixed.value, rule)

    def item_checks(self, node: ElementNode, floor: Floor, heads: Sequence[ElementNode]) -> Sequence[ItemCheck]:
        """The checks of one occurrence of an element."""
        checks = list(self._profiles.elements.checks(node, floor, self._profile))
        typed = type_profile_check(self._profiles, node, floor, self._profile)
        if typed is not None:
            checks.append(typed)
        return (*checks, *self.inner(self._content(node), heads))

    def _content(self, node: ElementNode) -> ElementNode:
        """The element whose members apply: the one that a content reference within a published snapshot names.

        Where the snapshot was made here, a content reference means the base, as in snapshots published since R4B.
        """
        reference = node.element.content_reference
        if node.children or reference is None or not reference.startswith("#") or node.root is None:
            return node
        stated = self._definitions.stated_structure(self._profile)
        if stated is None or not stated.elements:
            return node
        return node.root.find(reference[1:]) or node

    def group(self, node: ElementNode) -> GroupCheck | None:
        """The check of an element's slices together."""
        if not node.slices:
            return None
        slicing = node.element.slicing or (TYPE_SLICING if node.element.is_choice else URL_SLICING)
        slices = [self._slice(part, node, slicing) for part in node.slices]
        return slicing_check(slicing, slices, self._profile)

    def _slice(self, node: ElementNode, head: ElementNode, slicing: Slicing) -> Slice:
        heads = [head]
        while heads[-1].head is not None:
            heads.append(heads[-1].head)
        floor = Floor(None, tuple(h.element for h in heads), "")
        return Slice(
            name=node.element.slice_name or "",
            label=node.label,
            test=self._test(node, slicing),
            low=node.element.min or 0,
            top=node.element.max,
            checks=self.item_checks(node, floor, heads),
            group=self.group(node),
        )

    def _test(self, node: ElementNode, slicing: Slicing) -> Test | None:
        """The test of a slice by all its discriminators; those that say nothing of this slice are left out."""
        parts = [self._profiles.discriminators.test(d, node) for d in slicing.discriminators]
        tests = [t for t in parts if t is not None]
        return all_of(tests) if len(tests) > 1 else (tests[0] if tests else None)


def items_rule(find: Finder, checks: Sequence[ItemCheck], group: GroupCheck | None, cardinality: Cardinality) -> Rule:
    """The rule that counts the occurrences of a member, looks at each, and at its slices."""
    bounded = cardinality.low > 0 or cardinality.top is not None

    def rule(holder: Json, run: Run) -> None:
        items = find(holder)
        if bounded:
            cardinality.judge(holder, items, run)
        for item in items:
            for check in checks:
                check(item, run)
        if group is not None:
            group(items, holder, run)

    return rule


def fixed_text_rule(key: str, wanted: str, otherwise: Rule) -> Rule:
    """The rule of a member that is fixed to a text and has nothing else asked of it."""

    def rule(holder: Json, run: Run) -> None:
        if holder.get(key) != wanted:
            otherwise(holder, run)

    return rule


def apply(rules: Sequence[Callable[[Json, Run], None]], item: Item, run: Run) -> None:
    """Apply rules to the members of an item; what is missing in a primitive is reported where it stands."""
    parts = item.parts
    if parts or item.value.__class__ is dict:
        for rule in rules:
            rule(parts, run)
        return
    before = len(run.faults)
    for rule in rules:
        rule(parts, run)
    for at in range(before, len(run.faults)):
        fault = run.faults[at]
        run.faults[at] = fault_at(item, fault.code, fault.text, fault.profile or "")

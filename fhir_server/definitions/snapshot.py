"""Snapshots from differentials (FHIR R4, 5.3.2 snapshot and differential, 5.1 Profiling FHIR).

The base's snapshot is read into a tree of elements, each with its children and its slices; every element of the
differential is walked to, unfolding datatypes, profiles and content references on the way, and merged; the tree is
written out again in order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace

from fhir_server.definitions.element_path import Step, Steps, located
from fhir_server.definitions.merging import as_slice, merged, with_profile
from fhir_server.definitions.structure import (
    SYSTEM_TYPE,
    TYPE_URL,
    Constraint,
    Discriminator,
    Element,
    Slicing,
    Structure,
    TypeRef,
)
from fhir_server.errors import FhirError, Issue

DEEPEST = 40
MALFORMED = (AttributeError, LookupError, RecursionError, StopIteration, TypeError, ValueError)
ROOM = 200_000
EXTENSIONS = frozenset({"extension", "modifierExtension"})
BACKBONE = frozenset({"BackboneElement", "Element"})
BY_URL = Slicing((Discriminator("value", "url"),), "open", ordered=False)
BY_TYPE = Slicing((Discriminator("type", "$this"),), "open", ordered=False)
BY_VALUE = Slicing((Discriminator("pattern", "$this"),), "open", ordered=False)
UNTOLD = Slicing((), "open", ordered=False)


class SnapshotFault(FhirError):
    """A snapshot cannot be made: its base is not known, or is made from itself."""

    code = "not-found"


@dataclass(slots=True)
class Node:
    """An element with its children, None until they are asked for, and its slices in order.

    `shortened` keeps the types of a choice that short paths have bound to some of them.
    """

    element: Element
    children: dict[str, Node] | None = None
    slices: dict[str, Node] = field(default_factory=dict)
    shortened: tuple[TypeRef, ...] = ()

    def copy(self) -> Node:
        """The same tree again, free to be changed."""
        children = None if self.children is None else {name: node.copy() for name, node in self.children.items()}
        return Node(self.element, children, {name: node.copy() for name, node in self.slices.items()})


@dataclass(frozen=True, slots=True)
class Generated:
    """A snapshot, with what was odd about the differential."""

    elements: tuple[Element, ...]
    issues: tuple[Issue, ...]


class SnapshotMaker:
    """Makes snapshots of structures that `find` gives by canonical, those of their bases first where these lack one."""

    def __init__(self, find: Callable[[str], Structure | None]) -> None:
        self._find = find
        self._made: dict[tuple[str, str | None], Generated] = {}
        self._making: list[str] = []

    def make(self, structure: Structure) -> Generated:
        """The snapshot from the structure's differential; SnapshotFault when its base cannot be had."""
        key = structure.url, structure.version
        if key not in self._made:
            if structure.url in self._making:
                ring = " -> ".join((*self._making[self._making.index(structure.url) :], structure.url))
                raise SnapshotFault(fault(structure, f"The definitions derive from each other: {ring}"))
            self._making.append(structure.url)
            try:
                self._made[key] = Growth(structure, self).grown()
            except MALFORMED as error:
                text = f"The differential of {structure.url} or of what it builds on cannot be read: {error}"
                raise SnapshotFault(Issue("error", "structure", text, (), structure.url)) from error
            finally:
                self._making.pop()
        return self._made[key]

    def elements(self, structure: Structure) -> tuple[Element, ...]:
        """The structure's own snapshot, or the one made for it."""
        return structure.elements or self.make(structure).elements

    def base(self, structure: Structure) -> tuple[Structure | None, Issue | None]:
        """The structure that this one derives from, None at the root.

        For a profile whose base is not known the type itself stands in, with a warning; SnapshotFault where none does.
        """
        if structure.base_definition is None:
            return None, None
        found = self._find(structure.base_definition)
        if found is not None:
            return found, None
        text = f"The base {structure.base_definition} of {structure.url} is not loaded"
        stand_in = self._find(TYPE_URL + structure.type) if structure.derivation == "constraint" else None
        if stand_in is None:
            raise SnapshotFault(fault(structure, text))
        return stand_in, replace(
            fault(structure, f"{text}; the rules of {structure.type} stand in for it"),
            severity="warning",
            fix=f"Load the package that has {structure.base_definition}.",
        )

    def known(self, canonical: str) -> Structure | None:
        """A structure that has elements, for unfolding; None when it is not known or cannot be had now."""
        found = self._find(canonical)
        if found is None or (not found.elements and found.url in self._making):
            return None
        try:
            self.elements(found)
        except SnapshotFault:
            return None
        return found


class Growth:
    """One snapshot in the making."""

    def __init__(self, structure: Structure, maker: SnapshotMaker) -> None:
        self._structure = structure
        self._maker = maker
        self._issues: list[Issue] = []
        self._room = ROOM
        self._change = Element("", "", 0, None)
        self._names = slice_names(structure.differential)
        self._root = self._planted()

    def grown(self) -> Generated:
        """The base's tree with the whole differential merged."""
        for steps, element in located(self._structure.differential):
            self._place(steps, element)
        return Generated(tuple(written(self._root)), tuple(self._issues))

    def _planted(self) -> Node:
        """The tree of the base, under the name of the structure's own type."""
        structure = self._structure
        base, warning = self._maker.base(structure)
        self._issues.extend(() if warning is None else (warning,))
        name = structure.differential[0].path.partition(".")[0] if structure.differential else structure.type
        if base is None:
            return Node(Element(name, name, 0, None), {})
        root = tree(self._maker.elements(base))
        root.element = replace(root.element, id=name, path=name, slice_name=None)
        return root

    def _place(self, steps: Steps, change: Element) -> None:
        """Merge one element of the differential into the tree."""
        self._change = change
        if len(steps) > DEEPEST:
            self._report(f"{change.path} lies deeper than {DEEPEST} elements")
            return
        node = self._root
        for depth, step in enumerate(steps[1:], start=1):
            found = self._step(node, step, depth)
            if found is None:
                self._report(f"{change.path} is not in the base {self._structure.base_definition}")
                return
            node = found
        self._merge(node, change)

    def _step(self, node: Node, step: Step, depth: int) -> Node | None:
        """The child of a node, or a slice of it, made where it is asked for the first time."""
        name, slice_name = step
        children = self._children(node)
        child = children.get(name)
        if child is None:
            choice = choice_of(children, name)
            if choice is not None:
                return self._short(choice, name, depth)
            if self._structure.derivation != "specialization" or not self._is_last(depth):
                return None
            constraints = self._type_constraints(self._change)
            children[name] = child = Node(replace(self._change, constraints=constraints))
        if slice_name is None:
            return child
        if self._is_alias(child, slice_name, depth):
            child.element = replace(child.element, slice_name=slice_name)
            return child
        if child.element.is_choice and slice_name not in child.slices:
            return self._typed(child, slice_name, depth)
        return self._sliced(child, slice_name, depth)

    def _is_last(self, depth: int) -> bool:
        """True at the end of the path of the differential's element."""
        return self._change.path.count(".") == depth

    def _is_alias(self, node: Node, name: str, depth: int) -> bool:
        """True for the only slice name on an element that is not sliced: it gives the element another name.

        The R4 package has such; but one that tells its own value tells some repetitions from others, so is a slice.
        """
        element = node.element
        if element.slice_name == name:
            return True
        if element.slicing is not None or element.name in EXTENSIONS or element.slice_name is not None:
            return False
        stem = element.name.removesuffix("[x]")
        if element.is_choice and any(type_key(stem, t) == name for t in element.types):
            return False
        if element.max != 1 and self._is_last(depth) and has_value(self._change):
            return False
        path = ".".join(self._change.path.split(".")[: depth + 1])
        return len(self._names.get(path, ())) == 1

    def _type_constraints(self, element: Element) -> tuple[Constraint, ...]:
        """The constraints that a new element has from its type: Extension's, or those that all datatypes have."""
        codes = {reference.code for reference in element.types}
        if any(self._is_resource(code) or code.startswith(SYSTEM_TYPE) for code in codes):
            return ()
        source = self._maker.known(TYPE_URL + ("Extension" if codes == {"Extension"} else "Element"))
        return self._maker.elements(source)[0].constraints if source else ()

    def _is_resource(self, code: str) -> bool:
        structure = self._maker.known(TYPE_URL + code)
        return structure is not None and structure.kind == "resource"

    def _sliced(self, node: Node, name: str, depth: int) -> Node:
        """The slice of this name; `a/b` is the slice b of slice a."""
        outer, slash, _ = name.rpartition("/")
        holder = node.slices.get(outer, node) if slash else node
        if name not in holder.slices:
            if holder.element.slicing is None:
                holder.element = replace(holder.element, slicing=self._slicing_of(holder.element, depth))
            holder.slices[name] = Node(as_slice(holder.element, name), self._copied(holder).children)
        return holder.slices[name]

    def _copied(self, node: Node) -> Node:
        """A copy of a node; SnapshotFault when copies of copies pass what any true profile has."""
        self._room -= size(node)
        if self._room < 0:
            text = f"The differential of {self._structure.url} makes more than {ROOM} elements"
            raise SnapshotFault(Issue("error", "too-costly", text, ("StructureDefinition.differential",)))
        return node.copy()

    def _slicing_of(self, element: Element, depth: int) -> Slicing:
        """How an element is sliced that the differential does not say it of."""
        if element.name in EXTENSIONS:
            return BY_URL
        if element.is_choice:
            return BY_TYPE
        text = f"{self._change.path} has the slice {self._change.slice_name} and no slicing"
        if self._is_last(depth) and has_value(self._change):
            self._report(f"{text}; it is told from others by its own value")
            return BY_VALUE
        self._report(f"{text} that tells it from others")
        return UNTOLD

    def _short(self, choice: Node, name: str, depth: int) -> Node:
        """The slice of a choice that a short path (`valueQuantity`) means.

        Where the choice is not sliced otherwise, it is bound to the types so named.
        """
        if name in choice.slices:
            return choice.slices[name]
        stem = choice.element.name.removesuffix("[x]")
        if choice.element.slicing is None:
            choice.shortened = choice.element.types
            choice.element = replace(choice.element, slicing=replace(BY_TYPE, rules="closed"), types=())
        if choice.shortened:
            named = (t for t in choice.shortened if type_key(stem, t) == name)
            choice.element = replace(choice.element, types=(*choice.element.types, *named))
        return self._typed(choice, name, depth)

    def _typed(self, choice: Node, name: str, depth: int) -> Node:
        """The slice of a choice that holds one type, by the name of its slice."""
        stem = choice.element.name.removesuffix("[x]")
        named = tuple(t for t in choice.element.types if type_key(stem, t) == name)
        node = self._sliced(choice, name, depth)
        types = (self._change.types if self._is_last(depth) else ()) or named or choice.element.types
        node.element = replace(node.element, types=types)
        if len(types) == 1:
            node.children = None
        return node

    def _children(self, node: Node) -> dict[str, Node]:
        """The children of a node, unfolded from its type, its profile or what it refers to."""
        if node.children is None:
            reference = node.element.content_reference
            node.children = self._typed_children(node.element) if reference is None else self._referred(node, reference)
        return node.children

    def _typed_children(self, element: Element) -> dict[str, Node]:
        source = self._source(element.types)
        if source is None:
            self._report(f"The elements below {element.path} cannot be had: its type is not one known type")
            return {}
        return source.children or {}

    def _referred(self, node: Node, reference: str) -> dict[str, Node]:
        """The children of the element that a content reference names; from here on the node is its own element.

        A profile starts from what its base says there, not from what it has itself said so far.
        """
        path = reference.rpartition("#")[2]
        root: Node | None = self._root
        if path.partition(".")[0] != self._root.element.path:
            root = self._definition(TYPE_URL + path.partition(".")[0])
        elif self._structure.derivation == "constraint":
            root = self._planted()
        source = found_at(root, path)
        if source is None:
            self._report(f"{node.element.path} refers to {reference}, which is not there")
            return {}
        copied = self._copied(source)
        node.element = replace(node.element, content_reference=None, types=source.element.types)
        return self._children(copied)

    def _source(self, types: tuple[TypeRef, ...]) -> Node | None:
        """What tells the elements below one of these types: the profile, the type, or for several types Element."""
        if len(types) != 1:
            return self._definition(f"{TYPE_URL}Element") if types else None
        code, profiles = types[0].code, types[0].profiles
        profile = self._definition(profiles[0]) if len(profiles) == 1 else None
        return profile or self._definition(code if "://" in code else TYPE_URL + code)

    def _definition(self, canonical: str) -> Node | None:
        """The tree of a structure, or of the part of it that the fragment names by id or slice."""
        url, _, fragment = canonical.partition("#")
        structure = self._maker.known(url)
        if structure is None:
            return None
        root = tree(self._maker.elements(structure))
        return named(root, fragment) if fragment else root

    def _merge(self, node: Node, change: Element) -> None:
        """Let the differential's element change the node."""
        if change.types and not self._may_have(node, change.types):
            allowed = " or ".join(reference.code for reference in node.element.types)
            self._report(f"{change.path} cannot be of another type than in the base: {allowed or 'the whole'}")
            change = replace(change, types=())
        profile = self._profile(change)
        if node.element.content_reference is not None and change.types:
            self._children(node)  # while it still refers to the content whose type is said again
        element = node.element if profile is None else with_profile(node.element, profile.element)
        if change.types and change.types != element.types and not node.slices:
            if {reference.code for reference in change.types} <= BACKBONE:
                change = self._without_profile(node, change, profile)
            elif retyped(element, change):
                node.children = None
        # A slice is known by the name that its path gave it: `valueQuantity:a` is the slice valueQuantity.
        node.element = replace(merged(element, change), slice_name=node.element.slice_name)

    def _may_have(self, node: Node, types: tuple[TypeRef, ...]) -> bool:
        """True when each type is one of the node's, or derives from one; a new type may change what it builds on."""
        if node is self._root:
            return False
        if self._structure.derivation != "constraint":
            return True
        allowed = {reference.code for reference in (*node.element.types, *node.shortened)}
        return not allowed or all(self._derives(reference.code, allowed) for reference in types)

    def _derives(self, code: str, allowed: set[str]) -> bool:
        for _ in range(DEEPEST):
            if code in allowed:
                return True
            structure = self._maker.known(code if "://" in code else TYPE_URL + code)
            if structure is None or structure.base_definition is None:
                return False
            code = structure.base_definition.rpartition("/")[2]
        return False

    def _without_profile(self, node: Node, change: Element, profile: Node | None) -> Element:
        """The change of a backbone, whose profile is a part of another structure and is read into the node here."""
        if profile is not None:
            node.children = profile.children
        elif change.types[0].profiles:
            self._report(f"{change.path} shall be as {change.types[0].profiles[0]} says, which is not loaded")
        return replace(change, types=tuple(TypeRef(reference.code) for reference in change.types))

    def _profile(self, change: Element) -> Node | None:
        """The one profile that a constraint names for the type of an element."""
        if self._structure.derivation != "constraint" or len(change.types) != 1 or len(change.types[0].profiles) != 1:
            return None
        return self._definition(change.types[0].profiles[0])

    def _report(self, text: str) -> None:
        place = f"StructureDefinition.differential.element.where(id='{self._change.id}')"
        self._issues.append(Issue("warning", "invalid", text, (place,), self._structure.url))


def fault(structure: Structure, text: str) -> Issue:
    """The issue of a structure whose snapshot cannot be made."""
    return Issue("error", "not-found", text, ("StructureDefinition.baseDefinition",), structure.url)


def retyped(element: Element, change: Element) -> bool:
    """True when the types change so that children unfolded from them are no longer the right ones."""
    profiled = any(reference.profiles for reference in change.types)
    return profiled or {t.code for t in element.types} != {t.code for t in change.types}


def has_value(element: Element) -> bool:
    """True for an element that states its own value."""
    return element.fixed is not None or element.pattern is not None


def size(node: Node) -> int:
    """The number of nodes in a tree."""
    below = (*(node.children or {}).values(), *node.slices.values())
    return 1 + sum(size(part) for part in below)


def type_key(stem: str, reference: TypeRef) -> str:
    """The name that a choice has when it holds this type."""
    return stem + reference.code[:1].upper() + reference.code[1:]


def slice_names(elements: Iterable[Element]) -> dict[str, set[str]]:
    """The slice names by the path of the elements that have them."""
    names: dict[str, set[str]] = {}
    for element in elements:
        if element.slice_name is not None:
            names.setdefault(element.path, set()).add(element.slice_name)
    return names


def choice_of(children: dict[str, Node], name: str) -> Node | None:
    """The choice among the children that a short name such as `valueQuantity` means."""
    for key, child in children.items():
        if key.endswith("[x]"):
            stem = key.removesuffix("[x]")
            names = {type_key(stem, t) for t in (*child.element.types, *child.shortened)}
            if name in names or name in child.slices:
                return child
    return None


def found_at(root: Node | None, path: str) -> Node | None:
    """The unsliced node of a path below the root."""
    node = root
    for name in path.split(".")[1:]:
        if node is None:
            return None
        node = (node.children or {}).get(name)
    return node


def tree(elements: Iterable[Element]) -> Node:
    """A snapshot as a tree; an element whose parent is not there is left out."""
    parts = iter(located(elements))
    _, first = next(parts)
    root = Node(first)
    for steps, element in parts:
        parent = reached(root, steps[1:-1])
        if parent is not None:
            put(parent, steps[-1], Node(element))
    return root


def named(root: Node, fragment: str) -> Node | None:
    """The node of this id or slice name."""
    if fragment in {root.element.id, root.element.slice_name}:
        return root
    below = (named(part, fragment) for part in (*(root.children or {}).values(), *root.slices.values()))
    return next((found for found in below if found is not None), None)


def reached(root: Node, steps: Steps) -> Node | None:
    """The node that the steps lead to."""
    node: Node | None = root
    for name, slice_name in steps:
        if node is None:
            return None
        node = (node.children or {}).get(name)
        if node is not None and slice_name is not None:
            node = slice_at(node, slice_name)
    return node


def slice_at(node: Node, name: str) -> Node | None:
    """The slice of this name, or the node itself where the name is only its other name."""
    if node.element.slice_name == name:
        return node
    outer, slash, _ = name.rpartition("/")
    holder = node.slices.get(outer, node) if slash else node
    return holder.slices.get(name)


def put(parent: Node, step: Step, made: Node) -> None:
    """Hang a node below its parent: as a child, as a slice of one, or as a slice of a slice."""
    name, slice_name = step
    if parent.children is None:
        parent.children = {}
    sibling = parent.children.get(name)
    if slice_name is None or sibling is None:
        parent.children[name] = made
        return
    outer, slash, _ = slice_name.rpartition("/")
    holder = sibling.slices.get(outer, sibling) if slash else sibling
    holder.slices[slice_name] = made


def written(node: Node, place: str = "", path: str = "") -> Iterator[Element]:
    """The elements of a tree in the order of a snapshot: an element, what is below it, its slices."""
    element = node.element
    name = path_name(element, path)
    own_path = f"{path}.{name}" if path else name
    own_id = f"{place}.{name}" if place else name
    if element.slice_name is not None:
        own_id += f":{element.slice_name}"
    yield replace(element, id=own_id, path=own_path)
    for child in (node.children or {}).values():
        yield from written(child, own_id, own_path)
    for made in node.slices.values():
        yield from written(made, place, path)


def path_name(element: Element, path: str) -> str:
    """The last step of an element's path; a root keeps all of it."""
    return element.name if path else element.path

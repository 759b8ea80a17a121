"""The elements of a snapshot as a tree: children by name, slices under the element they divide (FHIR R4, 5.1.0.14)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from fhir_server.definitions.structure import Element, TypeRef

DEFAULT_SLICE = "@default"


@dataclass(eq=False, slots=True)
class ElementNode:
    """One element; `head` is the element that a slice belongs to, `root` the structure's own element."""

    element: Element
    name: str
    root: ElementNode | None = None
    head: ElementNode | None = None
    children: dict[str, ElementNode] = field(default_factory=dict)
    slices: list[ElementNode] = field(default_factory=list)

    @property
    def types(self) -> tuple[TypeRef, ...]:
        """The types that the element allows."""
        return self.element.types

    @property
    def label(self) -> str:
        """The element as a message names it: the path with the names of its slices."""
        return self.element.id

    def child(self, name: str) -> ElementNode | None:
        """The child of a name, of the slice itself or else of the element that it divides."""
        found = self.children.get(name)
        return found if found is not None or self.head is None else self.head.child(name)

    def find(self, identity: str) -> ElementNode | None:
        """The element of an id, here or below."""
        return next((node for node in self.walk() if node.element.id == identity), None)

    def walk(self) -> Iterator[ElementNode]:
        """This element and all below it."""
        yield self
        for node in (*self.children.values(), *self.slices):
            yield from node.walk()


def tree_of(elements: Sequence[Element]) -> ElementNode:
    """The tree of a snapshot, whose order tells which slice the elements after it belong to."""
    root = ElementNode(elements[0], elements[0].name)
    latest = {root.element.path: root}
    for element in elements[1:]:
        parent = latest.get(element.path.rpartition(".")[0])
        if parent is None:
            continue
        node = ElementNode(element, element.name.removesuffix("[x]"), root)
        place(node, parent)
        latest[element.path] = node
    return root


def place(node: ElementNode, parent: ElementNode) -> None:
    """Put an element under its parent, or under the element or slice that it is a slice of."""
    first = parent.children.get(node.name)
    name = node.element.slice_name
    if name is None or first is None:
        parent.children[node.name] = node
        return
    outer = slice_named(first, name.rpartition("/")[0]) if "/" in name else None
    node.head = outer or first
    node.head.slices.append(node)


def slice_named(head: ElementNode, name: str) -> ElementNode | None:
    """The slice of a name, at any depth of re-slicing."""
    for node in head.slices:
        if node.element.slice_name == name:
            return node
        found = slice_named(node, name)
        if found is not None:
            return found
    return None


def profiles_by_type(types: Sequence[TypeRef], *, targets: bool = False) -> Mapping[str, tuple[str, ...]]:
    """The profiles, or target profiles, of each type that has some; one way without a profile lifts the others."""
    found: dict[str, tuple[str, ...]] = {}
    for reference in types:
        named = reference.target_profiles if targets else reference.profiles
        before = found.get(reference.code, named)
        found[reference.code] = tuple(dict.fromkeys((*before, *named))) if before and named else ()
    return {code: named for code, named in found.items() if named}

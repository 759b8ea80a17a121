"""Index rows of reference parameters (FHIR R4, 3.1.1.4.12 reference, 3.1.1.4.13 references and versions)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fhir_server.resource.reference import Reference as Literal
from fhir_server.resource.reference import parse_canonical, parse_reference
from fhir_server.search.contained import place_of
from fhir_server.search.leaf import Leaf, Write
from fhir_server.search.row import Memo, Reference, Row, Rows


def reference_writer(leaf: Leaf) -> Write:
    """Reference: what it points to, and its identifier.

    A parameter limited to one type takes a reference whose text, `type` or contained resource shows that type, or
    whose element allows no other.
    """
    known = Memo()
    sole = sole_target(leaf)

    def write(value: Any, rows: Rows, resource: Any) -> None:
        text, said = value.get("reference"), value.get("type")
        if text and text[0] != "#":
            found = known.get((text, said))
            if found is None:
                found = known.keep((text, said), tuple(literal_rows(leaf, text, type_name(said) or sole)))
            rows += found
        elif text:
            rows += fragment_rows(leaf, resource, text, type_name(said))
        if "identifier" in value:
            rows += identifier_rows(leaf, value["identifier"], type_of(value, resource, leaf) or sole)

    return write


def sole_target(leaf: Leaf) -> str:
    """The type that the element refers to, where it allows one only."""
    targets = leaf.member.reference.target_profiles if leaf.member is not None else ()
    names = {profile.rpartition("/")[2] for profile in targets}
    return names.pop() if len(names) == 1 and names <= leaf.context.definitions.resource_types else ""


def type_name(said: str | None) -> str:
    """The type that Reference.type says, a URI relative to where types are defined."""
    return said.rpartition("/")[2] if said else ""


def type_of(value: Any, resource: Any, leaf: Leaf) -> str:
    """The type of what a Reference points to; empty where it does not show."""
    text = value.get("reference")
    if text and text[0] == "#":
        return contained_type(resource, text)
    shown = literal_type(leaf, parse_reference(text)) if text else ""
    return shown or type_name(value.get("type"))


def literal_type(leaf: Leaf, literal: Literal) -> str:
    """The type that the text of a reference shows."""
    return literal.type if literal.type in leaf.context.definitions.resource_types else ""


def contained_type(resource: Any, text: str) -> str:
    """The type of a contained resource, or of the container for `#` alone."""
    return contained_at(resource, text)[0]


def contained_at(resource: Any, text: str) -> tuple[str, int | None]:
    """The type of a contained resource and its index; for `#` alone the type of the container, which has none."""
    if text == "#":
        return str(resource.get("resourceType", "")), None
    for index, contained in enumerate(resource.get("contained") or ()):
        if contained.get("id") == text[1:]:
            return str(contained.get("resourceType", "")), index
    return "", None


def fragment_rows(leaf: Leaf, resource: Any, text: str, said: str) -> list[Row]:
    """The rows of a reference to a contained resource, or to the container."""
    kind, index = contained_at(resource, text)
    rows = placed(leaf, Reference.LITERAL, kind or said, text)
    if index is not None:
        rows += [(number + Reference.INSIDE, place_of(index), kind) for number in taking(leaf, kind)]
    return rows


def literal_rows(leaf: Leaf, text: str, otherwise: str) -> list[Row]:
    """The rows of a reference by URL; `otherwise` is the type where the text does not show it."""
    literal = parse_reference(text)
    kind = literal_type(leaf, literal) or otherwise
    is_local = literal.kind == "relative" or literal.base in leaf.context.bases
    if literal.id is not None and is_local:
        target, path = literal.id, f"{literal.type}/{literal.id}"
    elif literal.id is not None:
        target = path = f"{literal.base}/{literal.type}/{literal.id}"
    else:
        target = path = text
    rows = placed(leaf, Reference.LITERAL, kind, target)
    if literal.version is not None:
        versioned = f"{path}/_history/{literal.version}"
        rows += [(number + Reference.VERSION, versioned, "") for number in taking(leaf, kind)]
    return rows


def placed(leaf: Leaf, facet: Reference, kind: str, target: str) -> list[Row]:
    """The rows of a target of a type."""
    return [(number + facet, target, kind) for number in taking(leaf, kind)]


def taking(leaf: Leaf, kind: str) -> Sequence[int]:
    """The parameters that take references to a type."""
    if not leaf.only:
        return leaf.numbers
    return [number for number in leaf.numbers if number not in leaf.only or kind in leaf.only[number]]


def identifier_rows(leaf: Leaf, identifier: Any, kind: str) -> list[Row]:
    """The rows for :identifier."""
    rows: list[Row] = []
    system, value = identifier.get("system") or "", identifier.get("value")
    for number in taking(leaf, kind):
        if value:
            rows.append((number + Reference.IDENTIFIER, value, system))
        if system:
            rows.append((number + Reference.IDENTIFIER_SYSTEM, system, ""))
    return rows


def canonical_writer(leaf: Leaf) -> Write:
    """A canonical, or a uri that names a resource: the URL and the version apart."""
    known = Memo()

    def write(value: Any, rows: Rows, resource: Any) -> None:
        found = known.get(value)
        if found is None:
            found = known.keep(value, tuple(canonical_rows(leaf, value)))
        rows += found

    return write


def canonical_rows(leaf: Leaf, text: str) -> list[Row]:
    """The rows of a canonical; one of a contained definition is a literal reference."""
    if text[:1] == "#":
        return [(number + Reference.LITERAL, text, "") for number in leaf.numbers]
    canonical = parse_canonical(text)
    if not canonical.url:
        return []
    return [(number + Reference.CANONICAL, canonical.url, canonical.version or "") for number in leaf.numbers]


def resource_writer(leaf: Leaf) -> Write:
    """A resource that stands where a reference might, as in a Bundle's entry."""

    def write(value: Any, rows: Rows, resource: Any) -> None:
        kind, identity = value.get("resourceType"), value.get("id")
        if kind and identity:
            rows += placed(leaf, Reference.LITERAL, kind, identity)

    return write


WRITERS = {
    "Reference": reference_writer,
    "canonical": canonical_writer,
    "uri": canonical_writer,
    "Resource": resource_writer,
}

"""Resources within resources: contained ones, Bundle entries, parameters (FHIR R4, 2.27.5 contained resources)."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator
from typing import Any

from fhir_server.validation.primitive import kind_of, shown
from fhir_server.validation.run import Check, Json, Run

LINK = re.compile(r"""["'](#[^"'<>]+)["']""")


def resource_check(resource_types: Collection[str], check_of: Callable[[str], Check]) -> Check:
    """The check of a whole resource that stands in another, with a life of its own (Bundle entry, parameter)."""

    def check(value: Any, holder: Json, run: Run) -> int:
        kind = known_type(value, holder, resource_types, run)
        if kind is None:
            return 0
        outer = run.resource, run.root, run.fragments
        run.resource = run.root = value
        run.fragments = set()
        count = check_of(kind)(value, holder, run)
        run.resource, run.root, run.fragments = outer
        return count

    return check


def contained_check(resource_types: Collection[str], check_of: Callable[[str], Check]) -> Check:
    """The check of a contained resource: dom-2, dom-4 and dom-5 at once, dom-3 when all references are known."""

    def check(value: Any, holder: Json, run: Run) -> int:
        kind = known_type(value, holder, resource_types, run)
        if kind is None:
            return 0
        container = run.resource
        identity_rule(value, container, run)
        refers_back = "#" in run.fragments
        run.fragments.discard("#")
        run.resource = value
        count = check_of(kind)(value, holder, run)
        run.resource = container
        run.later.append(contained_reference_rule(value, run, refers_to_container="#" in run.fragments))
        if refers_back:
            run.fragments.add("#")
        contained_rules(value, run)
        return count

    return check


def known_type(value: Any, holder: Json, resource_types: Collection[str], run: Run) -> str | None:
    """The type that a nested resource names, None and a fault when it names none that exists."""
    if value.__class__ is not dict:
        run.error(holder, None, "structure", f"Expected a resource, found {kind_of(value)}.")
        return None
    kind = value.get("resourceType")
    if kind.__class__ is not str:
        run.error(value, None, "structure", "A resource must name its type in resourceType.")
        return None
    if kind not in resource_types:
        run.error(value, "resourceType", "structure", f"{shown(kind)} is not a resource type of R4.")
        return None
    return str(kind)


def identity_rule(value: Json, container: Json, run: Run) -> None:
    """Report a contained resource whose id another one in the same container has."""
    identity = value.get("id")
    if identity.__class__ is not str:
        return
    seen = run.memo.setdefault(("contained ids", id(container)), set())
    if identity in seen:
        run.error(value, "id", "duplicate", f"Two contained resources have the id {shown(identity)}.")
    seen.add(identity)


def contained_rules(value: Json, run: Run) -> None:
    """Report a contained resource that contains another (dom-2) or has a version or security labels (dom-4, dom-5)."""
    if "contained" in value:
        run.error(value, "contained", "invariant", "A contained resource must not contain another (dom-2).")
    meta = value.get("meta")
    if meta.__class__ is dict:
        for key, rule in (("versionId", "dom-4"), ("lastUpdated", "dom-4"), ("security", "dom-5")):
            if key in meta:
                run.error(meta, key, "invariant", f"A contained resource must not have meta.{key} ({rule}).")


def contained_reference_rule(value: Json, run: Run, *, refers_to_container: bool) -> Callable[[], None]:
    """dom-3, to be looked at when the container has been walked: something must tie the resource to its container.

    A link or an image in a narrative ties it as well.
    """
    fragments, container = run.fragments, run.resource

    def rule() -> None:
        name = f"#{value.get('id')}"
        if not refers_to_container and name not in fragments and name not in linked_fragments(container, run):
            run.error(value, None, "invariant", f"Nothing refers to the contained resource {name} (dom-3).")

    return rule


def linked_fragments(container: Json, run: Run) -> set[str]:
    """The fragments that the narratives in a resource link to, read once."""
    key = "links", id(container)
    if key not in run.memo:
        run.memo[key] = {link for div in divs_in(container) for link in LINK.findall(div)}
    return run.memo[key]  # type: ignore[no-any-return]


def divs_in(value: Any) -> Iterator[str]:
    """The texts of all narratives in a value."""
    if value.__class__ is list:
        for item in value:
            yield from divs_in(item)
    elif value.__class__ is dict:
        div = value.get("div")
        if div.__class__ is str:
            yield div
        for inner in value.values():
            yield from divs_in(inner)

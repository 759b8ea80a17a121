"""Small profiles for tests, and their snapshots in short form."""

from typing import Any

from fhir_server.definitions.registry import Definitions, r4
from fhir_server.definitions.snapshot import Generated
from fhir_server.definitions.structure import TYPE_URL, Element, Slicing, Structure

BASE = "http://example.org/"


def url(name: str) -> str:
    """The canonical of a profile."""
    return BASE + name


def profile(name: str, kind: str, *elements: dict[str, Any], base: str | None = None, **more: Any) -> dict[str, Any]:
    """A profile of a type with this differential."""
    return {
        "resourceType": "StructureDefinition",
        "url": url(name),
        "name": name,
        "kind": "resource" if kind in r4().resource_types else "complex-type",
        "abstract": False,
        "type": kind,
        "baseDefinition": base or TYPE_URL + kind,
        "derivation": "constraint",
        "differential": {"element": list(elements)},
    } | more


def at(element_id: str, **more: Any) -> dict[str, Any]:
    """An element of a differential, its path and slice name read from its id."""
    steps = [step.partition(":") for step in element_id.split(".")]
    sliced = {"sliceName": steps[-1][2]} if steps[-1][2] else {}
    return {"id": element_id, "path": ".".join(name for name, _, _ in steps)} | sliced | more


def loaded(*profiles: dict[str, Any]) -> Definitions:
    """The R4 core with these profiles."""
    definitions = r4().extended()
    for body in profiles:
        definitions.add(body)
    return definitions


def generated(*profiles: dict[str, Any]) -> Generated:
    """The snapshot of the last profile, made with all of them loaded."""
    definitions = loaded(*profiles)
    structure = definitions.stated_structure(profiles[-1]["url"])
    assert structure is not None
    return definitions.snapshots.make(structure)


def structure_of(definitions: Definitions, canonical: str) -> Structure:
    """A structure that is there."""
    structure = definitions.structure(canonical)
    assert structure is not None
    return structure


def slicing_of(element: Element) -> Slicing:
    """How an element is sliced."""
    assert element.slicing is not None
    return element.slicing


def snapshot(*profiles: dict[str, Any]) -> dict[str, Element]:
    """The elements of that snapshot by id."""
    made = generated(*profiles)
    assert [issue.text for issue in made.issues] == []
    return {element.id: element for element in made.elements}


def codes(element: Element) -> list[str]:
    """The codes of the types of an element."""
    return [reference.code for reference in element.types]

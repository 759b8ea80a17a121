"""Slices in the snapshot of a StructureDefinition follow the element that divides them (FHIR R4, 5.1.0.14 Slicing)."""

from __future__ import annotations

from typing import Any

from fhir_server.validation.primitive import shown
from fhir_server.validation.run import Fault, Json, Run


def slicing_rule(structure: Json, run: Run) -> None:
    """Report a slice of an element that no slicing was stated for, and a slice name that is there twice."""
    snapshot: Any = structure.get("snapshot")
    elements: Any = snapshot.get("element") if snapshot.__class__ is dict else None
    sliced: dict[str, set[str]] = {}
    for element in elements if elements.__class__ is list else ():
        path = element.get("path") if element.__class__ is dict else None
        if path.__class__ is not str:
            continue
        leave(sliced, path)
        if "slicing" in element:
            sliced[path] = set()
        name = element.get("sliceName")
        if name.__class__ is str:
            slice_rule(element, name, sliced.get(path), run)


def leave(sliced: dict[str, set[str]], path: str) -> None:
    """Forget the slicings of elements that the snapshot has passed."""
    depth = path.count(".")
    for passed in [p for p in sliced if p != path and p.count(".") >= depth]:
        del sliced[passed]


def slice_rule(element: Json, name: str, names: set[str] | None, run: Run) -> None:
    """Judge one slice by the names of those before it."""
    if names is None:
        if not element["path"].endswith("[x]"):
            text = f"The slice {shown(name)} stands before any slicing of {element['path']}."
            complain(element, text, run)
    elif name in names:
        complain(element, f"The slice name {shown(name)} is there twice.", run)
    else:
        names.add(name)


def complain(element: Json, text: str, run: Run) -> None:
    """Report an error of an element's slicing."""
    run.report(Fault(element, None, None, "error", "value", text, None, None, "full"))

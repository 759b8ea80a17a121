"""Tree navigation functions (FHIRPath 2.0, section 5.8)."""

from __future__ import annotations

from typing import Any

from fhir_server.fhirpath.evaluation import Frame
from fhir_server.fhirpath.function import Function, Table
from fhir_server.fhirpath.node import Node
from fhir_server.fhirpath.static import Static, always

UNORDERED = always(Static(None, many=True))


def children(frame: Frame, focus: list[Any]) -> list[Any]:
    """The elements directly below."""
    model = frame.evaluation.model
    return [child for item in focus if item.__class__ is Node for child in model.children(item)]


def descendants(frame: Frame, focus: list[Any]) -> list[Any]:
    """All elements below."""
    found = frame.evaluation.model.descendants(focus)
    frame.evaluation.charge(len(found))
    return found


FUNCTIONS: Table = {
    "children": Function(children, result=UNORDERED),
    "descendants": Function(descendants, result=UNORDERED),
}
UNORDERED_FUNCTIONS = frozenset(FUNCTIONS)

"""Combining functions (FHIRPath 2.0, section 5.4)."""

from __future__ import annotations

from typing import Any

from fhir_server.fhirpath.collection import distinct
from fhir_server.fhirpath.evaluation import Frame
from fhir_server.fhirpath.function import Function, Table
from fhir_server.fhirpath.static import joined


def union(frame: Frame, focus: list[Any], other: list[Any]) -> list[Any]:
    """The items of both, equal ones once."""
    return distinct(focus + other)


def combine(frame: Frame, focus: list[Any], other: list[Any]) -> list[Any]:
    """The items of both."""
    return focus + other


FUNCTIONS: Table = {
    "union": Function(union, 1, result=joined),
    "combine": Function(combine, 1, result=joined),
}

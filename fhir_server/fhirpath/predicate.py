"""Invariants as fast tests of raw JSON (FHIR R4, 2.30.0.6 constraints)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from fhir_server.fhirpath.environment import Environment
from fhir_server.fhirpath.evaluation import Evaluation
from fhir_server.fhirpath.node import Node, system_value


class Surroundings(Protocol):
    """Where a constraint is tested: %resource, %rootResource and what the environment knows."""

    resource: dict[str, Any]
    root: dict[str, Any]
    environment: Environment


Predicate = Callable[[Any, Surroundings], bool]


def is_met(found: list[Any]) -> bool:
    """Whether the result of a constraint lets it hold: an empty one does not, anything but false does."""
    if len(found) == 1:
        return system_value(found[0]) is not False
    return bool(found)

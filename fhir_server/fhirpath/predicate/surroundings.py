"""What a predicate is given besides the value, and the shapes of its closures (FHIR R4, 2.32.4 constraints)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from fhir_server.fhirpath.collection import boolean
from fhir_server.fhirpath.environment import Environment


class Surroundings(Protocol):
    """Where a constraint is tested: %resource, %rootResource and what the environment knows."""

    @property
    def resource(self) -> dict[str, Any]:
        """%resource: the nearest resource around the value."""

    @property
    def root(self) -> dict[str, Any]:
        """%rootResource: the resource that contains it, or itself."""

    @property
    def environment(self) -> Environment:
        """What is known outside."""


Test = Callable[[Any, Any], bool]
"""A closure on the raw value in hand and the surroundings."""

Predicate = Callable[[Any, Surroundings], bool]
"""A constraint: True where it holds."""

Read = Callable[[Any, Any], Any]
"""A closure that takes something from the raw value in hand; None where it is absent or has no value."""

ReadAll = Callable[[Any, Any], "list[Any] | tuple[Any, ...]"]
"""A closure that takes all items; a primitive that has extensions but no value comes as `VALUELESS`."""


class Valueless:
    """An element that exists without a value."""

    def __repr__(self) -> str:
        return "VALUELESS"


VALUELESS = Valueless()


class Unsupported(Exception):
    """Raised while compiling what the specialised form does not cover, so that the general one is taken."""


def is_met(found: list[Any]) -> bool:
    """Whether the result of a constraint lets it hold: an empty one does not, anything but false does."""
    return len(found) > 1 or boolean(found) is True

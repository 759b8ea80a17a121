"""The door: validate resources at write depth or at full depth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from fhir_server.definitions.registry import Definitions
from fhir_server.errors import Issue
from fhir_server.fhirpath.engine import Engine
from fhir_server.fhirpath.environment import Environment, NullEnvironment
from fhir_server.terminology.local import LocalTerminology
from fhir_server.terminology.protocol import Terminology
from fhir_server.validation.binding import Bindings
from fhir_server.validation.constraint import Constraints
from fhir_server.validation.location import located
from fhir_server.validation.primitive import kind_of, shown
from fhir_server.validation.run import Json, Resolver, Run, resolve_nothing
from fhir_server.validation.structure import StructureChecks

Depth = Literal["write", "full"]
SEVERITIES = {"write": frozenset({"error"}), "full": frozenset({"error", "warning"})}


@dataclass(frozen=True, slots=True)
class Verdict:
    """What validation found, and how many JSON members it saw in a sound resource (for finding duplicate keys)."""

    issues: Sequence[Issue]
    members: int

    @property
    def is_valid(self) -> bool:
        """True when nothing found is an error."""
        return not any(issue.is_error for issue in self.issues)


class Validator:
    """Compiled checks for resources by these definitions, at one depth.

    `write` is what base R4 forbids, with profiles where asked; `full` adds all that a conformance tool would say.
    """

    def __init__(
        self, definitions: Definitions, terminology: Terminology | None = None, depth: Depth = "write"
    ) -> None:
        self._definitions = definitions
        terminology = terminology or LocalTerminology(definitions)
        engine = Engine(definitions)
        constraints = Constraints(definitions, engine, SEVERITIES[depth])
        self._structures = StructureChecks(definitions, Bindings(terminology), constraints, {}, {})
        self._environment: Environment = NullEnvironment()

    def validate(self, resource: Any, resolver: Resolver = resolve_nothing) -> Verdict:
        """The issues of a resource, most of all none; never raises for what the resource holds."""
        refused = unusable(resource, self._definitions)
        if refused:
            return Verdict([refused], 0)
        run = Run(resource, self._environment, resolver)
        members = self._structures.check(resource["resourceType"])(resource, resource, run)
        for check in run.later:
            check()
        if not run.faults:
            return Verdict((), members)
        return Verdict(located(self._definitions, resource, run.faults), members)


def unusable(resource: Any, definitions: Definitions) -> Issue | None:
    """Why a value is no resource at all; None when it is one."""
    if resource.__class__ is not dict:
        return Issue("fatal", "structure", f"A resource is a JSON object, found {kind_of(resource)}.")
    kind: Json | Any = resource.get("resourceType")
    if kind.__class__ is not str:
        return Issue("fatal", "structure", "A resource must name its type in resourceType.")
    if kind not in definitions.resource_types:
        return Issue("fatal", "not-supported", f"{shown(kind)} is not a resource type of R4.", (kind,))
    return None

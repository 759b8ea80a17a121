"""The door: validate resources at write depth or at full depth."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from fhir_server.definitions.registry import Definitions
from fhir_server.errors import Issue
from fhir_server.fhirpath.engine import Engine
from fhir_server.terminology.local import LocalTerminology
from fhir_server.terminology.protocol import Terminology
from fhir_server.validation.depth import Depth, DepthChecks
from fhir_server.validation.location import located
from fhir_server.validation.primitive import kind_of, shown
from fhir_server.validation.run import Fault, Json, Resolver, resolve_nothing


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
        self,
        definitions: Definitions,
        terminology: Terminology | None = None,
        depth: Depth = "write",
        *,
        claimed_profiles: bool | None = None,
    ) -> None:
        """Compile nothing yet; `claimed_profiles` says whether meta.profile is applied, at full depth unless told."""
        self._definitions = definitions
        self._terminology = terminology or LocalTerminology(definitions)
        self._engine = Engine(definitions)
        self._applies_claims = depth == "full" if claimed_profiles is None else claimed_profiles
        self._checks = self._compiled(depth, "write" if self._applies_claims else None)
        self._full_checks = self._checks if depth == "full" else None

    def _compiled(self, depth: Depth, claims: Depth | None) -> DepthChecks:
        return DepthChecks(self._definitions, self._terminology, self._engine, depth, claims)

    def validate(
        self,
        resource: Any,
        resolver: Resolver = resolve_nothing,
        profiles: Sequence[str] = (),
        *,
        warnings: bool = False,
    ) -> Verdict:
        """The issues of a resource by its type and these profiles, mostly none; never raises for what it holds.

        With `warnings`, what only full depth calls wrong is added at write depth, as warnings: the verdict is the same.
        """
        refused = unusable(resource, self._definitions)
        if refused:
            return Verdict([refused], 0)
        checks = self._checks_with_warnings() if warnings else self._checks
        faults, members = checks.look(resource, resolver, profiles)
        if not faults:
            return Verdict((), members)
        if checks is not self._checks:
            faults = list(as_warnings(faults))
        return Verdict(located(self._definitions, resource, faults), members)

    def _checks_with_warnings(self) -> DepthChecks:
        """The checks at full depth, made when first asked for; they share definitions, terminology and engine."""
        if self._full_checks is None:
            self._full_checks = self._compiled("full", "write" if self._applies_claims else "full")
        return self._full_checks


def as_warnings(faults: Iterable[Fault]) -> Iterable[Fault]:
    """The faults with those that write depth does not know as warnings."""
    for fault in faults:
        yield replace(fault, severity="warning") if fault.depth == "full" and fault.severity == "error" else fault


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

"""The door: validate resources at write depth or at full depth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from fhir_server.definitions.registry import Definitions
from fhir_server.errors import Issue
from fhir_server.fhirpath.engine import Engine
from fhir_server.terminology.local import LocalTerminology
from fhir_server.terminology.protocol import Terminology
from fhir_server.validation.binding import Bindings
from fhir_server.validation.constraint import Constraints
from fhir_server.validation.environment import environments
from fhir_server.validation.extension import Extensions
from fhir_server.validation.location import located
from fhir_server.validation.primitive import kind_of, shown
from fhir_server.validation.profile import Profiles
from fhir_server.validation.profile_claim import apply_profile, claimed_profile_rule
from fhir_server.validation.run import Json, Resolver, Rule, Run, resolve_nothing
from fhir_server.validation.structure import StructureChecks
from fhir_server.validation.type_profile import member_profile_check

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
        self,
        definitions: Definitions,
        terminology: Terminology | None = None,
        depth: Depth = "write",
        *,
        claimed_profiles: bool | None = None,
    ) -> None:
        """Compile nothing yet; `claimed_profiles` says whether meta.profile is applied, at full depth unless told."""
        self._definitions = definitions
        terminology = terminology or LocalTerminology(definitions)
        engine = Engine(definitions)
        constraints = Constraints(definitions, engine, SEVERITIES[depth])
        bindings = Bindings(terminology)
        self.profiles = Profiles(definitions, terminology, bindings, constraints, full=depth == "full")
        rules: dict[str, tuple[Rule, ...]] = {}
        if claimed_profiles or (claimed_profiles is None and depth == "full"):
            claims = claimed_profile_rule(self.profiles)
            rules = dict.fromkeys(definitions.resource_types, (claims,))
        self._extensions = Extensions(definitions, engine, self.profiles)
        member_checks = {"Extension": self._extensions.check, "Quantity": member_profile_check(self.profiles)}
        self._structures = StructureChecks(
            definitions, bindings, constraints, rules, member_checks, self._extensions.primitive_check
        )
        self._environment_of = environments(terminology, self.profiles, self._structures.check)

    def validate(self, resource: Any, resolver: Resolver = resolve_nothing, profiles: Sequence[str] = ()) -> Verdict:
        """The issues of a resource by its type and these profiles, mostly none; never raises for what it holds."""
        refused = unusable(resource, self._definitions)
        if refused:
            return Verdict([refused], 0)
        self._extensions.refresh()
        run = Run(resource, self._environment_of, resolver)
        members = self._structures.check(resource["resourceType"])(resource, resource, run)
        for canonical in profiles:
            apply_profile(self.profiles, canonical, resource, run)
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

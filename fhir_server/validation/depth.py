"""Which rules apply at which depth, put together and compiled: what base R4 forbids, or all that tools would say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from fhir_server.definitions.datatype import Member
from fhir_server.definitions.registry import Definitions
from fhir_server.fhirpath.engine import Engine
from fhir_server.terminology.protocol import Terminology
from fhir_server.validation.attachment import attachment_rule
from fhir_server.validation.binding import Bindings
from fhir_server.validation.bundle import bundle_rule
from fhir_server.validation.coded_value import CodedValues
from fhir_server.validation.constraint import Constraints
from fhir_server.validation.element_id import element_id_check
from fhir_server.validation.environment import environments
from fhir_server.validation.extension import Extensions
from fhir_server.validation.identifier import identifier_rule
from fhir_server.validation.narrative import narrative_check, strict_narrative_check
from fhir_server.validation.profile import Profiles
from fhir_server.validation.profile_claim import apply_profile, claimed_profile_rule
from fhir_server.validation.questionnaire import questionnaire_rule
from fhir_server.validation.questionnaire_response import questionnaire_response_rule
from fhir_server.validation.reference_target import ReferenceTargets
from fhir_server.validation.resource_rule import meta_rule
from fhir_server.validation.run import Check, Fault, Json, Resolver, Rule, Run
from fhir_server.validation.structure import MemberCheck, StructureChecks
from fhir_server.validation.structure_definition import slicing_rule
from fhir_server.validation.type_profile import member_profile_check
from fhir_server.validation.uri import Uris
from fhir_server.validation.vital_signs import vital_signs_rule
from fhir_server.validation.white_space import code_check, text_check

Depth = Literal["write", "full"]
SEVERITIES = {"write": frozenset({"error"}), "full": frozenset({"error", "warning"})}
URI_TYPES = ("uri", "url", "canonical", "oid", "uuid")
REPEATING = frozenset({"Coding"})
"""Types whose values are judged by themselves at write depth: they have no bindings, invariants or profiles there."""
Rules = dict[str, list[Rule]]
Wraps = dict[str, list[MemberCheck]]


class DepthChecks:
    """All checks at one depth; `claims` is the depth of what breaks a profile in meta.profile, None to leave them."""

    def __init__(
        self, definitions: Definitions, terminology: Terminology, engine: Engine, depth: Depth, claims: Depth | None
    ) -> None:
        full = depth == "full"
        self._coded = CodedValues(definitions, terminology) if full else None
        self._uris = Uris(definitions) if full else None
        bindings = self._coded or Bindings(terminology)
        constraints = Constraints(definitions, engine, SEVERITIES[depth])
        self.profiles = Profiles(definitions, terminology, bindings, constraints, full=full)
        self._extensions = Extensions(definitions, engine, self.profiles)
        wraps: Wraps = {
            "Extension": [self._extensions.check],
            "Quantity": [member_profile_check(self.profiles)],
            "string": [element_id_check],
            "xhtml": [strict_narrative_check if full else narrative_check],
        }
        of_all = [] if claims is None else [claimed_profile_rule(self.profiles, claims)]
        if full:
            of_all.append(meta_rule)
        rules: Rules = {name: list(of_all) for name in definitions.resource_types}
        if full:
            self._add_full(definitions, terminology, rules, wraps)
        repeating = () if full else REPEATING
        self._structures = StructureChecks(
            definitions, bindings, constraints, rules, together(wraps), self._extensions.primitive_check, repeating
        )
        self._environment_of = environments(terminology, self.profiles, self._structures.check)

    def _add_full(self, definitions: Definitions, terminology: Terminology, rules: Rules, wraps: Wraps) -> None:
        """Add what only full depth says."""
        if self._uris is not None:
            wraps.update((name, [self._uris.check]) for name in URI_TYPES)
        wraps["code"] = [code_check]
        wraps["string"].append(text_check)
        wraps["markdown"] = [text_check]
        wraps["Reference"] = [ReferenceTargets(definitions).check]
        rules["Identifier"] = [identifier_rule]
        rules["Attachment"] = [attachment_rule]
        rules["Bundle"].append(bundle_rule(definitions))
        rules["StructureDefinition"].append(slicing_rule)
        rules["Questionnaire"].append(questionnaire_rule)
        rules["QuestionnaireResponse"].append(questionnaire_response_rule(terminology))
        rules["Observation"].append(vital_signs_rule(self.profiles))

    def refresh(self) -> None:
        """Forget what was found by definitions that have changed since."""
        self.profiles.refresh()
        self._extensions.refresh()
        if self._coded is not None:
            self._coded.codings.refresh()
        if self._uris is not None:
            self._uris.refresh()

    def look(self, resource: Json, resolver: Resolver, profiles: Sequence[str]) -> tuple[list[Fault], int]:
        """What is wrong with a resource of a known type, and how many JSON members it has where nothing is."""
        self.refresh()
        run = Run(resource, self._environment_of, resolver)
        members = self._structures.check(resource["resourceType"])(resource, resource, run)
        for canonical in profiles:
            apply_profile(self.profiles, canonical, resource, run)
        for check in run.later:
            check()
        return run.faults, members


def together(wraps: Wraps) -> Mapping[str, MemberCheck]:
    """The checks around members of a type, as one each."""
    return {name: around(checks) for name, checks in wraps.items()}


def around(checks: Sequence[MemberCheck]) -> MemberCheck:
    """One check around a member that is all of these, the first innermost."""

    def wrap(kind: str, member: Member, one: Check) -> Check:
        for check in checks:
            one = check(kind, member, one)
        return one

    return checks[0] if len(checks) == 1 else wrap

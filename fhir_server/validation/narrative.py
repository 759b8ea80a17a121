"""Narratives: safe XHTML with content (FHIR R4, 2.4.0.1 XHTML content, constraints txt-1 and txt-2)."""

from __future__ import annotations

from typing import Any

from fhir_server import xhtml
from fhir_server.definitions.datatype import Member
from fhir_server.definitions.structure import TYPE_URL
from fhir_server.validation.run import Check, Fault, Json, Run
from fhir_server.validation.xhtml_structure import is_sound, structure_problems

NARRATIVE = TYPE_URL + "Narrative"


def narrative_check(kind: str, member: Member, one: Check) -> Check:
    """The check of a div: what it holds is XHTML, harmless and not empty."""

    def check(value: Any, holder: Json, run: Run) -> int:
        if value.__class__ is not str or not value:
            return one(value, holder, run)
        for problem in xhtml.problems(value):
            profile = NARRATIVE if problem.rule else None
            code = "invariant" if problem.rule else "invalid"
            run.report(Fault(holder, member.key, None, "error", code, f"{problem.text}.", problem.rule, profile))
        return 0

    return check


def strict_narrative_check(kind: str, member: Member, one: Check) -> Check:
    """The same at full depth: elements also stand where XHTML allows them."""
    safe = narrative_check(kind, member, one)

    def check(value: Any, holder: Json, run: Run) -> int:
        if value.__class__ is not str or not value:
            return one(value, holder, run)
        if is_sound(value):
            return 0
        before = len(run.faults)
        safe(value, holder, run)
        if len(run.faults) == before:
            for text in structure_problems(value):
                run.report(Fault(holder, member.key, None, "error", "structure", text, None, None, "full"))
        return 0

    return check

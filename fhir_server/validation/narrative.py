"""Narratives: safe XHTML with content (FHIR R4, 2.4.0.1 XHTML content, constraints txt-1 and txt-2)."""

from __future__ import annotations

import re
from functools import partial
from typing import Any

from fhir_server import xhtml
from fhir_server.definitions.datatype import Member
from fhir_server.definitions.structure import TYPE_URL
from fhir_server.validation.primitive import shown
from fhir_server.validation.run import Check, Fault, Json, Run
from fhir_server.validation.uri import has_id
from fhir_server.validation.xhtml_structure import is_sound, structure_problems

NARRATIVE = TYPE_URL + "Narrative"
INNER_LINKS = re.compile(r"\s(?:href|src)\s*=\s*[\"']#([^\"']+)[\"']").findall


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
        if '"#' in value or "'#" in value:
            run.later.append(partial(anchor_rule, value, holder, member.key, run.root, run))
        if is_sound(value):
            return 0
        before = len(run.faults)
        safe(value, holder, run)
        if len(run.faults) == before:
            for text in structure_problems(value):
                run.report(Fault(holder, member.key, None, "error", "structure", text, None, None, "full"))
        return 0

    return check


def anchor_rule(div: str, holder: Json, key: str, root: Json, run: Run) -> None:
    """Report a link within the narrative that leads nowhere; the page around could hold its target."""
    for target in dict.fromkeys(INNER_LINKS(div)):
        if not re.search(rf"\s(?:id|name)\s*=\s*[\"']{re.escape(target)}[\"']", div) and not has_id(root, target):
            text = f"Nothing in the resource has the id that the link {shown(f'#{target}')} names."
            run.report(Fault(holder, key, None, "warning", "invalid", text, None, None, "full"))

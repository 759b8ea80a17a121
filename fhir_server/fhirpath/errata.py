"""Invariants that FHIR R4 4.0.1 published with mistakes, and what they were meant to say.

Each row is a known defect that a later release or the reference validator corrects: as published, the rule fails
(or never fails) for resources that the text of the standard allows (or forbids).
"""

from __future__ import annotations

from collections.abc import Mapping

SEGMENT = "[^\\\\s\\\\.,:;\\\\\\'\"\\\\/|?!@#$%&*()\\\\[\\\\]{}]{1,64}"

CORRECTIONS: Mapping[str, str] = {
    # The reference is optional, and '#' names the container itself.
    "reference.startsWith('#').not()"
    " or (reference.substring(1).trace('url') in %rootResource.contained.id.trace('ids'))":
        "reference.empty() or reference = '#' or reference.startsWith('#').not()"
        " or (reference.substring(1) in %rootResource.contained.id)",
    # A fullUrl is optional.
    "fullUrl.contains('/_history/').not()": "fullUrl.empty() or fullUrl.contains('/_history/').not()",
    # A name is optional, and the whole of it is meant.
    "name.matches('[A-Z]([A-Za-z0-9_]){0,254}')": "name.empty() or name.matches('^[A-Z]([A-Za-z0-9_]){0,254}$')",
    # The whole path is meant.
    f"path.matches('{SEGMENT}(\\\\.{SEGMENT}(\\\\[x\\\\])?(\\\\:[^\\\\s\\\\.]+)?)*')":
        f"path.matches('^{SEGMENT}(\\\\.{SEGMENT}(\\\\[x\\\\])?(\\\\:[^\\\\s\\\\.]+)?)*$')",
    "path.matches('[A-Za-z][A-Za-z0-9]*(\\\\.[a-z][A-Za-z0-9]*(\\\\[x])?)*')":
        "path.matches('^[A-Za-z][A-Za-z0-9]*(\\\\.[a-z][A-Za-z0-9]*(\\\\[x])?)*$')",
    # A probability is optional.
    "probability is decimal implies (probability as decimal) <= 100":
        "probability.empty() or (probability is decimal implies (probability as decimal) <= 100)",
    # The rule's text says "more than one".
    "enableWhen.count() > 2 implies enableBehavior.exists()": "enableWhen.count() >= 2 implies enableBehavior.exists()",
    # The answer is a FHIR boolean, not a System one.
    "operator = 'exists' implies (answer is Boolean)": "operator = 'exists' implies (answer is boolean)",
    # A period may start at a time within the day that it ends on; R5 says it so.
    "start.hasValue().not() or end.hasValue().not() or (start <= end)":
        "start.hasValue().not() or end.hasValue().not() or (start.lowBoundary() <= end.highBoundary())",
    # There may be several times of day, and `in` looks for one.
    "offset.empty() or (when.exists() and ((when in ('C' | 'CM' | 'CD' | 'CV')).not()))": (
        "offset.empty() or (when.exists() and when.where($this in ('C' | 'CM' | 'CD' | 'CV')).empty())"
    ),
    # The text says "if it is a dateTime"; a Period is no mistake.
    "($this as dateTime).toString().length() >= 8":
        "($this is dateTime) implies (($this as dateTime).toString().length() >= 8)",
    # Where the units are shown alike, the numbers tell.
    "low.empty() or high.empty() or (low <= high)":
        "low.empty() or high.empty() or (low <= high) or (low.unit = high.unit and low.value <= high.value)",
    # Narratives are asked of resources that stand alone.
    "text.`div`.exists()": "(%rootResource != $this) or text.`div`.exists()",
}  # fmt: skip


def corrected(expression: str) -> str:
    """The invariant as it was meant."""
    return CORRECTIONS.get(expression, expression)

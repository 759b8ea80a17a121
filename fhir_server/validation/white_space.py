"""White space that R4's expressions let through and readers do not see (FHIR R4, 2.24.0.1 string, code)."""

from __future__ import annotations

import re
from typing import Any

from fhir_server.definitions.datatype import Member
from fhir_server.validation.primitive import shown
from fhir_server.validation.run import Check, Fault, Json, Run

SHORT = 1000
CONTROLS = re.compile(r"[\x00-\x08\x0e-\x1f]").search


def code_check(kind: str, member: Member, one: Check) -> Check:
    """The check of a code: no white space of any alphabet at its ends, and none but single spaces within."""
    binding, key = member.element.binding, member.key
    if binding is not None and binding.strength == "required":
        return one

    def check(value: Any, holder: Json, run: Run) -> int:
        count = one(value, holder, run)
        if value.__class__ is str and not value.isascii() and not is_tight(value):
            text = f"{shown(value)} holds white space that a code may not have."
            run.report(Fault(holder, key, None, "error", "value", text, None, None, "full"))
        return count

    return check


def is_tight(code: str) -> bool:
    """True for text whose only white space are single spaces within."""
    return " ".join(code.split()) == code and not any(c.isspace() and c != " " for c in code)


def text_check(kind: str, member: Member, one: Check) -> Check:
    """The check of text: what nobody can see in it is a warning."""
    key = member.key
    plain = is_plain(member) and key != "id"

    def check(value: Any, holder: Json, run: Run) -> int:
        if plain and value.__class__ is str and value.isprintable() and 0 < len(value) < SHORT and value[0] != " ":
            return 0
        count = one(value, holder, run)
        if value.__class__ is str and (not value.isprintable() or value[:1] == " "):
            if value.isspace():
                warn(holder, key, "The text holds nothing but white space.", run)
            elif CONTROLS(value):
                warn(holder, key, "The text holds control characters, which XML cannot carry.", run)
        return count

    return check


def is_plain(member: Member) -> bool:
    """True for a member of which nothing is asked but to be text."""
    return member.element.binding is None and all(c.key == "ele-1" for c in member.constraints)


def warn(holder: Json, key: str, text: str, run: Run) -> None:
    """Report a warning about a text."""
    run.report(Fault(holder, key, None, "warning", "value", text, None, None, "full"))

"""Identifiers: systems are absolute, and a URI as value is a whole one (FHIR R4, 2.24.0.12 Identifier)."""

from __future__ import annotations

import re

from fhir_server.validation.primitive import UUID, shown
from fhir_server.validation.run import Fault, Json, Run

SYSTEMS = ("http:", "https:", "urn:", "ldap:")
URI_SYSTEM = "urn:ietf:rfc:3986"
UUID_DOCUMENT = "https://tools.ietf.org/html/rfc4122"
SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9_\[\]]*:(?P<rest>.*)", re.ASCII | re.DOTALL).fullmatch


def identifier_rule(value: Json, run: Run) -> None:
    """Report an identifier whose system is relative, or whose value is not what its system promises."""
    system = value.get("system")
    if system.__class__ is not str:
        return
    if not system.startswith(SYSTEMS):
        complain(value, "system", f"The system of an identifier must be an absolute URI, found {shown(system)}.", run)
        return
    name = value.get("value")
    if name.__class__ is not str:
        return
    if system == URI_SYSTEM and not is_whole_uri(name):
        complain(value, "value", f"With the system {URI_SYSTEM} a value is a whole URI, found {shown(name)}.", run)
    elif system == UUID_DOCUMENT and UUID(f"urn:uuid:{name.removeprefix('urn:uuid:')}") is None:
        complain(value, "value", f"{UUID_DOCUMENT} is not the system of {shown(name)}, which is no UUID.", run)


def is_whole_uri(value: str) -> bool:
    """True for a URI with its scheme."""
    found = SCHEME(value)
    if found is None or not value.startswith("file:"):
        return found is not None
    return found["rest"].startswith("/") or ":" in found["rest"]


def complain(value: Json, key: str, text: str, run: Run) -> None:
    """Report an error of an identifier."""
    run.report(Fault(value, key, None, "error", "code-invalid", text, None, None, "full"))

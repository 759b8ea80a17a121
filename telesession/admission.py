"""Who may ask to enter the room of an Encounter, and as whom: decided anew for each request.

Whether a caller may see the Encounter is decided by the server before: its facility, the site that a consultation
opened it to, its patient. Everybody else is told that there is none.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, cast

from fhir_server.access.caller import Caller
from fhir_server.errors import Forbidden, InvalidValue, NotFound
from telesession.room import ROLES, STAFF_ROLES, Person, Role

Json = Mapping[str, Any]

ROLES_OF: Mapping[str, tuple[Role, ...]] = {
    "doctor": ("host", "chair", "expert", "presenter", "secretary"),
    "commune-worker": ("host", "presenter", "chair", "secretary", "expert"),
    "radiologist": ("expert", "presenter", "host", "chair"),
    "coordinator": ("secretary", "host", "chair"),
    "his": ("presenter",),
}
"""What staff of each role of the server may be in a room: the first, unless they or the Encounter say another."""

ROLE_OF_TYPE: Mapping[str, Role] = {
    "PPRF": "host", "ATND": "secretary", "CON": "expert", "REF": "presenter", "SPRF": "expert",
    "translator": "interpreter",
}  # fmt: skip
"""The role that Encounter.participant.type gives to who is named there."""

OUTSIDERS: tuple[Role, ...] = ("patient", "relative", "interpreter", "guest")
REMOTE = "VR"
UNSHOWN = frozenset({"Cc", "Cf", "Co", "Cs", "Zl", "Zp"})
"""Categories of characters that hide others, or turn them (Unicode, General_Category)."""
LONGEST_NAME = 80


@dataclass(frozen=True, slots=True)
class Wish:
    """What somebody asks for when entering; empty where they say nothing."""

    role: str = ""
    display: str = ""
    device: str = ""


def check_remote(encounter: Json) -> None:
    """Raise NotFound for an Encounter that is no remote one (class VR)."""
    if (encounter.get("class") or {}).get("code") != REMOTE:
        raise NotFound("There is no such session.")


def person_of(caller: Caller, encounter: Json, name: str, wish: Wish) -> Person:
    """Who a caller is in the room of an Encounter that they may see; raise NotFound for others, Forbidden for a role.

    `name` is what the server knows them by; only who has none says how they are called.
    """
    if wish.role and wish.role not in ROLES:
        raise InvalidValue(f"There is no role {wish.role[:40]!r}: {', '.join(ROLES)}.")
    device = cleaned(wish.device)
    if caller.kind == "local":
        role = wish.role or "host"
        shown = cleaned(wish.display) or role
        return Person(f"local:{shown}:{role}", shown, role, role in STAFF_ROLES, device=device)
    may_be = _roles(caller, encounter)
    if wish.role and wish.role not in may_be:
        raise Forbidden(f"You cannot be {wish.role} in this session; you can be: {', '.join(may_be)}.")
    role = wish.role or may_be[0]
    return Person(f"{caller.kind}:{caller.subject}", cleaned(name) or caller.subject, role, role in STAFF_ROLES,
                  caller.fhir_user or "", device)  # fmt: skip


def _roles(caller: Caller, encounter: Json) -> tuple[Role, ...]:
    """What a caller may be, first what they are if they say nothing; raise NotFound for who may be nothing."""
    may_be = list(dict.fromkeys(role for each in ROLES_OF for role in ROLES_OF[each] if each in caller.roles))
    if may_be:
        named = _named(encounter, caller.fhir_user)
        return tuple(dict.fromkeys((named, *may_be))) if named in may_be else tuple(may_be)
    subject = (encounter.get("subject") or {}).get("reference")
    if "patient" in caller.roles and subject:
        if caller.fhir_user == subject:
            return ("patient",)
        if caller.patient and subject == f"Patient/{caller.patient}":
            return ("relative",)
    raise NotFound("There is no such session.")


def _named(encounter: Json, reference: str | None) -> Role | None:
    for each in encounter.get("participant", ()):
        if reference and (each.get("individual") or {}).get("reference") == reference:
            codes = [coding.get("code") for type_ in each.get("type", ()) for coding in type_.get("coding", ())]
            said = next((cast("Role", code) for code in codes if code in ROLES), None)
            return said or next((ROLE_OF_TYPE[code] for code in codes if code in ROLE_OF_TYPE), None)
    return None


def cleaned(text: str, longest: int = LONGEST_NAME) -> str:
    """A name as it may be shown: one line, without characters that hide or turn others."""
    plain = unicodedata.normalize("NFC", text)
    kept = "".join(" " if unicodedata.category(each) in UNSHOWN else each for each in plain)
    return re.sub(r"\s+", " ", kept).strip()[:longest]


def name_in(resource: Json) -> str:
    """A person's name as it is written: the text, or family and given names in Vietnamese order."""
    names: Iterable[Json] = resource.get("name") or ()
    for each in names if isinstance(names, list) else ():
        written = each.get("text") or " ".join(filter(None, (each.get("family"), *each.get("given", ()))))
        if written:
            return str(written)
    return ""

"""The roles of people and programs, and what each may do beside reading and writing (security policy of a node)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Role:
    """A role: who has it, the purposes that it may state, and three rights that the table of rules has no column for.

    `breaks_glass` is the right to open a record in an emergency, `names_ids` to create a resource under an id of its
    own (PUT), `records_consent` to write down what a patient has agreed to.
    """

    code: str
    who: str
    purposes: tuple[str, ...] = ("TREAT",)
    breaks_glass: bool = False
    names_ids: bool = False
    records_consent: bool = False


TREATING = ("TREAT", "ETREAT")

ROLES: tuple[Role, ...] = (
    Role("commune-worker", "Staff of a commune health station", TREATING, breaks_glass=True, records_consent=True),
    Role("doctor", "A doctor of a hospital or a station", TREATING, breaks_glass=True, records_consent=True),
    Role("coordinator", "Who receives and books the consultations of a hub", ("TREAT", "HOPERAT")),
    Role("radiologist", "Who reads images", TREATING),
    Role("facility-admin", "Who runs a facility: its staff, places, reviews", ("HOPERAT",)),
    Role("his", "The information system of a facility", ("TREAT", "HPAYMT", "HOPERAT"), names_ids=True,
         records_consent=True),
    Role("province", "A provincial Department of Health", ("PUBHLTH",)),
    Role("ministry", "The Ministry of Health", ("PUBHLTH",)),
    Role("patient", "A patient, or who acts for one", ("PATRQT",), records_consent=True),
    Role("guest", "Who was invited to one session", ("TREAT",)),
)  # fmt: skip

BY_CODE = {role.code: role for role in ROLES}

"""The table of access: what each role may do to each class of resource, and on what ground.

A ground says which resources of the class are meant:

| ground | which |
|---|---|
| all | every one |
| own | those that the caller's facilities wrote, or those below them (Organization.partOf) |
| shared | those of a patient that a facility opened to the caller by a consultation, accepted and not yet over |
| asked | those that are addressed to the caller or to the caller's facilities |
| self | those in the compartment of the patient that the caller is, or acts for |
| session | the encounter of the one session that a guest was invited to |
| numbers | those that are about no single patient |

What is not in the table may not be done. `read` is reading and searching, history included; `create` with the ground
`own` makes resources that belong to the caller's facility, and they may refer only to what the caller may see.
Scopes narrow this, Consent withholds from it, and breaking the glass adds one patient for an hour (`decision`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple

from fhir_server.access.resource_class import ResourceClass

Ground = Literal["all", "own", "shared", "asked", "self", "session", "numbers"]
Act = Literal["read", "create", "change", "remove"]

ACT_OF: Mapping[str, Act] = {"c": "create", "r": "read", "u": "change", "d": "remove", "s": "read"}
"""The act that each letter of a scope stands for."""


class Rule(NamedTuple):
    """What a role may do to a class of resources; the grounds of each act are words of Ground."""

    role: str
    about: ResourceClass
    read: str = ""
    create: str = ""
    change: str = ""
    remove: str = ""


RULES: tuple[Rule, ...] = (
    #    role              about         read                  create  change       remove
    Rule("commune-worker", "master",     "all"),
    Rule("commune-worker", "definition", "all"),
    Rule("commune-worker", "identity",   "own shared",         "own",  "own"),
    Rule("commune-worker", "record",     "own shared",         "own",  "own"),
    Rule("commune-worker", "imaging",    "own shared",         "own",  "own"),
    Rule("commune-worker", "work",       "own shared asked",   "own",  "own"),
    Rule("commune-worker", "task",       "own asked",          "own",  "own asked"),
    Rule("commune-worker", "consent",    "own shared",         "own",  "own"),
    Rule("commune-worker", "money",      "own"),
    Rule("commune-worker", "trail",      "own shared",         "own"),
    Rule("commune-worker", "other",      "own",                "own",  "own"),

    Rule("doctor",         "master",     "all"),
    Rule("doctor",         "definition", "all"),
    Rule("doctor",         "identity",   "own shared",         "own",  "own"),
    Rule("doctor",         "record",     "own shared",         "own",  "own"),
    Rule("doctor",         "imaging",    "own shared",         "own",  "own"),
    Rule("doctor",         "work",       "own shared asked",   "own",  "own"),
    Rule("doctor",         "task",       "own asked",          "own",  "own asked"),
    Rule("doctor",         "consent",    "own shared",         "own",  "own"),
    Rule("doctor",         "trail",      "own shared",         "own"),
    Rule("doctor",         "other",      "own",                "own",  "own"),

    Rule("coordinator",    "master",     "all"),
    Rule("coordinator",    "definition", "all"),
    Rule("coordinator",    "identity",   "own shared"),
    Rule("coordinator",    "record",     "shared"),
    Rule("coordinator",    "imaging",    "shared"),
    Rule("coordinator",    "work",       "own shared asked",   "own",  "own"),
    Rule("coordinator",    "task",       "own asked",          "own",  "own asked"),
    Rule("coordinator",    "consent",    "own shared"),
    Rule("coordinator",    "other",      "own"),

    Rule("radiologist",    "master",     "all"),
    Rule("radiologist",    "definition", "all"),
    Rule("radiologist",    "identity",   "own shared"),
    Rule("radiologist",    "record",     "shared",             "own",  "own"),
    Rule("radiologist",    "imaging",    "own shared",         "own",  "own"),
    Rule("radiologist",    "work",       "own shared asked"),
    Rule("radiologist",    "task",       "own asked",          "",     "own asked"),
    Rule("radiologist",    "trail",      "own shared",         "own"),

    Rule("facility-admin", "master",     "all",                "own",  "own",       "own"),
    Rule("facility-admin", "definition", "all"),
    Rule("facility-admin", "task",       "own asked",          "",     "own asked"),
    Rule("facility-admin", "audit",      "own"),
    Rule("facility-admin", "number",     "own"),

    Rule("his",            "master",     "all",                "own",  "own",       "own"),
    Rule("his",            "definition", "all"),
    Rule("his",            "identity",   "own shared",         "own",  "own",       "own"),
    Rule("his",            "record",     "own shared",         "own",  "own",       "own"),
    Rule("his",            "imaging",    "own shared",         "own",  "own",       "own"),
    Rule("his",            "work",       "own shared asked",   "own",  "own",       "own"),
    Rule("his",            "task",       "own asked",          "own",  "own asked", "own"),
    Rule("his",            "consent",    "own shared",         "own",  "own"),
    Rule("his",            "money",      "own",                "own",  "own",       "own"),
    Rule("his",            "trail",      "own shared",         "own"),
    Rule("his",            "number",     "own",                "own",  "own"),
    Rule("his",            "other",      "own",                "own",  "own",       "own"),

    Rule("province",       "master",     "all",                "own",  "own"),
    Rule("province",       "definition", "all",                "own",  "own"),
    Rule("province",       "number",     "numbers",            "own",  "own"),

    Rule("ministry",       "master",     "all",                "own",  "own"),
    Rule("ministry",       "definition", "all",                "own",  "own"),
    Rule("ministry",       "number",     "numbers",            "own",  "own"),

    Rule("patient",        "master",     "all"),
    Rule("patient",        "definition", "all"),
    Rule("patient",        "identity",   "self"),
    Rule("patient",        "record",     "self",               "self"),
    Rule("patient",        "imaging",    "self"),
    Rule("patient",        "work",       "self",               "self"),
    Rule("patient",        "consent",    "self",               "self", "self"),
    Rule("patient",        "money",      "self"),
    Rule("patient",        "trail",      "self"),
    Rule("patient",        "audit",      "self"),

    Rule("guest",          "record",     "session"),
)  # fmt: skip

_WANTED: Mapping[tuple[str, str], Rule] = {(rule.role, rule.about): rule for rule in RULES}


def grounds(roles: frozenset[str], about: ResourceClass, act: Act) -> frozenset[str]:
    """The grounds on which any of these roles may do this to a class; none where it may not be done."""
    found: set[str] = set()
    for role in roles:
        rule = _WANTED.get((role, about))
        if rule is not None:
            text: str = getattr(rule, act)
            found.update(text.split())
    return frozenset(found)

"""The account of one request: what it touched, and the records of it that must be durable before it is answered.

Whoever answers a request opens an account; those who read and write on its behalf enter what they touch. A record is a
short JSON object (`fhir_server.audit.event` shows it as an AuditEvent):

| member | what |
|---|---|
| `t` | when, in milliseconds since 1970 |
| `k` | kind: C, R, U, D, Q (search), E (an operation), or the name of an event, such as login |
| `o` | outcome, as in AuditEvent.outcome: 0, 4 (refused), 8 (failed) |
| `i` | interaction or operation |
| `w` | who: `u` subject, `f` fhirUser, `r` roles, `g` facilities, `c` client, `p` purpose, `x` id of the token |
| `a`, `q` | network address (host and port), id of the request |
| `e` | resources, each as `Type/id` or with its version |
| `l` | ids of the patients whose data it was |
| `b` | facilities that the data belong to |
| `s` | what was searched for, as it stood in the URL |
| `d` | what else is to be told |
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextvars import ContextVar
from typing import Any

import orjson

from fhir_server.access.caller import Caller

Json = dict[str, Any]
CHECKPOINT = "checkpoint"
"""The kind of a record that seals those before it."""

REMOVAL = "removal"
"""The kind of a record that answers for the removal of those before it."""

DECISION = "consent-decision"
"""The kind of a record of what a patient decided, or somebody for them, by a Consent."""

SEALS = frozenset({CHECKPOINT, REMOVAL})
"""The kinds of records that are no event."""

MOST_TOKEN = 32
"""So many characters of what identifies a token (IHE BALP, opaque OAuth tokens)."""


class Account:
    """What one exchange touches. Those of a Bundle's entries share the records of the whole (`outer`)."""

    __slots__ = ("address", "caller", "facilities", "is_told", "patients", "records", "request")

    def __init__(
        self, caller: Caller, request: str, address: Sequence[str | int] = (), outer: Account | None = None
    ) -> None:
        self.caller = caller
        self.request = request
        self.address = address
        self.patients: set[str] = set()
        self.facilities: set[str] = set()
        self.is_told = False
        self.records: list[bytes] = [] if outer is None else outer.records

    def touch(self, owners: Collection[str], patients: Collection[str]) -> None:
        """Data of these facilities and patients were shown."""
        self.facilities.update(owners)
        self.patients.update(patients)

    def record(self, at: int, kind: str, interaction: str, told: Json) -> bytes:
        """A record of this exchange that tells so much."""
        head: Json = {"t": at, "k": kind, "i": interaction, "w": who(self.caller), "a": self.address, "q": self.request}
        return orjson.dumps(head | told)

    def shown(self, at: int, kind: str, interaction: str, told: Json) -> None:
        """Enter that what was touched was shown."""
        if self.patients:
            told["l"] = list(self.patients)
        if self.facilities:
            told["b"] = list(self.facilities)
        self.records.append(self.record(at, kind, interaction, told))


CURRENT: ContextVar[Account | None] = ContextVar("account", default=None)
_KNOWN: dict[int, tuple[Caller, orjson.Fragment]] = {}
MOST_KNOWN = 2000


def who(caller: Caller) -> orjson.Fragment:
    """The member of a record that says who asked; a caller is the same object for the same token."""
    known = _KNOWN.get(id(caller))
    if known is not None and known[0] is caller:
        return known[1]
    if len(_KNOWN) >= MOST_KNOWN:
        _KNOWN.clear()
    found: Json = {
        "u": caller.subject,
        "f": caller.fhir_user,
        "r": sorted(caller.roles),
        "g": list(caller.organizations),
        "c": caller.client,
        "p": caller.purpose,
        "x": caller.token[-MOST_TOKEN:],
    }
    fragment = orjson.Fragment(orjson.dumps({name: value for name, value in found.items() if value}))
    _KNOWN[id(caller)] = caller, fragment
    return fragment

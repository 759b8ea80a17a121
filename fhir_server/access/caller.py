"""Who asks, as authentication found and as every decision about access sees it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from fhir_server.access.role import BY_CODE
from fhir_server.access.scope import EVERYTHING, Scopes

Kind = Literal["person", "client", "guest", "local"]

ROLES = tuple(BY_CODE)
"""The roles that a person or a client can have."""

PASSWORD, SECOND_FACTOR = 1, 2
"""How sure it is who asks: by one secret, or by two or a private key."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks: authentication makes one for each token, and the same one for each request with it.

    `subject` names a person by login, a client by its id. `fhir_user` is a relative reference; `organizations` are ids
    of the facilities that the caller acts for; `patient` and `encounter` are the ids of the launch context. `token`
    identifies the token without being it. `assurance` is 1 for a password, 2 for a second factor or a private key;
    times are seconds since 1970.
    """

    kind: Kind
    subject: str
    scopes: Scopes
    roles: frozenset[str] = frozenset()
    fhir_user: str | None = None
    organizations: tuple[str, ...] = ()
    patient: str | None = None
    encounter: str | None = None
    client: str | None = None
    purpose: str = "TREAT"
    token: str = ""
    issuer: str = ""
    authenticated_at: int = 0
    assurance: int = 0
    expires: int = 0


LOCAL = Caller("local", "local", EVERYTHING)
"""Whoever uses a server that asks nobody who they are, which only this machine can reach."""

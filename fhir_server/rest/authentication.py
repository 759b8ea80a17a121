"""The door by which a request's sender becomes a caller, and what scopes let it ask for (SMART App Launch 2.2)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Protocol

from fhir_server.access.caller import LOCAL, Caller
from fhir_server.access.role import BY_CODE
from fhir_server.errors import Forbidden
from fhir_server.rest.exchange import Exchange, Route
from fhir_server.rest.failure import MethodNotAllowed, ScopeMissing

OPEN = frozenset({"capabilities", "smart-configuration"})
"""The interactions that nobody is asked for: they tell where to ask."""


class Authenticator(Protocol):
    """Knows who sends a request."""

    async def authenticate(self, header: str | None) -> Caller:
        """The caller behind the header Authorization; raise NoToken or BadToken, kinds of Unauthorized."""
        ...


class NobodyAsked:
    """Takes everybody for somebody of this machine, where nobody else can come in."""

    async def authenticate(self, header: str | None) -> Caller:
        """The caller that may do everything."""
        return LOCAL


PURPOSE = b"x-purpose-of-use"


def purposed(exchange: Exchange) -> Caller:
    """The caller of an exchange, with the purpose that its header states; raise Forbidden for one of other roles."""
    purpose = exchange.header(PURPOSE)
    if purpose is None or purpose == exchange.caller.purpose:
        return exchange.caller
    return _stating(exchange.caller, purpose)


@lru_cache(maxsize=1000)
def _stating(caller: Caller, purpose: str) -> Caller:
    """The caller with a purpose, the same one for each request that states it."""
    if not any(purpose in BY_CODE[role].purposes for role in caller.roles if role in BY_CODE):
        raise Forbidden(f"The purpose {purpose[:40]!r} is none that your role may state.")
    return replace(caller, purpose=purpose)


UNCHANGING: Mapping[str, frozenset[str]] = {
    "AuditEvent": frozenset({"create", "update", "patch", "delete"}),
    "Provenance": frozenset({"patch", "delete"}),
}
"""The interactions that no caller has with resources that tell what happened; a PUT may make a new Provenance."""


def check_scopes(caller: Caller, route: Route, exchange: Exchange) -> None:
    """Raise MethodNotAllowed for what nobody may do to a type, ScopeMissing where no scope is about what a route does.

    Whose data a scope shows, and what a Bundle's entries do, is decided where they are read and written.
    """
    if caller.kind != "local" and route.interaction in UNCHANGING.get(exchange.type, ()):
        raise MethodNotAllowed(f"A stored {exchange.type} tells what happened and is never changed.", ("GET",))
    scopes = caller.scopes
    if exchange.type:
        named = exchange.related if exchange.related not in ("", "*") else exchange.type
        missing = [letter for letter in route.scope if not scopes.allows(named, letter)]
    elif route.takes == "bundle":
        named, missing = "*", [] if scopes.resources else ["r"]
    else:
        named = "*"
        missing = [letter for letter in route.scope if not any(letter in each.letters for each in scopes.resources)]
    if missing:
        context = "system" if caller.kind == "client" else "patient" if caller.patient else "user"
        wanted = f"{context}/{named}.{route.scope}"
        raise ScopeMissing(f"This takes the scope {wanted}; the token was given for: {scopes.text}", wanted)

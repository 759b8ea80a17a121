"""Who sends a FHIR request, by the access token that this server gave (RFC 6750, 2.1)."""

from __future__ import annotations

import re

from fhir_server.access.caller import Caller
from fhir_server.auth import tokens
from fhir_server.auth.authority import Authority
from fhir_server.auth.tokens import Why
from fhir_server.errors import Issue
from fhir_server.rest.failure import BadToken, NoToken
from fhir_server.shared_look import SharedLook

MOST_REMEMBERED = 10_000
BEARER = re.compile(r"[Bb]earer +([A-Za-z0-9\-._~+/]{1,4000}=*)").fullmatch
TOLD: dict[Why, tuple[str, str]] = {
    "unknown": ("unknown", "This is no access token of this server."),
    "expired": ("expired", "The access token has expired."),
    "revoked": ("expired", "The access token was revoked."),
}


def token_in(header: str | None) -> str:
    """Return the token of the header Authorization; raise NoToken where it has none."""
    found = BEARER(header.strip()) if header is not None else None
    if found is None:
        raise NoToken("Say who asks: send the header Authorization: Bearer, with an access token.")
    return found[1]


def refusal(why: Why) -> BadToken:
    """Return the failure of a token that is not good."""
    code, text = TOLD[why]
    return BadToken(Issue("error", code, text, fix="Ask for a new one at the token endpoint."))


class TokenAuthenticator:
    """Remembers whom tokens stand for until a client, person, grant or token is changed or taken away, anywhere."""

    def __init__(self, authority: Authority) -> None:
        self._authority = authority
        self._records = authority.records
        self._latest = SharedLook(self._records.stamp)
        self._clock = authority.server.clock
        self._remembered: dict[str, Caller] = {}
        self._stamp = -1

    async def authenticate(self, header: str | None) -> Caller:
        """The caller behind the header Authorization; raise NoToken or BadToken."""
        stamp = self._latest()
        if stamp != self._stamp:
            self._remembered.clear()
            self._stamp = stamp
        known = self._remembered.get(header) if header is not None else None
        if known is not None and known.expires > self._clock():
            return known
        caller = await self._authority.run(self._caller, token_in(header))
        # What was revoked while it was looked up must not be remembered as good.
        if header is not None and self._records.stamp() == stamp == self._stamp:
            if len(self._remembered) >= MOST_REMEMBERED:
                self._remembered.clear()
            self._remembered[header] = caller
        return caller

    def _caller(self, token: str) -> Caller:
        found = self._authority.server.tokens
        try:
            return found.caller(found.known(token))
        except tokens.BadToken as bad:
            raise refusal(bad.why) from bad

"""The three ways to tokens: a code from a person's consent, a refresh token, a client's own word (RFC 6749; SMART)."""

from __future__ import annotations

import secrets
import string
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from authlib.oauth2.rfc6749 import InvalidGrantError, InvalidRequestError, InvalidScopeError
from authlib.oauth2.rfc6749.grants import AuthorizationCodeGrant, ClientCredentialsGrant, RefreshTokenGrant
from authlib.oauth2.rfc7636 import CodeChallenge

from fhir_server.access.scope import ScopeError, Scopes, parse_scopes
from fhir_server.auth.asked import tellable
from fhir_server.auth.client import Client, digest
from fhir_server.auth.person import Person
from fhir_server.auth.tokens import (
    SECONDS_OFFLINE,
    SECONDS_ONLINE,
    BadToken,
    Grant,
    Known,
    Tokens,
    grant_of,
)

SECONDS_OF_CODE = 60
AUTH_METHODS = ["private_key_jwt", "client_secret_basic", "client_secret_post", "none"]
CODE_CHARACTERS = string.ascii_letters + string.digits


@dataclass(frozen=True)
class Code:
    """An authorization code that was given out: for which client, where to, and for what."""

    name: str
    revision: int
    body: Mapping[str, Any]

    @property
    def code_challenge(self) -> str:
        """The digest of the verifier."""
        return str(self.body["challenge"])

    @property
    def code_challenge_method(self) -> str:
        """How it was made."""
        return "S256"

    def get_redirect_uri(self) -> str:
        """Where the code was sent."""
        return str(self.body["redirect_uri"])

    def get_scope(self) -> str:
        """What was granted."""
        return str(self.body["scope"])


class ProofKey(CodeChallenge):
    """PKCE by S256, of every client (SMART App Launch 2.2, Considerations for PKCE Support)."""

    DEFAULT_CODE_CHALLENGE_METHOD = "S256"
    SUPPORTED_CODE_CHALLENGE_METHOD = ["S256"]  # noqa: RUF012 -- Authlib's own form

    def validate_code_challenge(self, grant: Any, redirect_uri: str) -> None:
        """Raise InvalidRequestError where the challenge is missing, or plain."""
        data = grant.request.payload.data
        if not data.get("code_challenge") or data.get("code_challenge_method") != "S256":
            raise InvalidRequestError("PKCE is required: code_challenge with code_challenge_method=S256.")
        super().validate_code_challenge(grant, redirect_uri)

    def validate_code_verifier(self, grant: Any, result: Any) -> None:
        """Raise InvalidGrantError where the verifier is missing or another one."""
        try:
            super().validate_code_verifier(grant, result)
        except InvalidRequestError as error:
            raise InvalidGrantError(error.description) from error


class CodeGrant(AuthorizationCodeGrant):
    """A code that a person's browser brings, with which the client gets tokens, once and within a minute."""

    TOKEN_ENDPOINT_AUTH_METHODS = AUTH_METHODS

    def validate_requested_scope(self) -> None:
        """Raise InvalidScopeError where nothing that was asked can be granted; else narrow it to what can."""
        client: Client = self.server.query_client(self.request.payload.client_id)
        asked = scopes_of(self.request.payload.scope)
        allowed = asked.narrowed(client.scopes)
        for_people = tuple(each for each in allowed.resources if each.context != "system")
        if not for_people and "openid" not in allowed.plain:
            raise InvalidScopeError("None of these scopes is for this client.")
        self.request.allowed = Scopes(for_people, allowed.plain)
        audience = self.request.payload.data.get("aud")
        if audience is None or with_one_name(audience.rstrip("/")) != with_one_name(self.server.base):
            raise InvalidRequestError(f"aud must be {self.server.base}")

    def generate_authorization_code(self) -> str:
        """A code that nobody guesses."""
        return "".join(secrets.choice(CODE_CHARACTERS) for _ in range(43))

    def save_authorization_code(self, code: str, request: Any) -> None:
        """Remember a code with what was granted: `request.user` is the grant."""
        granted: Grant = request.user
        tokens: Tokens = self.server.tokens
        body = {
            "client": request.client.id,
            "redirect_uri": request.payload.redirect_uri,
            "scope": granted.scope,
            "challenge": request.payload.data["code_challenge"],
            "grant": tokens.allow(granted),
            "expires": granted.made + SECONDS_OF_CODE,
            "used": False,
        }
        # It is kept for as long as its tokens may live, to know when it comes a second time.
        tokens.records.add("code", digest(code), body, granted.made + SECONDS_ONLINE)

    def query_authorization_code(self, code: str, client: Client) -> Code | None:
        """The code of this client; one that comes again takes its tokens away (RFC 6749, 4.1.2)."""
        tokens: Tokens = self.server.tokens
        record = tokens.records.read("code", digest(code))
        if record is None or record.body["client"] != client.id:
            return None
        if record.body["used"]:
            tokens.revoke_grant(record.body["grant"])
            return None
        if record.body["expires"] <= self.server.clock():
            return None
        return Code(digest(code), record.revision, record.body)

    def delete_authorization_code(self, authorization_code: Code) -> None:
        """Leave it: it was marked before tokens were given for it."""

    def authenticate_user(self, authorization_code: Code) -> Person | None:
        """The person who agreed; marks the code as used, which one request alone can do."""
        tokens: Tokens = self.server.tokens
        used = {**authorization_code.body, "used": True}
        if not tokens.records.change("code", authorization_code.name, used, authorization_code.revision):
            tokens.revoke_grant(authorization_code.body["grant"])
            return None
        record = tokens.records.read("grant", authorization_code.body["grant"])
        if record is None:
            return None
        self.request.grant = authorization_code.body["grant"]
        self.request.granted = grant_of(record.body)
        person: Person | None = self.server.query_person(self.request.granted.person)
        return person


class RefreshGrant(RefreshTokenGrant):
    """A refresh token, which is good once: another comes with the answer (RFC 9700, 4.14.2)."""

    TOKEN_ENDPOINT_AUTH_METHODS = AUTH_METHODS
    INCLUDE_NEW_REFRESH_TOKEN = True

    def authenticate_refresh_token(self, refresh_token: str) -> Known:
        """What the token is; raise InvalidGrantError."""
        try:
            found: Known = self.server.tokens.known_refresh(refresh_token)
        except BadToken as error:
            raise InvalidGrantError(f"The refresh token is {error.why}.") from error
        return found

    def _validate_token_scope(self, token: Known) -> None:
        asked = self.request.payload.scope
        if asked and not parse_scopes(token.scope).covers(scopes_of(asked)):
            raise InvalidScopeError("A refreshed token has the scopes of the first one, or fewer.")

    def authenticate_user(self, refresh_token: Known) -> Person | None:
        """The person who agreed; marks the token as used, which one request alone can do."""
        if not self.server.tokens.use_refresh(refresh_token):
            raise InvalidGrantError("The refresh token was used before.")
        self.request.grant = refresh_token.record.body["grant"]
        self.request.granted = refresh_token.grant
        return refresh_token.person

    def revoke_old_credential(self, refresh_token: Known) -> None:
        """Leave it: it was marked before the new one was given."""


class OwnGrant(ClientCredentialsGrant):
    """A client's own word (SMART App Launch 2.2, Backend Services)."""

    TOKEN_ENDPOINT_AUTH_METHODS = ["private_key_jwt", "client_secret_basic", "client_secret_post"]  # noqa: RUF012

    def validate_requested_scope(self) -> None:
        """Raise InvalidScopeError where more is asked than was agreed when the client was registered."""
        client: Client = self.request.client
        asked = scopes_of(self.request.payload.scope)
        if not asked.resources or any(each.context != "system" for each in asked.resources):
            raise InvalidScopeError("A client on its own asks for scopes of system/.")
        if not client.scopes.covers(asked):
            raise InvalidScopeError(tellable(f"The client was registered for: {client.scope}"))


def scopes_of(text: str | None) -> Scopes:
    """Return what is asked for; raise InvalidScopeError where it is no list of scopes, or an empty one."""
    try:
        found = parse_scopes(text or "")
    except ScopeError as error:
        raise InvalidScopeError(tellable(f"{error}.")) from error
    if not found.plain and not found.resources:
        raise InvalidScopeError("Say which scopes are asked for.")
    return found


def with_one_name(url: str) -> str:
    """Return a URL with the one name that this machine has here, where it is one of this machine."""
    return url.replace("http://localhost:", "http://127.0.0.1:", 1)


def refresh_until(granted: Grant, now: int) -> int | None:
    """Until when a grant may be refreshed; None where that was not asked for (SMART App Launch 2.2, Scopes)."""
    plain = granted.scope.split()
    if "offline_access" in plain:
        return granted.made + SECONDS_OFFLINE
    if "online_access" in plain and now < granted.authenticated_at + SECONDS_ONLINE:
        return granted.authenticated_at + SECONDS_ONLINE
    return None

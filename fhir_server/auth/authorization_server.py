"""The authorization server: Authlib's core over our records, called in a thread (RFC 6749, RFC 7009, RFC 7662)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from authlib.oauth2.rfc6749 import AuthorizationServer, InvalidClientError, OAuth2Error
from authlib.oauth2.rfc7009 import RevocationEndpoint
from authlib.oauth2.rfc7662 import IntrospectionEndpoint

from fhir_server.auth.asked import Asked, basic_of
from fhir_server.auth.assertion import SmartAssertion
from fhir_server.auth.client import Client, client_of, digest
from fhir_server.auth.grants import AUTH_METHODS, CodeGrant, OwnGrant, ProofKey, RefreshGrant, refresh_until
from fhir_server.auth.keys import Keys
from fhir_server.auth.openid import Addresses, id_token
from fhir_server.auth.outbound import Documents
from fhir_server.auth.person import Person, person_of
from fhir_server.auth.throttle import Subject, Throttle
from fhir_server.auth.tokens import SECONDS_FOR_PEOPLE, SECONDS_FOR_PROGRAMS, BadToken, Grant, Known, TokenKind, Tokens
from fhir_server.store.records import Records

Answered = tuple[int, Any, list[tuple[str, str]]]
"""Status, body (an object or a text), headers."""


class SmartServer(AuthorizationServer):
    """Decides on requests for codes and tokens."""

    def __init__(
        self, records: Records, documents: Documents, clock: Callable[[], float], addresses: Addresses
    ) -> None:
        super().__init__()
        self.records = records
        self.clock = clock
        self.addresses = addresses
        self.base, self.issuer = addresses.base, addresses.issuer
        self.tokens = Tokens(records, clock, addresses.issuer)
        self.keys = Keys(records, clock)
        self.throttle = Throttle(records, clock)
        self.documents = documents
        assertion = SmartAssertion(records, documents, clock, f"{addresses.issuer}/token")
        self.register_client_auth_method("private_key_jwt", assertion)
        self.register_client_auth_method("client_secret_basic", secret_in_header)
        self.register_client_auth_method("client_secret_post", secret_in_form)
        self.register_client_auth_method("none", self._without_secret)
        self.register_grant(CodeGrant, [ProofKey()])
        self.register_grant(RefreshGrant)
        self.register_grant(OwnGrant)
        self.register_endpoint(Introspection)
        self.register_endpoint(Revocation)
        self.register_token_generator("default", self._generate)

    def query_client(self, client_id: str) -> Client | None:
        """The client of an id; None where there is none, or it is disabled."""
        record = self.records.read("client", client_id[:100])
        return None if record is None or record.body["disabled"] else client_of(record.body)

    def query_person(self, login: str) -> Person | None:
        """The person of a login; None where there is none, or they are disabled."""
        record = self.records.read("person", login)
        return None if record is None or record.body["disabled"] else person_of(record.body)

    def authenticate_client(self, request: Asked, methods: list[str], endpoint: str = "token") -> Client:
        """The client that asks; failures are counted, and too many are refused for a while."""
        named = request.payload.data.get("client_id") or (basic_of(request.headers.get("Authorization")) or ("",))[0]
        counted: tuple[Subject, ...] = ("client", f"{request.address}:{named}"), ("address", request.address)
        self.throttle.admit(*counted)
        try:
            client: Client = super().authenticate_client(request, methods, endpoint)
        except OAuth2Error:
            self.throttle.failed(*counted)
            raise
        return client

    def _without_secret(self, query_client: Callable[[str], Client | None], request: Asked) -> Client | None:
        """The client that names itself, or whose refresh token it is: some programs do not name themselves again."""
        name = request.form.get("client_id")
        if name is None and request.form.get("grant_type") == "refresh_token":
            record = self.records.read("refresh", digest(request.form.get("refresh_token", "")))
            name = None if record is None else str(record.body["client"])
        return query_client(name) if name else None

    def _generate(
        self, *, grant_type: str, client: Client, scope: str, include_refresh_token: bool, **_: Any
    ) -> dict[str, Any]:
        """The answer that holds the tokens, without what the grant adds."""
        return {"token_type": "Bearer", "scope": scope, "include_refresh_token": include_refresh_token}

    def save_token(self, token: dict[str, Any], request: Asked) -> None:
        """Make the tokens of an answer and what stands beside them (SMART App Launch 2.2, Obtain access token)."""
        include_refresh = token.pop("include_refresh_token")
        scope, client = token["scope"], request.client
        token["access_token"] = self.tokens.issue(client, scope, request.grant)
        if not request.grant:
            token["expires_in"] = SECONDS_FOR_PROGRAMS
            return
        token["expires_in"] = SECONDS_FOR_PEOPLE
        granted: Grant = request.granted
        until = refresh_until(granted, int(self.clock()))
        if include_refresh and until is not None:
            # The new one can do what the first could: a narrower access token does not narrow what comes later.
            token["refresh_token"] = self.tokens.issue_refresh(client, granted.scope, request.grant, until)
        context = {"patient": granted.patient, "encounter": granted.encounter, "intent": granted.intent}
        token.update({name: value for name, value in context.items() if value})
        if granted.patient:
            token["need_patient_banner"] = True
        if "openid" in scope.split():
            token["id_token"] = id_token(
                self.addresses,
                self.keys.signing(),
                int(self.clock()),
                granted,
                request.user,
                scope,
                token["access_token"],
            )

    def create_oauth2_request(self, request: Asked) -> Asked:
        """The request as it is."""
        return request

    def handle_response(self, status: int, body: Any, headers: list[tuple[str, str]]) -> Answered:
        """The answer as it is."""
        return status, body, list(headers)

    def send_signal(self, name: str, *args: object, **kwargs: object) -> None:
        """Tell nobody."""


def secret_in_header(query_client: Callable[[str], Client | None], request: Asked) -> Client | None:
    """The client of the header Authorization: Basic."""
    found = basic_of(request.headers.get("Authorization"))
    return None if found is None else with_secret(query_client, *found, 401)


def secret_in_form(query_client: Callable[[str], Client | None], request: Asked) -> Client | None:
    """The client of the fields client_id and client_secret."""
    name, secret = request.form.get("client_id"), request.form.get("client_secret")
    return with_secret(query_client, name, secret, 400) if name and secret else None


def with_secret(query_client: Callable[[str], Client | None], name: str, secret: str, status: int) -> Client:
    """The client of an id and a secret; raise InvalidClientError."""
    client = query_client(name)
    if client is None or not client.check_client_secret(secret):
        raise InvalidClientError(status_code=status, description="The client or its secret is not known.")
    return client


class Introspection(IntrospectionEndpoint):
    """Tells whether a token is good, to clients that keep a secret and to bearers of a token (RFC 7662; SMART)."""

    CLIENT_AUTH_METHODS = AUTH_METHODS[:-1]
    server: SmartServer

    def authenticate_endpoint_client(self, request: Asked) -> Client:
        """Who asks: by a Bearer token, or as at the token endpoint."""
        scheme, _, token = (request.headers.get("Authorization") or "").partition(" ")
        if scheme.lower() == "bearer":
            try:
                return self.server.tokens.known(token.strip()).client
            except BadToken as error:
                raise InvalidClientError(status_code=401, description=f"The token is {error.why}.") from error
        client: Client = super().authenticate_endpoint_client(request)
        return client

    def query_token(self, token_string: str, token_type_hint: str | None) -> Known | None:
        """What the token is; None for one that is not good."""
        known = known_of_any_kind(self.server.tokens, token_string)
        return None if known is None or known.record.body.get("used") else known

    def check_permission(self, token: Known, client: Client, request: Asked) -> bool:
        """Whether this client may know: of its own tokens, or of all where it may read everything."""
        return token.check_client(client) or client.acts_for_itself

    def introspect_token(self, token: Known) -> dict[str, Any]:
        """What SMART wants to be told (SMART App Launch 2.2, Token Introspection)."""
        told: dict[str, Any] = {
            "active": True,
            "scope": token.scope,
            "client_id": token.client.id,
            "exp": token.record.body["expires"],
            "token_type": "Bearer",
            "iss": self.server.issuer,
            "aud": self.server.base,
            "sub": token.person.login if token.person else token.client.id,
        }
        if token.grant is not None and token.person is not None:
            context = {"patient": token.grant.patient, "encounter": token.grant.encounter}
            told |= {name: value for name, value in context.items() if value}
            if token.person.fhir_user and "fhirUser" in token.scope.split():
                told["fhirUser"] = f"{self.server.base}/{token.person.fhir_user}"
        return told


class Revocation(RevocationEndpoint):
    """Ends a token of the client that asks (RFC 7009)."""

    CLIENT_AUTH_METHODS = AUTH_METHODS
    server: SmartServer

    def query_token(self, token_string: str, token_type_hint: str | None) -> Known | None:
        """What the token is; None for one that is not good any more, which is as well."""
        return known_of_any_kind(self.server.tokens, token_string)

    def revoke_token(self, token: Known, request: Asked) -> None:
        """End it; with a refresh token, all that came with it."""
        self.server.tokens.revoke(token)


def known_of_any_kind(tokens: Tokens, token: str) -> Known | None:
    """What an access or refresh token is; None for one that is not good."""
    kinds: tuple[TokenKind, ...] = ("token", "refresh")
    for kind in kinds:
        try:
            return tokens.known(token, kind)
        except BadToken:
            continue
    return None

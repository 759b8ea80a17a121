"""An external OpenID provider as the only authority: its access tokens are checked and mapped to callers.

OpenID Connect Discovery 1.0; RFC 9068 (JWT access tokens); RFC 9470 (step-up authentication).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import orjson
from joserfc import jws, jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet
from starlette.routing import Route as Page

from fhir_server.access.caller import PASSWORD, ROLES, SECOND_FACTOR, Caller
from fhir_server.access.scope import EVERYTHING, PLAIN, ScopeError, Scopes, parse_scope, parse_scopes
from fhir_server.auth.authenticator import refusal, token_in
from fhir_server.auth.discovery import RESOURCE_SCOPES, SECURITY_SERVICE
from fhir_server.auth.event import Ask, Tell
from fhir_server.auth.outbound import Documents, Outbound, Unreachable
from fhir_server.auth.person import IS_FHIR_USER, IS_ORGANIZATION, Person, person_of
from fhir_server.errors import Issue, Throttled
from fhir_server.rest.authentication import Authenticator
from fhir_server.rest.exchange import Exchange, Reply, Route
from fhir_server.rest.failure import BadToken
from fhir_server.settings import Settings
from fhir_server.store.records import Records

LEEWAY = 60
LONGEST_TOKEN = 16_000
LONGEST_HEADER = 4_096
MOST_REMEMBERED = 10_000
SECONDS_REMEMBERED = 60
FINDER = Caller("local", "authentication", EVERYTHING)
"""Who finds the resource of a person: nobody has come in yet."""

Claims = Mapping[str, Any]


class LongHeaders(jws.JWSRegistry):
    """Takes the headers of providers that send their certificates along."""

    max_header_length = LONGEST_HEADER


@dataclass(frozen=True, slots=True)
class Provider:
    """The provider's documents: discovery, and its keys."""

    issuer: str
    documents: Documents

    def configuration(self) -> dict[str, Any]:
        """The discovery document; raise Unreachable where it cannot be had or is of another issuer."""
        found = self.documents.body(f"{self.issuer.rstrip('/')}/.well-known/openid-configuration")
        if not isinstance(found, dict) or found.get("issuer") != self.issuer:
            raise Unreachable("the discovery document is of another issuer")
        return found

    def key(self, kid: str) -> KeySet:
        """The key of an id, fetched anew where it is not known, though seldom."""
        url = str(self.configuration().get("jwks_uri", ""))
        for anew in (False, True):
            listed = self.documents.body(url, anew=anew).get("keys", ())
            found = [key for key in listed if key.get("kid") == kid and key.get("use", "sig") == "sig"]
            if len(found) == 1:
                return KeySet.import_key_set({"keys": found})
        raise refusal("unknown")


class ExternalAuthenticator:
    """Knows who sends a request by an access token of the provider; it is believed for a minute without a look."""

    def __init__(
        self,
        provider: Provider,
        settings: Settings,
        records: Records,
        clock: Callable[[], float],
        base: str,
        ask: Ask,
    ) -> None:
        self._provider = provider
        self._settings = settings
        self._records = records
        self._clock = clock
        self._audience = settings.oidc_audience or base
        self._base = base
        self._ask = ask
        self._remembered: dict[str, tuple[float, Caller]] = {}
        self._stamp = -1

    async def authenticate(self, header: str | None) -> Caller:
        """The caller behind the header Authorization; raise NoToken or BadToken."""
        now, stamp = self._clock(), self._records.stamp()
        if stamp != self._stamp:
            self._remembered.clear()
            self._stamp = stamp
        known = self._remembered.get(header) if header is not None else None
        if known is not None and now < known[0]:
            return known[1]
        claims = await asyncio.to_thread(self._verified, token_in(header))
        caller = await self._caller(claims)
        if header is not None:
            if len(self._remembered) >= MOST_REMEMBERED:
                self._remembered.clear()
            self._remembered[header] = (min(now + SECONDS_REMEMBERED, caller.expires), caller)
        return caller

    def _verified(self, token: str) -> Claims:
        """The claims of a token that the provider gave for this server; raise BadToken."""
        algorithms = list(self._settings.oidc_algorithms)
        try:
            if len(token) > LONGEST_TOKEN or token.count(".") != 2:
                raise refusal("unknown")
            header = jws.extract_compact(token.encode(), registry=LongHeaders()).headers()
            kid = header.get("kid")
            if header.get("alg") not in algorithms or not isinstance(kid, str) or "crit" in header:
                raise refusal("unknown")
            registry = LongHeaders(algorithms=algorithms)
            decoded = jwt.decode(token, self._provider.key(kid), algorithms=algorithms, registry=registry)
        except Unreachable as error:
            raise Throttled("The OpenID provider does not answer; try again later.") from error
        except (JoseError, ValueError, TypeError, RecursionError) as error:
            raise refusal("unknown") from error
        self._check(decoded.claims, decoded.header)
        return decoded.claims

    def _check(self, claims: Claims, header: Claims) -> None:
        now = self._clock()
        audience = claims.get("aud")
        audiences = [audience] if isinstance(audience, str) else audience
        expires, begins = claims.get("exp"), claims.get("nbf", 0)
        is_access_token = (
            str(header.get("typ", "")).lower() in ("at+jwt", "application/at+jwt")
            or claims.get("typ") == "Bearer"
            or claims.get("token_use") == "access"
        )
        if claims.get("iss") != self._provider.issuer or not is_access_token:
            raise refusal("unknown")
        if not isinstance(audiences, list) or self._audience not in audiences:
            raise refusal("unknown")
        if not isinstance(expires, int) or isinstance(expires, bool) or not isinstance(begins, int | float):
            raise refusal("unknown")
        if expires + LEEWAY <= now or begins > now + LEEWAY:
            raise refusal("expired")

    async def _caller(self, claims: Claims) -> Caller:
        scopes = known_scopes(str(claims.get("scope", "")))
        client = str(claims.get("client_id") or claims.get("azp") or "")
        login = str(claims.get(self._settings.oidc_login_claim) or claims.get("sub") or "")
        is_person = not scopes.resources or any(each.context != "system" for each in scopes.resources)
        if not login and not client:
            raise refusal("unknown")
        if is_person:
            self._check_assurance(claims)
        person = await asyncio.to_thread(self._person, login)
        who = ((person.fhir_user if person else "") or await self._resource(claims)) if is_person else None
        own = who.removeprefix("Patient/") if who is not None and who.startswith("Patient/") else None
        organizations = person.organizations if person else self._listed(claims, "oidc_organizations_claim")
        return Caller(
            kind="person" if is_person else "client",
            subject=login if is_person else client,
            scopes=scopes,
            roles=frozenset(person.roles if person else self._listed(claims, "oidc_roles_claim")) & frozenset(ROLES),
            fhir_user=who,
            organizations=tuple(filter(IS_ORGANIZATION, organizations)),
            patient=_text(claims.get("patient")) or own,
            encounter=_text(claims.get("encounter")),
            client=client or None,
            token=str(claims.get("jti") or claims.get("sid") or "")[:36],
            issuer=self._provider.issuer,
            authenticated_at=int(claims.get("auth_time") or claims.get("iat") or 0),
            assurance=SECOND_FACTOR if self._settings.oidc_assurance or not is_person else PASSWORD,
            expires=int(claims["exp"]),
        )

    def _check_assurance(self, claims: Claims) -> None:
        wanted = self._settings.oidc_assurance
        if wanted and claims.get("acr") not in wanted:
            text = "The log-in was not sure enough for this server."
            failure = BadToken(Issue("error", "login", text, fix=f"Ask the provider for acr_values={wanted[0]}."))
            failure.challenge = (
                f'Bearer realm="FHIR", error="insufficient_user_authentication", acr_values="{" ".join(wanted)}"'
            )
            raise failure

    def _person(self, login: str) -> Person | None:
        record = self._records.read("person", login)
        if record is None:
            return None
        if record.body["disabled"]:
            raise refusal("revoked")
        return person_of(record.body)

    def _listed(self, claims: Claims, setting: str) -> list[str]:
        value: Any = claims
        for step in getattr(self._settings, setting).split("."):
            value = value.get(step) if isinstance(value, Mapping) else None
        words = value.split() if isinstance(value, str) else value
        return [each for each in words if isinstance(each, str)] if isinstance(words, list) else []

    async def _resource(self, claims: Claims) -> str | None:
        """Who the person is as a resource: as the provider says, or by national id or licence number."""
        told = str(claims.get("fhirUser") or "").removeprefix(f"{self._base}/")
        if IS_FHIR_USER(told):
            return told
        value = _text(claims.get(self._settings.oidc_identifier_claim))
        if not value:
            return None
        identifier = quote(f"{self._settings.oidc_identifier_system}|{value}", safe="")
        for kind in ("Practitioner", "Patient"):
            status, bundle = await self._ask(FINDER, f"{kind}?identifier={identifier}&_count=2&_elements=id")
            found = [entry["resource"]["id"] for entry in bundle.get("entry", ()) if entry["search"]["mode"] == "match"]
            if status == 200 and len(found) == 1:
                return f"{kind}/{found[0]}"
        return None


def known_scopes(text: str) -> Scopes:
    """The scopes of a text that this server knows; a provider may have others of its own."""
    words = []
    for word in text.split()[:200]:
        try:
            parse_scope(word)
        except ScopeError:
            continue
        words.append(word)
    return parse_scopes(" ".join(words))


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


class ExternalEntrance:
    """Lets in who has a token of an external provider."""

    def __init__(self, authenticator: ExternalAuthenticator, provider: Provider, records: Records) -> None:
        self.authenticator: Authenticator = authenticator
        self.pages: Sequence[Page] = ()
        self.security: Mapping[str, Any] = {
            "cors": True,
            "service": [{"coding": [{"system": SECURITY_SERVICE, "code": "SMART-on-FHIR"}], "text": provider.issuer}],
        }
        path = "/.well-known/smart-configuration"
        self.routes: Sequence[Route] = (Route("smart-configuration", "GET", path, self._tell, "", native=True),)
        self._provider = provider
        self.records = records

    async def _tell(self, _node: Any, _exchange: Exchange) -> Reply:
        """Tell where the provider is asked (SMART App Launch 2.2, Conformance)."""
        try:
            theirs = await asyncio.to_thread(self._provider.configuration)
        except Unreachable as error:
            raise Throttled("The OpenID provider does not answer; try again later.") from error
        told: dict[str, Any] = {
            name: theirs[name]
            for name in (
                "issuer", "jwks_uri", "authorization_endpoint", "token_endpoint", "introspection_endpoint",
                "revocation_endpoint", "registration_endpoint", "grant_types_supported", "response_types_supported",
                "token_endpoint_auth_methods_supported", "token_endpoint_auth_signing_alg_values_supported",
            )
            if name in theirs
        }  # fmt: skip
        told["scopes_supported"] = [*PLAIN, *RESOURCE_SCOPES]
        told["code_challenge_methods_supported"] = ["S256"]
        told["capabilities"] = [
            "launch-standalone", "client-public", "client-confidential-symmetric", "client-confidential-asymmetric",
            "sso-openid-connect", "permission-user", "permission-patient", "permission-v1", "permission-v2",
        ]  # fmt: skip
        return Reply(200, orjson.dumps(told), media_type=b"application/json")

    def allows_origin(self, origin: str) -> bool:
        """The settings name the origins."""
        return False

    async def follow(self) -> None:
        """There is nothing to do."""

    async def close(self) -> None:
        """Let go of the records."""
        self.records.close()


def external_entrance(
    settings: Settings, records: Records, base: str, clock: Callable[[], float], ask: Ask, tell: Tell
) -> ExternalEntrance:
    """Return the entrance to the server with this FHIR base URL; the provider is told who came in, not this server."""
    provider = Provider(settings.oidc_issuer, Documents(Outbound(settings.outbound_hosts), clock))
    return ExternalEntrance(ExternalAuthenticator(provider, settings, records, clock, base, ask), provider, records)

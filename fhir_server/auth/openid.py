"""Who logged in, told to the program: id tokens, user information, discovery (OpenID Connect Core 1.0; SMART)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from authlib.oidc.core.util import create_half_hash
from joserfc import jwt
from joserfc.jwk import RSAKey

from fhir_server.auth.keys import ALGORITHM
from fhir_server.auth.person import Person
from fhir_server.auth.tokens import Grant

SECONDS_OF_ID_TOKEN = 3600
CONTEXT_CLASSES = {0: "urn:nhipcau:acr:none", 1: "urn:nhipcau:acr:password", 2: "urn:nhipcau:acr:two-factor"}
"""How sure it is who logged in, as `acr` says it."""


@dataclass(frozen=True, slots=True)
class Addresses:
    """The FHIR base URL, and the URL that this authorization server is known by."""

    base: str
    issuer: str


def id_token(
    addresses: Addresses, key: RSAKey, now: int, granted: Grant, person: Person, scope: str, access_token: str
) -> str:
    """Return who agreed, as a signed JWT."""
    half: bytes = create_half_hash(access_token, ALGORITHM)
    claims: dict[str, Any] = {
        "iss": addresses.issuer,
        "aud": granted.client,
        "iat": now,
        "exp": now + SECONDS_OF_ID_TOKEN,
        "auth_time": granted.authenticated_at,
        "acr": CONTEXT_CLASSES[granted.assurance],
        "at_hash": half.decode(),
        **user_claims(addresses.base, person, scope),
    }
    if granted.nonce:
        claims["nonce"] = granted.nonce
    return jwt.encode({"alg": ALGORITHM, "typ": "JWT", "kid": key.kid}, claims, key, algorithms=[ALGORITHM])


def user_claims(base: str, person: Person, scope: str) -> dict[str, Any]:
    """Return what a program may know of a person, by its scopes."""
    asked = scope.split()
    told: dict[str, Any] = {"sub": person.login}
    if person.fhir_user and "fhirUser" in asked:
        told["fhirUser"] = f"{base}/{person.fhir_user}"
    if "profile" in asked:
        told["name"] = person.name
        told["preferred_username"] = person.login
        told["roles"] = list(person.roles)
        told["organizations"] = list(person.organizations)
    return told

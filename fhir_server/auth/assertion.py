"""A client that proves itself by a signed JWT (SMART App Launch 2.2, client-confidential-asymmetric; RFC 7523).

Authlib's own check refuses the algorithms that SMART wants, takes any `exp`, and does not ask for `kid` and `typ`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

from authlib.oauth2.rfc6749 import InvalidClientError
from authlib.oauth2.rfc7523 import JWTBearerClientAssertion
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, Key, RSAKey

from fhir_server.auth.asked import tellable
from fhir_server.auth.client import Client, ClientError, public_keys
from fhir_server.auth.outbound import Documents, Unreachable
from fhir_server.store.records import Records

ALGORITHMS: dict[str, type[Key]] = {"RS384": RSAKey, "ES384": ECKey}
LONGEST_SECONDS = 300
LEEWAY = 60
LONGEST_ASSERTION = 16_000
LONGEST_JTI = 512
FORBIDDEN_HEADERS = frozenset({"crit", "b64", "jwk", "x5u", "x5c", "zip"})


class SmartAssertion(JWTBearerClientAssertion):
    """Authenticates by `client_assertion`; an assertion is good once, for five minutes, with the one key of its kid."""

    CLIENT_AUTH_METHOD = "private_key_jwt"

    def __init__(self, records: Records, documents: Documents, clock: Callable[[], float], audience: str) -> None:
        super().__init__(leeway=LEEWAY)
        self._records = records
        self._documents = documents
        self._clock = clock
        self._audience = audience

    def __call__(self, query_client: Callable[[str], Client | None], request: Any) -> Client | None:
        """Return the client of an assertion, None where there is none; raise InvalidClientError for a bad one."""
        assertion = request.form.get("client_assertion")
        if assertion is None:
            return None
        if request.form.get("client_assertion_type") != self.CLIENT_ASSERTION_TYPE:
            raise InvalidClientError(description="client_assertion_type must name the JWT bearer assertion.")
        headers, claims = self._parts(assertion)
        subject = claims.get("sub")
        if not isinstance(subject, str) or request.form.get("client_id") not in (None, subject):
            raise InvalidClientError(description="sub must be the client id.")
        client = query_client(subject)
        if client is None or client.method != self.CLIENT_AUTH_METHOD:
            raise InvalidClientError(description="The client does not exist here, or does not sign.")
        key = self._key(client, headers)
        try:
            jwt.decode(assertion, key, algorithms=[headers["alg"]])
        except (JoseError, ValueError, TypeError) as error:
            raise InvalidClientError(description="The signature of the assertion is wrong.") from error
        self._check_claims(claims, client)
        request.client = client
        return client

    def _parts(self, assertion: str) -> tuple[dict[str, Any], dict[str, Any]]:
        if len(assertion) > LONGEST_ASSERTION or assertion.count(".") != 2 or not assertion.isascii():
            raise InvalidClientError(description="The assertion is no signed JWT.")
        try:
            headers, claims = self.extract_assertion(assertion)
        except (JoseError, ValueError, TypeError, RecursionError) as error:
            raise InvalidClientError(description="The assertion is no signed JWT.") from error
        if headers.get("alg") not in ALGORITHMS:
            raise InvalidClientError(description=f"alg must be one of {', '.join(ALGORITHMS)}.")
        if headers.get("typ") != "JWT" or not isinstance(headers.get("kid"), str):
            raise InvalidClientError(description="The header needs a kid, and typ JWT.")
        if FORBIDDEN_HEADERS & headers.keys():
            raise InvalidClientError(description=f"The header may not have {', '.join(sorted(FORBIDDEN_HEADERS))}.")
        return headers, claims

    def _key(self, client: Client, headers: dict[str, Any]) -> Key:
        if "jku" in headers and headers["jku"] != client.jwks_uri:
            raise InvalidClientError(description="jku is not the registered URL.")
        found = self._keys(client).get(headers["kid"])
        if found is None and client.jwks_uri:
            found = self._keys(client, anew=True).get(headers["kid"])
        if not isinstance(found, ALGORITHMS[headers["alg"]]):
            raise InvalidClientError(description="The client has no key of this kid and alg.")
        return found

    def _keys(self, client: Client, *, anew: bool = False) -> dict[str, Key]:
        try:
            jwks = client.jwks or self._documents.body(client.jwks_uri, anew=anew)
            return public_keys(jwks)
        except (Unreachable, ClientError) as error:
            raise InvalidClientError(description=tellable(f"The client's keys cannot be used: {error}.")) from error

    def _check_claims(self, claims: dict[str, Any], client: Client) -> None:
        now = int(self._clock())
        if claims.get("iss") != client.id:
            raise InvalidClientError(description="iss must be the client id.")
        if claims.get("aud") not in (self._audience, [self._audience]):
            raise InvalidClientError(description=f"aud must be {self._audience} alone.")
        expires = _moment(claims.get("exp"))
        if expires is None or expires <= now - LEEWAY:
            raise InvalidClientError(description="exp is missing, is no number, or has passed.")
        if expires > now + LONGEST_SECONDS + LEEWAY:
            raise InvalidClientError(description="exp may be five minutes ahead.")
        for name in ("nbf", "iat"):
            if name in claims and ((at := _moment(claims[name])) is None or at > now + LEEWAY):
                raise InvalidClientError(description=f"{name} lies ahead.")
        jti = claims.get("jti")
        if not isinstance(jti, str) or not 0 < len(jti) <= LONGEST_JTI:
            raise InvalidClientError(description="jti is missing.")
        used = f"{client.id}:{hashlib.sha256(jti.encode('utf-8', 'surrogatepass')).hexdigest()}"
        if not self._records.add("jti", used, {}, expires + 2 * LEEWAY):
            raise InvalidClientError(description="This jti was used before.")


def _moment(value: Any) -> int | None:
    """A NumericDate that a clock can show; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1e11:
        return None
    return int(value)

"""A program registers itself (RFC 7591), where the operator lets it."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any, get_args

from fhir_server.access.scope import ScopeError, parse_scopes
from fhir_server.auth.client import Client, ClientError, Method, checked, with_new_secret
from fhir_server.auth.outbound import Outbound, Unreachable

LONGEST_NAME = 100
MOST_URIS = 10
METHODS: Mapping[str, Method] = {
    **{name: name for name in get_args(Method)},
    "client_secret_post": "client_secret_basic",
}


class Refused(Exception):
    """The metadata cannot be registered; `error` is the code of RFC 7591, 3.2.2."""

    def __init__(self, error: str, text: str) -> None:
        super().__init__(text)
        self.error = error


def registered(metadata: Any, outbound: Outbound) -> tuple[Client, dict[str, Any]]:
    """Return the client of some metadata and what its developer is told; raise Refused.

    One that registers itself acts for people who agree, never for itself.
    """
    if not isinstance(metadata, dict):
        raise Refused("invalid_client_metadata", "Send a JSON object.")
    if "software_statement" in metadata:
        raise Refused("unapproved_software_statement", "Software statements are not taken.")
    method = METHODS.get(str(metadata.get("token_endpoint_auth_method", "client_secret_basic")))
    if method is None:
        raise Refused("invalid_client_metadata", "The token_endpoint_auth_method is none of this server's.")
    uris = metadata.get("redirect_uris")
    if not isinstance(uris, list) or not 0 < len(uris) <= MOST_URIS or not all(isinstance(uri, str) for uri in uris):
        raise Refused("invalid_redirect_uri", f"redirect_uris are 1 to {MOST_URIS} URLs.")
    try:
        scopes = parse_scopes(str(metadata.get("scope", "")))
    except ScopeError as error:
        raise Refused("invalid_client_metadata", f"{error}.") from error
    if any(each.context == "system" for each in scopes.resources):
        raise Refused("invalid_client_metadata", "Scopes of system/ are given by the operator alone.")
    jwks, jwks_uri = metadata.get("jwks"), metadata.get("jwks_uri")
    client = Client(
        id=secrets.token_hex(12),
        name=str(metadata.get("client_name", ""))[:LONGEST_NAME] or "?",
        method=method,
        scope=scopes.text,
        redirect_uris=tuple(uris),
        jwks=jwks if isinstance(jwks, dict) else None,
        jwks_uri=jwks_uri if isinstance(jwks_uri, str) else "",
    )
    return _told(_checked(client, outbound))


def _checked(client: Client, outbound: Outbound) -> Client:
    try:
        if client.jwks_uri:
            outbound.check(client.jwks_uri)
        return checked(client)
    except (ClientError, Unreachable) as error:
        code = "invalid_redirect_uri" if "redirect URI" in str(error) else "invalid_client_metadata"
        raise Refused(code, f"{error}.") from error


def _told(client: Client) -> tuple[Client, dict[str, Any]]:
    told: dict[str, Any] = {
        "client_id": client.id,
        "client_name": client.name,
        "redirect_uris": list(client.redirect_uris),
        "scope": client.scope,
        "grant_types": list(client.grant_types),
        "response_types": ["code"],
        "token_endpoint_auth_method": client.method,
    }
    if client.method == "client_secret_basic":
        client, secret = with_new_secret(client)
        told |= {"client_secret": secret, "client_secret_expires_at": 0}
    if client.jwks is not None:
        told["jwks"] = client.jwks
    if client.jwks_uri:
        told["jwks_uri"] = client.jwks_uri
    return client, told

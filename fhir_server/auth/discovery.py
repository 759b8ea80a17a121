"""What programs read before they ask: SMART configuration, OpenID discovery, the CapabilityStatement's security.

SMART App Launch 2.2, Conformance; OpenID Connect Discovery 1.0, 4; RFC 8414.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import orjson

from fhir_server.access.scope import PLAIN
from fhir_server.auth.assertion import ALGORITHMS
from fhir_server.auth.keys import ALGORITHM
from fhir_server.auth.openid import CONTEXT_CLASSES, Addresses
from fhir_server.rest.exchange import Exchange, Reply, Route

Json = dict[str, Any]

CAPABILITIES = (
    "launch-ehr", "launch-standalone", "authorize-post", "client-public", "client-confidential-symmetric",
    "client-confidential-asymmetric", "sso-openid-connect", "context-banner", "context-ehr-patient",
    "context-ehr-encounter", "context-standalone-patient", "context-standalone-encounter", "permission-offline",
    "permission-online", "permission-patient", "permission-user", "permission-v1", "permission-v2",
)  # fmt: skip
RESOURCE_SCOPES = (
    "patient/*.cruds", "patient/*.rs", "patient/*.read", "user/*.cruds", "user/*.rs", "user/*.read", "user/*.write",
    "system/*.cruds", "system/*.rs", "system/*.read",
)  # fmt: skip
GRANT_TYPES = ("authorization_code", "refresh_token", "client_credentials")
AUTH_METHODS = ("none", "client_secret_basic", "client_secret_post", "private_key_jwt")
OAUTH_URIS = "http://fhir-registry.smarthealthit.org/StructureDefinition/oauth-uris"
SECURITY_SERVICE = "http://terminology.hl7.org/CodeSystem/restful-security-service"


def server_metadata(addresses: Addresses, *, registers: bool) -> Json:
    """Return what both discovery documents tell."""
    issuer = addresses.issuer
    told: Json = {
        "issuer": issuer,
        "jwks_uri": f"{issuer}/jwks",
        "authorization_endpoint": f"{issuer}/authorize",
        "token_endpoint": f"{issuer}/token",
        "introspection_endpoint": f"{issuer}/introspect",
        "revocation_endpoint": f"{issuer}/revoke",
        "userinfo_endpoint": f"{issuer}/userinfo",
        "grant_types_supported": list(GRANT_TYPES),
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "scopes_supported": [*PLAIN, *RESOURCE_SCOPES],
        "token_endpoint_auth_methods_supported": list(AUTH_METHODS),
        "token_endpoint_auth_signing_alg_values_supported": list(ALGORITHMS),
        "code_challenge_methods_supported": ["S256"],
        "authorization_response_iss_parameter_supported": True,
    }
    if registers:
        told["registration_endpoint"] = f"{issuer}/register"
    return told


def smart_configuration(addresses: Addresses, *, registers: bool) -> Json:
    """Return `.well-known/smart-configuration`."""
    told = {
        **server_metadata(addresses, registers=registers),
        "management_endpoint": f"{addresses.issuer}/account",
        "capabilities": list(CAPABILITIES),
    }
    del told["userinfo_endpoint"]
    return told


def openid_configuration(addresses: Addresses, *, registers: bool) -> Json:
    """Return `.well-known/openid-configuration`."""
    return {
        **server_metadata(addresses, registers=registers),
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": [ALGORITHM],
        "claims_supported": [
            "sub",
            "iss",
            "aud",
            "auth_time",
            "acr",
            "nonce",
            "fhirUser",
            "name",
            "preferred_username",
        ],
        "acr_values_supported": list(CONTEXT_CLASSES.values())[1:],
        "ui_locales_supported": ["vi", "en"],
        "claims_parameter_supported": False,
        "request_parameter_supported": False,
        "request_uri_parameter_supported": False,
    }


def capability_security(metadata: Json) -> Json:
    """Return `CapabilityStatement.rest.security` for the endpoints of an authorization server."""
    endpoints = {
        "authorize": "authorization_endpoint", "token": "token_endpoint", "introspect": "introspection_endpoint",
        "revoke": "revocation_endpoint", "manage": "management_endpoint", "register": "registration_endpoint",
    }  # fmt: skip
    return {
        "cors": True,
        "service": [{"coding": [{"system": SECURITY_SERVICE, "code": "SMART-on-FHIR"}], "text": "SMART on FHIR"}],
        "extension": [
            {
                "url": OAUTH_URIS,
                "extension": [
                    {"url": name, "valueUri": metadata[member]}
                    for name, member in endpoints.items()
                    if member in metadata
                ],
            }
        ],
    }


def smart_route(configuration: Json) -> Route:
    """Return the row of the route table that tells a SMART configuration, in JSON whatever is asked for."""
    body = orjson.dumps(configuration)

    async def tell(_node: Any, _exchange: Exchange) -> Reply:
        return Reply(200, body, headers=[(b"cache-control", b"no-cache")], media_type=b"application/json")

    handler: Callable[[Any, Exchange], Awaitable[Reply]] = tell
    return Route("smart-configuration", "GET", "/.well-known/smart-configuration", handler, "", native=True)

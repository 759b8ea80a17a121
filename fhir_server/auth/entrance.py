"""How one comes into this server: open to everybody on the machine, or through its own authorization server."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from starlette.routing import Route as Page

from fhir_server.auth.authenticator import TokenAuthenticator
from fhir_server.auth.authority import Ask, Authority, Tell
from fhir_server.auth.authorization_server import SmartServer
from fhir_server.auth.discovery import capability_security, smart_configuration, smart_route
from fhir_server.auth.external import ExternalAuthenticator, ExternalEntrance, Provider
from fhir_server.auth.openid import Addresses
from fhir_server.auth.outbound import Documents, Outbound
from fhir_server.auth.routes import routes
from fhir_server.rest.authentication import Authenticator, NobodyAsked
from fhir_server.rest.exchange import Route
from fhir_server.settings import Settings
from fhir_server.store.records import Records


class Entrance(Protocol):
    """What a service needs to let callers in.

    `routes` are rows of the FHIR route table, `pages` those of the web framework, `security` is told in the
    CapabilityStatement.
    """

    authenticator: Authenticator
    routes: Sequence[Route]
    pages: Sequence[Page]
    security: Mapping[str, Any]

    def allows_origin(self, origin: str) -> bool:
        """Whether pages of an origin may call, besides those that the settings name."""
        ...

    async def follow(self) -> None:
        """Do what is to be done all the time."""
        ...

    async def close(self) -> None:
        """Let go of every file."""
        ...


class OpenEntrance:
    """Asks nobody: for servers that this machine alone can reach."""

    def __init__(self) -> None:
        self.authenticator: Authenticator = NobodyAsked()
        self.routes: Sequence[Route] = ()
        self.pages: Sequence[Page] = ()
        self.security: Mapping[str, Any] = {}

    def allows_origin(self, origin: str) -> bool:
        """No origin has a claim of its own."""
        return False

    async def follow(self) -> None:
        """There is nothing to do."""

    async def close(self) -> None:
        """There is nothing to let go of."""


class OwnEntrance:
    """Lets in who has a token of this server's own authorization server."""

    def __init__(self, authority: Authority) -> None:
        self.authority = authority
        addresses, registers = authority.server.addresses, authority.settings.client_registration
        configuration = smart_configuration(addresses, registers=registers)
        authenticator = TokenAuthenticator(authority)
        self.authenticator: Authenticator = authenticator
        self.routes: Sequence[Route] = (smart_route(configuration),)
        self.pages: Sequence[Page] = routes(authority, authenticator)
        self.security: Mapping[str, Any] = capability_security(configuration)

    def allows_origin(self, origin: str) -> bool:
        """Those of registered programs."""
        return self.authority.allows_origin(origin)

    async def follow(self) -> None:
        """Forget what expired."""
        await self.authority.sweep()

    async def close(self) -> None:
        """Let go of every file."""
        await self.authority.close()


def addresses_of(base: str) -> Addresses:
    """Return the addresses of a server with this FHIR base URL: the authorization server stands beside it."""
    return Addresses(base, f"{base.rpartition('/')[0]}/auth")


def entrance(
    settings: Settings, records: Callable[[], Records], base: str, clock: Callable[[], float], ask: Ask, tell: Tell
) -> Entrance:
    """Return the entrance that the settings want, to the server with this FHIR base URL."""
    if settings.auth == "off":
        return OpenEntrance()
    kept, documents = records(), Documents(Outbound(settings.outbound_hosts), clock)
    if settings.oidc_issuer:
        provider = Provider(settings.oidc_issuer, documents)
        return ExternalEntrance(ExternalAuthenticator(provider, settings, kept, clock, base, ask), provider, kept)
    server = SmartServer(kept, documents, clock, addresses_of(base))
    return OwnEntrance(Authority(server, settings, ask=ask, tell=tell))

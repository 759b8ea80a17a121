"""The entrance through this server's own authorization server."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from starlette.routing import Route as Page

from fhir_server.auth.authenticator import TokenAuthenticator
from fhir_server.auth.authority import Authority
from fhir_server.auth.authorization_server import SmartServer
from fhir_server.auth.browser_app import register_app
from fhir_server.auth.discovery import capability_security, smart_configuration, smart_route
from fhir_server.auth.event import Ask, Tell
from fhir_server.auth.openid import Addresses
from fhir_server.auth.outbound import Documents, Outbound
from fhir_server.auth.routes import routes
from fhir_server.rest.authentication import Authenticator
from fhir_server.rest.exchange import Route
from fhir_server.settings import Settings
from fhir_server.store.records import Records


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


def own_entrance(
    settings: Settings, records: Records, base: str, clock: Callable[[], float], ask: Ask, tell: Tell
) -> OwnEntrance:
    """Return the entrance to the server with this FHIR base URL; its own app is registered with it."""
    register_app(records, base.rpartition("/")[0])
    server = SmartServer(records, Documents(Outbound(settings.outbound_hosts), clock), clock, addresses_of(base))
    return OwnEntrance(Authority(server, settings, ask=ask, tell=tell))

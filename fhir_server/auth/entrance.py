"""How one comes into this server: open to everybody on the machine, or through its own authorization server."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from starlette.routing import Route as Page

from fhir_server.auth.event import Ask, Tell
from fhir_server.part import Part
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


Make = Callable[[Settings, Records, str, Callable[[], float], Ask, Tell], Entrance]
OWN: Part[Make] = Part("fhir_server.auth.own:own_entrance")
EXTERNAL: Part[Make] = Part("fhir_server.auth.external:external_entrance")


def maker(settings: Settings) -> Make | None:
    """Return what makes the entrance that the settings want, loaded; None where nobody is asked."""
    if settings.auth == "off":
        return None
    return (EXTERNAL if settings.oidc_issuer else OWN).load()


def entrance(
    settings: Settings, records: Callable[[], Records], base: str, clock: Callable[[], float], ask: Ask, tell: Tell
) -> Entrance:
    """Return the entrance that the settings want, to the server with this FHIR base URL."""
    make = maker(settings)
    return OpenEntrance() if make is None else make(settings, records(), base, clock, ask, tell)

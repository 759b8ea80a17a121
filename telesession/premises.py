"""The rooms of a node, composed: sessions, who may come in, routes, and what carries their media."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fhir_server.extension import Row
from fhir_server.resource.instant import Clock
from fhir_server.rest.node import Node
from fhir_server.settings import Settings
from telesession.conversation_routes import ConversationRoutes, GuestRoutes
from telesession.gate import Gate
from telesession.invitation import Invitations
from telesession.looking import Looking
from telesession.media import Media
from telesession.room_routes import RoomRoutes
from telesession.session import Sessions
from telesession.signalling import Signalling


class Premises:
    """Everything below /telesession/sessions; `base` is the address that the app is served at."""

    def __init__(self, settings: Settings, clock: Clock, base: str) -> None:
        self.sessions = Sessions(clock)
        self.media = Media(settings, self.sessions.tell, clock)
        self.sessions.media = self.media
        self.gate = Gate(self.sessions)
        self.invitations = Invitations(clock)
        looking = Looking(clock)
        signalling = Signalling(self.media.engine, self.gate, self.media.ice, clock)
        self.rows: tuple[Row, ...] = (
            *RoomRoutes(self.gate, self.invitations, looking, base).rows(),
            *ConversationRoutes(self.gate, self.invitations, looking).rows(),
            *GuestRoutes(self.invitations).rows(),
            *signalling.rows(self.invitations.known),
        )

    @asynccontextmanager
    async def opened(self, node: Node) -> AsyncIterator[None]:
        """Hold the rooms open while the server runs."""
        self.sessions.node = node
        self.invitations.notes = node.notes
        self.sessions.finished = self.invitations.forget
        try:
            yield
        finally:
            await self.media.stop()
            await self.sessions.close()

    async def watch(self, _node: Node) -> None:
        """Let time pass in the rooms."""
        await self.sessions.watch()

    def stopping(self) -> None:
        """End all streams of events."""
        self.sessions.stop()

"""The rooms of a node, composed: sessions, who may come in, routes, and what carries their media."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import Response

from fhir_server.errors import Unavailable
from fhir_server.extension import Row, Visit
from fhir_server.part import Part
from fhir_server.resource.instant import Clock
from fhir_server.rest.node import Node
from fhir_server.settings import Settings
from telesession.conversation_routes import ConversationRoutes, GuestRoutes
from telesession.gate import Gate
from telesession.invitation import Invitations
from telesession.looking import Looking
from telesession.media import Media
from telesession.recording import Recordings
from telesession.room_routes import RoomRoutes
from telesession.session import ATTEMPTS, OWNER, Elsewhere, Session, Sessions, Unreachable
from telesession.signalling import Signalling

if TYPE_CHECKING:
    # So that the contracts about imports see it.
    from telesession.forwarding import forwarded  # noqa: F401

FORWARDED: Part[Callable[[Request, Elsewhere], Awaitable[Response]]] = Part("telesession.forwarding:forwarded")
"""It takes a client of HTTP along, which a server of one process never needs."""
MISDIRECTED = 421


class Premises:
    """Everything below /telesession/sessions; `base` is the address that the app is served at, `data` the folder."""

    def __init__(self, settings: Settings, clock: Clock, base: str, data: Path) -> None:
        self.sessions = Sessions(clock)
        self.media = Media(settings, self.sessions.tell, clock)
        self.sessions.media = self.media
        self.gate = Gate(self.sessions)
        self.invitations = Invitations(clock)
        looking = Looking(clock)
        conversation = ConversationRoutes(self.gate, self.invitations, looking)
        self._conversation = conversation
        self.sessions.closing = self._closing
        signalling = Signalling(self.media.engine, self.gate, self.media.ice, clock)
        self.recordings = Recordings(self.gate, self.media, data, base)
        placed = (
            *RoomRoutes(self.gate, self.invitations, looking, base).rows(),
            *conversation.rows(),
            *signalling.rows(self.invitations.known),
            *self.recordings.rows(self.invitations.known),
        )
        self.rows: tuple[Row, ...] = (
            *(replace(row, answer=partial(self._answered, row.answer)) for row in placed),
            *GuestRoutes(self.invitations).rows(),
            *self.recordings.reading(),
        )

    async def _closing(self, session: Session) -> None:
        """Keep what is to be kept of a session that ends, and let nobody else in."""
        await self.invitations.close(session.room.id)
        await self._conversation.keep_marks(session)

    async def _answered(self, answer: Callable[[Visit], Awaitable[Response]], visit: Visit) -> Response:
        """The answer of the process that the session is in: this one, or another."""
        request, name = visit.request, visit.request.path_params["session"]
        meant = request.headers.get(OWNER)
        if meant is not None and meant != self.sessions.me:
            return Response(status_code=MISDIRECTED)
        for _ in range(ATTEMPTS):
            there = await self.sessions.elsewhere(name)
            try:
                return await answer(visit) if there is None else await FORWARDED.load()(request, there)
            except Unreachable:
                assert there is not None
                await self.sessions.abandon(name, there)
            except Elsewhere:
                continue
        raise Unavailable("The session is being opened elsewhere; ask again.")

    @asynccontextmanager
    async def opened(self, node: Node) -> AsyncIterator[None]:
        """Hold the rooms open while the server runs."""
        self.sessions.node, self.sessions.address = node, node.address
        self.invitations.notes = node.notes
        self.sessions.finished = self.invitations.forget
        try:
            yield
        finally:
            await self.recordings.close(node)
            await self.media.stop()
            await self.sessions.close()

    async def watch(self, _node: Node) -> None:
        """Let time pass in the rooms."""
        await self.sessions.watch()

    def stopping(self) -> None:
        """End all streams of events."""
        self.sessions.stop()

"""The media of a node: the engine that settings choose, loaded at the first session, and the servers of ICE."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from fhir_server.part import Part
from fhir_server.settings import Settings
from telesession.consequence import End, Mute, Order, Remove, Show
from telesession.ice import IceServers
from telesession.media_engine import MediaEngine, NoEngine, Tell

if TYPE_CHECKING:
    # So that the contracts about imports see them.
    from telesession.aiortc_engine.engine import AiortcEngine  # noqa: F401
    from telesession.janus_engine import JanusEngine  # noqa: F401

Make = Callable[[Settings, Tell], MediaEngine]

ENGINES: dict[str, Part[Make]] = {
    "aiortc": Part("telesession.aiortc_engine.engine:made"),
    "janus": Part("telesession.janus_engine:made"),
}
"""The engines by the first word of the setting. aiortc takes half a second and 60 MB, which few nodes need at once."""


class Media:
    """What carries the sound and pictures of this process's sessions."""

    def __init__(self, settings: Settings, tell: Tell, clock: Callable[[], float]) -> None:
        self.ice = IceServers(settings.ice_servers, settings.turn_secret, clock)
        self._settings = settings
        self._tell = tell
        self._engine: MediaEngine | None = None
        self._lock = asyncio.Lock()

    @property
    def name(self) -> str:
        """What the engine is called."""
        return self._settings.media.partition("=")[0]

    async def engine(self) -> MediaEngine:
        """The engine, made the first time."""
        async with self._lock:
            if self._engine is None:
                self._engine = await self._made()
        return self._engine

    async def _made(self) -> MediaEngine:
        part = ENGINES.get(self.name)
        if part is None:
            return NoEngine()
        make = await asyncio.to_thread(part.load)
        return make(self._settings, self._tell)

    def connecting(self, session: str, participant: str) -> dict[str, Any]:
        """What a participant needs to connect: `engine`, `iceServers`."""
        servers = [each.json() for each in self.ice.for_(session, participant)]
        return {"engine": self.name, "iceServers": servers}

    async def obey(self, session: str, order: Order) -> None:
        """Do what a room asks for; where nobody ever connected there is nothing to do."""
        engine = self._engine
        if engine is None:
            return
        match order:
            case Remove(participant):
                await engine.remove(session, participant)
            case Mute(participant, is_muted):
                await engine.mute(session, participant, is_muted=is_muted)
            case Show(participant, mode):
                await engine.show(session, participant, mode)
            case End():
                await engine.end(session)

    async def stop(self) -> None:
        """End everything."""
        if self._engine is not None:
            await self._engine.stop()
            self._engine = None

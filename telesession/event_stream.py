"""Server-sent events of a session to one viewer (WHATWG HTML 9.2), as long as the viewer may see them and reads."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import orjson
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from fhir_server.errors import FhirError
from telesession.event_log import Event, Kind
from telesession.session import Session, Sessions

MEDIA_TYPE = "text/event-stream"
HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no", "X-Content-Type-Options": "nosniff"}
SECONDS_BETWEEN_CHECKS = 5.0
"""How often it is asked again whether the viewer's token is good, and shows the session."""
SECONDS_BETWEEN_HEARTBEATS = 15.0
SECONDS_TO_READ = 20.0
"""A viewer who takes in nothing for so long is let go."""

View = Callable[[Session, str, Event | None], Awaitable[dict[str, Any] | None]]
"""What a viewer is told of an event (None: nothing); of no event, the snapshot."""


class EventStream(Response):
    """The answer that tells a viewer what happens, until they leave, may see no more, or the session is over."""

    media_type = MEDIA_TYPE

    def __init__(
        self,
        sessions: Sessions,
        session: Session,
        viewer: str,
        last_id: str | None,
        view: View,
        check: Callable[[], Awaitable[None]],
    ) -> None:
        super().__init__(headers=HEADERS)
        del self.headers["content-length"]
        self._sessions = sessions
        self._session = session
        self._viewer = viewer
        self._place = session.log.place(last_id)
        self._view = view
        self._check = check

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Tell events until the end."""
        self._sessions.stream_opened(self._session, self._viewer)
        gone = asyncio.create_task(_gone(receive))
        telling = asyncio.create_task(self._tell_all(send))
        try:
            await asyncio.wait((gone, telling), return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (gone, telling):
                task.cancel()
            results = await asyncio.gather(gone, telling, return_exceptions=True)
            self._sessions.stream_closed(self._session, self._viewer)
        if isinstance(results[1], Exception) and not isinstance(results[1], TimeoutError | OSError):
            raise results[1]

    async def _tell_all(self, send: Send) -> None:
        await self._send(send, {"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        clock = asyncio.get_running_loop().time
        checked = sent = clock()
        while True:
            turn = self._session.log.turn
            text = b"".join([each async for each in self._news()])
            if not text and clock() - sent >= SECONDS_BETWEEN_HEARTBEATS:
                text = b": still here\n\n"
            why = self._over()
            if clock() - checked >= SECONDS_BETWEEN_CHECKS:
                why, checked = why or await self._refused(), clock()
            if why:
                text += _frame("", "ended", {"reason": why})
            if text:
                await self._send(send, {"type": "http.response.body", "body": text, "more_body": not why})
                sent = clock()
            if why:
                return
            await self._session.log.wait(turn, min(SECONDS_BETWEEN_CHECKS, SECONDS_BETWEEN_HEARTBEATS))

    async def _send(self, send: Send, message: dict[str, Any]) -> None:
        async with asyncio.timeout(SECONDS_TO_READ):
            await send(message)

    async def _news(self) -> Any:
        """Yield what is new; first, or where too much happened, the snapshot."""
        log = self._session.log
        found = None if self._place is None else log.after(self._place)
        if found is None:
            last = log.last
            told = await self._view(self._session, self._viewer, None)
            self._place = last
            yield _frame(log.name(last), "snapshot", told or {})
            return
        for event in found:
            told = await self._view(self._session, self._viewer, event)
            self._place = event.number
            if told is not None:
                yield _frame(log.name(event.number), event.kind, told)

    def _over(self) -> str:
        """Why the stream ends now; empty while it goes on."""
        room = self._session.room
        if self._sessions.is_stopping:
            return "reconnect"
        if room.ended is not None:
            return room.end_reason
        if self._sessions.here(room.id) is not self._session:
            return "reconnect"
        me = room.participants.get(self._viewer)
        return "" if me is not None and me.is_here else (me.reason if me is not None else "left")

    async def _refused(self) -> str:
        try:
            await self._check()
        except FhirError:
            return "refused"
        return ""


async def _gone(receive: Receive) -> None:
    with suppress(Exception):
        while (await receive())["type"] != "http.disconnect":
            pass


def _frame(name: str, kind: Kind, told: dict[str, Any]) -> bytes:
    head = f"id: {name}\n" if name else ""
    return f"{head}event: {kind}\ndata: ".encode() + orjson.dumps(told) + b"\n\n"

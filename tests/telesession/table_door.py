"""A door to sessions that a test's table keeps: who is in, who waits, what has ended."""

from __future__ import annotations

from fhir_server.access.caller import Caller
from fhir_server.access.scope import parse_scopes
from fhir_server.errors import Conflict, Forbidden, Gone, NotFound
from fhir_server.extension import Extension, Make, Surroundings, Visit
from fhir_server.rest.failure import BadToken, NoToken
from telesession.media import Media
from telesession.media_engine import Happening
from telesession.signalling import Side, Signalling

SAYS = {"waiting": Conflict, "watching": Forbidden, "ended": Gone}


class TableDoor:
    """The participant of a caller is the caller's own name; their state decides."""

    def __init__(self) -> None:
        self.states: dict[tuple[str, str], str] = {}
        self.closings: list[str] = []

    async def seat(self, visit: Visit, session: str, side: Side, source: str) -> str:
        state = self.states.get((session, visit.caller.subject), "stranger")
        if state == "watching" and side == "whep":
            return visit.caller.subject
        if state in SAYS:
            raise SAYS[state](f"You are {state}.")
        return await self.occupant(visit, session)

    async def occupant(self, visit: Visit, session: str) -> str:
        if (session, visit.caller.subject) not in self.states:
            raise NotFound("There is no such session.")
        return visit.caller.subject

    def closed(self, session: str, participant: str, connection: str) -> None:
        self.closings.append(connection)


class Tokens:
    """Takes the token of a caller for their name; `nobody` is no token."""

    async def authenticate(self, header: str | None) -> Caller:
        if header is None:
            raise NoToken("Say who you are.")
        name = header.removeprefix("Bearer ")
        if name == "nobody":
            raise BadToken("This token was never given.")
        return Caller("person", name, parse_scopes("user/*.cruds" if name != "unscoped" else "user/Patient.r"))


def extension_of(door: TableDoor, told: list[Happening], media: list[Media]) -> Make:
    """An extension with nothing but signalling; its media are put into the list."""

    def make(surroundings: Surroundings) -> Extension:
        media.append(Media(surroundings.settings, told.append, surroundings.clock))
        signalling = Signalling(media[0].engine, door, media[0].ice, surroundings.clock)
        return Extension("signalling", "/telesession", rows=signalling.rows())

    return make

"""Who is asking about which session: the Encounter as the caller sees it, the room, and their place in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from fhir_server.access.label import label_from
from fhir_server.errors import Conflict, Forbidden, Gone, Invalid, NotFound, TooLarge
from fhir_server.extension import Visit
from fhir_server.repository.repository import Repository
from fhir_server.resource.identity import time_ordered_ids
from fhir_server.rest.body import read_body
from telesession import room as rooms
from telesession.admission import Wish, check_remote, cleaned, name_in, person_of
from telesession.invitation import GUEST_ROLES
from telesession.room import Participant, Person, Right
from telesession.session import Session, Sessions

Json = dict[str, Any]

BODY_BYTES = 64_000
AS = "x-participant"
"""The header by which a client says who they are on a server that asks nobody: the participant's id."""
KINDS_OF_PEOPLE = ("Practitioner", "PractitionerRole", "Patient", "RelatedPerson", "Person")


@dataclass(frozen=True, slots=True)
class Entry:
    """A caller at a session: the Encounter, the room, and who they are in it if they have joined."""

    visit: Visit
    encounter: Mapping[str, Any]
    owners: tuple[str, ...]
    session: Session
    me: Participant | None

    @property
    def name(self) -> str:
        """The session's id."""
        return self.session.room.id

    def audited(self, deed: str, text: str = "") -> None:
        """Enter in the ledger what the caller did, for the facility and the patient whose session it is."""
        kind, _, patient = str((self.encounter.get("subject") or {}).get("reference", "")).partition("/")
        patients = (patient,) if kind == "Patient" else ()
        resources = [f"Encounter/{self.name}"]
        self.visit.audited("E", deed, resources, patients=patients, facilities=self.owners, text=text)

    def inside(self) -> Participant:
        """The caller as somebody who has been let in; raise Conflict for who has not."""
        me = self.joined()
        if not me.is_in:
            raise Conflict("You have not been let in yet.")
        return me

    def joined(self) -> Participant:
        """The caller as somebody with a place in the room; raise Conflict, Forbidden or Gone."""
        if self.session.room.ended is not None:
            raise Gone("The session is over.")
        if self.me is None or not self.me.is_here:
            if self.me is not None and self.me.reason in rooms.LAST:
                raise Forbidden("You were asked to leave this session; somebody in it can let you in again.")
            raise Conflict("Join the session first: POST to its participants.")
        return self.me

    def needs(self, right: Right) -> Participant:
        """The caller as somebody in session who may do something; raise Forbidden for others."""
        me = self.inside()
        if not self.session.room.may(me.id, right):
            raise Forbidden(f"Your role in this session does not let you {right}.")
        return me


class Gate:
    """Lets callers to the sessions whose Encounter they may see."""

    def __init__(self, sessions: Sessions) -> None:
        self.sessions = sessions
        self.new_id = time_ordered_ids(sessions.clock)

    async def entry(self, visit: Visit) -> Entry:
        """The caller at the session that a URL names; raise NotFound for who may not know of it, Gone, Elsewhere."""
        name = visit.request.path_params["session"]
        repository = self._eyes(visit, name)
        try:
            version = await repository.read("Encounter", name)
        except (NotFound, Forbidden):
            raise NotFound("There is no such session.") from None
        encounter = orjson.loads(version.body or b"{}")
        check_remote(encounter)
        if visit.caller.kind not in ("guest", "local"):
            person_of(visit.caller, encounter, "", Wish())
        session = await self.sessions.at(name, str(encounter.get("status")))
        return Entry(visit, encounter, owners_of(version.label), session, self._me(visit, session))

    async def again(self, visit: Visit) -> Visit:
        """The visit as it would be now; raise a kind of FhirError where the caller may be here no more."""
        fresh = await visit.again()
        name = visit.request.path_params["session"]
        await self._eyes(fresh, name).read("Encounter", name)
        return fresh

    async def person(self, entry: Entry, wish: Wish) -> Person:
        """Who the caller would be in the room."""
        caller = entry.visit.caller
        if caller.kind == "guest":
            role = next(role for role in GUEST_ROLES if role == caller.client)
            if wish.role not in ("", role):
                raise Forbidden(f"You were invited as {role}.")
            name = caller.issuer or cleaned(wish.display) or role
            return Person(_key(entry.visit), name, role, device=cleaned(wish.device))
        return person_of(caller, entry.encounter, await self._called(caller.fhir_user), wish)

    async def seat(self, visit: Visit, session: str, side: str, source: str) -> str:
        """The id of the caller's participant, who may publish a source or view (signalling's Door)."""
        entry = await self.entry(visit)
        me = entry.inside()
        del session, side, source
        await self.sessions.change(entry.session, lambda room, now: rooms.present(room, me.id, now))
        return me.id

    async def occupant(self, visit: Visit, session: str) -> str:
        """The id of the caller's participant, whatever they may do now; raise NotFound."""
        entry = await self.entry(visit)
        if entry.me is None:
            raise NotFound(f"You are not in the session {session}.")
        return entry.me.id

    def closed(self, session: str, participant: str, connection: str) -> None:
        """Note that a participant ended a connection on purpose."""
        self.sessions.disconnected(session, participant, connection)

    def _eyes(self, visit: Visit, name: str) -> Repository:
        """What the caller sees with; a guest sees no resources, and their own session through the server's."""
        if visit.caller.kind != "guest":
            return visit.node.repository
        if visit.caller.encounter != name:
            raise NotFound("There is no such session.")
        return self.sessions.node.repository

    def _me(self, visit: Visit, session: Session) -> Participant | None:
        room = session.room
        if visit.caller.kind != "local":
            return room.of(_key(visit))
        said = visit.request.headers.get(AS)
        if said is not None:
            return room.participants.get(said)
        here = [each for each in room.here if each.person.key.startswith("local:")]
        return here[0] if len(here) == 1 else None

    async def _called(self, reference: str | None) -> str:
        kind, _, name = (reference or "").partition("/")
        if kind not in KINDS_OF_PEOPLE:
            return ""
        try:
            version = await self.sessions.node.repository.read(kind, name)
            body = orjson.loads(version.body or b"{}")
            if kind == "PractitionerRole":
                return await self._called((body.get("practitioner") or {}).get("reference"))
        except NotFound:
            return ""
        return name_in(body)


def owners_of(label: str) -> tuple[str, ...]:
    """The facilities that a resource with this label belongs to."""
    return label_from(label).owners if label else ()


def _key(visit: Visit) -> str:
    return f"{visit.caller.kind}:{visit.caller.subject}"


async def body_of(visit: Visit) -> Json:
    """The JSON object that was sent, an empty one where nothing was; raise Invalid, TooLarge or TooSlow."""
    raw = await raw_of(visit, BODY_BYTES)
    if not raw.strip():
        return {}
    try:
        found = orjson.loads(raw)
    except orjson.JSONDecodeError as wrong:
        raise Invalid(f"The body is no JSON: {wrong}.") from None
    if not isinstance(found, dict):
        raise Invalid("The body must be a JSON object.")
    return found


async def raw_of(visit: Visit, limit: int) -> bytes:
    """The bytes that were sent, up to a limit."""
    headers = dict(visit.request.scope["headers"])
    announced = headers.get(b"content-length", b"")
    if announced.isdigit() and int(announced) > limit:
        raise TooLarge(f"The body is longer than the {limit:,} bytes that are read here.")
    return await read_body(visit.request.receive, headers, limit, visit.node.settings.body_seconds)


def text_member(body: Mapping[str, Any], name: str) -> str:
    """A member that is a string, empty where it is not there; raise Invalid for anything else."""
    value = body.get(name, "")
    if not isinstance(value, str):
        raise Invalid(f"{name} must be a string.", expression=(name,))
    return value


def whole_member(body: Mapping[str, Any], name: str, otherwise: int) -> int:
    """A member that is a whole number; raise Invalid for anything else."""
    value = body.get(name, otherwise)
    if isinstance(value, bool) or not isinstance(value, int):
        raise Invalid(f"{name} must be a whole number.", expression=(name,))
    return value

"""The room over HTTP: entering, deciding, events, ending, guests (docs/reference/telesession.md)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from starlette.responses import JSONResponse, Response

from fhir_server.errors import Conflict, Forbidden, Invalid, Throttled
from fhir_server.extension import Row, Visit
from telesession import room as rooms
from telesession.admission import Wish, cleaned
from telesession.consequence import own_json, person_json, room_json
from telesession.event_log import Event
from telesession.event_stream import EventStream
from telesession.gate import Entry, Gate, body_of, text_member, whole_member
from telesession.invitation import MINUTES, Invitations
from telesession.looking import Looking
from telesession.rate import Rate
from telesession.review import without
from telesession.room import Role, Room
from telesession.session import Session, Sessions

Json = dict[str, Any]

SESSION = "/sessions/{session}"
PARTICIPANT = f"{SESSION}/participants/{{participant}}"
SEE = (("Encounter", "r"),)
NO_STORE = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
LONGEST_MINUTES = 12 * 60
MODES = ("auto", "on", "off")


def told(body: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """An answer in JSON that nobody keeps."""
    return JSONResponse(body, status, {**NO_STORE, **(headers or {})})


class RoomRoutes:
    """Answers the requests about rooms. `base` is the address of the app, where links of invitations lead."""

    def __init__(self, gate: Gate, invitations: Invitations, looking: Looking, base: str) -> None:
        self.gate = gate
        self.sessions: Sessions = gate.sessions
        self._invitations = invitations
        self._looking = looking
        self._base = base
        self._joins = Rate(20, 1.0, self.sessions.clock)
        self._deeds = Rate(60, 10.0, self.sessions.clock)

    def rows(self) -> tuple[Row, ...]:
        """The routes."""
        known = self._invitations.known
        return (
            Row("GET", SESSION, self.show, SEE, known),
            Row("PATCH", SESSION, self.prolong, SEE, known),
            Row("POST", f"{SESSION}/participants", self.join, SEE, known),
            Row("PATCH", PARTICIPANT, self.decide, SEE, known),
            Row("DELETE", PARTICIPANT, self.leave, SEE, known),
            Row("POST", f"{SESSION}/end", self.end, SEE, known),
            Row("GET", f"{SESSION}/events", self.events, SEE, known),
            Row("POST", f"{SESSION}/invitations", self.invite, SEE, known),
            Row("GET", f"{SESSION}/invitations", self.invitations, SEE, known),
            Row("DELETE", f"{SESSION}/invitations/{{invitation}}", self.withdraw, SEE, known),
        )

    async def show(self, visit: Visit) -> Response:
        """The room as the caller sees it."""
        entry = await self.gate.entry(visit)
        if entry.me is not None and entry.me.is_here:
            entry.session.sign(entry.me.id).last = self.sessions.clock()
        return told(await self.snapshot(entry.visit, entry.session, entry.me.id if entry.me is not None else ""))

    async def snapshot(self, visit: Visit, session: Session, viewer: str) -> Json:
        """Everything that a viewer sees of a session now."""
        found = room_json(session.room, viewer)
        me = session.room.participants.get(viewer)
        if me is not None and me.is_in and session.room.ended is None:
            found |= self.sessions.media.connecting(session.room.id, viewer)
            found["quality"] = list(session.quality.values())
            found["review"] = await self.review(visit, session)
        return found

    async def review(self, visit: Visit, session: Session) -> Json:
        """What is looked at, as far as the viewer may see the study."""
        review = session.review
        if not review.study or await self._looking.sees(visit, review.study):
            return review.told()
        return review.hidden()

    async def join(self, visit: Visit) -> Response:
        """Enter, or wait to be let in; who has a place is given it again."""
        entry = await self.gate.entry(visit)
        self._joins.needs((visit.caller.kind, visit.caller.subject, entry.name))
        body = await body_of(visit)
        wish = Wish(*(text_member(body, name) for name in ("role", "display", "device")))
        person = await self.gate.person(entry, wish)
        new_id = self.gate.new_id()
        room = await self.sessions.change(entry.session, lambda each, now: rooms.join(each, person, new_id, now))
        me = room.of(person.key)
        if me is None:
            raise Conflict("You left again at this very moment.")
        entry.session.sign(me.id).last = self.sessions.clock()
        if me.id == new_id or entry.me is None or not entry.me.is_here:
            entry.audited("session-join", f"{me.id} {me.role} {me.state}")
        place = f"/telesession/sessions/{entry.name}/participants/{me.id}"
        return told(own_json(room, me), 201, {"Location": place})

    async def decide(self, visit: Visit) -> Response:
        """Do something about a participant: admit, refuse, remove, mute, unmute, role, video."""
        entry = await self.gate.entry(visit)
        self._deeds.needs((visit.caller.kind, visit.caller.subject))
        body = await body_of(visit)
        me, about = entry.joined(), visit.request.path_params["participant"]
        action = text_member(body, "action")
        make = ACTIONS.get(action)
        if make is None:
            raise Invalid(f"action must be one of: {', '.join(ACTIONS)}.", expression=("action",))
        entry.session.room.one(about)
        if me.id != about:
            entry.inside()
        room = await self.sessions.change(entry.session, make(me.id, about, body))
        await self._clear(entry, room, about)
        entry.audited(f"session-{action}", about)
        return told(person_json(room.one(about)))

    async def _clear(self, entry: Entry, room: Room, about: str) -> None:
        """Take the pointer from who has left."""
        session = entry.session
        if not room.one(about).is_here:
            session.review = without(session.review, about)

    async def leave(self, visit: Visit) -> Response:
        """Leave; nobody leaves for others."""
        entry = await self.gate.entry(visit)
        about = visit.request.path_params["participant"]
        entry.session.room.one(about)
        if entry.me is None or entry.me.id != about:
            raise Forbidden("You can only leave yourself; who moderates can remove others.")
        room = await self.sessions.change(entry.session, lambda each, now: rooms.leave(each, about, now))
        await self._clear(entry, room, about)
        entry.audited("session-leave", about)
        return Response(status_code=204, headers=NO_STORE)

    async def prolong(self, visit: Visit) -> Response:
        """Set how long the session may last."""
        entry = await self.gate.entry(visit)
        me = entry.inside()
        minutes = whole_member(await body_of(visit), "minutes", 0)
        if not 0 < minutes <= LONGEST_MINUTES:
            raise Invalid(f"minutes must be 1 to {LONGEST_MINUTES}.", expression=("minutes",))
        entry.session.warned = False
        room = await self.sessions.change(entry.session, lambda each, _now: rooms.prolong(each, me.id, minutes))
        return told(room_json(room, me.id))

    async def end(self, visit: Visit) -> Response:
        """End the session for all."""
        entry = await self.gate.entry(visit)
        me = entry.needs("end")
        room = await self.sessions.change(entry.session, lambda each, now: rooms.end(each, me.id, now))
        entry.audited("session-end")
        return told(room_json(room, me.id))

    async def events(self, visit: Visit) -> Response:
        """What happens, from now on or from Last-Event-ID."""
        entry = await self.gate.entry(visit)
        me = entry.joined()
        await self.sessions.change(entry.session, lambda each, now: rooms.present(each, me.id, now))
        if entry.session.sign(me.id).streams >= MOST_STREAMS:
            raise Throttled(f"You read the events of this session {MOST_STREAMS} times already.")

        async def view(session: Session, viewer: str, event: Event | None) -> Json | None:
            return await self._view(visit, session, viewer, event)

        async def check() -> None:
            nonlocal visit
            visit = await self.gate.again(visit)

        last = visit.request.headers.get("last-event-id")
        return EventStream(self.sessions, entry.session, me.id, last, view, check)

    async def _view(self, visit: Visit, session: Session, viewer: str, event: Event | None) -> Json | None:
        if event is None:
            return await self.snapshot(visit, session, viewer)
        found = event.data(viewer)
        if found is None or event.kind not in ("review", "cursor"):
            return found
        if event.kind == "review":
            return await self.review(visit, session)
        return found if await self._looking.sees(visit, session.review.study) else None

    async def invite(self, visit: Visit) -> Response:
        """Make an invitation: its code is told this once."""
        entry = await self.gate.entry(visit)
        me = entry.needs("invite")
        self._deeds.needs((visit.caller.kind, visit.caller.subject))
        body = await body_of(visit)
        role, name = text_member(body, "role") or "guest", cleaned(text_member(body, "name"))
        minutes = whole_member(body, "minutes", MINUTES)
        made, code, expires = await self._invitations.invite(entry.name, role, name, me.id, minutes)
        entry.audited("session-invite", f"{role} {made[:12]}")
        link = f"{self._base}/#/join/{entry.name}/{code}"
        answer = {"id": made, "role": role, "name": name or None, "code": code, "link": link, "expires": expires}
        return told(answer, 201)

    async def invitations(self, visit: Visit) -> Response:
        """The invitations, without their codes."""
        entry = await self.gate.entry(visit)
        entry.needs("invite")
        return told({"invitations": await self._invitations.listed(entry.name)})

    async def withdraw(self, visit: Visit) -> Response:
        """Withdraw an invitation; a guest who came by it is out."""
        entry = await self.gate.entry(visit)
        me = entry.needs("invite")
        name = await self._invitations.withdraw(entry.name, visit.request.path_params["invitation"])
        guest = entry.session.room.of(f"guest:{name}")
        if guest is not None and guest.is_here:
            await self.sessions.change(entry.session, lambda each, now: rooms.expel(each, guest.id, now))
        entry.audited("session-withdraw", f"{me.id} {name[:12]}")
        return Response(status_code=204, headers=NO_STORE)


MOST_STREAMS = 4
Make = Callable[[str, str, Json], Callable[[Room, float], Room]]


def _muting(*, is_muted: bool) -> Make:
    return lambda by, about, _body: lambda room, _now: rooms.mute(room, by, about, is_muted=is_muted)


def _assigning(by: str, about: str, body: Json) -> Callable[[Room, float], Room]:
    role: Role | str = text_member(body, "role")
    return lambda room, _now: rooms.assign(room, by, about, role)


def _showing(by: str, about: str, body: Json) -> Callable[[Room, float], Room]:
    mode = text_member(body, "mode")
    if mode not in MODES:
        raise Invalid(f"mode must be one of: {', '.join(MODES)}.", expression=("mode",))
    if by != about:
        raise Forbidden("Everybody decides for themselves whether they see pictures.")
    return lambda room, _now: rooms.show(room, about, mode)  # type: ignore[arg-type]


ACTIONS: Mapping[str, Make] = {
    "admit": lambda by, about, _body: lambda room, now: rooms.admit(room, by, about, now),
    "refuse": lambda by, about, _body: lambda room, now: rooms.remove(room, by, about, now),
    "remove": lambda by, about, _body: lambda room, now: rooms.remove(room, by, about, now),
    "mute": _muting(is_muted=True),
    "unmute": _muting(is_muted=False),
    "role": _assigning,
    "video": _showing,
}
"""What can be done about a participant, and what it makes of the room."""

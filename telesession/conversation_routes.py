"""Chat, files, figures of the network, the survey and shared review over HTTP (docs/reference/telesession.md)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import orjson
from starlette.responses import Response

from fhir_server.access.caller import LOCAL, Caller
from fhir_server.access.scope import NOTHING
from fhir_server.errors import Forbidden, Gone, Invalid, NotFound
from fhir_server.extension import Row, Visit
from fhir_server.repository.repository import Repository
from fhir_server.repository.sent import Sent
from fhir_server.repository.write import Write
from telesession import room as rooms
from telesession.admission import cleaned
from telesession.conversation import (
    LARGEST_FILE,
    binary,
    check_file,
    communication,
    document,
    media_type_of,
    message_json,
    survey,
    text_in,
)
from telesession.encounter import moment
from telesession.gate import Entry, Gate, body_of, owners_of, raw_of, text_member
from telesession.invitation import Invitations
from telesession.looking import Looking
from telesession.network import Line, figures_in
from telesession.rate import Rate
from telesession.review import By, apply, cursor
from telesession.room_routes import NO_STORE, SEE, SESSION, told
from telesession.session import Session

Json = dict[str, Any]

MOST_MESSAGES = 500
TALK = (*SEE, ("Communication", "c"))
FILE = (*SEE, ("DocumentReference", "c"))
ANSWER = (*SEE, ("QuestionnaireResponse", "c"))


class ConversationRoutes:
    """Answers the requests about what is said, shown and thought in a session."""

    def __init__(self, gate: Gate, invitations: Invitations, looking: Looking) -> None:
        self._gate = gate
        self._sessions = gate.sessions
        self._invitations = invitations
        self._looking = looking
        clock = self._sessions.clock
        self._talk = Rate(20, 1.0, clock)
        self._figures = Rate(10, 1.0, clock)
        self._gestures = Rate(100, 30.0, clock)
        self._lines: dict[tuple[str, str], Line] = {}

    def rows(self) -> tuple[Row, ...]:
        """The routes."""
        known = self._invitations.known
        return (
            Row("GET", f"{SESSION}/messages", self.messages, SEE, known),
            Row("POST", f"{SESSION}/messages", self.say, TALK, known),
            Row("POST", f"{SESSION}/files", self.give, FILE, known),
            Row("POST", f"{SESSION}/quality", self.measure, SEE, known),
            Row("GET", f"{SESSION}/quality", self.figures, SEE, known),
            Row("POST", f"{SESSION}/survey", self.judge, ANSWER, known),
            Row("GET", f"{SESSION}/review", self.review, SEE, known),
            Row("POST", f"{SESSION}/review", self.gesture, SEE, known),
        )

    async def messages(self, visit: Visit) -> Response:
        """What was said, in order."""
        entry = await self._gate.entry(visit)
        entry.inside()
        repository = self._sessions.node.repository
        asked = [("encounter", f"Encounter/{entry.name}"), ("_sort", "sent")]
        page = await repository.page(repository.query(("Communication",), asked).plan, MOST_MESSAGES)
        found = [orjson.loads(version.body or b"{}") for version in page.matches]
        return told({"messages": [message_json(each) for each in found if "payload" in each]})

    async def say(self, visit: Visit) -> Response:
        """Say something to all who are in."""
        entry = await self._gate.entry(visit)
        me = entry.inside()
        self._talk.needs(me.person.key)
        payload: Json = {"contentString": text_in(await body_of(visit))}
        made = await self._make(entry, communication(entry.encounter, me, payload, self._now()))
        entry.session.tell("chat", message_json(made) | {"by": me.id})
        return told(message_json(made), 201, {"Location": f"/fhir/Communication/{made['id']}"})

    async def give(self, visit: Visit) -> Response:
        """Give a file to all who are in; the body is the file, its type the header's, its name the query's `title`."""
        entry = await self._gate.entry(visit)
        me = entry.inside()
        self._talk.needs(me.person.key, 5)
        media_type = media_type_of(visit.request.headers.get("content-type"))
        data = await raw_of(visit, min(LARGEST_FILE, visit.node.settings.binary_bytes))
        check_file(media_type, data)
        title = cleaned(visit.request.query_params.get("title", "")) or media_type
        at = self._now()
        kept = await self._make(entry, binary(entry.encounter, media_type, data))
        attachment = {"contentType": media_type, "url": f"Binary/{kept['id']}", "size": len(data), "title": title}
        made = await self._make(entry, document(entry.encounter, me, "file", attachment, at))
        named = {"contentReference": {"reference": f"DocumentReference/{made['id']}", "display": title}}
        message = await self._make(entry, communication(entry.encounter, me, named, at))
        entry.session.tell("file", message_json(message) | {"by": me.id, "contentType": media_type})
        return told(message_json(message), 201, {"Location": f"/fhir/DocumentReference/{made['id']}"})

    async def measure(self, visit: Visit) -> Response:
        """Take in the figures of the caller's own network, and stop or bring back pictures by them."""
        entry = await self._gate.entry(visit)
        me = entry.inside()
        self._figures.needs(me.person.key)
        figures = figures_in(await body_of(visit))
        line = self._lines.setdefault((entry.name, me.id), Line())
        if len(self._lines) > MOST_LINES:
            self._lines.clear()
        self._sessions.measured(entry.session, me.id, figures)
        reason = line.judged(figures, self._sessions.clock())
        if reason is not None and reason != me.sound_only:
            await self._sessions.change(entry.session, lambda each, _now: rooms.darken(each, me.id, reason))
        return Response(status_code=204, headers=NO_STORE)

    async def figures(self, visit: Visit) -> Response:
        """The last figures of each participant."""
        entry = await self._gate.entry(visit)
        entry.inside()
        return told({"quality": list(entry.session.quality.values())})

    async def judge(self, visit: Visit) -> Response:
        """Take in what a participant thought, also after the end."""
        entry = await self._gate.entry(visit)
        me = entry.me
        if me is None or not me.stays:
            raise Forbidden("Who was in the session can say how it was.")
        self._talk.needs(me.person.key)
        made = await self._make(entry, survey(entry.encounter, me, await body_of(visit), self._now()))
        return told({"id": made["id"]}, 201, {"Location": f"/fhir/QuestionnaireResponse/{made['id']}"})

    async def review(self, visit: Visit) -> Response:
        """What is looked at, as far as the caller may see the study."""
        entry = await self._gate.entry(visit)
        entry.inside()
        review = entry.session.review
        if review.study and not await self._looking.sees(visit, review.study):
            return told(review.hidden())
        return told(review.told())

    async def gesture(self, visit: Visit) -> Response:
        """Take part in the review: an event makes its next state, or points at something."""
        entry = await self._gate.entry(visit)
        me = entry.inside()
        self._gestures.needs(me.person.key)
        event = await body_of(visit)
        session = entry.session
        may = rooms.RIGHTS[me.role] if me.state == "in-session" else frozenset()
        by = By(me.id, me.person.name, "present" in may, "moderate" in may)
        study = str(event.get("study")) if event.get("type") == "open" else session.review.study
        if event.get("type") not in ("present", "yield") and not await self._looking.sees(visit, study):
            raise NotFound("There is no such study for you to show or to point at.")
        if event.get("type") == "cursor":
            session.tell("cursor", cursor(session.review, by, event))
            return Response(status_code=204, headers=NO_STORE)
        if session.room.ended is not None:
            raise Gone("The session is over.")
        session.review = apply(session.review, by, event, self._gate.new_id())
        session.tell("review", {})
        if event.get("type") == "open":
            entry.audited("session-review", study)
        return told(session.review.told())

    async def keep_marks(self, session: Session) -> None:
        """Keep what was drawn in a session that ends: JSON in a Binary, with a DocumentReference."""
        if not session.review.marks:
            return
        version = await self._sessions.node.repository.read("Encounter", session.room.id)
        encounter, owners = orjson.loads(version.body or b"{}"), owners_of(version.label)
        data = orjson.dumps({"annotations": list(session.review.marks.values())})
        kept = await self._stored(owners, binary(encounter, "application/json", data))
        attachment = {"contentType": "application/json", "url": f"Binary/{kept['id']}", "size": len(data),
                      "title": "Annotations"}  # fmt: skip
        await self._stored(owners, document(encounter, None, "annotations", attachment, self._now()))

    async def _make(self, entry: Entry, body: Json) -> Json:
        """Store what somebody did in a session: it belongs to the facility that the session belongs to."""
        return await self._stored(entry.owners, body)

    async def _stored(self, owners: tuple[str, ...], body: Json) -> Json:
        repository = made_for(self._sessions.node.repository, owners)
        (saved,) = await repository.write([Write("POST", body["resourceType"], sent=Sent(body))])
        assert saved.version is not None
        return dict(orjson.loads(saved.version.body or b"{}"))

    def _now(self) -> str:
        return moment(self._sessions.clock())


MOST_LINES = 5_000


def made_for(repository: Repository, owners: tuple[str, ...]) -> Repository:
    """The resources as the server writes them for a facility."""
    return repository.as_(replace(LOCAL, organizations=owners))


def checked_name(body: Json) -> str:
    """The code in a body; raise Invalid for none."""
    code = text_member(body, "code")
    if not 0 < len(code) <= 64:
        raise Invalid("code must be the code of an invitation.", expression=("code",))
    return code


def address_of(visit: Visit) -> str:
    """Where a request comes from; a proxy that the operator named is believed."""
    address = visit.request.client.host if visit.request.client is not None else ""
    if address in visit.node.settings.proxies:
        return visit.request.headers.get("x-forwarded-for", "").rpartition(",")[2].strip()[:64] or address
    return address


STRANGER = Caller("guest", "stranger", NOTHING)


async def stranger(_header: str | None) -> Caller:
    """Whoever has no token yet."""
    return STRANGER


class GuestRoutes:
    """Answers who comes with the code of an invitation and has no account."""

    def __init__(self, invitations: Invitations) -> None:
        self._invitations = invitations

    def rows(self) -> tuple[Row, ...]:
        """The route, which asks nobody who they are: the code says it."""
        return (Row("POST", f"{SESSION}/guests", self.enter, (), stranger),)

    async def enter(self, visit: Visit) -> Response:
        """Give the guest's token for a code, once."""
        session = visit.request.path_params["session"]
        token, ticket = await self._invitations.take(session, checked_name(await body_of(visit)), address_of(visit))
        visit.audited("E", "session-guest", [f"Encounter/{session}"], text=f"{ticket.role} {ticket.invitation[:12]}")
        answer = {"token": token, "token_type": "Bearer", "expires": ticket.expires, "role": ticket.role,
                  "name": ticket.name or None}  # fmt: skip
        return told(answer, 201)

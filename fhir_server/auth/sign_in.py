"""Logging in: password, second factor, and what must be set up first (NIST SP 800-63B)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any, Literal

import segno
from starlette.responses import RedirectResponse, Response

from fhir_server.access.caller import SECOND_FACTOR
from fhir_server.auth.authority import Authority
from fhir_server.auth.event import Event, EventKind
from fhir_server.auth.page import WORDS, here, page
from fhir_server.auth.person import (
    Person,
    PersonError,
    as_typed,
    knows_password,
    new_totp,
    totp_step,
    totp_uri,
    with_password,
)
from fhir_server.auth.session import Session, Sessions, Visit, end_sessions
from fhir_server.auth.throttle import Subject
from fhir_server.errors import Throttled

Step = Literal["login", "second-factor", "password", "enrol"]

OWN_PAGES: dict[str, Step] = {"password": "password", "enrol": "enrol"}
"""The steps that somebody who is known can take too."""

SEE_OTHER = 303
TOO_MANY = 429
REFUSED = 400


class SignIn:
    """Leads a visit through the steps until it is known who visits; each step is a page, and what it posts."""

    def __init__(self, authority: Authority, sessions: Sessions) -> None:
        self._authority = authority
        self._server = authority.server
        self._sessions = sessions
        self._posted: dict[str, Callable[[Visit], Awaitable[str]]] = {
            "login": self._login,
            "second-factor": self._second_factor,
            "password": self._password,
            "enrol": self._enrol,
            "logout": self._logout,
        }

    async def person(self, visit: Visit) -> Person | None:
        """The person of a session that is good."""
        if visit.session is None:
            return None
        return await self._authority.run(self._server.query_person, visit.session.person)

    async def gate(self, visit: Visit, *, client: str = "", also: str = "", anew: bool = False) -> Response | Person:
        """Return the person who visits, or the page (or redirect) that comes before that is known.

        With `anew` an earlier log-in does not count.
        """
        problem = ""
        step = visit.field("step")
        if visit.request.method == "POST" and step in self._posted:
            problem = "login.stale" if not visit.is_ours else await self._posted[step](visit)
            if not problem:
                return RedirectResponse(without_prompt(here(visit.request)), SEE_OTHER)
        person = await self.person(visit)
        missing = self.missing(visit, person) if not anew else "login"
        if missing is None:
            assert person is not None, "nobody misses the log-in"
            return person if not problem else await self.shown(OWN_PAGES.get(step, "login"), visit, person, problem)
        return await self.shown(missing, visit, person, problem, client=client, also=also)

    def missing(self, visit: Visit, person: Person | None) -> Step | None:
        """The step that comes next, None when the visitor is known."""
        if visit.session is None or person is None:
            return "login"
        if visit.session.pending:
            return "second-factor"
        if person.must_change:
            return "password"
        if not person.totp and set(person.roles) & set(self._authority.settings.second_factor_roles):
            return "enrol"
        return None

    async def shown(
        self, step: Step, visit: Visit, person: Person | None, problem: str = "", *, client: str = "", also: str = ""
    ) -> Response:
        """Return the page of a step."""
        values: dict[str, Any] = {"problem": WORDS[problem][visit.language] if problem else ""}
        if step == "login":
            values |= {"client": client, "login": visit.field("login")[:64]}
        elif person is not None and step == "password":
            values |= {"must": person.must_change, "login": person.login, "own": not person.must_change}
        elif person is not None and step == "enrol":
            values |= {**await self._enrolment(visit, person), "own": self.missing(visit, person) is None}
        status = TOO_MANY if problem == "login.locked" else REFUSED if problem else 200
        return page(step, visit, status=status, also=also, **values)

    async def _login(self, visit: Visit) -> str:
        login = as_typed(visit.field("login")).strip().lower()[:64]
        counted: tuple[Subject, ...] = ("login", login), ("address", visit.address)
        if not await self._admitted(visit, login, counted):
            return "login.locked"
        person = await self._authority.run(self._server.query_person, login)
        if not await self._authority.run(knows_password, person, visit.field("password")) or person is None:
            await self._authority.run(self._server.throttle.failed, *counted)
            await self.tell(visit, "login-failed", login, succeeded=False)
            return "login.wrong"
        now = int(self._server.clock())
        await self._sessions.begin(visit, Session(person.login, now, pending=bool(person.totp)))
        if not person.totp:
            await self._authority.run(self._server.throttle.succeeded, counted[:1])
            await self.tell(visit, "login", login)
        return ""

    async def _second_factor(self, visit: Visit) -> str:
        person = await self.person(visit)
        if person is None or not person.totp:
            return "login.stale"
        counted: tuple[Subject, ...] = (("code", person.login), ("address", visit.address))
        if not await self._admitted(visit, person.login, counted):
            return "login.locked"
        step = totp_step(person.totp, visit.field("code"), self._server.clock(), person.totp_step)
        if step is None or not await self.change(person, totp_step=step):
            await self._authority.run(self._server.throttle.failed, *counted)
            await self.tell(visit, "login-failed", person.login, succeeded=False)
            return "factor.wrong"
        await self._authority.run(self._server.throttle.succeeded, (*counted[:1], ("login", person.login)))
        await self._sessions.change(visit, pending=False, assurance=SECOND_FACTOR)
        await self.tell(visit, "login", person.login)
        return ""

    async def _password(self, visit: Visit) -> str:
        person = await self.person(visit)
        if person is None or visit.session is None or visit.session.pending:
            return "login.stale"
        counted: tuple[Subject, ...] = ("login", person.login), ("address", visit.address)
        if not await self._admitted(visit, person.login, counted):
            return "login.locked"
        if not await self._authority.run(knows_password, person, visit.field("current")):
            await self._authority.run(self._server.throttle.failed, *counted)
            return "password.wrong"
        if as_typed(visit.field("new")) != as_typed(visit.field("again")):
            return "password.differ"
        if as_typed(visit.field("new")) == as_typed(visit.field("current")):
            return "password.same"
        try:
            changed = await self._authority.run(with_password, person, visit.field("new"))
        except PersonError as error:
            return str(error)
        if not await self.change(person, password=changed.password, must_change=False):
            return "login.stale"
        session = visit.session
        await self._authority.run(end_sessions, self._authority.records, person.login)
        visit.session = None
        await self._sessions.begin(visit, session)
        await self.tell(visit, "password", person.login)
        return ""

    async def _enrolment(self, visit: Visit, person: Person) -> Mapping[str, str]:
        assert visit.session is not None, "only somebody who is logged in sets up a second factor"
        if not visit.session.secret:
            await self._sessions.change(visit, secret=new_totp())
        secret = visit.session.secret
        picture = segno.make(totp_uri(person, secret, "Nhịp Cầu"), micro=False)
        grouped = " ".join(secret[at : at + 4] for at in range(0, len(secret), 4))
        return {"secret": grouped, "picture": picture.svg_data_uri(scale=4, border=3, dark="#17242d", light="#ffffff")}

    async def _enrol(self, visit: Visit) -> str:
        person = await self.person(visit)
        if person is None or visit.session is None or visit.session.pending or not visit.session.secret or person.totp:
            return "login.stale"
        step = totp_step(visit.session.secret, visit.field("code"), self._server.clock(), 0)
        if step is None or not await self.change(person, totp=visit.session.secret, totp_step=step):
            return "factor.wrong"
        await self._sessions.change(visit, secret="", assurance=SECOND_FACTOR)
        await self.tell(visit, "second-factor", person.login)
        return ""

    async def _logout(self, visit: Visit) -> str:
        if visit.session is not None:
            await self.tell(visit, "logout", visit.session.person)
        await self._sessions.end(visit)
        return ""

    async def _admitted(self, visit: Visit, login: str, counted: tuple[Subject, ...]) -> bool:
        try:
            await self._authority.run(self._server.throttle.admit, *counted)
        except Throttled:
            await self.tell(visit, "locked", login, succeeded=False)
            return False
        return True

    async def change(self, person: Person, **changed: Any) -> bool:
        """Change what is remembered of a person; False where it was changed otherwise meanwhile."""
        records = self._authority.records
        record = await self._authority.run(records.read, "person", person.login)
        if record is None or record.body != _listed(person.as_json()):
            return False
        body = replace(person, **changed).as_json()
        return await self._authority.run(records.change, "person", person.login, body, record.revision)

    async def tell(
        self, visit: Visit, kind: EventKind, subject: str, client: str = "", *, succeeded: bool = True
    ) -> None:
        """Tell what happened at this visit."""
        port = visit.request.client.port if visit.request.client else 0
        await self._authority.tell(Event(kind, subject, client, visit.address, port, succeeded=succeeded))


def _listed(body: dict[str, Any]) -> dict[str, Any]:
    return {name: list(value) if isinstance(value, tuple) else value for name, value in body.items()}


def without_prompt(url: str) -> str:
    """Return a URL without the wish to log in anew, which was fulfilled."""
    path, _, query = url.partition("?")
    kept = "&".join(each for each in query.split("&") if not each.startswith(("prompt=login", "max_age=")))
    return f"{path}?{kept}" if kept else path

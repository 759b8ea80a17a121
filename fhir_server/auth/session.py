"""A browser at our pages: who is logged in there, in which language, and what keeps others from posting for it."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from starlette.requests import Request
from starlette.responses import Response

from fhir_server.access.caller import PASSWORD
from fhir_server.auth.authority import Authority
from fhir_server.auth.client import digest
from fhir_server.store.records import Records

Language = Literal["vi", "en"]

LANGUAGE_COOKIE = "nhipcau_language"
SECONDS_OF_LANGUAGE = 365 * 86_400


@dataclass(frozen=True, slots=True)
class Session:
    """Who gave a password at our pages, and when; `pending` while the second factor is still asked for.

    `secret` is a second factor that is being set up and was not confirmed yet.
    """

    person: str
    at: int
    assurance: int = PASSWORD
    pending: bool = False
    secret: str = ""


@dataclass(slots=True)
class Visit:
    """A browser's request with what it sent along: its cookie, its session if that is good, its form."""

    request: Request
    cookie: str
    session: Session | None
    revision: int
    language: Language
    form: Mapping[str, list[str]]
    address: str

    @property
    def token(self) -> str:
        """What a form of our pages sends back: made of the cookie, which other sites cannot read."""
        return hmac.new(self.cookie.encode(), b"form", hashlib.sha256).hexdigest()

    @property
    def is_ours(self) -> bool:
        """Whether what was posted comes from a form of our pages."""
        sent = self.field("token")
        site = self.request.headers.get("sec-fetch-site", "same-origin")
        return (
            site in ("same-origin", "none")
            and bool(sent)
            and secrets.compare_digest(sent.encode(), self.token.encode())
        )

    def field(self, name: str) -> str:
        """The value of a field of the form, empty where it has none."""
        return (self.form.get(name) or [""])[0]


class Sessions:
    """Begins, reads and ends sessions; the cookie is a random text, of which the digest alone is remembered."""

    def __init__(self, authority: Authority) -> None:
        self._authority = authority
        self._records = authority.records
        self._clock = authority.server.clock
        self._seconds = authority.settings.session_minutes * 60
        self.name = "__Host-nhipcau" if authority.is_secure else "nhipcau"

    async def visit(self, request: Request, form: Mapping[str, list[str]], address: str) -> Visit:
        """Return the visit that a request is of."""
        cookie = request.cookies.get(self.name, "")
        session, revision = None, 0
        if len(cookie) == 43:
            record = await self._authority.run(self._records.read, "session", digest(cookie))
            if record is not None and record.expires > self._clock():
                session, revision = Session(**record.body), record.revision
        else:
            cookie = secrets.token_urlsafe(32)
        return Visit(request, cookie, session, revision, language_of(request), form, address)

    async def begin(self, visit: Visit, session: Session) -> None:
        """Log somebody in, under a new cookie, so that one that was planted before is worth nothing."""
        await self.end(visit)
        visit.cookie, visit.session, visit.revision = secrets.token_urlsafe(32), session, 1
        expires = int(self._clock()) + self._seconds
        await self._authority.run(self._records.add, "session", digest(visit.cookie), asdict(session), expires)

    async def change(self, visit: Visit, **changed: Any) -> bool:
        """Change the session; False where another request did so before."""
        assert visit.session is not None, "only somebody who is logged in changes a session"
        session = replace(visit.session, **changed)
        done = await self._authority.run(
            self._records.change, "session", digest(visit.cookie), asdict(session), visit.revision
        )
        if done:
            visit.session, visit.revision = session, visit.revision + 1
        return done

    async def end(self, visit: Visit) -> None:
        """Log out."""
        if visit.session is not None:
            await self._authority.run(self._records.change, "session", digest(visit.cookie), None, visit.revision)
            visit.session = None

    def put(self, visit: Visit, answer: Response) -> Response:
        """Give the browser its cookies back."""
        secure = self._authority.is_secure
        answer.set_cookie(self.name, visit.cookie, path="/", secure=secure, httponly=True, samesite="lax")
        answer.set_cookie(
            LANGUAGE_COOKIE, visit.language, SECONDS_OF_LANGUAGE, path="/auth", secure=secure, samesite="lax"
        )
        return answer


def end_sessions(records: Records, login: str) -> None:
    """Log a person out everywhere."""
    for name, record in records.listed("session"):
        if record.body["person"] == login:
            records.change("session", name, None, record.revision)


def language_of(request: Request) -> Language:
    """The language that a browser wants: chosen on the page, said by the program, chosen before, or its own."""
    wishes = (
        request.query_params.get("lang"),
        request.query_params.get("ui_locales"),
        request.cookies.get(LANGUAGE_COOKIE),
        request.headers.get("accept-language"),
    )
    for wish in wishes:
        for word in (wish or "").replace(",", " ").replace(";", " ").split():
            if word.lower().startswith("vi"):
                return "vi"
            if word.lower().startswith("en"):
                return "en"
    return "vi"

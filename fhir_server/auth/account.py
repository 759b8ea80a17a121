"""A person's own pages: which programs were allowed what, and the way back; password and second factor."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs
from zoneinfo import ZoneInfo

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from fhir_server.access.scope import parse_scopes
from fhir_server.auth.authority import Authority
from fhir_server.auth.consent import sentence
from fhir_server.auth.endpoints import address_of, body_of
from fhir_server.auth.page import WORDS, page
from fhir_server.auth.person import Person
from fhir_server.auth.session import Sessions, Visit
from fhir_server.auth.sign_in import SEE_OTHER, SignIn, Step

ACCOUNT = "/auth/account"
STEPS: dict[str, Step] = {"/auth/password": "password", "/auth/second-factor": "enrol"}


class Account:
    """Answers the pages of an account."""

    def __init__(self, authority: Authority, sessions: Sessions, sign_in: SignIn) -> None:
        self._authority = authority
        self._sessions = sessions
        self._sign_in = sign_in

    async def __call__(self, request: Request) -> Response:
        """Answer one request."""
        body = await body_of(request) if request.method == "POST" else b""
        form = parse_qs(body.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=100)
        visit = await self._sessions.visit(request, form, address_of(request, self._authority))
        step = STEPS.get(request.url.path)
        found = await self._sign_in.gate(visit)
        if isinstance(found, Response):
            # What was asked for on a page of its own is done: back to the account.
            done = found.status_code == SEE_OTHER and visit.field("step") == step
            answer: Response = RedirectResponse(f"{ACCOUNT}?done={step}", SEE_OTHER) if done else found
        elif step == "password" or (step == "enrol" and not found.totp):
            answer = await self._sign_in.shown(step, visit, found)
        elif visit.field("step") == "withdraw" and visit.is_ours:
            await self._withdraw(visit, found)
            answer = RedirectResponse(f"{ACCOUNT}?done=withdraw", SEE_OTHER)
        else:
            answer = await self._shown(visit, found)
        return self._sessions.put(visit, answer)

    async def _withdraw(self, visit: Visit, person: Person) -> None:
        name = visit.field("grant")
        record = await self._authority.run(self._authority.records.read, "grant", name)
        if record is not None and record.body["person"] == person.login:
            await self._authority.run(self._authority.server.tokens.revoke_grant, name)
            await self._sign_in.tell(visit, "revoked", person.login, record.body["client"])

    async def _shown(self, visit: Visit, person: Person) -> Response:
        done = {"password": "password.done", "withdraw": "account.withdrawn", "enrol": "account.factor-on"}
        key = done.get(visit.request.query_params.get("done", ""))
        return page(
            "account",
            visit,
            person=person.name,
            login=person.login,
            roles=[WORDS[f"role.{role}"][visit.language] for role in person.roles],
            factor=bool(person.totp),
            grants=await self._authority.run(self._grants, visit, person.login),
            done=WORDS[key][visit.language] if key else "",
        )

    def _grants(self, visit: Visit, login: str) -> list[dict[str, Any]]:
        zone = ZoneInfo(self._authority.settings.time_zone)
        found = []
        for name, record in self._authority.records.listed("grant"):
            if record.body["person"] != login:
                continue
            client = self._authority.server.query_client(record.body["client"])
            made = datetime.fromtimestamp(record.body["made"], UTC).astimezone(zone)
            since = WORDS["account.since"][visit.language].format(date=made.strftime("%d/%m/%Y %H:%M"))
            resources = parse_scopes(record.body["scope"]).resources
            texts = [sentence(each, visit.language) for each in resources]
            found.append({"id": name, "client": client.name if client else "?", "since": since, "texts": texts})
        return found

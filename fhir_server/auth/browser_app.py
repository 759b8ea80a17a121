"""The server's own app in a browser: a public client at the same origin, and how somebody leaves it."""

from __future__ import annotations

from dataclasses import replace

from starlette.requests import Request
from starlette.responses import Response

from fhir_server.auth.authority import Authority
from fhir_server.auth.client import Client, client_of
from fhir_server.auth.endpoints import NO_STORE, address_of
from fhir_server.auth.session import Sessions
from fhir_server.auth.sign_in import SignIn
from fhir_server.auth.tokens import BadToken
from fhir_server.store.records import Records

APP = Client(
    id="nhipcau-app",
    name="Nhịp Cầu",
    method="none",
    scope="openid fhirUser profile launch online_access user/*.cruds",
    trusted=True,
)
"""It belongs to the server: people are not asked whether they agree to what it may do."""
BACK = "/login/back"


def register_app(records: Records, root: str) -> None:
    """Register the app, to be sent back to this root; an operator who disabled it stays heeded."""
    app = replace(APP, redirect_uris=(f"{root}{BACK}",))
    while not records.add("client", app.id, app.as_json()):
        record = records.read("client", app.id)
        if record is None:
            continue
        wanted = replace(app, disabled=client_of(record.body).disabled)
        if client_of(record.body) == wanted or records.change("client", app.id, wanted.as_json(), record.revision):
            return


class LogOut:
    """Ends what a token was given with, and the session of the same person in the same browser.

    The token proves that the app itself asks: no other site can send it along.
    """

    def __init__(self, authority: Authority, sessions: Sessions, sign_in: SignIn) -> None:
        self._authority = authority
        self._sessions = sessions
        self._sign_in = sign_in

    async def __call__(self, request: Request) -> Response:
        """Answer 204, or 401 where the token is none that is good."""
        _, _, token = request.headers.get("authorization", "").partition(" ")
        tokens = self._authority.server.tokens
        try:
            known = await self._authority.run(tokens.known, token)
        except BadToken:
            return Response(status_code=401, headers={**NO_STORE, "www-authenticate": 'Bearer error="invalid_token"'})
        await self._authority.run(tokens.revoke_grant, known.record.body["grant"])
        visit = await self._sessions.visit(request, {}, address_of(request, self._authority))
        if visit.session is not None and known.person is not None and visit.session.person == known.person.login:
            await self._sign_in.tell(visit, "logout", visit.session.person, known.client.id)
            await self._sessions.end(visit)
        return self._sessions.put(visit, Response(status_code=204, headers=NO_STORE))

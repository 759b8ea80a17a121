"""The table of the URLs below `/auth`: what programs call, and the pages of people."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.routing import Route as Page

from fhir_server.auth.account import ACCOUNT, STEPS, Account
from fhir_server.auth.authenticator import TokenAuthenticator
from fhir_server.auth.authority import Authority
from fhir_server.auth.authorize import Authorize
from fhir_server.auth.browser_app import LogOut
from fhir_server.auth.endpoints import Endpoints
from fhir_server.auth.page import style
from fhir_server.auth.session import Sessions
from fhir_server.auth.sign_in import SignIn


def routes(authority: Authority, authenticator: TokenAuthenticator) -> Sequence[Page]:
    """Return the rows of the table."""
    sessions = Sessions(authority)
    sign_in = SignIn(authority, sessions)
    methods = ["GET", "POST"]
    account = Account(authority, sessions, sign_in)
    return [
        *Endpoints(authority, authenticator).routes(),
        Page("/auth/authorize", Authorize(authority, sessions, sign_in).__call__, methods=methods),
        Page("/auth/logout", LogOut(authority, sessions, sign_in).__call__, methods=["POST"]),
        *(Page(path, account.__call__, methods=methods) for path in (ACCOUNT, *STEPS)),
        Page("/auth/pages.css", style),
    ]

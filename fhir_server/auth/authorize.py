"""The authorization endpoint: a person logs in, chooses a patient, decides, and is sent back with a code (SMART)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlsplit

from authlib.common.urls import add_params_to_uri
from authlib.oauth2.rfc6749 import InvalidRequestError, OAuth2Error
from authlib.oidc.core.errors import InteractionRequiredError, LoginRequiredError
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from fhir_server.access.caller import Caller
from fhir_server.access.scope import Scopes
from fhir_server.auth.asked import FORM, Asked, pairs_of, tellable
from fhir_server.auth.authority import Authority
from fhir_server.auth.client import Client, digest
from fhir_server.auth.consent import ticked, ticks_of
from fhir_server.auth.context import (
    Choice,
    encounters_of,
    eyes_of,
    has_encounter,
    own_patient,
    patient_of,
    patients_like,
)
from fhir_server.auth.endpoints import address_of, body_of
from fhir_server.auth.page import WORDS, page
from fhir_server.auth.person import Person
from fhir_server.auth.session import Sessions, Visit
from fhir_server.auth.sign_in import SEE_OTHER, SignIn
from fhir_server.auth.tokens import Grant
from fhir_server.store.records import Record

FOUND = 302
NO_ENCOUNTER = "-"
LONGEST_STATE = 2_000


@dataclass(slots=True)
class Flow:
    """One request for a code on its way: what is asked, by whom, and what was chosen so far."""

    visit: Visit
    asked: Asked
    grant: Any
    person: Person
    caller: Caller
    scopes: Scopes
    also: str
    launch: Record | None = None
    patient: Choice | None = None
    encounter: str = ""

    @property
    def client(self) -> Client:
        """The program that asks."""
        client: Client = self.asked.client
        return client


class Authorize:
    """Answers the authorization endpoint."""

    def __init__(self, authority: Authority, sessions: Sessions, sign_in: SignIn) -> None:
        self._authority = authority
        self._server = authority.server
        self._sessions = sessions
        self._sign_in = sign_in

    async def __call__(self, request: Request) -> Response:
        """Answer one request."""
        body = await body_of(request) if request.method == "POST" else b""
        text = body.decode("utf-8", "replace")
        if request.method == "POST" and not request.url.query:
            # A program that posts its request (authorize-post): the URL is the state from here on.
            is_form = request.headers.get("content-type", "").startswith(FORM)
            return RedirectResponse(f"{request.url.path}?{tellable(text) if is_form else ''}", SEE_OTHER)
        form = parse_qs(text, keep_blank_values=True, max_num_fields=500)
        visit = await self._sessions.visit(request, form, address_of(request, self._authority))
        try:
            answer = await self._answered(visit)
        except OAuth2Error as error:
            answer = self.refused(visit, error)
        answer.headers.update({"Cache-Control": "no-store", "Pragma": "no-cache", "Referrer-Policy": "no-referrer"})
        return self._sessions.put(visit, answer)

    def refused(self, visit: Visit, error: OAuth2Error) -> Response:
        """Send a failure back to the program, or show it where it is not known where the program is."""
        if not error.redirect_uri:
            text = WORDS["failed.request"][visit.language]
            return page(
                "failed", visit, status=400, text=text, detail=f"{error.error}: {error.get_error_description()}"
            )
        told = [*error.get_body(), ("iss", self._server.issuer)]
        return RedirectResponse(add_params_to_uri(error.redirect_uri, told), FOUND)

    async def _answered(self, visit: Visit) -> Response:
        pairs = [pair for pair in pairs_of(visit.request.url.query) if pair[0] != "lang"]
        asked = Asked("GET", str(visit.request.url), pairs, {}, visit.address)
        if len(asked.payload.state or "") > LONGEST_STATE:
            raise InvalidRequestError("state is too long.")
        grant = await self._authority.run(self._server.get_consent_grant, asked)
        back, data = grant.redirect_uri, asked.payload.data
        also = (
            f"{urlsplit(back).scheme}:"
            if not urlsplit(back).netloc
            else "{0.scheme}://{0.netloc}".format(urlsplit(back))
        )
        try:
            prompts = data.get("prompt", "").split()
            found = await self._who(visit, asked, prompts, also)
            if isinstance(found, Response):
                return found
            assert visit.session is not None, "the gate lets only those with a session through"
            caller = eyes_of(found, visit.session, asked.client.id)
            flow = Flow(visit, asked, grant, found, caller, asked.allowed, also)
            answer = await self._context(flow) or await self._consent(flow)
            if "none" in prompts and answer.status_code != FOUND:
                raise InteractionRequiredError
        except OAuth2Error as error:
            error.redirect_uri, error.state = back, asked.payload.state
            raise
        return answer

    async def _who(self, visit: Visit, asked: Asked, prompts: list[str], also: str) -> Response | Person:
        posted = visit.field("step") in ("find", "choose", "consent")
        if "none" in prompts:
            person = await self._sign_in.person(visit)
            if person is None or self._sign_in.missing(visit, person):
                raise LoginRequiredError
            return person
        found = await self._sign_in.gate(
            visit, client=asked.client.name, also=also, anew=not posted and self._is_stale(visit, asked, prompts)
        )
        if posted and not isinstance(found, Response) and not visit.is_ours:
            return await self._sign_in.shown("login", visit, None, "login.stale", client=asked.client.name, also=also)
        return found

    def _is_stale(self, visit: Visit, asked: Asked, prompts: list[str]) -> bool:
        if visit.session is None or visit.session.pending:
            return False
        oldest = asked.payload.data.get("max_age", "")
        age = self._server.clock() - visit.session.at
        return "login" in prompts or (oldest.isdigit() and age > int(oldest[:9]))

    async def _context(self, flow: Flow) -> Response | None:
        """Fill in patient and encounter; return the page that asks for them where it must be asked."""
        visit, language = flow.visit, flow.visit.language
        launched = await self._launch(flow)
        if not self._needs_patient(flow) and not launched.get("patient"):
            return None
        ask, chosen = self._authority.ask, visit.field("patient")
        name = launched.get("patient") or await own_patient(ask, flow.caller) or chosen
        flow.patient = await patient_of(ask, flow.caller, name, language) if name else None
        if flow.patient is None:
            return await self._patient_page(flow, gone=bool(name))
        return await self._encounter(flow, launched, flow.patient.id)

    async def _launch(self, flow: Flow) -> dict[str, str]:
        given = flow.asked.payload.data.get("launch")
        if "launch" not in flow.scopes.plain or not given:
            return {}
        record = await self._authority.run(self._authority.records.read, "launch", digest(given))
        if record is None or record.expires <= self._server.clock() or record.body["person"] != flow.person.login:
            raise InvalidRequestError("launch is unknown, used, or was made for somebody else.")
        flow.launch = record
        return record.body

    def _needs_patient(self, flow: Flow) -> bool:
        plain = flow.scopes.plain
        return (
            any(each.context == "patient" for each in flow.scopes.resources)
            or "launch/patient" in plain
            or "launch/encounter" in plain
        )

    async def _patient_page(self, flow: Flow, *, gone: bool) -> Response:
        visit, language = flow.visit, flow.visit.language
        text = visit.field("find")[:100] if visit.field("step") == "find" else ""
        found = await patients_like(self._authority.ask, flow.caller, text, language) if text else None
        problem = WORDS["patient.gone"][language] if gone else ""
        return page("patient", visit, also=flow.also, client=flow.client.name, problem=problem, find=text, found=found)

    async def _encounter(self, flow: Flow, launched: dict[str, str], patient: str) -> Response | None:
        ask, chosen = self._authority.ask, launched.get("encounter") or flow.visit.field("encounter")
        if launched.get("encounter") or ("launch/encounter" in flow.scopes.plain and chosen not in ("", NO_ENCOUNTER)):
            if not await has_encounter(ask, flow.caller, patient, chosen):
                raise InvalidRequestError("The encounter is not this patient's.")
            flow.encounter = chosen
        elif "launch/encounter" in flow.scopes.plain and not chosen:
            found = await encounters_of(ask, flow.caller, patient, flow.visit.language)
            return page("encounter", flow.visit, also=flow.also, client=flow.client.name, patient=patient, found=found)
        return None

    async def _consent(self, flow: Flow) -> Response:
        visit = flow.visit
        if flow.client.trusted:
            return await self._finished(flow, flow.scopes)
        if visit.field("step") == "consent":
            if visit.field("answer") == "no":
                await self._sign_in.tell(visit, "refused", flow.person.login, flow.client.id)
                return await self._finished(flow, None)
            chosen = ticked(flow.scopes, visit.form.get("scope", ()))
            if chosen.resources or "openid" in chosen.plain:
                return await self._finished(flow, chosen)
            return self._consent_page(flow, "consent.empty")
        return self._consent_page(flow)

    def _consent_page(self, flow: Flow, problem: str = "") -> Response:
        language = flow.visit.language
        fields = {"patient": flow.patient.id if flow.patient else "", "encounter": flow.encounter or NO_ENCOUNTER}
        return page(
            "consent",
            flow.visit,
            status=400 if problem else 200,
            also=flow.also,
            client=flow.client.name,
            person=flow.person.name,
            patient=flow.patient,
            groups=ticks_of(flow.scopes, language),
            fields=fields,
            account=f"{self._server.issuer}/account",
            problem=WORDS[problem][language] if problem else "",
        )

    async def _finished(self, flow: Flow, granted: Scopes | None) -> Response:
        """Send the person back, with a code or with their refusal."""
        given = None
        if granted is not None:
            await self._use_launch(flow)
            assert flow.visit.session is not None, "whoever decides is logged in"
            given = Grant(
                client=flow.client.id,
                person=flow.person.login,
                scope=granted.text,
                made=int(self._server.clock()),
                authenticated_at=flow.visit.session.at,
                assurance=flow.visit.session.assurance,
                patient=flow.patient.id if flow.patient else "",
                encounter=flow.encounter,
                nonce=flow.asked.payload.data.get("nonce", "")[:500],
                intent=str(flow.launch.body.get("intent", "")) if flow.launch else "",
            )
            await self._sign_in.tell(flow.visit, "consent", flow.person.login, flow.client.id)
        create = self._server.create_authorization_response
        _, _, headers = await self._authority.run(create, flow.asked, given, flow.grant)
        location = dict(headers)["Location"]
        return RedirectResponse(add_params_to_uri(location, [("iss", self._server.issuer)]), FOUND)

    async def _use_launch(self, flow: Flow) -> None:
        if flow.launch is None:
            return
        name = digest(flow.asked.payload.data["launch"])
        used = await self._authority.run(self._authority.records.change, "launch", name, None, flow.launch.revision)
        if not used:
            raise InvalidRequestError("launch was used before.")

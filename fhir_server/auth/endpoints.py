"""The endpoints that programs call: tokens, introspection, revocation, keys, user information, launch contexts."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import orjson
from authlib.oauth2.rfc6749 import OAuth2Error
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route as Page

from fhir_server.access.caller import Caller
from fhir_server.auth.asked import LONGEST_FORM, Asked, form_of
from fhir_server.auth.authenticator import TokenAuthenticator
from fhir_server.auth.authority import Authority
from fhir_server.auth.authorization_server import Answered
from fhir_server.auth.client import digest
from fhir_server.auth.discovery import openid_configuration
from fhir_server.auth.event import Event
from fhir_server.auth.openid import user_claims
from fhir_server.auth.registration import Refused, registered
from fhir_server.auth.throttle import Subject
from fhir_server.errors import FhirError, Throttled
from fhir_server.rest.cors import Cors
from fhir_server.rest.exchange import Exchange
from fhir_server.rest.failure import BadToken, NoToken, ScopeMissing
from fhir_server.rest.web import FhirResponse

NO_STORE = {"cache-control": "no-store", "pragma": "no-cache"}
SECONDS_OF_LAUNCH = 300
RETRY_SECONDS = "60"
WRONG_METHOD = 405

Endpoint = Callable[[Request], Awaitable[Response]]


class Endpoints:
    """Answers what programs ask of the authorization server, as JSON that nobody keeps."""

    def __init__(self, authority: Authority, authenticator: TokenAuthenticator) -> None:
        self._authority = authority
        self._server = authority.server
        self._authenticator = authenticator
        self._cors = Cors(authority.settings.cors_origins, authority.allows_origin)

    def routes(self) -> Sequence[Page]:
        """The rows of these endpoints."""
        table: list[tuple[str, Endpoint]] = [
            ("/auth/token", self.token),
            ("/auth/introspect", self.introspect),
            ("/auth/revoke", self.revoke),
            ("/auth/register", self.register),
            ("/auth/launch", self.launch),
            ("/auth/userinfo", self.userinfo),
            ("/auth/jwks", self.jwks),
            ("/auth/.well-known/openid-configuration", self.openid),
        ]
        methods = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
        return [Page(path, self._called(endpoint), methods=methods) for path, endpoint in table]

    def _called(self, endpoint: Endpoint) -> Endpoint:
        async def call(request: Request) -> Response:
            asked = Exchange(request.method, (), headers=dict(request.scope["headers"]))
            if request.method == "OPTIONS":
                preflight = self._cors.preflight(asked)
                answer = Response(status_code=preflight.status)
                answer.raw_headers.extend(preflight.headers)
            else:
                answer = await self._answered(endpoint, request)
            self._cors.allow(asked, answer.raw_headers)
            return answer

        return call

    async def _answered(self, endpoint: Endpoint, request: Request) -> Response:
        try:
            return await endpoint(request)
        except OAuth2Error as error:
            return json_answer(error.status_code, dict(error.get_body()), error.get_headers())
        except Throttled as failure:
            answer = json_answer(429, {"error": "slow_down", "error_description": str(failure)})
            answer.headers["retry-after"] = RETRY_SECONDS
            return answer
        except (NoToken, BadToken, ScopeMissing) as failure:
            status = 403 if isinstance(failure, ScopeMissing) else 401
            answer = FhirResponse(failure.operation_outcome(), status, {**NO_STORE})
            answer.headers["www-authenticate"] = failure.challenge
            return answer
        except FhirError as failure:
            return FhirResponse(failure.operation_outcome(), 400, {**NO_STORE})
        except ClientDisconnect:
            return Response(status_code=400)

    async def token(self, request: Request) -> Response:
        """Give tokens (RFC 6749, 3.2)."""
        asked = await self._asked(request)
        status, body, headers = await self._authority.run(self._server.create_token_response, asked)
        client = asked.client.id if asked.client is not None else str(asked.payload.client_id or "")[:100]
        succeeded = status == 200
        kind, subject = (
            ("token", str(asked.user.login if asked.user else client)) if succeeded else ("token-refused", "")
        )
        await self._tell(request, kind, subject, client, body, succeeded=succeeded)
        return json_answer(status, body, headers)

    async def introspect(self, request: Request) -> Response:
        """Tell whether a token is good (RFC 7662)."""
        return json_answer(*await self._at_endpoint("introspection", await self._asked(request)))

    async def revoke(self, request: Request) -> Response:
        """End a token (RFC 7009)."""
        asked = await self._asked(request)
        status, body, headers = await self._at_endpoint("revocation", asked)
        if status == 200:
            await self._tell(request, "revoked", "", asked.client.id, {}, succeeded=True)
        return json_answer(status, body, headers)

    async def _at_endpoint(self, name: str, asked: Asked) -> Answered:
        answered: Answered = await self._authority.run(self._server.create_endpoint_response, name, asked)
        return answered

    async def register(self, request: Request) -> Response:
        """Register a program (RFC 7591)."""
        if not self._authority.settings.client_registration:
            return json_answer(
                404, {"error": "invalid_request", "error_description": "The operator registers clients."}
            )
        if request.method != "POST":
            return json_answer(WRONG_METHOD, {"error": "invalid_request"}, [("allow", "POST")])
        address: Subject = ("address", address_of(request, self._authority))
        await self._authority.run(self._server.throttle.admit, address)
        await self._authority.run(self._server.throttle.failed, address)
        try:
            metadata = orjson.loads(await body_of(request))
            client, told = await self._authority.run(registered, metadata, self._server.documents.outbound)
        except orjson.JSONDecodeError:
            return json_answer(400, {"error": "invalid_client_metadata", "error_description": "Send a JSON object."})
        except Refused as refused:
            return json_answer(400, {"error": refused.error, "error_description": str(refused)})
        await self._authority.run(self._server.records.add, "client", client.id, client.as_json())
        await self._tell(request, "registered", "", client.id, {}, succeeded=True)
        return json_answer(201, told)

    async def launch(self, request: Request) -> Response:
        """Keep the context that a program is about to be launched with (SMART App Launch 2.2, EHR launch)."""
        caller = await self._caller(request)
        if request.method != "POST":
            return json_answer(WRONG_METHOD, {"error": "invalid_request"}, [("allow", "POST")])
        if caller.kind != "person" or "launch" not in caller.scopes.plain:
            raise ScopeMissing("A person's program with the scope launch starts others.", "launch")
        try:
            sent = orjson.loads(await body_of(request))
            context = {name: str(sent[name]) for name in ("patient", "encounter", "intent") if sent.get(name)}
        except (orjson.JSONDecodeError, TypeError, AttributeError):
            return json_answer(
                400, {"error": "invalid_request", "error_description": "Send patient, encounter, intent."}
            )
        if refused := await self._unseen(caller, context):
            return json_answer(400, {"error": "invalid_request", "error_description": refused})
        name = secrets.token_urlsafe(24)
        expires = int(self._server.clock()) + SECONDS_OF_LAUNCH
        body = {"person": caller.subject, **context}
        await self._authority.run(self._server.records.add, "launch", digest(name), body, expires)
        return json_answer(201, {"launch": name, "iss": self._server.base, "expires_in": SECONDS_OF_LAUNCH})

    async def _unseen(self, caller: Caller, context: dict[str, str]) -> str:
        for kind, name in (("Patient", "patient"), ("Encounter", "encounter")):
            if name in context:
                status, _ = await self._authority.ask(caller, f"{kind}/{context[name]}")
                if status != 200:
                    return f"There is no such {kind} for you."
        return ""

    async def userinfo(self, request: Request) -> Response:
        """Tell who agreed (OpenID Connect Core 1.0, 5.3)."""
        caller = await self._caller(request)
        person = await self._authority.run(self._server.query_person, caller.subject)
        if "openid" not in caller.scopes.plain or person is None:
            raise ScopeMissing("This takes the scope openid.", "openid")
        return json_answer(200, user_claims(self._server.base, person, caller.scopes.text))

    async def jwks(self, request: Request) -> Response:
        """The public keys that id tokens are checked with (RFC 7517)."""
        keys = await self._authority.run(self._server.keys.published)
        return Response(
            orjson.dumps(keys), media_type="application/jwk-set+json", headers={"cache-control": "public, max-age=300"}
        )

    async def openid(self, request: Request) -> Response:
        """Tell where everything is (OpenID Connect Discovery 1.0)."""
        registers = self._authority.settings.client_registration
        return json_answer(200, openid_configuration(self._server.addresses, registers=registers))

    async def _asked(self, request: Request) -> Asked:
        media_type = request.headers.get("content-type", "")
        pairs = form_of(request.method, media_type, await body_of(request), request.scope["query_string"])
        address = address_of(request, self._authority)
        return Asked("POST", str(request.url), pairs, dict(request.headers), address)

    async def _caller(self, request: Request) -> Caller:
        return await self._authenticator.authenticate(request.headers.get("authorization"))

    async def _tell(
        self, request: Request, kind: Any, subject: str, client: str, body: Any, *, succeeded: bool
    ) -> None:
        text = str(body.get("error", "")) if isinstance(body, dict) else ""
        address, port = address_of(request, self._authority), request.client.port if request.client else 0
        await self._authority.tell(Event(kind, subject, client, address, port, text, succeeded))


def json_answer(status: int, body: Any, headers: Sequence[tuple[str, str]] = ()) -> Response:
    """Return a JSON answer that nobody keeps."""
    kept = {name: value for name, value in headers if name.lower() not in ("content-type", "cache-control", "pragma")}
    return Response(orjson.dumps(body), status, {**kept, **NO_STORE}, "application/json")


async def body_of(request: Request) -> bytes:
    """Return the body of a request; raise OAuth2Error for one that is too long."""
    body = b""
    async for piece in request.stream():
        body += piece
        if len(body) > LONGEST_FORM:
            raise OAuth2Error("The body is too long.", status_code=413, error="invalid_request")
    return body


def address_of(request: Request, authority: Authority) -> str:
    """Return where a request comes from; a proxy that the operator named is believed."""
    address = request.client.host if request.client else ""
    if address in authority.settings.proxies:
        forwarded = request.headers.get("x-forwarded-for", "")
        return forwarded.rpartition(",")[2].strip()[:64] or address
    return address

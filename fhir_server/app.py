"""The HTTP service, composed: its routes, what they share, and the page to try it (FHIR R4, 3.1.0 RESTful API)."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from importlib import resources

from fastapi import FastAPI
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from fhir_server.definitions.registry import Definitions
from fhir_server.errors import FhirError, Issue, NotFound, operation_outcome
from fhir_server.formats import receive
from fhir_server.operations.validate import answer
from fhir_server.resource.parsing import Limits
from fhir_server.rest import FhirResponse, failed, read_body, refused, refused_by_framework
from fhir_server.settings import Settings
from fhir_server.validation.validator import Validator

PAGE = resources.files("fhir_server").joinpath("start_page")
PAGE_FILES = {
    "/": ("index.html", "text/html"),
    "/start_page.css": ("start_page.css", "text/css"),
    "/start_page.js": ("start_page.js", "text/javascript"),
}
PAGE_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; img-src data:; frame-ancestors 'none'; base-uri 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


@dataclass(frozen=True, slots=True)
class Service:
    """What the routes share: definitions, the validator at full depth, and the limits of what is read."""

    definitions: Definitions
    validator: Validator
    limits: Limits
    body_bytes: int

    async def validate(self, request: Request) -> Response:
        """Answer $validate, on the type in the URL where there is one."""
        expected = request.path_params.get("type")
        if expected is not None and expected not in self.definitions.resource_types:
            raise NotFound(f"R4 has no resource type {expected}.")
        raw = await read_body(request, self.body_bytes)
        profiles = request.query_params.getlist("profile")
        issues = await run_in_threadpool(self._issues, raw, profiles, expected)
        return FhirResponse(operation_outcome(issues))

    def _issues(self, raw: bytes, profiles: Sequence[str], expected: str | None) -> tuple[Issue, ...]:
        return answer(self.validator, receive(raw, self.definitions, self.limits), profiles, expected)


async def health() -> dict[str, str]:
    """Answer that the service is ready; it starts to listen only when it is."""
    return {"status": "ok"}


def page(name: str, media_type: str) -> Callable[[Request], Awaitable[Response]]:
    """Return the endpoint of one file of the start page."""
    content = PAGE.joinpath(name).read_bytes()

    async def endpoint(_request: Request) -> Response:
        return Response(content, media_type=media_type, headers=PAGE_HEADERS)

    return endpoint


def limits_of(settings: Settings) -> Limits:
    """Return the limits of one body."""
    return Limits(settings.json_depth, settings.json_keys, settings.string_characters)


def application(definitions: Definitions, settings: Settings) -> FastAPI:
    """Return the service over these definitions, ready to answer."""
    service = Service(definitions, Validator(definitions, depth="full"), limits_of(settings), settings.body_bytes)
    routes: list[BaseRoute] = [
        Route("/fhir/$validate", service.validate, methods=["POST"]),
        Route("/fhir/{type}/$validate", service.validate, methods=["POST"]),
        *(Route(path, page(*file)) for path, file in PAGE_FILES.items()),
    ]
    composed = FastAPI(title="Nhịp Cầu", routes=routes, docs_url=None, redoc_url=None)
    composed.add_api_route("/health", health)
    for kind, handler in ((FhirError, refused), (HTTPException, refused_by_framework), (Exception, failed)):
        composed.add_exception_handler(kind, handler)
    return composed

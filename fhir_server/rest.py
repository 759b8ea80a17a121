"""The rim of HTTP: bodies in, resources and refusals out, and the status of each kind of failure (FHIR R4, 3.1.0)."""

import logging
from http import HTTPStatus
from typing import Any

import orjson
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from fhir_server.errors import (
    Conflict,
    FhirError,
    Forbidden,
    Gone,
    Invalid,
    Issue,
    MultipleMatches,
    NotFound,
    PreconditionFailed,
    Throttled,
    TooCostly,
    TooLarge,
    Unauthorized,
    Unprocessable,
    Unsupported,
    operation_outcome,
)

STATUS: dict[type[FhirError], HTTPStatus] = {
    FhirError: HTTPStatus.INTERNAL_SERVER_ERROR,
    Invalid: HTTPStatus.BAD_REQUEST,
    TooLarge: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    Unprocessable: HTTPStatus.UNPROCESSABLE_ENTITY,
    Unauthorized: HTTPStatus.UNAUTHORIZED,
    Forbidden: HTTPStatus.FORBIDDEN,
    NotFound: HTTPStatus.NOT_FOUND,
    Gone: HTTPStatus.GONE,
    Conflict: HTTPStatus.CONFLICT,
    PreconditionFailed: HTTPStatus.PRECONDITION_FAILED,
    MultipleMatches: HTTPStatus.PRECONDITION_FAILED,
    Unsupported: HTTPStatus.NOT_IMPLEMENTED,
    Throttled: HTTPStatus.TOO_MANY_REQUESTS,
    TooCostly: HTTPStatus.UNPROCESSABLE_ENTITY,
}

# The issue-type of what the web framework itself refuses.
CODE_OF_STATUS = {404: "not-found", 405: "not-supported"}

log = logging.getLogger(__name__)


class FhirResponse(Response):
    """A resource as FHIR JSON."""

    media_type = "application/fhir+json"

    def render(self, content: Any) -> bytes:
        """Return the JSON text of the resource."""
        return orjson.dumps(content)


async def read_body(request: Request, limit: int) -> bytes:
    """Return the body of a request; raise TooLarge as soon as it passes the limit, before it is kept."""
    chunks: list[bytes] = []
    length = 0
    async for chunk in request.stream():
        length += len(chunk)
        if length > limit:
            raise TooLarge(f"The body is longer than {limit} bytes.")
        chunks.append(chunk)
    return b"".join(chunks)


def status_of(failure: FhirError) -> HTTPStatus:
    """Return the status of a failure: that of its kind, or of the nearest wider kind that has one."""
    return next(STATUS[kind] for kind in type(failure).__mro__ if kind in STATUS)


async def refused(_request: Request, failure: Exception) -> Response:
    """Answer a failure with its OperationOutcome and the status of its kind."""
    assert isinstance(failure, FhirError)
    return FhirResponse(failure.operation_outcome(), status_of(failure))


async def refused_by_framework(_request: Request, failure: Exception) -> Response:
    """Answer what no route takes, as an OperationOutcome."""
    assert isinstance(failure, HTTPException)
    issue = Issue("error", CODE_OF_STATUS.get(failure.status_code, "processing"), f"{failure.detail}.")
    return FhirResponse(operation_outcome([issue]), failure.status_code, failure.headers)


async def failed(request: Request, failure: Exception) -> Response:
    """Answer a fault of the server itself without telling its inside, which goes to the log."""
    log.error("%s %s failed", request.method, request.url.path, exc_info=failure)
    issue = Issue("fatal", "exception", "The server failed; the fault is in its log.")
    return FhirResponse(operation_outcome([issue]), HTTPStatus.INTERNAL_SERVER_ERROR)

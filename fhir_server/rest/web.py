"""Answers of the routes that are not FHIR's, where the web framework is at work (OpenAPI, pages, health)."""

from __future__ import annotations

import logging

import orjson
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from fhir_server.errors import Issue, operation_outcome

# The issue-type of what the web framework itself refuses.
CODE_OF_STATUS = {404: "not-found", 405: "not-supported"}

log = logging.getLogger(__name__)


class FhirResponse(Response):
    """A resource as FHIR JSON."""

    media_type = "application/fhir+json"

    def render(self, content: object) -> bytes:
        """Return the JSON text of the resource."""
        return orjson.dumps(content)


async def refused_by_framework(_request: Request, failure: Exception) -> Response:
    """Answer what no route takes, as an OperationOutcome."""
    assert isinstance(failure, HTTPException)
    issue = Issue("error", CODE_OF_STATUS.get(failure.status_code, "processing"), f"{failure.detail}.")
    return FhirResponse(operation_outcome([issue]), failure.status_code, failure.headers)


async def failed(request: Request, failure: Exception) -> Response:
    """Answer a fault of the server itself without telling its inside, which goes to the log."""
    log.error("%s %s failed", request.method, request.url.path, exc_info=failure)
    issue = Issue("fatal", "exception", "The server failed; the fault is in its log.")
    return FhirResponse(operation_outcome([issue]), 500)

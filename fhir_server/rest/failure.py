"""What a failure is in HTTP: the status of each kind, and the kinds that only HTTP knows (FHIR R4, 3.1.0.1.4)."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from http import HTTPStatus

from fhir_server.errors import (
    Conflict,
    FhirError,
    Forbidden,
    Gone,
    Invalid,
    InvalidValue,
    MultipleMatches,
    NoStore,
    NotFound,
    PreconditionFailed,
    Throttled,
    TooComplex,
    TooCostly,
    TooLarge,
    Unauthorized,
    Unavailable,
    Unchanging,
    Unprocessable,
    Unsupported,
)


class NotAcceptable(FhirError):
    """The client asks for a format that this server does not write."""

    code = "not-supported"


class UnknownMediaType(FhirError):
    """The body is in a format, or compressed in a way, that this server does not read."""

    code = "not-supported"


class MethodNotAllowed(FhirError):
    """The URL is known, and the method is none of those that it takes."""

    code = "not-supported"

    def __init__(self, text: str, allowed: tuple[str, ...]) -> None:
        """Say what the URL does take."""
        super().__init__(text)
        self.allowed = allowed


class UrlTooLong(TooLarge):
    """The URL passes its limit."""


class HeadersTooLong(TooLarge):
    """The headers pass their limit."""


class NoToken(Unauthorized):
    """Nobody said who is asking."""

    challenge = 'Bearer realm="FHIR"'


class BadToken(Unauthorized):
    """The token opens nothing: it was never given, has expired, or was revoked."""

    challenge = 'Bearer realm="FHIR", error="invalid_token"'


class ScopeMissing(Forbidden):
    """The token is good, and was not given for this (RFC 6750, 3.1)."""

    def __init__(self, text: str, scope: str) -> None:
        """Say which scope it takes."""
        super().__init__(text)
        self.challenge = f'Bearer realm="FHIR", error="insufficient_scope", scope="{scope}"'


class TooSlow(FhirError):
    """The body did not come in time."""

    code = "timeout"


STATUS: dict[type[FhirError], HTTPStatus] = {
    FhirError: HTTPStatus.INTERNAL_SERVER_ERROR,
    Invalid: HTTPStatus.BAD_REQUEST,
    InvalidValue: HTTPStatus.BAD_REQUEST,
    TooLarge: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    TooComplex: HTTPStatus.BAD_REQUEST,
    UrlTooLong: HTTPStatus.REQUEST_URI_TOO_LONG,
    HeadersTooLong: HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
    Unprocessable: HTTPStatus.UNPROCESSABLE_ENTITY,
    Unauthorized: HTTPStatus.UNAUTHORIZED,
    NoToken: HTTPStatus.UNAUTHORIZED,
    BadToken: HTTPStatus.UNAUTHORIZED,
    Forbidden: HTTPStatus.FORBIDDEN,
    ScopeMissing: HTTPStatus.FORBIDDEN,
    NotFound: HTTPStatus.NOT_FOUND,
    Gone: HTTPStatus.GONE,
    Conflict: HTTPStatus.CONFLICT,
    PreconditionFailed: HTTPStatus.PRECONDITION_FAILED,
    MultipleMatches: HTTPStatus.PRECONDITION_FAILED,
    Unchanging: HTTPStatus.METHOD_NOT_ALLOWED,
    MethodNotAllowed: HTTPStatus.METHOD_NOT_ALLOWED,
    NotAcceptable: HTTPStatus.NOT_ACCEPTABLE,
    UnknownMediaType: HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    TooSlow: HTTPStatus.REQUEST_TIMEOUT,
    Unsupported: HTTPStatus.BAD_REQUEST,
    NoStore: HTTPStatus.INSUFFICIENT_STORAGE,
    Unavailable: HTTPStatus.SERVICE_UNAVAILABLE,
    Throttled: HTTPStatus.TOO_MANY_REQUESTS,
    TooCostly: HTTPStatus.UNPROCESSABLE_ENTITY,
}


SECONDS_TO_RETRY = 1
"""When a client may try again what failed for what the server stands on."""


def status_of(failure: FhirError) -> HTTPStatus:
    """Return the status of a failure: that of its kind, or of the nearest wider kind that has one."""
    return next(STATUS[kind] for kind in type(failure).__mro__ if kind in STATUS)


def nearest(name: str, known: Iterable[str]) -> str:
    """Return a sentence that names what was perhaps meant, empty when nothing is near."""
    near = get_close_matches(name, known, n=1, cutoff=0.5)
    return f" Did you mean {near[0]}?" if near else ""

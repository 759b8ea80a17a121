"""A request to the authorization server as Authlib reads it, made of bytes without a web framework (RFC 6749)."""

from __future__ import annotations

import base64
import binascii
import re
from collections import defaultdict
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, unquote_plus

from authlib.oauth2.rfc6749 import InvalidRequestError, OAuth2Request
from authlib.oauth2.rfc6749.requests import OAuth2Payload

FORM = "application/x-www-form-urlencoded"
MOST_FIELDS = 100
PLAIN_FIELDS = frozenset(
    "aud client_id code code_challenge code_challenge_method code_verifier grant_type redirect_uri refresh_token "
    "response_type scope token token_type_hint client_assertion_type client_assertion".split()
)
"""What has only the characters that OAuth2 allows (RFC 6749, appendix A); Authlib fails when it tells others back."""
IS_PLAIN = re.compile(r"[ !#-\[\]-~]*").fullmatch
LONGEST_FORM = 100_000


class Parameters(OAuth2Payload):
    """Names and values; of a name that comes several times, the first value and all of them."""

    def __init__(self, pairs: list[tuple[str, str]]) -> None:
        self._data: dict[str, str] = {}
        self._datalist: defaultdict[str, list[str]] = defaultdict(list)
        for name, value in pairs:
            self._data.setdefault(name, value)
            self._datalist[name].append(value)

    @property
    def data(self) -> dict[str, str]:
        """The first value of each name."""
        return self._data

    @property
    def datalist(self) -> defaultdict[str, list[str]]:
        """All values of each name."""
        return self._datalist


class Asked(OAuth2Request):
    """A request to an endpoint: `address` is where it comes from; Authlib fills in `client`, `user` and others."""

    client: Any
    user: Any
    grant: str

    def __init__(
        self, method: str, uri: str, pairs: list[tuple[str, str]], headers: Mapping[str, str], address: str = ""
    ) -> None:
        # Authlib asks for https, which the proxy before us may speak; it reads nothing else from the address.
        super().__init__(
            method, f"https{uri[uri.index(':') :]}", headers={"Authorization": headers.get("authorization")}
        )
        self.payload = Parameters(pairs)
        self.address = address
        self.grant = ""

    @property
    def args(self) -> dict[str, str]:
        """The parameters, by their other name."""
        return self.payload.data

    @property
    def form(self) -> dict[str, str]:
        """The parameters, by their other name."""
        return self.payload.data


def pairs_of(text: str) -> list[tuple[str, str]]:
    """Return names and values of a query or form; raise InvalidRequestError for what is none."""
    try:
        pairs = parse_qsl(
            text, keep_blank_values=True, strict_parsing=bool(text), errors="strict", max_num_fields=MOST_FIELDS
        )
    except ValueError as error:
        raise InvalidRequestError("The parameters cannot be read.") from error
    for name, value in pairs:
        if name in PLAIN_FIELDS and IS_PLAIN(value) is None:
            raise InvalidRequestError(f"{name} has characters that it cannot have.")
    return pairs


def tellable(text: object) -> str:
    """Return a text with the characters alone that an error description may have (RFC 6749, 5.2)."""
    return "".join(each if IS_PLAIN(each) else "?" for each in str(text))[:400]


def form_of(method: str, media_type: str, body: bytes, query: bytes) -> list[tuple[str, str]]:
    """Return the fields of a form that was posted; raise InvalidRequestError for anything else (RFC 6749, 3.2)."""
    if method != "POST" or media_type.partition(";")[0].strip().lower() != FORM:
        raise InvalidRequestError(f"Send a form by POST, as {FORM}.")
    if query:
        raise InvalidRequestError("Parameters in the URL would stand in logs: send them in the form.")
    try:
        pairs = pairs_of(body.decode("ascii"))
    except UnicodeDecodeError as error:
        raise InvalidRequestError("The form is not percent-encoded.") from error
    names = [name for name, _ in pairs]
    if len(names) != len(set(names)):
        raise InvalidRequestError("A parameter comes more than once.")
    return [(name, value) for name, value in pairs if value]


def basic_of(header: str | None) -> tuple[str, str] | None:
    """Return the id and secret of a client from its header; None where it has no such header (RFC 6749, 2.3.1)."""
    scheme, _, rest = (header or "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        name, _, secret = base64.b64decode(rest.strip(), validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return "", ""
    return unquote_plus(name), unquote_plus(secret)

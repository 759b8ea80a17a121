"""What a province sends to the ministry: MeasureReports by PUT, and a manifest of rows by $bulk-submit.

It speaks as SMART Backend Services do (private_key_jwt), to the one host that is set. Everything here blocks.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

import httpx
import orjson
from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey

from fhir_server.errors import Unavailable
from fhir_server.national.measure_report import Json
from fhir_server.part import Part
from fhir_server.settings import Settings

ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
SCOPE = "system/*.cud"
SECONDS = 30.0
SECONDS_VALID = 240
FHIR = "application/fhir+json"
TAKEN = (200, 201)


class Checking(Protocol):
    """Says where a URL leads."""

    def check(self, url: str) -> tuple[str, int, str]:
        """Return host, port and the address to connect to; raise Unprocessable for what must not be asked."""
        ...


OUTBOUND: Part[Callable[[Iterable[str]], Checking]] = Part("fhir_server.auth.outbound:Outbound")


class Dispatch:
    """The way to the ministry; whatever keeps it from answering is Unavailable, and it is sent again later."""

    def __init__(self, settings: Settings) -> None:
        self._base = settings.ministry.rstrip("/")
        self._client, self._key_file = settings.ministry_client, settings.ministry_key
        self._outbound = OUTBOUND.load()(settings.outbound_hosts)
        self._token = ""

    def report(self, body: Json) -> None:
        """Send a MeasureReport; raise Unavailable where it was not taken."""
        self._send("PUT", f"{self._base}/MeasureReport/{body['id']}", body)

    def submit(self, submitter: str, name: str, manifest: str, base: str, replaces: str) -> None:
        """Say where a manifest of rows is, in the place of a former one; raise Unavailable."""
        given: dict[str, Any] = {
            "submitter": {"valueIdentifier": {"value": submitter}},
            "submissionId": {"valueString": name},
            "manifestUrl": {"valueUrl": manifest},
            "fhirBaseUrl": {"valueUrl": base},
        }
        if replaces:
            given["replacesManifestUrl"] = {"valueUrl": replaces}
        listed = [{"name": key, **value} for key, value in given.items()]
        self._send("POST", f"{self._base}/$bulk-submit", {"resourceType": "Parameters", "parameter": listed})

    def _send(self, method: str, url: str, body: Json) -> None:
        headers = {"content-type": FHIR, "accept": FHIR}
        if self._client:
            headers["authorization"] = f"Bearer {self._bearer()}"
        answer = self._asked(method, url, headers, orjson.dumps(body))
        if answer.status_code not in TAKEN:
            self._token = ""
            raise Unavailable(f"The ministry's node answers {answer.status_code}: {answer.text[:300]}")

    def _bearer(self) -> str:
        if self._token:
            return self._token
        told = self._asked("GET", f"{self._base}/.well-known/smart-configuration", {"accept": "application/json"})
        url = str(_object(told).get("token_endpoint", ""))
        if urlsplit(url)[:2] != urlsplit(self._base)[:2]:
            raise Unavailable("The ministry's node has its tokens elsewhere, which is not allowed.")
        form = {
            "grant_type": "client_credentials", "scope": SCOPE, "client_assertion_type": ASSERTION,
            "client_assertion": self._assertion(url),
        }  # fmt: skip
        content = str(httpx.QueryParams(form)).encode()
        answer = self._asked("POST", url, {"content-type": "application/x-www-form-urlencoded"}, content)
        token = _object(answer).get("access_token")
        if not isinstance(token, str):
            raise Unavailable(f"The ministry's node gives no token: {answer.status_code}")
        self._token = token
        return token

    def _assertion(self, url: str) -> str:
        raw = json.loads(Path(self._key_file).read_text())
        key = RSAKey.import_key(raw) if raw.get("kty") == "RSA" else ECKey.import_key(raw)
        algorithm = "RS384" if raw.get("kty") == "RSA" else "ES384"
        claims = {"iss": self._client, "sub": self._client, "aud": url, "exp": int(time.time()) + SECONDS_VALID,
                  "jti": secrets.token_hex(16)}  # fmt: skip
        return jwt.encode({"alg": algorithm, "kid": key.kid, "typ": "JWT"}, claims, key, algorithms=[algorithm])

    def _asked(self, method: str, url: str, headers: dict[str, str], content: bytes | None = None) -> httpx.Response:
        host, port, address = self._outbound.check(url)
        parts = urlsplit(url)
        pinned = f"{parts.scheme}://{f'[{address}]' if ':' in address else address}:{port}{parts.path}"
        request = httpx.Request(
            method, pinned, content=content, headers={**headers, "host": parts.netloc},
            extensions={"sni_hostname": host, "timeout": httpx.Timeout(SECONDS).as_dict()},
        )  # fmt: skip
        try:
            with httpx.Client(trust_env=False, follow_redirects=False) as client:
                return client.send(request)
        except httpx.HTTPError as error:
            raise Unavailable(f"The ministry's node does not answer: {type(error).__name__}") from error


def _object(answer: httpx.Response) -> Json:
    try:
        found = orjson.loads(answer.content or b"{}")
    except orjson.JSONDecodeError:
        return {}
    return found if isinstance(found, dict) else {}

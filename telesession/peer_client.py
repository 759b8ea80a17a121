"""Another node, asked over FHIR as SMART Backend Services do (SMART App Launch 2.2, client-confidential-asymmetric)."""

from __future__ import annotations

import json
import secrets
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import orjson
from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey

from fhir_server.errors import Unavailable

SECONDS = 15.0
SECONDS_VALID = 240
SECONDS_SPARE = 30
MOST_BYTES = 50_000_000
SCOPE = "system/*.cruds"
ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
ALGORITHMS = {"EC": "ES384", "RSA": "RS384"}
FHIR = "application/fhir+json"


class PeerClient:
    """One node of the allowed ones. Whatever keeps it from answering is Unavailable: it is asked again later."""

    def __init__(self, base: str, client_id: str, key_file: str) -> None:
        self.base = base.rstrip("/")
        self._client_id = client_id
        self._key_file = key_file
        self._http = httpx.AsyncClient(timeout=SECONDS, follow_redirects=False, trust_env=False)
        self._token, self._good_until = "", 0.0

    async def ask(self, method: str, path: str, body: Any = None) -> tuple[int, dict[str, Any]]:
        """The status of an answer, and the resource in it; raise Unavailable."""
        headers = {"accept": FHIR, "content-type": FHIR}
        if self._client_id:
            headers["authorization"] = f"Bearer {await self._bearer()}"
        content = None if body is None else orjson.dumps(body)
        url = f"{self.base}/{path}" if path else self.base
        answer = await self._send(method, url, content=content, headers=headers)
        if answer.status_code == 401:
            self._good_until = 0.0
        if answer.status_code in (401, 429) or answer.status_code >= 500:
            raise Unavailable(f"The node {self.base} answers {answer.status_code}.")
        return answer.status_code, _object(answer)

    async def close(self) -> None:
        """Let go of connections."""
        await self._http.aclose()

    async def _bearer(self) -> str:
        if time.monotonic() < self._good_until:
            return self._token
        told = _object(await self._send("GET", f"{self.base}/.well-known/smart-configuration"))
        url = str(told.get("token_endpoint", ""))
        if urlsplit(url)[:2] != urlsplit(self.base)[:2]:
            # The key signs for the allowed host alone, wherever a document points.
            raise Unavailable(f"The node {self.base} has its tokens elsewhere, which is not allowed.")
        form = {
            "grant_type": "client_credentials",
            "scope": SCOPE,
            "client_assertion_type": ASSERTION,
            "client_assertion": self._assertion(url),
        }
        answer = await self._send("POST", url, data=form)
        given = _object(answer)
        if answer.status_code != 200 or not isinstance(given.get("access_token"), str):
            raise Unavailable(f"The node {self.base} gives no token: {str(given.get('error_description'))[:200]}")
        self._token = given["access_token"]
        self._good_until = time.monotonic() + max(0, int(given.get("expires_in", 60)) - SECONDS_SPARE)
        return self._token

    def _assertion(self, url: str) -> str:
        raw = json.loads(Path(self._key_file).read_text())
        key = RSAKey.import_key(raw) if raw.get("kty") == "RSA" else ECKey.import_key(raw)
        algorithm = ALGORITHMS[str(raw.get("kty"))]
        claims = {
            "iss": self._client_id,
            "sub": self._client_id,
            "aud": url,
            "exp": int(time.time()) + SECONDS_VALID,
            "jti": secrets.token_hex(16),
        }
        return jwt.encode({"alg": algorithm, "kid": key.kid, "typ": "JWT"}, claims, key, algorithms=[algorithm])

    async def _send(self, method: str, url: str, **more: Any) -> httpx.Response:
        try:
            answer = await self._http.request(method, url, **more)
        except httpx.HTTPError as failure:
            raise Unavailable(f"The node {self.base} does not answer: {type(failure).__name__}.") from failure
        if len(answer.content) > MOST_BYTES:
            raise Unavailable(f"The node {self.base} answers more than is taken.")
        return answer


def _object(answer: httpx.Response) -> dict[str, Any]:
    try:
        found = orjson.loads(answer.content or b"{}")
    except orjson.JSONDecodeError:
        return {}
    return found if isinstance(found, dict) else {}

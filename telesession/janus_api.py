"""One Janus process by its HTTP API: requests, their answers, and what it tells by itself (long polls)."""

from __future__ import annotations

import asyncio
import hmac
from base64 import b64encode
from collections.abc import Callable
from contextlib import suppress
from hashlib import sha1
from secrets import token_hex
from typing import Any

import httpx

from fhir_server.errors import FhirError, Unavailable, Unprocessable

PLUGIN = "janus.plugin.videoroom"
SECONDS_OF_TOKEN = 3600
SECONDS_TO_ANSWER = 5.0
SECONDS_OF_POLL = 40.0
LIMITS = httpx.Limits(max_connections=200, max_keepalive_connections=20)

Json = dict[str, Any]


class Refused(Unprocessable):
    """Janus refused; `number` is its error code."""

    def __init__(self, text: str, number: int) -> None:
        """Say what it said."""
        super().__init__(text)
        self.number = number


class JanusProcess:
    """A Janus, by the URL of its API. `told` is called with each event, `lost` once when it no longer answers."""

    def __init__(
        self, url: str, secret: str, clock: Callable[[], float], told: Callable[[Json], None], lost: Callable[[], None]
    ) -> None:
        self.url = url.rstrip("/")
        self._secret = secret
        self._clock = clock
        self._told = told
        self._lost = lost
        self._http = httpx.AsyncClient(timeout=SECONDS_TO_ANSWER, limits=LIMITS, trust_env=False)
        self._session: int | None = None
        self._lock = asyncio.Lock()
        self._waiting: dict[str, asyncio.Future[Json]] = {}
        self._polling: asyncio.Task[None] | None = None

    async def attach(self) -> int:
        """A new handle of VideoRoom; raise Unavailable where this Janus does not answer."""
        await self._open()
        answer = await self._call(f"/{self._session}", {"janus": "attach", "plugin": PLUGIN})
        return int(answer["data"]["id"])

    async def detach(self, handle: int) -> None:
        """End a handle; one that is not there any more has ended."""
        with suppress(FhirError):
            await self._call(f"/{self._session}/{handle}", {"janus": "detach"})

    async def request(self, handle: int, body: Json, jsep: Json | None = None) -> tuple[Json, Json | None]:
        """What the plug-in answers, and its SDP where it has one; raise Refused or Unavailable."""
        message = {"janus": "message", "body": body} | ({} if jsep is None else {"jsep": jsep})
        transaction = token_hex(8)
        waiting = self._waiting[transaction] = asyncio.get_running_loop().create_future()
        try:
            answer = await self._call(f"/{self._session}/{handle}", message, transaction)
            if answer["janus"] == "ack":
                async with asyncio.timeout(SECONDS_TO_ANSWER):
                    answer = await waiting
        except TimeoutError as failure:
            raise Unavailable("Janus did not answer in time.") from failure
        finally:
            self._waiting.pop(transaction, None)
        data: Json = answer.get("plugindata", {}).get("data", {})
        if "error" in data:
            raise Refused(f"Janus refuses: {data['error']}", int(data.get("error_code", 0)))
        return data, answer.get("jsep")

    async def trickle(self, handle: int, candidates: list[Json]) -> None:
        """Bring candidates of the other side."""
        await self._call(f"/{self._session}/{handle}", {"janus": "trickle", "candidates": candidates})

    async def close(self) -> None:
        """End the session, with all its handles."""
        if self._polling is not None:
            self._polling.cancel()
            await asyncio.gather(self._polling, return_exceptions=True)
        if self._session is not None:
            with suppress(FhirError):
                await self._call(f"/{self._session}", {"janus": "destroy"})
        self._session = None
        await self._http.aclose()

    async def _open(self) -> None:
        async with self._lock:
            if self._session is None:
                answer = await self._call("", {"janus": "create"})
                self._session = int(answer["data"]["id"])
                self._polling = asyncio.create_task(self._poll(self._session))

    async def _call(self, path: str, message: Json, transaction: str | None = None) -> Json:
        body = message | {"transaction": transaction or token_hex(8)} | self._token()
        try:
            answer: Json = (await self._http.post(self.url + path, json=body)).json()
        except (httpx.HTTPError, ValueError) as failure:
            raise Unavailable("The engine of media does not answer: try again.") from failure
        if answer.get("janus") == "error":
            error = answer["error"]
            if error["code"] in (403, 458, 459):
                raise Unavailable(f"Janus does not let this server in, or has forgotten it: {error['reason']}")
            raise Refused(f"Janus refuses: {error['reason']}", int(error["code"]))
        return answer

    def _token(self) -> Json:
        """Janus' signed token: who, until when (its setting `token_auth_secret`)."""
        if not self._secret:
            return {}
        said = f"{int(self._clock()) + SECONDS_OF_TOKEN},janus,{PLUGIN}"
        return {"token": f"{said}:{b64encode(hmac.digest(self._secret.encode(), said.encode(), sha1)).decode()}"}

    async def _poll(self, session: int) -> None:
        """Take events as long as this Janus lives."""
        try:
            while True:
                answer = await self._http.get(
                    f"{self.url}/{session}", params={"maxev": 20, **self._token()}, timeout=SECONDS_OF_POLL
                )
                answer.raise_for_status()
                events = answer.json()
                for event in events if isinstance(events, list) else [events]:
                    if event.get("janus") == "error":
                        return
                    self._take(event)
        except (httpx.HTTPError, ValueError):
            return
        finally:
            if self._session == session:
                self._session = None
                self._lost()

    def _take(self, event: Json) -> None:
        waiting = self._waiting.get(event.get("transaction", ""))
        if waiting is not None and not waiting.done():
            waiting.set_result(event)
        elif event.get("janus") != "keepalive":
            self._told(event)

"""What the bridge asks of Orthanc's REST API, each request with a deadline (Orthanc Book, "REST API of Orthanc").

The client's own headers never reach Orthanc: one `Accept` can end it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit, urlunsplit

import httpx

from dicom_bridge.archive import TOO_LARGE, UNREADABLE, Refused
from fhir_server.errors import Unavailable

CONNECT_SECONDS = 2.0
ANSWER_SECONDS = 60.0
PIECE_BYTES = 256 * 1024
CONNECTIONS = 8
CHANGES_AT_ONCE = 500
AWAY = "The archive of images (Orthanc) does not answer now. What it acknowledged is kept; send the same again soon."
LOCKED = "The archive of images (Orthanc) does not know this server: its user and password must be put right."


@dataclass(frozen=True, slots=True)
class Uploaded:
    """What Orthanc calls an instance; `is_new` is False where it had one of these UIDs and patient already."""

    name: str
    is_new: bool


@dataclass(frozen=True, slots=True)
class News:
    """The names of instances that came, in their order, how far that is, and whether there is more."""

    instances: tuple[str, ...]
    last: int
    is_all: bool


@dataclass(frozen=True, slots=True)
class Account:
    """Where an Orthanc is, and who asks it."""

    url: str
    user: str
    password: str

    @classmethod
    def of(cls, address: str) -> Account:
        """Return the account that a URL names: http://user:password@host:8042."""
        parts = urlsplit(address)
        host = parts.netloc.rpartition("@")[2]
        url = urlunsplit((parts.scheme, host, parts.path.rstrip("/"), "", ""))
        return cls(url, unquote(parts.username or ""), unquote(parts.password or ""))


class Orthanc:
    """One Orthanc. Every call raises Unavailable where it does not answer in time, or fails."""

    def __init__(self, account: Account) -> None:
        self._client = httpx.AsyncClient(
            base_url=account.url,
            auth=(account.user, account.password) if account.user else None,
            timeout=httpx.Timeout(ANSWER_SECONDS, connect=CONNECT_SECONDS),
            limits=httpx.Limits(max_connections=CONNECTIONS),
            trust_env=False,
        )

    async def upload(self, path: Path, size: int) -> Uploaded:
        """Give it a file; raise Refused where Orthanc cannot take it."""
        headers = {"content-length": str(size), "content-type": "application/dicom"}
        async with self._asked("POST", "/instances", content=pieces(path), headers=headers) as answer:
            if answer.status_code in (400, 404, 415):
                raise Refused(UNREADABLE, f"Orthanc cannot read it: {_reason(answer)}.")
            if answer.status_code == 413:
                raise Refused(TOO_LARGE, "It is longer than Orthanc takes.")
            told = _json(answer)
        if told.get("Status") not in ("Success", "AlreadyStored"):
            raise Refused(UNREADABLE, f"Orthanc does not keep it: {str(told.get('Status'))[:60]}.")
        return Uploaded(told["ID"], told["Status"] == "Success")

    async def md5(self, name: str) -> str:
        """The MD5 of an instance's file; empty where there is none."""
        async with self._asked("GET", f"/instances/{name}/attachments/dicom/md5") as answer:
            return "" if answer.status_code == 404 else _checked(answer).text.strip()

    @asynccontextmanager
    async def file(self, name: str) -> AsyncIterator[AsyncIterator[bytes] | None]:
        """The file of an instance, piece by piece; None where there is none."""
        try:
            async with self._client.stream("GET", f"/instances/{name}/file") as answer:
                if answer.status_code not in (200, 404):
                    await answer.aread()
                    _checked(answer)
                yield None if answer.status_code == 404 else answer.aiter_bytes(PIECE_BYTES)
        except httpx.HTTPError as failure:
            raise Unavailable(AWAY) from failure

    async def remove(self, name: str) -> None:
        """Take an instance out of Orthanc."""
        async with self._asked("DELETE", f"/instances/{name}") as answer:
            if answer.status_code != 404:
                _checked(answer)

    async def news(self, since: int) -> News:
        """The instances that came after a number of Orthanc's order of changes."""
        address = f"/changes?since={since}&limit={CHANGES_AT_ONCE}"
        async with self._asked("GET", address) as answer:
            told = _json(answer)
        came = [each["ID"] for each in told["Changes"] if each["ChangeType"] == "NewInstance"]
        return News(tuple(dict.fromkeys(came)), int(told["Last"]), bool(told["Done"]))

    async def last_change(self) -> int:
        """The number of its last change."""
        async with self._asked("GET", "/changes?last") as answer:
            return int(_json(answer)["Last"])

    async def count(self) -> int:
        """How many instances it has."""
        async with self._asked("GET", "/statistics") as answer:
            return int(_json(answer)["CountInstances"])

    async def instances(self) -> set[str]:
        """The names of all its instances."""
        async with self._asked("GET", "/instances") as answer:
            return set(_json(answer))

    async def close(self) -> None:
        """Let go of its connections."""
        await self._client.aclose()

    @asynccontextmanager
    async def _asked(self, method: str, path: str, **more: Any) -> AsyncIterator[httpx.Response]:
        try:
            answer = await self._client.request(method, path, **more)
        except httpx.HTTPError as failure:
            raise Unavailable(AWAY) from failure
        yield answer


async def pieces(path: Path) -> AsyncIterator[bytes]:
    """Yield a file piece by piece."""
    with path.open("rb") as file:
        while piece := file.read(PIECE_BYTES):
            yield piece


def _checked(answer: httpx.Response) -> httpx.Response:
    if answer.status_code in (401, 403):
        raise Unavailable(LOCKED)
    if not answer.is_success:
        raise Unavailable(AWAY)
    return answer


def _json(answer: httpx.Response) -> Any:
    try:
        return _checked(answer).json()
    except ValueError as failure:
        raise Unavailable(AWAY) from failure


def _reason(answer: httpx.Response) -> str:
    try:
        told = answer.json()
    except ValueError:
        return f"status {answer.status_code}"
    return str(told.get("Details") or told.get("Message") or answer.status_code)[:200]

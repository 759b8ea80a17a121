"""One abuse of the server as a row of a table: what is sent, and the refusal that must come back."""

from __future__ import annotations

import gzip
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx
import orjson

from tests.serving import JSON, Served

XML = "application/fhir+xml"
CPU_SECONDS = 10.0
"""No refusal may cost more; most cost a thousandth of it. What else the machine does is not counted."""

Body = bytes | dict[str, Any] | list[Any] | Callable[[], bytes] | None


@dataclass(frozen=True, slots=True)
class Abuse:
    """A request that must be refused: its row in the catalogue of abuses, its answer, and what the answer must name.

    `codes` are the issue-types that are right; `where` is the FHIRPath of the place, `says` a part of the text.
    """

    row: int
    name: str
    status: int
    codes: str
    method: str = "POST"
    path: str = "Patient"
    body: Body = None
    headers: Mapping[str, str] = field(default_factory=dict)
    where: str | None = None
    says: str = ""

    def __str__(self) -> str:
        return f"{self.row:02}-{self.name}"

    def commit(self, server: Served) -> httpx.Response:
        """Send the request and return the answer, which must come soon."""
        body = self.body() if callable(self.body) else self.body
        started = time.process_time()
        answer = server.ask(self.method, self.path, body, **self.headers)
        assert time.process_time() - started < CPU_SECONDS
        return answer


class Keeper:
    """Sees that an abuse leaves nothing behind and nothing changed, and that the server goes on to answer."""

    def __init__(self, server: Served) -> None:
        self.server = server
        self._kept = server.create({"resourceType": "Patient", "identifier": [{"value": "kept"}]})
        self._path = f"Patient/{self._kept['id']}"
        self._latest = self._changed()

    def _changed(self) -> Any:
        entry = self.server.get("_history?_count=1").json()["entry"][0]
        return entry["fullUrl"], entry["response"]

    def check(self) -> None:
        """Fail where something was lost, or stored, or where the next request is not answered."""
        latest, self._latest = self._latest, self._changed()
        assert latest == self._latest
        assert self.server.get(self._path).json() == self._kept

    def accept(self) -> None:
        """Take what is stored now as what is to be kept."""
        self._latest = self._changed()


def refused(answer: httpx.Response, abuse: Abuse) -> dict[str, Any]:
    """The issue that an abuse is refused by, which must say what, where and in which request."""
    assert answer.status_code == abuse.status, answer.text[:2000]
    assert answer.headers["content-type"].startswith(JSON)
    body = answer.json()
    assert body["resourceType"] == "OperationOutcome"
    assert body["id"] == answer.headers["x-request-id"]
    assert "Traceback" not in answer.text
    issues = [issue for issue in body["issue"] if issue["code"] in abuse.codes.split("|")]
    assert issues, answer.text[:2000]
    issue: dict[str, Any] = issues[0]
    assert issue["severity"] in ("error", "fatal")
    assert len(issue["details"]["text"]) < 2000
    assert abuse.says.lower() in issue["details"]["text"].lower(), issue["details"]["text"]
    if abuse.where is not None:
        assert issue["expression"] == [abuse.where]
    return issue


def raw(resource: Mapping[str, Any]) -> bytes:
    """A resource as JSON."""
    return orjson.dumps(resource)


def patient(members: str) -> bytes:
    """The JSON of a Patient with these members, as they stand."""
    return b'{"resourceType":"Patient",%s}' % members.encode()


def bundle(kind: str, *entries: Mapping[str, Any]) -> dict[str, Any]:
    """A Bundle that asks for these entries."""
    return {"resourceType": "Bundle", "type": kind, "entry": list(entries)}


def posting(resource: Mapping[str, Any], **entry: Any) -> dict[str, Any]:
    """An entry that creates a resource."""
    return {**entry, "resource": resource, "request": {"method": "POST", "url": resource["resourceType"]}}


def bomb(megabytes: int) -> bytes:
    """A small gzip of so many megabytes."""
    return gzip.compress(b'{"resourceType":"Patient","language":"' + b"a" * (megabytes * 1_000_000), 9)

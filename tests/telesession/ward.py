"""A remote consultation with people at it, for the tests of rooms: requests as anybody, and readers of events."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import httpx
import orjson
from anyio.from_thread import BlockingPortal

from fhir_server.extension import Extension, Make, Surroundings
from telesession import event_stream
from telesession import session as session_module
from telesession.premises import Premises
from tests.access.world import World, consent, for_hub, of, organization, patient, person, program, request, study, to
from tests.serving import serving

Json = dict[str, Any]
ROOT = "http://node"
UID = "1.2.840.99.1"
CALLERS = (
    person("worker", "commune-worker", "station"),
    person("doctor", "doctor", "hub"),
    person("second", "doctor", "hub"),
    person("radiologist", "radiologist", "hub"),
    person("stranger", "doctor", "elsewhere"),
    person("official", "ministry", "ministry"),
    person("admin", "facility-admin", "station"),
    person("narrow", "doctor", "hub", scopes="user/Observation.rs"),
    patient("may"),
    patient("other"),
    program("his", "station"),
)


class Clock:
    """The time, which a test may move."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead


class Reader:
    """Somebody who reads the events of a session, as a browser does."""

    def __init__(self, ward: Ward, who: str, session: str, last: str = "", *, reads: bool = True) -> None:
        self.events: list[tuple[str, str, Json]] = []
        self.status = 0
        self.reads = reads
        self.beats = 0
        self._left = asyncio.Event()
        self._portal: BlockingPortal = ward.served._portal
        headers = [(b"host", b"node"), (b"authorization", f"Bearer {who}".encode())]
        headers += [(b"last-event-id", last.encode())] if last else []
        path = f"/telesession/sessions/{session}/events"
        self._scope = {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "GET", "scheme": "http",
            "path": path, "raw_path": path.encode(), "query_string": b"", "headers": headers,
            "client": ("127.0.0.1", 1), "server": ("node", 80),
        }  # fmt: skip
        self._text = b""
        self.done: Future[None] = self._portal.start_task_soon(self._read, ward.served.service)

    async def _read(self, service: Any) -> None:
        asked = False

        async def receive() -> Json:
            nonlocal asked
            if not asked:
                asked = True
                return {"type": "http.request", "body": b"", "more_body": False}
            await self._left.wait()
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            if message["type"] == "http.response.start":
                self.status = message["status"]
                return
            if not self.reads:
                await asyncio.Event().wait()
            self._take(message.get("body", b""))

        await service(self._scope, receive, send)

    def _take(self, body: bytes) -> None:
        self._text += body
        *whole, self._text = self._text.split(b"\n\n")
        for each in whole:
            fields = dict(line.partition(": ")[::2] for line in each.decode().split("\n"))
            if "event" in fields:
                self.events.append((fields.get("id", ""), fields["event"], orjson.loads(fields["data"])))
            else:
                self.beats += 1

    def of(self, kind: str) -> list[Json]:
        """What events of a kind told."""
        return [told for _, name, told in self.events if name == kind]

    def sees(self, kind: str, holds: Callable[[Json], object] = bool) -> Json:
        """Wait for an event of a kind for which this holds; return what it told."""
        until(lambda: any(holds(told) for told in self.of(kind)), f"no {kind} in {self.events}")
        return next(told for told in reversed(self.of(kind)) if holds(told))

    def leave(self) -> None:
        """Close the connection."""
        self._portal.call(self._set)
        self.done.result(10)

    async def _set(self) -> None:
        self._left.set()


class Ward(World):
    """The server with a consultation between a station and a hub, and rooms."""

    premises: Premises
    clock: Clock

    def people(self) -> None:
        """Facilities, people, a patient who agreed to share, a request that the hub has accepted, an Encounter."""
        self.table.callers = {caller.subject: caller for caller in CALLERS}
        for name in ("station", "hub", "elsewhere", "ministry"):
            self.put("", organization(name))
        for caller in CALLERS:
            if caller.kind == "person" and "patient" not in caller.roles:
                self.put("", of("Practitioner", caller.subject, name=[{"text": f"Bs. {caller.subject}"}]))
        for name in ("may", "other"):
            self.put("his", of("Patient", name, name=[{"family": "Lý", "given": [name]}]))
        self.put("his", consent("sharing", "may", for_hub()))
        self.put("his", {**study("ct", "may"), "identifier": [{"system": "urn:dicom:uid", "value": f"urn:oid:{UID}"}]})
        self.put("his", request("ask", "may"))
        task = of("Task", "triage", status="accepted", intent="order", focus=to("ServiceRequest/ask"))
        self.put("his", {**task, "for": to("Patient/may"), "owner": to("Organization/hub")})

    def encounter(self, name: str, **more: Any) -> str:
        """A new session."""
        kind = {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "VR"}
        body = of("Encounter", name, status="planned", subject=to("Patient/may"), **more)
        self.put("his", {**body, "class": kind, "basedOn": [to("ServiceRequest/ask")]})
        return name

    def call(self, who: str, method: str, path: str, body: Any = None, **headers: str) -> httpx.Response:
        """Ask below /telesession as somebody; a token of a guest is taken as it is."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        if who:
            named["authorization"] = f"Bearer {who}"
        content = orjson.dumps(body) if isinstance(body, dict | list) else body
        return self.served.send(method, f"{ROOT}/telesession/sessions/{path}", content=content, headers=named)

    def join(self, who: str, session: str, **body: str) -> Json:
        """Join; return the participant."""
        answer = self.call(who, "POST", f"{session}/participants", body)
        assert answer.status_code == 201, answer.text
        return dict(answer.json())

    def decide(self, who: str, session: str, about: str, action: str, **more: str) -> httpx.Response:
        """Do something about a participant."""
        return self.call(who, "PATCH", f"{session}/participants/{about}", {"action": action, **more})

    def room(self, who: str, session: str) -> Json:
        """The room as somebody sees it."""
        answer = self.call(who, "GET", session)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def status_of(self, session: str) -> str:
        """The status of the Encounter."""
        return str(self.get("", f"Encounter/{session}").json()["status"])

    def guest(self, session: str, by: str = "doctor", **body: Any) -> str:
        """The token of a new guest."""
        made = self.call(by, "POST", f"{session}/invitations", body)
        assert made.status_code == 201, made.text
        taken = self.call("", "POST", f"{session}/guests", {"code": made.json()["code"]})
        assert taken.status_code == 201, taken.text
        return str(taken.json()["token"])


def until(holds: Callable[[], object], failure: str = "", seconds: float = 15) -> None:
    """Wait until something holds."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, failure
        time.sleep(0.02)


@contextmanager
def ward(folder: Path | None = None, clock: Clock | None = None, *, is_new: bool = True) -> Iterator[Ward]:
    """A server with rooms; one that is not new has its consultation already."""
    found: list[Premises] = []
    time_ = clock or Clock()

    def make(surroundings: Surroundings) -> Extension:
        premises = Premises(surroundings.settings, surroundings.clock, "https://app.example", surroundings.data)
        found.append(premises)
        return Extension("rooms", "/telesession", rows=premises.rows, opened=premises.opened, work=(premises.watch,),
                         stopping=premises.stopping)  # fmt: skip

    makers: tuple[Make, ...] = (make,)
    with (
        patch.multiple(session_module, SECONDS_BETWEEN_LOOKS=0.1, SECONDS_BETWEEN_CHECKS=0.3, SECONDS_SILENT=0.5),
        patch.multiple(event_stream, SECONDS_BETWEEN_CHECKS=0.3, SECONDS_BETWEEN_HEARTBEATS=1.0),
        serving(folder, extensions=makers, clock=time_, auth="on") as served,
    ):
        made = Ward(served)
        made.premises, made.clock = found[0], time_
        if is_new:
            made.people()
        else:
            made.table.callers = {caller.subject: caller for caller in CALLERS}
        yield made

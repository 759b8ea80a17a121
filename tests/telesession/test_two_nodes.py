"""Two nodes, each a process with authentication on: the request travels by FHIR, and what becomes of it comes back."""

from __future__ import annotations

import json
import secrets
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import ECKey

from tests.access.world import consent, for_hub, of, organization, to
from tests.processes import PROGRAM, Program
from tests.telesession.world import FACTS, facts, link, service_request, text

Json = dict[str, Any]
pytestmark = pytest.mark.server
SECONDS = 40
EVERY_KIND = '["visit", "conference", "imaging", "training"]'


@dataclass
class Site:
    """A node and the programs that ask it, each with a key of its own."""

    folder: Path
    facility: str
    port: int
    chosen: Json = field(default_factory=dict)
    program: Program | None = None
    tokens: dict[str, str] = field(default_factory=dict)

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.port}/fhir"

    def add(self, name: str, organization: str) -> tuple[str, Path]:
        """Register a program of a facility; its id, and its private key."""
        key = self.folder / f"{name}.json"
        options: dict[str, str | Path] = {
            "--make-key": key,
            "--organization": organization,
            "--role": "his",
            "--scope": "system/*.cruds",
            "--data": self.folder / "data",
        }
        command: list[str | Path] = [PROGRAM, "client", "add", name]
        for option, value in options.items():
            command += [option, value]
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=SECONDS)
        return name, key

    def start(self) -> None:
        options = ("--auth", "on", "--port", str(self.port))
        self.program = Program(
            self.folder, *options, organization=self.facility, tele_unsigned=EVERY_KIND, **self.chosen
        )
        self.tokens.clear()

    def stop(self) -> None:
        if self.program is not None and self.program.process.poll() is None:
            self.program.kill()

    def ask(self, name: str, method: str, path: str, body: Any = None) -> httpx.Response:
        if name not in self.tokens:
            self.tokens[name] = token(self.base, name, self.folder / f"{name}.json")
        headers = {"authorization": f"Bearer {self.tokens[name]}", "content-type": "application/fhir+json"}
        content = None if body is None else json.dumps(body)
        return httpx.request(method, f"{self.base}/{path}", content=content, headers=headers, timeout=SECONDS)

    def put(self, name: str, *bodies: Json) -> None:
        for body in bodies:
            answer = self.ask(name, "PUT", f"{body['resourceType']}/{body['id']}", body)
            assert answer.status_code in (200, 201), answer.text

    def tell(self, name: str, request: str, event: str, *items: Json) -> httpx.Response:
        body = {"resourceType": "Parameters", "parameter": list(items)} if items else None
        return self.ask(name, "POST", f"ServiceRequest/{request}/$tele-{event}", body)

    def state(self, name: str, request: str) -> str:
        answer = self.ask(name, "GET", f"ServiceRequest/{request}/$tele-state")
        return str(facts(answer)["state"]) if answer.status_code == 200 else f"{answer.status_code}"


def token(base: str, name: str, key_file: Path) -> str:
    key = ECKey.import_key(json.loads(key_file.read_text()))
    url = httpx.get(f"{base}/.well-known/smart-configuration").json()["token_endpoint"]
    claims = {"iss": name, "sub": name, "aud": url, "exp": int(time.time()) + 200, "jti": secrets.token_hex(16)}
    assertion = jwt.encode({"alg": "ES384", "kid": key.kid, "typ": "JWT"}, claims, key, algorithms=["ES384"])
    kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
    form = {"grant_type": "client_credentials", "scope": "system/*.cruds", "client_assertion_type": kind,
            "client_assertion": assertion}  # fmt: skip
    answer = httpx.post(url, data=form, timeout=SECONDS)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["access_token"])


def until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + SECONDS
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.1)


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@pytest.fixture(scope="module")
def sites(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Site, Site]]:
    """The node of the station, and that of the hub, which knows the station's."""
    here = Site(tmp_path_factory.mktemp("station"), "station", free_port())
    there = Site(tmp_path_factory.mktemp("hub"), "hub", free_port())
    try:
        _, key = there.add("node-of-station", "station")
        there.add("his-hub", "hub")
        here.add("his", "station")
        here.chosen = {"peers": json.dumps([there.base]), "peer_client": "node-of-station", "peer_key": key,
                       "peer_seconds": 0.2}  # fmt: skip
        here.start()
        there.start()
        there.put("his-hub", organization("station"), organization("hub"), of("Practitioner", "chair", active=True))
        endpoint = of("Endpoint", "hub", status="active", address=there.base, payloadType=[{"text": "FHIR"}],
                      connectionType={"code": "hl7-fhir-rest"})  # fmt: skip
        here.put("his", endpoint, organization("station"), {**organization("hub"), "endpoint": [to("Endpoint/hub")]})
        here.put("his", of("Patient", "may", name=[{"family": "Lý"}]), consent("sharing", "may", for_hub()))
        yield here, there
    finally:
        for site in (here, there):
            site.stop()


def asked(here: Site, **more: Any) -> str:
    answer = here.ask("his", "POST", "ServiceRequest", service_request(**more))
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def many(site: Site, name: str, search: str) -> int:
    return len(site.ask(name, "GET", search).json().get("entry", []))


def test_a_consultation_is_held_by_two_nodes(sites: tuple[Site, Site]):
    here, there = sites
    condition = here.ask("his", "POST", "Condition", {"resourceType": "Condition", "subject": to("Patient/may")}).json()
    request = asked(here, reasonReference=[to(f"Condition/{condition['id']}")])
    assert here.tell("his", request, "submit").status_code == 200
    until(lambda: there.state("his-hub", request) == "requested")
    assert there.tell("his-hub", request, "ask", *FACTS["ask"]).status_code == 200
    until(lambda: here.state("his", request) == "asked")
    more = here.ask("his", "POST", "ImagingStudy", {"resourceType": "ImagingStudy", "status": "available",
                                                    "subject": to("Patient/may")}).json()  # fmt: skip
    answer = here.tell("his", request, "answer", text("answer", "Có"), link("info", f"ImagingStudy/{more['id']}"))
    assert answer.status_code == 200, answer.text
    assert facts(answer)["state"] == there.state("his-hub", request) == "requested"
    assert there.tell("his-hub", request, "accept").status_code == 200
    assert there.ask("his-hub", "GET", f"Condition/{condition['id']}").status_code == 200
    assert there.ask("his-hub", "GET", f"ImagingStudy/{more['id']}").status_code == 200
    chair = {"name": "participant", "part": [{"name": "actor", "valueReference": to("Practitioner/chair")}]}
    booked = there.tell("his-hub", request, "book", *FACTS["book"][:2], chair)
    assert booked.status_code == 200, booked.text
    until(lambda: here.state("his", request) == "booked")
    encounter = here.ask("his", "GET", facts(booked)["encounter"]).json()
    assert encounter["status"] == "planned"
    assert here.tell("his", request, "start").status_code == 200
    assert there.state("his-hub", request) == "in-progress"
    for event in ("finish", "close"):
        assert there.tell("his-hub", request, event).status_code == 200
    until(lambda: here.state("his", request) == "closed")
    assert here.ask("his", "GET", f"ServiceRequest/{request}").json()["status"] == "completed"
    assert there.ask("his-hub", "GET", f"Condition/{condition['id']}").status_code == 404
    for site, name in ((here, "his"), (there, "node-of-station")):
        assert many(site, name, f"Task?focus=ServiceRequest/{request}") == 1
        assert many(site, name, f"Encounter?based-on=ServiceRequest/{request}") == 1
        assert many(site, name, f"Appointment?based-on=ServiceRequest/{request}") == 1
    assert many(here, "his", "Communication?category=urn:nhipcau:CodeSystem:consultation-notice|booked") == 1


def test_a_refusal_of_the_other_node_is_told(sites: tuple[Site, Site]):
    here, there = sites
    request = asked(here)
    assert here.tell("his", request, "submit").status_code == 200
    until(lambda: there.state("his-hub", request) == "requested")
    answer = here.tell("his", request, "start")
    assert answer.status_code == 409
    assert "requested takes no start" in answer.text
    assert here.tell("his", request, "cancel", *FACTS["cancel"]).status_code == 200
    assert there.state("node-of-station", request) == here.state("his", request) == "cancelled"


def test_a_node_that_was_down_catches_up(sites: tuple[Site, Site]):
    here, there = sites
    there.stop()
    request = asked(here)
    assert here.tell("his", request, "submit").status_code == 200
    answer = here.tell("his", request, "cancel", *FACTS["cancel"])
    assert answer.status_code == 503, answer.text
    there.start()
    until(lambda: there.state("his-hub", request) == "requested")
    here.stop()
    assert there.tell("his-hub", request, "accept").status_code == 200
    later = FACTS["reschedule"]
    assert there.tell("his-hub", request, "book", *later).status_code == 200
    here.start()
    until(lambda: here.state("his", request) == "booked")
    assert many(here, "his", f"Task?focus=ServiceRequest/{request}") == 1
    assert many(there, "his-hub", f"Task?focus=ServiceRequest/{request}") == 1


def test_what_has_not_changed_makes_no_versions(sites: tuple[Site, Site]):
    here, _ = sites
    (found, *_) = here.ask("his", "GET", "Task?status=accepted").json()["entry"]
    path = f"Task/{found['resource']['id']}/_history"
    before = here.ask("his", "GET", path).json()["total"]
    time.sleep(1.5)
    assert here.ask("his", "GET", path).json()["total"] == before

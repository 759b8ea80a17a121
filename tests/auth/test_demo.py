"""The demo with people to log in as: each sees what is theirs of the story."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx
import pytest

from tests.auth.node import Browser, authorize_request
from tests.processes import PROGRAM

pytestmark = pytest.mark.server

BACK = "http://127.0.0.1:9090/"
VERIFIER = "v" * 50
SECONDS_TO_START = 120


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """What the demo says of itself, while it runs."""
    folder = tmp_path_factory.mktemp("demo")
    command = [str(PROGRAM), "demo", "--auth", "on", "--data", str(folder), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        yield facts_of(folder / "demo.json")
        process.terminate()
        assert process.wait(timeout=60) == 0
    assert (folder / "demo.json").stat().st_mode & 0o077 == 0


def facts_of(file: Path) -> dict[str, Any]:
    until = time.monotonic() + SECONDS_TO_START
    while time.monotonic() < until:
        try:
            facts: dict[str, Any] = json.loads(file.read_text())
            httpx.get(facts["baseUrl"].removesuffix("/fhir") + "/health").raise_for_status()
        except (FileNotFoundError, json.JSONDecodeError, httpx.TransportError):
            time.sleep(0.1)
        else:
            return facts
    raise AssertionError("the demo did not start")


class Person(Browser):
    """One of the demo's people, before our pages."""

    def __init__(self, demo: dict[str, Any], login: str) -> None:
        self._client = httpx.Client(base_url=demo["baseUrl"].removesuffix("/fhir"))
        self.cookies = self._client.cookies
        (self.user,) = [user for user in demo["users"] if user["login"] == login]
        self.base = demo["baseUrl"]

    def send(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        return self._client.request(method, path, **arguments)

    def close(self) -> None:
        self._client.close()

    def token(self) -> str:
        asked = authorize_request(
            VERIFIER, client_id="demo-app", redirect_uri=BACK, aud=self.base, scope="openid user/*.rs"
        )
        page = self.login(self.get(f"/auth/authorize?{urlencode(asked)}"), self.user["login"], self.user["password"])
        code = parse_qs(urlsplit(self.agreed(page).headers["location"]).query)["code"][0]
        fields = {"grant_type": "authorization_code", "code": code, "redirect_uri": BACK, "client_id": "demo-app"}
        return str(self.post("/auth/token", {**fields, "code_verifier": VERIFIER}).json()["access_token"])


@pytest.mark.parametrize(
    ("login", "role", "patients"),
    [("mai", "commune-worker", 1), ("may", "patient", 1), ("soyte", "province", None)],
)
def test_a_person_of_the_demo_sees_what_is_theirs(demo: dict[str, Any], login: str, role: str, patients: int | None):
    with closing(Person(demo, login)) as person:
        assert person.user["role"] == role
        answer = person.get("/fhir/Patient?_total=accurate", person.token())
        assert answer.json().get("total") == patients


def test_nobody_comes_in_without_a_token(demo: dict[str, Any]):
    assert httpx.get(f"{demo['baseUrl']}/Patient").status_code == 401

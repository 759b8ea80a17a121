"""The demo as it promises to be in demo.json: each of its people sees what is theirs of the story."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx
import pytest

from tests.auth.node import Browser, authorize_request
from tests.processes import PROGRAM

pytestmark = pytest.mark.server

BACK = "http://127.0.0.1:9090/"
SCOPE = "openid user/*.cruds"
VERIFIER = "v" * 50
SECONDS_TO_START = 120


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """What the demo says of itself, while it runs."""
    folder = tmp_path_factory.mktemp("demo")
    command = [str(PROGRAM), "demo", "--data", str(folder), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            yield facts_of(folder / "demo.json")
        finally:
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
        asked = authorize_request(VERIFIER, client_id="demo-app", redirect_uri=BACK, aud=self.base, scope=SCOPE)
        page = self.login(self.get(f"/auth/authorize?{urlencode(asked)}"), self.user["login"], self.user["password"])
        code = parse_qs(urlsplit(self.agreed(page).headers["location"]).query)["code"][0]
        fields = {"grant_type": "authorization_code", "code": code, "redirect_uri": BACK, "client_id": "demo-app"}
        return str(self.post("/auth/token", {**fields, "code_verifier": VERIFIER}).json()["access_token"])


Ask = Callable[..., httpx.Response]


@pytest.fixture(scope="module")
def ask(demo: dict[str, Any]) -> Iterator[Ask]:
    """Asks the demo as one of its people, each of whom logs in once."""
    root = demo["baseUrl"].removesuffix("/fhir")
    tokens: dict[str, str] = {}
    with httpx.Client(base_url=root, timeout=60) as client:

        def asked(login: str, path: str, method: str = "GET", **more: Any) -> httpx.Response:
            if login not in tokens:
                with closing(Person(demo, login)) as person:
                    tokens[login] = person.token()
            headers = {"authorization": f"Bearer {tokens[login]}", **more.pop("headers", {})}
            return client.request(method, path, headers=headers, **more)

        yield asked


@pytest.mark.parametrize(
    ("login", "role", "patients"),
    [
        ("dung", "commune-worker", {"vu-a-su", "ly-thi-may"}),
        ("son", "doctor", {"vu-a-su", "ly-thi-may"}),
        ("linh", "coordinator", {"ly-thi-may"}),
        ("tho", "doctor", {"ly-thi-may"}),
        ("ha", "radiologist", {"ly-thi-may"}),
        ("may", "patient", {"ly-thi-may"}),
    ],
)
def test_a_person_of_the_demo_sees_what_is_theirs(
    demo: dict[str, Any], ask: Ask, login: str, role: str, patients: set[str]
):
    (user,) = [each for each in demo["users"] if each["login"] == login]
    assert user["role"] == role
    found = ask(login, "/fhir/Patient").json()
    assert {entry["resource"]["id"] for entry in found["entry"]} == patients


@pytest.mark.parametrize("login", ["quantri", "soyte"])
def test_who_treats_nobody_sees_no_patient(ask: Ask, login: str):
    answer = ask(login, "/fhir/Patient")
    assert answer.status_code == 403 or "entry" not in answer.json()
    assert ask(login, "/fhir/Organization").json()["total"] == 3


def test_nobody_comes_in_without_a_token(demo: dict[str, Any]):
    root = demo["baseUrl"].removesuffix("/fhir")
    session = demo["story"]["encounter"].rpartition("/")[2]
    for path in ("/fhir/Patient", "/dicom-web/studies", f"/telesession/sessions/{session}"):
        assert httpx.get(root + path).status_code == 401


def test_everything_that_the_story_names_is_there(demo: dict[str, Any], ask: Ask):
    names = {name: reference for name, reference in demo["story"].items() if "/" in reference}
    assert {"patient", "order", "orderTask", "imagingStudy", "request", "task", "appointment", "encounter"} <= {*names}
    assert {name for name, each in names.items() if ask("son", f"/fhir/{each}").status_code != 200} == set()


def test_the_images_of_the_order_are_the_patients(demo: dict[str, Any], ask: Ask):
    story = demo["story"]
    shown = ask("ha", f"/fhir/{story['imagingStudy']}").json()
    assert shown["subject"]["reference"] == story["patient"]
    assert [each["reference"] for each in shown["basedOn"]] == [story["order"]]
    assert (shown["numberOfSeries"], shown["numberOfInstances"]) == (2, 6)
    assert ask("ha", "/fhir/Task?code=urn:nhipcau:imaging|resolve-study").json()["total"] == 0


def test_the_radiologist_finds_and_sees_the_study(demo: dict[str, Any], ask: Ask):
    study = demo["story"]["study"]
    found = ask("ha", "/dicom-web/studies").json()
    assert [each["0020000D"]["Value"] for each in found] == [[study]]
    assert found[0]["00100010"]["Value"][0]["Alphabetic"] == "Lý^Thị Mây"
    series = ask("ha", f"/dicom-web/studies/{study}/series?includefield=NumberOfSeriesRelatedInstances").json()
    assert sorted(each["00201209"]["Value"][0] for each in series) == [1, 5]
    picture = ask("ha", f"/dicom-web/studies/{study}/thumbnail", headers={"accept": "image/jpeg"})
    assert picture.content.startswith(b"\xff\xd8")


def test_who_has_no_part_in_it_finds_no_study(demo: dict[str, Any], ask: Ask):
    assert ask("soyte", f"/dicom-web/studies/{demo['story']['study']}/metadata").status_code in (403, 404)


def test_the_consultation_is_now_and_can_be_joined(demo: dict[str, Any], ask: Ask):
    story = demo["story"]
    appointment = ask("linh", f"/fhir/{story['appointment']}").json()
    assert appointment["status"] == "booked"
    start, end = (datetime.fromisoformat(appointment[each]).timestamp() for each in ("start", "end"))
    assert start <= time.time() <= end
    session = f"/telesession/sessions/{story['encounter'].rpartition('/')[2]}"
    for login in ("tho", "ha", "son", "dung"):
        joined = ask(login, f"{session}/participants", "POST", json={})
        assert joined.status_code == 201, joined.text
    people = ask("tho", session).json()["participants"]
    assert len(people) == 4
    assert ask("soyte", session).status_code in (403, 404)


def test_the_coordinator_has_a_request_to_answer(demo: dict[str, Any], ask: Ask):
    found = ask("linh", "/fhir/Task?status=requested").json()["entry"]
    assert [each["resource"]["focus"]["reference"] for each in found] == [demo["story"]["otherRequest"]]
    assert ask("linh", f"/fhir/{demo['story']['otherPatient']}").status_code == 404


def test_a_program_of_the_demo_acts_for_its_facility(demo: dict[str, Any]):
    found = {}
    root = demo["baseUrl"].removesuffix("/fhir")
    for program in demo["programs"]:
        fields = {"grant_type": "client_credentials", "scope": "system/*.cruds"}
        token = httpx.post(f"{root}/auth/token", data=fields, auth=(program["id"], program["secret"])).json()
        headers = {"authorization": f"Bearer {token['access_token']}"}
        bundle = httpx.get(f"{demo['baseUrl']}/Patient", headers=headers).json()
        found[program["id"]] = {entry["resource"]["id"] for entry in bundle["entry"]}
    assert found == {"his-tram-y-te": {"vu-a-su", "ly-thi-may"}, "his-benh-vien-tinh": {"ly-thi-may"}}


def test_the_app_lets_people_of_the_demo_in(demo: dict[str, Any]):
    root = demo["baseUrl"].removesuffix("/fhir")
    back = f"{root}/login/back"
    with closing(Person(demo, "tho")) as person:
        asked = authorize_request(
            VERIFIER, client_id="nhipcau-app", redirect_uri=back, aud=demo["baseUrl"], scope="openid profile user/*.rs"
        )
        page = person.get(f"/auth/authorize?{urlencode(asked)}")
        sent = person.submit(page, step="login", login="tho", password=person.user["password"])
        while not sent.headers["location"].startswith(back):
            sent = person.get(sent.headers["location"])
        code = parse_qs(urlsplit(sent.headers["location"]).query)["code"][0]
        fields = {"grant_type": "authorization_code", "code": code, "redirect_uri": back, "client_id": "nhipcau-app"}
        token = person.post("/auth/token", {**fields, "code_verifier": VERIFIER}).json()["access_token"]
        assert person.get(f"/fhir/{demo['story']['patient']}", token).status_code == 200

"""Programs of others that get tokens: Authlib as a backend service, fhirclient for Python and for browsers."""

from __future__ import annotations

import gc
import json
import shutil
import subprocess
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from fhirclient.client import FHIRClient
from fhirclient.models.patient import Patient
from joserfc.jwk import RSAKey
from playwright.sync_api import Page, sync_playwright

from tests.auth.node import Browser
from tests.processes import PROGRAM, Program, running

pytestmark = pytest.mark.server

HERE = Path(__file__).parent
KEY = RSAKey.generate_key(2048, auto_kid=True)
PASSWORD = "câu mật khẩu của Thọ"
APP = "http://127.0.0.1:9/callback"
CHROMIUM = "/usr/bin/chromium"
HOSPITAL = "benh-vien"


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    """A server in two processes that asks who is there."""
    folder = tmp_path_factory.mktemp("smart")
    with running(folder, "--auth", "on", "--workers", "2", cors_origins="[]") as started:
        jwks = folder / "jwks.json"
        jwks.write_text(json.dumps({"keys": [KEY.as_dict(private=False)]}))
        nhipcau(started, "client", "add", "HIS", "--jwks", str(jwks), "--scope", "system/*.cruds",
                "--organization", HOSPITAL)  # fmt: skip
        nhipcau(started, "client", "add", "app", "--redirect", APP, "--scope",
                "openid fhirUser launch/patient offline_access patient/*.rs user/*.rs")  # fmt: skip
        nhipcau(started, "user", "add", "tho", "--role", "doctor", "--organization", HOSPITAL, "--fhir-user",
                "Practitioner/tho", "--ask-password", typed=f"{PASSWORD}\n")  # fmt: skip
        yield started


def nhipcau(program: Program, *words: str, typed: str = "") -> str:
    command = [str(PROGRAM), *words, "--data", str(program.folder / "data")]
    done = subprocess.run(command, input=typed, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


class Person(Browser):
    """Somebody before our pages, over the network."""

    def __init__(self, root: str) -> None:
        self._client = httpx.Client(base_url=root)
        self.cookies = self._client.cookies

    def send(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        return self._client.request(method, path, **arguments)

    def close(self) -> None:
        self._client.close()


@pytest.fixture(scope="module")
def his(program: Program) -> Iterator[Any]:
    """Authlib's own client of OAuth2, as a backend service."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from authlib.integrations.requests_client import OAuth2Session
        from authlib.oauth2.rfc7523 import PrivateKeyJWT

    url = f"{program.base.removesuffix('/fhir')}/auth/token"
    proof = PrivateKeyJWT(
        url, claims={"exp": int(time.time()) + 240}, headers={"kid": KEY.kid, "typ": "JWT"}, alg="RS384"
    )
    with OAuth2Session("HIS", KEY, token_endpoint_auth_method=proof, scope="system/*.cruds") as session:
        session.fetch_token(url, grant_type="client_credentials")
        yield session


@pytest.fixture(scope="module")
def stored(program: Program, his: Any) -> None:
    """What the hospital's system wrote."""
    resources: tuple[dict[str, Any], ...] = (
        {"resourceType": "Organization", "id": HOSPITAL, "name": "Bệnh viện"},
        {"resourceType": "Practitioner", "id": "tho", "name": [{"family": "Hoàng"}]},
        {"resourceType": "Patient", "id": "may", "name": [{"family": "Lý", "given": ["Thị", "Mây"]}]},
        {"resourceType": "Observation", "id": "o", "status": "final", "code": {"text": "Nhịp tim"},
         "subject": {"reference": "Patient/may"}, "valueInteger": 72},
    )  # fmt: skip
    for resource in resources:
        answer = his.put(f"{program.base}/{resource['resourceType']}/{resource['id']}", json=resource,
                         headers={"content-type": "application/fhir+json"})  # fmt: skip
        assert answer.status_code == 201, answer.text


def test_a_backend_service_of_authlib(program: Program, his: Any, stored: None):
    found = his.get(f"{program.base}/Patient?family=lý").json()
    assert [entry["resource"]["id"] for entry in found["entry"]] == ["may"]
    assert his.token["expires_in"] <= 300


def test_an_app_of_fhirclient(program: Program, stored: None):
    app = FHIRClient(
        settings={
            "app_id": "app",
            "api_base": program.base,
            "redirect_uri": APP,
            "scope": "openid fhirUser launch/patient offline_access patient/*.rs",
        }
    )
    app.prepare()
    assert not app.ready
    with closing(Person(program.base.removesuffix("/fhir"))) as person:
        page = person.login(person.get(str(app.authorize_url)), "tho", PASSWORD)
        page = person.submit(person.submit(page, step="find", find="Mây"), step="choose", patient="may")
        app.handle_callback(person.agreed(page).headers["location"])
    assert app.ready
    assert app.patient.name[0].family == "Lý"
    assert app.reauthorize()
    assert Patient.read("may", app.server).name[0].given == ["Thị", "Mây"]
    nhipcau(program, "user", "disable", "tho")
    with pytest.raises(Exception, match=r"401|Unauthorized|expired") as refused:
        Patient.read("may", app.server)
    assert refused.type.__name__ in ("FHIRUnauthorizedException", "HTTPError")
    nhipcau(program, "user", "enable", "tho")


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        """Write nothing."""


@pytest.fixture(scope="module")
def site(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The origin of an app in a browser, which is not that of the server."""
    bundle = repository / "build" / "clients" / "node_modules" / "fhirclient" / "build" / "fhir-client.min.js"
    if not bundle.is_file():
        pytest.skip("the npm client fhirclient is not installed: run `make setup` with npm")
    folder = tmp_path_factory.mktemp("site")
    shutil.copy(bundle, folder)
    shutil.copy(HERE / "smart_app.html", folder / "index.html")
    shutil.copy(HERE / "smart_app.js", folder)
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def page() -> Iterator[Page]:
    """A page of a phone in Vietnamese, in a real browser."""
    if not Path(CHROMIUM).exists():
        pytest.skip(f"no browser at {CHROMIUM} (Debian: apt-get install chromium)")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM)
        yield browser.new_page(locale="vi-VN", viewport={"width": 390, "height": 844})
        browser.close()
    gc.collect()


@pytest.mark.browser
@pytest.mark.filterwarnings("ignore::ResourceWarning")  # Playwright leaves its driver's pipes to the collector
def test_an_app_in_a_browser(program: Program, site: str, stored: None, page: Page):
    nhipcau(program, "client", "add", "Sổ khám", "--redirect", f"{site}/index.html", "--scope",
            "openid fhirUser launch/patient offline_access patient/*.rs")  # fmt: skip
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.goto(f"{site}/index.html?iss={program.base}")
    page.fill("#login", "tho")
    page.fill("#password", PASSWORD)
    page.click("main button[type=submit]")
    page.fill("#find", "Mây")
    page.click("form[role=search] button")
    page.click("button.choice")
    assert page.locator("input[type=checkbox]:checked").count() == 0
    for box in page.locator("input[type=checkbox]").all():
        box.check()
    page.click("button[value=yes]")
    page.wait_for_function("['done', 'failed'].includes(document.getElementById('state')?.textContent)")
    told = page.text_content("#told")
    assert page.text_content("#state") == "done", (told, complaints)
    assert json.loads(told or "") == {
        "family": "Lý",
        "observations": 1,
        "user": "Practitioner/tho",
        "refreshed": True,
    }
    assert complaints == []

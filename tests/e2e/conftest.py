"""A server with the app and a morning's work, and browsers at it."""

from __future__ import annotations

import gc
import json
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from joserfc.jwk import ECKey
from playwright.sync_api import Browser, Page, sync_playwright

from fhir_server.site import BUILT
from tests.auth.node import assertion_of, own_request
from tests.e2e import story
from tests.processes import PROGRAM, Program, running

CHROMIUM = "/usr/bin/chromium"
PASSWORD = "câu mật khẩu của Thọ"
PEOPLE = (("tho", "BS. Hoàng Văn Thọ", "doctor"), ("linh", "Trần Mỹ Linh", "coordinator"))
KEY = ECKey.generate_key("P-384", auto_kid=True)
Open = Callable[..., Page]


def nhipcau(program: Program, *words: str, typed: str = "") -> None:
    command = [str(PROGRAM), *words, "--data", str(program.folder / "data")]
    done = subprocess.run(command, input=typed, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


def morning(program: Program) -> None:
    """Let people and the hospital's system in, and write the story."""
    jwks = program.folder / "jwks.json"
    jwks.write_text(json.dumps({"keys": [KEY.as_dict(private=False)]}))
    nhipcau(program, "client", "add", "HIS", "--jwks", str(jwks), "--scope", "system/*.cruds",
            "--organization", story.HOSPITAL)  # fmt: skip
    for login, name, role in PEOPLE:
        nhipcau(program, "user", "add", login, "--name", name, "--role", role, "--organization", story.HOSPITAL,
                "--ask-password", typed=f"{PASSWORD}\n")  # fmt: skip
    root = program.base.removesuffix("/fhir")
    proof = assertion_of("HIS", KEY, aud=f"{root}/auth/token")
    answer = httpx.post(f"{root}/auth/token", data=own_request("system/*.cruds", "HIS", proof))
    story.tell(program.base, answer.json()["access_token"])


@pytest.fixture(scope="session")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    """A hospital's server, which asks who is there."""
    if not (BUILT / "index.html").is_file():
        pytest.skip("the app is not built: run `make setup` with npm")
    with running(tmp_path_factory.mktemp("node"), "--auth", "on") as program:
        morning(program)
        yield program


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if not Path(CHROMIUM).exists():
        pytest.skip(f"no browser at {CHROMIUM} (Debian: apt-get install chromium)")
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=CHROMIUM)
        yield launched
        launched.close()
    gc.collect()


def log_in(page: Page, root: str, path: str, login: str = "tho") -> None:
    """Go to a path of the app, by way of the log-in page."""
    page.goto(f"{root}{path}")
    page.fill("#login", login)
    page.fill("#password", PASSWORD)
    page.click("main button[type=submit]")
    page.wait_for_url(f"{root}{path}")


def until(page: Page, expression: str, seconds: float = 15) -> None:
    """Wait until an expression is true in the page; Playwright's own way evaluates text, which our policy forbids."""
    end = time.monotonic() + seconds
    while not page.evaluate(f"Boolean({expression})"):
        assert time.monotonic() < end, expression
        page.wait_for_timeout(50)


class Complaints(list[str]):
    """What the browser complains of; the test fails at its end where there is any."""

    def listen(self, page: Page) -> None:
        page.on("console", lambda message: self.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: self.append(str(error)))


@pytest.fixture
def complaints() -> Iterator[Complaints]:
    found = Complaints()
    yield found
    assert found == []


@pytest.fixture(scope="module")
def doctor_state(browser: Browser, node: Program) -> Iterator[dict[str, object]]:
    """The cookies of a doctor who logged in once: other pages log in by them without a password."""
    context = browser.new_context(locale="vi-VN")
    log_in(context.new_page(), node.base.removesuffix("/fhir"), "/day")
    yield dict(context.storage_state())
    context.close()


@pytest.fixture
def open_page(
    browser: Browser, node: Program, doctor_state: dict[str, object], complaints: Complaints
) -> Iterator[Open]:
    """Opens pages of the app as the doctor, of any size."""
    contexts = []

    def opened(path: str, width: int = 1366, height: int = 768) -> Page:
        context = browser.new_context(
            locale="vi-VN", timezone_id="Asia/Ho_Chi_Minh", storage_state=doctor_state,  # type: ignore[arg-type]
            viewport={"width": width, "height": height},
        )  # fmt: skip
        contexts.append(context)
        page = context.new_page()
        complaints.listen(page)
        root = node.base.removesuffix("/fhir")
        page.goto(root + path)
        page.wait_for_url(root + path)
        return page

    yield opened
    for context in contexts:
        context.close()

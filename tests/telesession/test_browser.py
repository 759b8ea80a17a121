"""Two people in real Chromium, with fake cameras: they see and hear each other, soon."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from playwright.sync_api import Browser, Page, Route, sync_playwright

from telesession.media import Media
from telesession.media_engine import Happening, Loudest
from tests.serving import serving
from tests.telesession.janus import ADMIN_KEY, SECRET, running_janus
from tests.telesession.media_client import ADDRESS
from tests.telesession.table_door import TableDoor, Tokens, extension_of

pytestmark = pytest.mark.browser

CHROMIUM = Path("/usr/bin/chromium")
FLAGS = [
    "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream", "--allow-loopback-in-peer-connection",
    "--disable-features=WebRtcHideLocalIpsWithMdns", "--autoplay-policy=no-user-gesture-required", "--no-sandbox",
    "--mute-audio", "--disable-gpu",
]  # fmt: skip
SCRIPT = (Path(__file__).parent / "browser_page.js").read_text()
PAGE = f"<!doctype html><title>session</title><body><script>{SCRIPT}</script>"
TOLD: list[Happening] = []


@contextmanager
def answering(chosen: dict[str, Any], told: list[Happening]) -> Iterator[str]:
    """A server on a port of this machine, with signalling alone; its address."""
    door, media = TableDoor(), list[Media]()
    door.states = {(session, name): "in" for session in "abcdefgh" for name in ("an", "binh")}
    with serving(extensions=[extension_of(door, told, media)], **chosen) as server, socket.socket() as listening:
        server.service.fhir.authenticator = Tokens()
        listening.bind(("127.0.0.1", 0))
        web = uvicorn.Server(uvicorn.Config(server.service, lifespan="off", log_level="error", ws="none"))
        web.install_signal_handlers = lambda: None  # type: ignore[attr-defined]

        async def begin() -> asyncio.Task[None]:
            task = asyncio.create_task(web.serve([listening]))
            while not web.started:  # noqa: ASYNC110 -- uvicorn tells it by a flag alone
                await asyncio.sleep(0.02)
            return task

        async def end() -> None:
            await media[0].stop()
            web.should_exit = True
            await task

        task = server.call(begin)
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        server.call(end)


@pytest.fixture(scope="module")
def base() -> Iterator[str]:
    with answering({"media_addresses": (ADDRESS,)}, TOLD) as address:
        yield address


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if not CHROMIUM.exists():
        pytest.skip("needs Chromium (Debian: chromium)")
    with sync_playwright() as playwright:
        made = playwright.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS)
        yield made
        made.close()


def page_of(browser: Browser, base: str, who: str) -> Page:
    page = browser.new_page()
    page.route(f"{base}/page", lambda route: route.fulfill(body=PAGE, content_type="text/html"))
    page.goto(f"{base}/page")
    page.evaluate(f"window.token = {who!r}")
    return page


def session(base: str, name: str) -> str:
    return f"{base}/telesession/sessions/{name}"


def test_two_people_see_and_hear_each_other(browser: Browser, base: str):
    pages = [page_of(browser, base, who) for who in ("an", "binh")]
    url = session(base, "a")
    for page in pages:
        page.evaluate("url => publish(url + '/whip', 'camera')", url)
    first = [page.evaluate("url => view(url + '/whep', 1, 1)", url)["first"] for page in pages]
    told = [page.evaluate("watched(2000)") for page in pages]
    assert all(0 < each < 3000 for each in first)
    for each in told:
        assert each["fps"] > 5
        assert each["pictures"] > 5
        assert each["audio"]["packets"] > 50
    assert any(isinstance(each, Loudest) and each.session == "a" and each.sources for each in TOLD)
    for page in pages:
        page.close()


@pytest.mark.parametrize("codec", ["video/VP8", "video/H264"])
def test_what_is_shown_was_there_a_moment_ago(browser: Browser, base: str, codec: str):
    page = page_of(browser, base, "an")
    page.evaluate(f"window.codec = {codec!r}")
    url = session(base, "b" if codec == "video/VP8" else "c")
    page.evaluate("url => publish(url + '/whip', 'clock')", url)
    page.evaluate("window.token = 'binh'")
    shown = page.evaluate("url => view(url + '/whep', 1, 0)", url)
    page.evaluate("watched(500)")
    told = page.evaluate("watched(3000)")
    assert 0 < shown["first"] < 3000
    assert told["fps"] > 8
    assert 0 < told["p50"] < 400
    page.close()


def test_a_counter_offer_of_janus_is_answered(browser: Browser, tmp_path: Path):
    with running_janus(tmp_path) as janus:
        chosen = {"media": f"janus={janus.url}", "janus_secret": SECRET, "janus_admin_key": ADMIN_KEY}
        with answering(chosen, []) as base:
            page = page_of(browser, base, "an")
            url = session(base, "a")
            page.evaluate("url => publish(url + '/whip', 'clock')", url)
            page.evaluate("window.token = 'binh'")
            shown = page.evaluate("url => view(url + '/whep', 1, 0)", url)
            told = page.evaluate("watched(1500)")
            assert 0 < shown["first"] < 5000
            assert told["fps"] > 8
            page.close()


OTHERS = """async url => {
  const {WHIPClient} = await import('/whip.js'), {WHEPClient} = await import('/whep.js');
  const stream = clock(30), sending = new RTCPeerConnection(), viewer = window.viewer = new RTCPeerConnection();
  for (const track of stream.getTracks()) sending.addTransceiver(track, {direction: 'sendonly', streams: [stream]});
  const whip = new WHIPClient(), whep = new WHEPClient();
  await whip.publish(sending, url + '/whip', 'an');
  await up(sending);
  viewer.addTransceiver('video', {direction: 'recvonly'});
  viewer.addTransceiver('audio', {direction: 'recvonly'});
  await whep.view(viewer, url + '/whep', 'binh');
  await up(viewer);
  const decoded = async () => [...(await viewer.getStats()).values()].find(
    each => each.type === 'inbound-rtp' && each.kind === 'video')?.framesDecoded ?? 0;
  for (let i = 0; i < 100 && await decoded() < 10; i += 1) await new Promise(done => setTimeout(done, 100));
  const frames = await decoded();
  await whep.stop();
  await whip.stop();
  return frames;
}"""


def served(file: Path) -> Callable[[Route], None]:
    return lambda route: route.fulfill(body=file.read_text(), content_type="text/javascript")


def test_clients_of_others_publish_and_view(browser: Browser, base: str, repository: Path):
    folder = repository / "build" / "clients" / "node_modules" / "whip-whep"
    if not folder.is_dir():
        pytest.skip("the npm client whip-whep is not installed: run `make setup` with npm")
    page = page_of(browser, base, "an")
    for name in ("whip.js", "whep.js"):
        page.route(f"{base}/{name}", served(folder / name))
    answers: list[tuple[str, int]] = []
    page.on("response", lambda answer: answers.append((answer.request.method, answer.status)))
    late = "new Promise((_, fail) => setTimeout(() => fail(new Error('nothing was seen')), 20000))"
    assert page.evaluate(f"url => Promise.race([({OTHERS})(url), {late}])", session(base, "f")) >= 10
    assert {("POST", 201), ("DELETE", 200)} <= set(answers)
    assert all(status < 300 for _, status in answers)
    page.close()


def test_a_screen_is_seen(browser: Browser, base: str):
    page = page_of(browser, base, "an")
    url = session(base, "d")
    page.evaluate("url => publish(url + '/whip?source=screen', 'screen')", url)
    page.evaluate("window.token = 'binh'")
    shown = page.evaluate("url => view(url + '/whep?source=an/screen', 1, 0)", url)
    assert 0 < shown["first"] < 5000
    page.close()


def test_a_new_connection_after_a_cut_shows_pictures_again(browser: Browser, base: str):
    one, two = page_of(browser, base, "an"), page_of(browser, base, "binh")
    url = session(base, "e")
    one.evaluate("url => publish(url + '/whip', 'camera')", url)
    two.evaluate("url => view(url + '/whep', 1, 0)", url)
    two.evaluate("viewer.close()")
    again = two.evaluate("url => view(url + '/whep', 1, 0)", url)
    assert 0 < again["first"] < 3000
    for page in (one, two):
        page.close()

"""The app's page and files, from a folder as the build leaves it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest
from starlette.applications import Starlette

from fhir_server.site import Site

PAGE = '<!doctype html><html lang="vi" data-auth="off" data-base="/fhir"></html>'


@pytest.fixture
def built(tmp_path: Path) -> Path:
    assets = tmp_path / "assets"
    assets.mkdir()
    (tmp_path / "index.html").write_text(PAGE)
    (tmp_path / "sections.json").write_text('["day", "patients"]')
    (tmp_path / "icon.svg").write_text("<svg/>")
    (assets / "index-1.js").write_bytes(b"plain")
    (assets / "index-1.js.br").write_bytes(b"brotli")
    (assets / "index-1.js.gz").write_bytes(b"gzip")
    (assets / "codec-1.wasm").write_bytes(b"\0asm")
    return tmp_path


class Answer(NamedTuple):
    """What came, as it travelled."""

    status: int
    headers: httpx.Headers
    raw: bytes

    @property
    def text(self) -> str:
        return self.raw.decode()


class Client:
    """Asks a site."""

    def __init__(self, site: Site) -> None:
        self._transport = httpx.ASGITransport(Starlette(routes=list(site.routes())))

    def get(self, path: str, encoding: str = "identity") -> Answer:
        async def asked() -> Answer:
            async with (
                httpx.AsyncClient(transport=self._transport, base_url="http://node") as client,
                client.stream("GET", path, headers={"accept-encoding": encoding}) as answer,
            ):
                return Answer(answer.status_code, answer.headers, b"".join([part async for part in answer.aiter_raw()]))

        return asyncio.run(asked())


@pytest.fixture
def site(built: Path) -> Client:
    return Client(Site("http://node/fhir", asks=True, built=built))


@pytest.mark.parametrize("path", ["/", "/day", "/patients/ly-thi-may", "/patients/L%C3%BD/x"])
def test_every_address_of_the_app_opens_its_page(site, path):
    answer = site.get(path)
    assert answer.status == 200
    assert 'data-auth="on" data-base="http://node/fhir"' in answer.text
    assert answer.headers["cache-control"] == "no-cache"


def test_the_page_runs_no_script_of_others(site):
    policy = site.get("/").headers["content-security-policy"]
    assert "script-src 'self' 'wasm-unsafe-eval';" in policy
    assert "style-src 'self'; style-src-attr 'unsafe-inline';" in policy
    assert policy.count("unsafe-inline") == 1
    assert "default-src 'none'" in policy
    assert "http" not in policy


@pytest.mark.parametrize(
    "path",
    ["/nothing", "/index.html", "/assets/none.js", "/assets/../sections.json.x", "/assets/%2e%2e/index.html",
     "/days", "/assets/", "/%00"],
)  # fmt: skip
def test_what_is_not_the_app_is_not_found(site, path):
    assert site.get(path).status == 404


@pytest.mark.parametrize(
    ("taken", "encoding", "content"),
    [("gzip, deflate, br, zstd", "br", b"brotli"), ("gzip", "gzip", b"gzip"), ("identity", None, b"plain")],
)
def test_a_file_comes_packed_as_the_browser_takes_it(site, taken, encoding, content):
    answer = site.get("/assets/index-1.js", taken)
    assert answer.headers.get("content-encoding") == encoding
    assert answer.raw == content
    assert answer.headers["content-type"] == "text/javascript; charset=utf-8"
    assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"


def test_codecs_are_told_as_web_assembly_and_may_run_in_workers(site):
    answer = site.get("/assets/codec-1.wasm")
    assert answer.headers["content-type"] == "application/wasm"
    assert "'wasm-unsafe-eval'" in answer.headers["content-security-policy"]


def test_a_server_without_the_app_says_so(tmp_path):
    answer = Client(Site("http://node/fhir", asks=False, built=tmp_path)).get("/")
    assert "make setup" in answer.text
    assert Client(Site("http://node/fhir", asks=False, built=tmp_path)).get("/day").status == 404

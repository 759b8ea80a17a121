"""OHIF, as its makers publish it, opens a study in a browser: pages for everybody, images by a token."""

from __future__ import annotations

import gc
import shutil
import subprocess
import time
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import sync_playwright

from dicom_bridge.multipart import MultipartWriter
from dicom_bridge.viewer_installation import PACKAGE, NotInstalled, fetched, first_page
from tests.dicom_bridge.samples import slice_of, written
from tests.processes import PROGRAM, Program, running

pytestmark = [pytest.mark.server, pytest.mark.browser]

CHROMIUM = "/usr/bin/chromium"
STUDY = "1.2.77"
TOKEN = "token-of-the-radiologist"
SIDE = 128


def nhipcau(program: Program, *words: str | Path) -> str:
    command = [PROGRAM, *words, "--data", program.folder / "data"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package of OHIF, kept from one run to the next."""
    kept = Path("build") / "ohif.tgz"
    if not kept.is_file():
        try:
            made = fetched(tmp_path_factory.mktemp("npm"))
        except NotInstalled as failure:
            pytest.skip(f"OHIF is not to be had: {failure}")
        kept.parent.mkdir(exist_ok=True)
        shutil.copy(made, kept)
    return kept


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory, package: Path) -> Iterator[Program]:
    with running(tmp_path_factory.mktemp("ohif")) as started:
        assert f"{PACKAGE} is installed" in nhipcau(started, "viewer", "install", "--package", package)
        yield started


@pytest.fixture(scope="module")
def study(program: Program) -> str:
    """A CT of a ball in ten slices."""
    writer = MultipartWriter("cut", "application/dicom")
    y, x = np.mgrid[:SIDE, :SIDE] - SIDE / 2
    body = b""
    for number in range(1, 11):
        ball = np.where(x**2 + y**2 < (50 - 2 * number) ** 2, 400, -1000).astype(np.int16)
        dataset = slice_of(STUDY, number=number, Rows=SIDE, Columns=SIDE, PixelRepresentation=1)
        dataset.PixelSpacing, dataset.SliceThickness = [1, 1], 2
        dataset.ImageOrientationPatient, dataset.ImagePositionPatient = [1, 0, 0, 0, 1, 0], [0, 0, 2 * number]
        dataset.FrameOfReferenceUID, dataset.ImageType = "1.2.77.9", ["ORIGINAL", "PRIMARY", "AXIAL"]
        dataset.RescaleSlope, dataset.RescaleIntercept = 1, 0
        dataset.WindowCenter, dataset.WindowWidth = 40, 1000
        dataset.PixelData = ball.tobytes()
        body += writer.begin({"Content-Type": "application/dicom"})
        body += written(dataset, program.folder / "slice").read_bytes()
    url = f"{program.base.removesuffix('/fhir')}/dicom-web/studies"
    answer = httpx.post(url, content=body + writer.end(), headers={"content-type": writer.media_type})
    assert answer.status_code == 200, answer.text
    return STUDY


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # Playwright leaves its driver's pipes to the collector
def test_ohif_shows_a_study_and_sends_the_token_along(program: Program, study: str):
    if not Path(CHROMIUM).exists():
        pytest.skip("Chromium is missing: make setup")
    root = program.base.removesuffix("/fhir")
    answered: list[str] = []
    complaints: list[str] = []
    sent: dict[str, str] = {}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM)
        page = browser.new_page(viewport={"width": 1000, "height": 700})
        page.on("pageerror", lambda failure: complaints.append(str(failure)[:500]))
        page.on("request", lambda request: sent.update({request.url: request.headers.get("authorization", "")}))
        page.on("response", lambda answer: answered.append(f"{answer.status} {answer.url}"))
        page.goto(f"{root}/ohif/viewer?StudyInstanceUIDs={study}#access_token={TOKEN}")
        canvas = page.locator("canvas.cornerstone-canvas").first
        until = time.monotonic() + 60
        brightest = 0
        while brightest < 100 and time.monotonic() < until:
            page.wait_for_timeout(500)
            brightest = shade(canvas.screenshot()) if canvas.count() and canvas.is_visible() else 0
        isolated = page.evaluate("crossOriginIsolated")
        browser.close()
    gc.collect()
    assert brightest >= 100, ([each for each in answered if each >= "4"], complaints)
    assert isolated
    assert [each for each in answered if each >= "4"] == []
    assert [url for url in sent if TOKEN in url] == []
    # Nothing is asked of anybody else.
    assert {url for url in sent if not url.startswith((root, "blob:", "data:"))} == set()
    images = {url: header for url, header in sent.items() if "/dicom-web/" in url}
    assert any("/frames/1" in url for url in images)
    assert set(images.values()) == {f"Bearer {TOKEN}"}
    assert not any(header for url, header in sent.items() if url not in images)


def shade(picture: bytes) -> int:
    """How bright the middle of a picture is."""
    grey = np.asarray(Image.open(BytesIO(picture)).convert("L"))
    height, width = grey.shape
    return int(np.median(grey[height // 2 - 20 : height // 2 + 20, width // 2 - 20 : width // 2 + 20]))


def test_its_pages_are_served_and_no_other_file(program: Program):
    root = program.base.removesuffix("/fhir")
    for path in ("/ohif/", "/ohif/viewer", "/ohif"):
        answer = httpx.get(f"{root}{path}")
        assert answer.status_code == 200
        assert '<base href="/ohif/">' in answer.text
        assert answer.headers["cross-origin-opener-policy"] == "same-origin"
    for path in ("/ohif/../nhipcau.sqlite", "/ohif/%2e%2e/nhipcau.sqlite", "/ohif/..%2fnhipcau.sqlite", "/ohif/no.js"):
        assert httpx.get(f"{root}{path}").status_code in (404, 401)


def test_a_package_that_is_another_is_not_installed(program: Program, tmp_path: Path):
    (tmp_path / "other.tgz").write_bytes(b"another")
    command: list[str | Path] = [
        PROGRAM,
        "viewer",
        "install",
        "--package",
        tmp_path / "other.tgz",
        "--data",
        tmp_path / "data",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 1
    assert "its SHA-512 is another one" in done.stderr
    assert not (tmp_path / "data" / "ohif").exists()


def test_the_first_page_asks_no_other_site_for_programs():
    page = first_page('<head><script src="/a.js"></script><link href="/b.css"><script>window.PUBLIC_URL="/"</script>')
    assert page == (
        '<head><base href="/ohif/"><script src="/ohif/a.js"></script><link href="/ohif/b.css">'
        '<script>window.PUBLIC_URL="/ohif/"</script>'
    )

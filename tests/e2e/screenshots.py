"""Pictures of every page at desktop and phone size, for the documentation: `make screenshots`."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory

from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

from tests.e2e import story
from tests.e2e.conftest import CHROMIUM, log_in, morning, until
from tests.processes import running

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "screenshots"
SIZES = {"desktop": (1366, 768), "phone": (390, 844)}
QUALITY = 82
PAGES = {
    "start": "/",
    "day": "/day",
    "patients": "/patients",
    "patient": "/patients/ly-thi-may",
    "images": "/images",
    "viewer": f"/images/{story.STUDY}",
    "viewer-ultrasound": f"/images/{story.uid_of('color3d_jpeg_baseline.dcm')}",
    "console": "/console?ask=Patient%3Fname%3Dly",
}
MILLISECONDS_TO_DRAW = 1_500


def main() -> None:
    """Take all pictures."""
    FOLDER.mkdir(exist_ok=True)
    with (
        TemporaryDirectory() as folder,
        running(Path(folder), "--auth", "on") as program,
        sync_playwright() as playwright,
    ):
        morning(program)
        browser = playwright.chromium.launch(executable_path=CHROMIUM)
        for size in SIZES:
            take(browser, program.base.removesuffix("/fhir"), size)
        browser.close()


def take(browser: Browser, root: str, size: str) -> None:
    width, height = SIZES[size]
    context = browser.new_context(
        locale="vi-VN", timezone_id="Asia/Ho_Chi_Minh", viewport={"width": width, "height": height}
    )
    page = context.new_page()
    log_in(page, root, "/day")
    for name, path in PAGES.items():
        page.goto(root + path)
        until(page, "document.querySelector('#main h1') && !document.querySelector('.bones')", 60)
        page.wait_for_timeout(MILLISECONDS_TO_DRAW)
        keep(page, f"{name}-{size}")
        if name == "viewer":
            for key, shown in (("2", ""), ("b", "viewer-two"), ("b", ""), ("m", "viewer-mpr")):
                page.keyboard.press(key)
                page.wait_for_timeout(2 * MILLISECONDS_TO_DRAW)
                if shown:
                    keep(page, f"{shown}-{size}")
    context.close()


def keep(page: Page, name: str) -> None:
    """Keep what is seen, as a small file."""
    Image.open(BytesIO(page.screenshot())).convert("RGB").save(FOLDER / f"{name}.webp", quality=QUALITY, method=6)


if __name__ == "__main__":
    main()

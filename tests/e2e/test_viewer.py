"""The viewer at real images: what is drawn against what was stored, measurements against known geometry, its state."""

from __future__ import annotations

import json
import time
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from tests.e2e import phantom, story
from tests.e2e.conftest import Complaints, Open, until
from tests.e2e.test_app import violations

pytestmark = [
    pytest.mark.server,
    pytest.mark.browser,
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.xdist_group("e2e"),
]
MIDDLE = 12
COUNT = 24


@pytest.fixture
def viewer(open_page: Open) -> Page:
    """The viewer at the chest CT."""
    return shown(open_page, story.STUDY)


def shown(open_page: Open, study: str, width: int = 1366, height: int = 768) -> Page:
    page = open_page(f"/images/{study}", width, height)
    page.wait_for_selector(".viewer-canvas canvas")
    until(page, "nhipcauViewer.stack(0)?.getImageData() !== undefined")
    page.wait_for_timeout(300)
    return page


def state(page: Page) -> dict[str, Any]:
    return dict(json.loads(page.evaluate("JSON.stringify(nhipcauViewer.state.value)")))


OVER_THE_IMAGE = ".viewer-words, .viewer-letters, .viewer-progress, .viewer-canvas svg"


def pixels(page: Page) -> Any:
    """What is drawn in the first pane, as grey values, without what is written over it."""
    show = "([over, how]) => document.querySelectorAll(over).forEach((each) => { each.style.visibility = how; })"
    page.evaluate(show, [OVER_THE_IMAGE, "hidden"])
    taken = page.locator(".viewer-canvas").first.screenshot()
    page.evaluate(show, [OVER_THE_IMAGE, "visible"])
    return np.asarray(Image.open(BytesIO(taken)).convert("L")).astype(float)


def expected(image: Any, center: float, width: float) -> Any:
    """Grey values of Hounsfield units in a window (PS3.3, C.11.2.1.2.1)."""
    return np.clip((image.astype(float) - (center - 0.5)) / (width - 1) + 0.5, 0, 1) * 255


def place(page: Page, column: float, row: float) -> tuple[float, float]:
    """Where the middle of a pixel of the slice is on the screen."""
    half = phantom.SIZE * phantom.SPACING / 2
    point = [column * phantom.SPACING - half, row * phantom.SPACING - half, 0]
    x, y = page.evaluate("(point) => [...nhipcauViewer.stack(0).worldToCanvas(point)]", point)
    box = page.locator(".viewer-canvas").first.bounding_box()
    assert box
    return box["x"] + x, box["y"] + y


def drag(page: Page, start: tuple[float, float], end: tuple[float, float]) -> None:
    page.mouse.move(*start)
    page.mouse.down()
    page.mouse.move((start[0] + end[0]) / 2, (start[1] + end[1]) / 2 + 5, steps=3)
    page.mouse.move(*end, steps=4)
    page.mouse.up()


@pytest.mark.parametrize(("key", "window"), [("1", (40, 400)), ("2", (-600, 1500)), ("3", (400, 1800))])
def test_a_known_slice_is_drawn_as_it_was_stored(viewer: Page, key: str, window: tuple[int, int]):
    viewer.keyboard.press(key)
    viewer.wait_for_timeout(300)
    drawn = pixels(viewer)
    square = min(drawn.shape)
    left = (drawn.shape[1] - square) // 2
    inside = drawn[:, left : left + square]
    wanted = expected(phantom.slice_of(MIDDLE / (COUNT - 1)), *window)
    assert inside.mean() == pytest.approx(wanted.mean(), abs=1.5)
    rows = np.linspace(4, phantom.SIZE - 5, 24).astype(int)
    at = ((rows + 0.5) * square / phantom.SIZE).astype(int)
    sampled = inside[np.ix_(at, at)]
    close = np.abs(sampled - wanted[np.ix_(rows, rows)]) < 8
    assert close.mean() > 0.93


def test_names_and_words_are_vietnamese(viewer: Page):
    expect(viewer.locator("h1")).to_have_text("Lý Thị Mây")
    expect(viewer.locator(".viewer-heading")).to_contain_text("Cắt lớp vi tính ngực")
    expect(viewer.locator(".viewer-words.bottom")).to_contain_text(f"Ảnh {MIDDLE + 1}/{COUNT}")
    expect(viewer.locator(".viewer-report")).to_contain_text("Nốt đặc thuỳ trên phổi trái 11 mm")


def test_a_length_is_that_of_the_pins(viewer: Page):
    viewer.keyboard.press("l")
    drag(viewer, place(viewer, *phantom.PINS[0]), place(viewer, *phantom.PINS[1]))
    expect(viewer.locator(".viewer-marks")).to_contain_text("mm")
    viewer.wait_for_timeout(300)
    (mark,) = state(viewer)["marks"]
    one, two = (np.array(point) for point in mark["points"])
    assert np.linalg.norm(one - two) == pytest.approx(100 * phantom.SPACING, abs=0.6)
    text = viewer.locator(".viewer-marks strong").inner_text()
    assert float(text.removesuffix(" mm").replace(",", ".")) == pytest.approx(80, abs=0.6)


def test_a_region_in_the_lung_has_the_lungs_density(viewer: Page):
    viewer.keyboard.press("o")
    drag(viewer, place(viewer, 56, 86), place(viewer, 68, 98))
    expect(viewer.locator(".viewer-marks")).to_contain_text(f"{phantom.LUNG} HU")


def test_keys_scroll_turn_and_mark(viewer: Page):
    for key in ("ArrowDown", "i", "r", "k"):
        viewer.keyboard.press(key)
    expect(viewer.locator(".viewer-words.bottom")).to_contain_text(f"Ảnh {MIDDLE + 2}/{COUNT}")
    viewer.wait_for_timeout(200)
    now = state(viewer)
    assert now["panes"][0]["invert"] is True
    assert now["panes"][0]["rotation"] == 90
    assert [key["at"] for key in now["keys"]] == [MIDDLE + 1]


def test_the_wheel_scrolls_without_a_blank_frame(viewer: Page):
    until(viewer, "nhipcauViewer.loaded.value[0] === 24")
    viewer.mouse.move(*place(viewer, 96, 96))
    for _ in range(8):
        viewer.mouse.wheel(0, 100)
        viewer.wait_for_timeout(40)
        assert pixels(viewer).max() > 200
    assert state(viewer)["panes"][0]["at"] > MIDDLE


def test_a_state_shows_the_same_to_somebody_else(open_page: Open, viewer: Page):
    viewer.keyboard.press("2")
    viewer.keyboard.press("PageUp")
    viewer.keyboard.press("l")
    viewer.wait_for_timeout(200)
    drag(viewer, place(viewer, *phantom.PINS[0]), place(viewer, 96, 96))
    viewer.wait_for_timeout(300)
    shared = state(viewer)
    other = shown(open_page, story.STUDY)
    other.evaluate("(shared) => nhipcauViewer.apply(shared)", shared)
    other.wait_for_timeout(500)
    assert state(other) == shared
    assert np.abs(pixels(other) - pixels(viewer)).mean() < 1
    expect(other.locator(".viewer-marks strong")).to_have_text(viewer.locator(".viewer-marks strong").inner_text())


def test_what_is_done_here_is_told_and_what_is_applied_is_not(viewer: Page):
    viewer.evaluate("globalThis.heard = []; nhipcauViewer.onChange((state) => heard.push(state.panes[0].at)); null")
    applied = state(viewer)
    applied["panes"][0]["at"] = 3
    viewer.evaluate("(state) => nhipcauViewer.apply(state)", applied)
    viewer.wait_for_timeout(400)
    assert viewer.evaluate("heard") == []
    viewer.keyboard.press("ArrowDown")
    until(viewer, "heard.at(-1) === 4")


def test_two_studies_scroll_together(viewer: Page):
    viewer.keyboard.press("b")
    panes = "nhipcauViewer.state.value.panes"
    until(viewer, f"{panes}[1]?.study !== {panes}[0].study && nhipcauViewer.stack(1)?.getImageData()")
    viewer.wait_for_timeout(300)
    viewer.mouse.move(*place(viewer, 96, 96))
    before = [pane["at"] for pane in state(viewer)["panes"]]
    viewer.mouse.wheel(0, 100)
    viewer.wait_for_timeout(100)
    viewer.mouse.wheel(0, 100)
    viewer.wait_for_timeout(400)
    after = [pane["at"] for pane in state(viewer)["panes"]]
    assert after[0] > before[0]
    assert after[1] == round(after[0] / (COUNT - 1) * 15)


def test_a_volume_is_cut_in_three_planes(viewer: Page):
    viewer.keyboard.press("m")
    until(viewer, "nhipcauViewer.plane('coronal')?.getImageData() !== undefined")
    viewer.wait_for_timeout(1500)
    for at, most in enumerate((255, 255, 255)):
        taken = viewer.locator(".viewer-canvas").nth(at).screenshot()
        drawn = np.asarray(Image.open(BytesIO(taken)).convert("L")).astype(float)
        assert drawn.std() > 20, at
        assert drawn.max() <= most


def test_an_ultrasound_of_120_frames_plays(open_page: Open):
    begun = time.monotonic()
    page = shown(open_page, story.uid_of("color3d_jpeg_baseline.dcm"))
    page.keyboard.press("Space")
    until(page, "nhipcauViewer.state.value.panes[0].at > 5")
    assert time.monotonic() - begun < 15
    first = pixels(page)
    page.wait_for_timeout(500)
    assert np.abs(pixels(page) - first).mean() > 0.1


@pytest.mark.parametrize("name", ["RG1_UNCR.dcm", "MR2_UNCR.dcm", "JPEG2000.dcm", "SC_rgb_rle.dcm"])
def test_other_kinds_of_images_are_drawn(open_page: Open, name: str):
    page = shown(open_page, story.uid_of(name))
    page.wait_for_timeout(700)
    assert pixels(page).std() > 5


@pytest.mark.parametrize(("name", "reason"), [("test-SR.dcm", "không phải ảnh"), ("liver_1frame.dcm", "Vùng khoanh")])
def test_what_cannot_be_shown_is_said(open_page: Open, name: str, reason: str):
    page = open_page(f"/images/{story.uid_of(name)}")
    expect(page.locator(".state")).to_contain_text(reason)


def test_a_study_of_nobody_is_said_to_be_missing(open_page: Open, complaints: Complaints):
    page = open_page("/images/1.2.3.4")
    expect(page.locator("[role=alert]")).to_contain_text("Không tìm thấy")
    complaints[:] = [each for each in complaints if "404" not in each]


def test_axe_finds_nothing_at_the_viewer(viewer: Page):
    assert violations(viewer) == []


def test_it_works_on_a_phone(open_page: Open):
    page = shown(open_page, story.STUDY, 360, 740)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    assert pixels(page).std() > 20

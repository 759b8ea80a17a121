"""The app as people have it: log-in, pages, what is on them, in a real browser at a real server."""

from __future__ import annotations

import gzip
import json
import re
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from fhir_server.site import BUILT
from tests.e2e.conftest import Complaints, Open, log_in, until
from tests.processes import Program

pytestmark = [
    pytest.mark.server,
    pytest.mark.browser,
    # Playwright leaves its driver's pipes to the collector
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.xdist_group("e2e"),
]
AXE = Path(__file__).resolve().parents[2] / "web" / "node_modules" / "axe-core" / "axe.min.js"
MOST_BYTES_OF_FIRST_PAGE = 200_000
PAGES = {
    "start": "/",
    "day": "/day",
    "patients": "/patients",
    "patient": "/patients/ly-thi-may",
    "images": "/images",
    "console": "/console?ask=Patient%3Fname%3Dly",
    "missing": "/patients/nobody-here",
}


def settled(page: Page) -> None:
    """Wait until nothing is loading."""
    until(page, "document.querySelector('#main h1, #main [role=alert]') && !document.querySelector('.bones')")


def violations(page: Page) -> list[str]:
    """What axe finds against WCAG 2.2 AA."""
    if not AXE.is_file():
        pytest.skip("axe-core is not installed: run `make setup` with npm")
    page.evaluate(f"(() => {{ {AXE.read_text()} }})()")
    found = page.evaluate("axe.run({runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa']})")
    return [
        f"{each['id']}: {node['html'][:200]} {node['failureSummary'][:300]}"
        for each in found["violations"]
        for node in each["nodes"]
    ]


def test_a_deep_link_survives_the_log_in_and_a_reload(browser: Browser, node: Program, complaints: Complaints):
    root = node.base.removesuffix("/fhir")
    context = browser.new_context(locale="vi-VN")
    page = context.new_page()
    complaints.listen(page)
    log_in(page, root, "/patients?find=phuong%20thao", "linh")
    settled(page)
    page.reload()
    settled(page)
    assert page.url == f"{root}/patients?find=phuong%20thao"
    expect(page.locator(".who")).to_contain_text("Trần Mỹ Linh")
    expect(page.locator(".who")).to_contain_text("Điều phối viên")
    context.close()


def test_whoever_logs_out_is_asked_again(browser: Browser, node: Program, complaints: Complaints):
    root = node.base.removesuffix("/fhir")
    context = browser.new_context(locale="vi-VN")
    page = context.new_page()
    complaints.listen(page)
    log_in(page, root, "/day", "linh")
    token = json.loads(page.evaluate("sessionStorage.getItem('nhipcau.tokens')"))["access"]
    page.click("details.menu summary")
    page.click("text=Đăng xuất")
    expect(page.locator(".start h1")).to_be_visible()
    assert httpx.get(f"{node.base}/Patient", headers={"authorization": f"Bearer {token}"}).status_code == 401
    page.goto(f"{root}/day")
    expect(page.locator("#password")).to_be_visible()
    # A coordinator with whom no record is shared yet may see no sessions and reports.
    complaints[:] = [each for each in complaints if "403" not in each]
    context.close()


def test_tokens_are_renewed_when_they_run_out(open_page: Open):
    page = open_page("/patients")
    settled(page)
    before = page.evaluate("sessionStorage.getItem('nhipcau.tokens')")
    expired = json.dumps({**json.loads(before), "expires": 0})
    page.evaluate("(tokens) => sessionStorage.setItem('nhipcau.tokens', tokens)", expired)
    page.reload()
    settled(page)
    after = page.evaluate("sessionStorage.getItem('nhipcau.tokens')")
    assert json.loads(after)["access"] != json.loads(before)["access"]
    assert page.locator("tbody tr").count() > 3


def test_my_day_shows_what_is_most_urgent_first(open_page: Open):
    page = open_page("/day")
    settled(page)
    first = page.locator(".day-requests tbody tr").first
    expect(first).to_contain_text("Trần Văn Đức")
    expect(first).to_contain_text("Cấp cứu")
    expect(page.locator(".day-requests")).to_contain_text("Công Tằng Tôn Nữ Hoàng Diệu Quỳnh Như")
    expect(page.locator("header.bar")).to_contain_text("Bệnh viện Đa khoa tỉnh Tuyên Quang")


def test_patients_are_found_without_marks(open_page: Open):
    page = open_page("/patients")
    settled(page)
    page.fill("input[type=search]", "bich ngoc")
    page.wait_for_url("**/patients?find=bich+ngoc")
    expect(page.locator("tbody tr")).to_have_count(1)
    expect(page.locator("tbody tr")).to_contain_text("Nông Thị Bích Ngọc")


def test_a_record_tells_everything_by_date(open_page: Open):
    page = open_page("/patients/ly-thi-may")
    settled(page)
    expect(page.locator(".strip")).to_contain_text("Lý Thị Mây")
    expect(page.locator(".strip")).to_contain_text("Dị ứng: Penicillin")
    expect(page.locator(".timeline")).to_contain_text("Nốt đơn độc ở phổi")
    page.click(".patient-kinds >> text=Thuốc")
    expect(page.locator(".timeline li")).to_have_count(1)
    assert page.url.endswith("?kind=medicines")


def test_the_console_shows_the_answer_and_what_is_wrong(open_page: Open, complaints: Complaints):
    page = open_page("/console")
    page.fill("input[type=search]", "Patient?nme=ly")
    page.keyboard.press("Enter")
    expect(page.locator("[role=alert]")).to_contain_text("nme")
    complaints[:] = [each for each in complaints if "400" not in each]


def test_words_change_to_english_and_stay(open_page: Open):
    page = open_page("/day")
    page.click("details.menu summary")
    page.click("text=English")
    expect(page.locator("#requests")).to_contain_text("Consultation requests")
    page.reload()
    expect(page.locator("#requests")).to_contain_text("Consultation requests")
    assert page.get_attribute("html", "lang") == "en"


def test_the_keyboard_leads_everywhere(open_page: Open):
    page = open_page("/day")
    settled(page)
    page.keyboard.press("g")
    page.keyboard.press("p")
    page.wait_for_url("**/patients")
    settled(page)
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.type") == "search"
    page.keyboard.press("Tab")
    page.keyboard.press("?")
    expect(page.locator("dialog[open]")).to_contain_text("Phím tắt")


def test_a_lost_line_is_told_and_comes_back(open_page: Open, complaints: Complaints):
    page = open_page("/patients")
    settled(page)
    page.context.set_offline(True)
    page.fill("input[type=search]", "duc")
    expect(page.locator(".line-banner")).to_contain_text("Mất kết nối")
    page.context.set_offline(False)
    expect(page.locator("tbody tr")).to_have_count(1, timeout=15_000)
    expect(page.locator(".line-banner")).to_have_count(0)
    assert page.input_value("input[type=search]") == "duc"
    complaints[:] = [each for each in complaints if "ERR_INTERNET_DISCONNECTED" not in each]


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_for_everybody(open_page: Open, complaints: Complaints, name: str):
    """axe finds nothing in either theme, and nothing is cut on a small phone."""
    page = open_page(PAGES[name])
    settled(page)
    assert violations(page) == []
    page.evaluate("document.documentElement.dataset.theme = 'dark'")
    assert violations(page) == []
    page.set_viewport_size({"width": 360, "height": 740})
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    forget_missing(complaints)


def forget_missing(complaints: Complaints) -> None:
    """What the browser says of a record that is not there is expected."""
    complaints[:] = [each for each in complaints if "404" not in each]


def test_no_request_leaves_the_origin(open_page: Open, node: Program, complaints: Complaints):
    page = open_page("/day")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    for path in PAGES.values():
        page.goto(node.base.removesuffix("/fhir") + path)
        settled(page)
    root = node.base.removesuffix("/fhir")
    assert [url for url in asked if not url.startswith((root, "data:", "blob:"))] == []
    forget_missing(complaints)


@pytest.mark.parametrize("path", ["/", "/day"])
def test_the_first_page_is_light(open_page: Open, path: str):
    page = open_page(path)
    settled(page)
    names = page.evaluate("performance.getEntriesByType('resource').map((each) => new URL(each.name).pathname)")
    files = {BUILT / name.lstrip("/") for name in names if name.startswith("/assets/")}
    sizes = {file.name: len(packed(file)) for file in files}
    page_size = len(gzip.compress((BUILT / "index.html").read_bytes()))
    assert page_size + sum(sizes.values()) < MOST_BYTES_OF_FIRST_PAGE, sizes
    assert not [name for name in sizes if re.match(r"viewer_page|decode", name)]


def packed(file: Path) -> bytes:
    """A file as it travels."""
    found = file.with_name(f"{file.name}.br")
    return found.read_bytes() if found.is_file() else file.read_bytes()

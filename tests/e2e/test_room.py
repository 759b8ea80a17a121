"""A commune asks and a hospital answers, in real browsers: the room with pictures and sound, requests, minutes."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e import consultation, story
from tests.e2e.conftest import CHROMIUM, KEY, Complaints, log_in, until
from tests.e2e.consultation import Consultation
from tests.e2e.test_app import violations
from tests.processes import Program

pytestmark = [
    pytest.mark.server,
    pytest.mark.browser,
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.xdist_group("e2e"),
]

QUESTION = "Đau khớp gối phải ba tháng. Có cần chụp cộng hưởng từ không?"
ANSWER = "Chưa cần. Giảm đau, tập phục hồi, tái khám sau 4 tuần."
FAKE_DEVICES = (
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
    "--autoplay-policy=no-user-gesture-required",
    "--disable-features=WebRtcHideLocalIpsWithMdns",
)
SHOT = """
async (name) => {
  const video = [...document.querySelectorAll(".tile")].find((tile) => tile.textContent.includes(name))
    ?.querySelector("video");
  if (!video?.videoWidth) return undefined;
  const canvas = Object.assign(document.createElement("canvas"), { width: 64, height: 48 });
  const context = canvas.getContext("2d");
  const seen = () => { context.drawImage(video, 0, 0, 64, 48); return context.getImageData(0, 0, 64, 48).data; };
  const before = seen();
  const end = performance.now() + 3000;
  while (performance.now() < end) {
    await new Promise((resolve) => video.requestVideoFrameCallback(resolve));
    const changed = seen().reduce((sum, each, at) => sum + Math.abs(each - before[at]), 0);
    if (changed > 20000) return changed;
  }
  return 0;
}
"""
LOUDNESS = """
async () => {
  const stream = globalThis.nhipcauSeat.heard;
  if (!stream.getAudioTracks().length) return 0;
  const context = new AudioContext();
  const analyser = context.createAnalyser();
  for (const track of stream.getAudioTracks())
    context.createMediaStreamSource(new MediaStream([track])).connect(analyser);
  const samples = new Float32Array(analyser.fftSize);
  let most = 0;
  const end = performance.now() + 4000;
  while (performance.now() < end && most < 0.01) {
    await new Promise((resolve) => setTimeout(resolve, 50));
    analyser.getFloatTimeDomainData(samples);
    most = Math.max(most, ...samples.map(Math.abs));
  }
  await context.close();
  return most;
}
"""

Enter = Callable[..., Page]


@pytest.fixture(scope="module")
def meeting(node: Program) -> Consultation:
    consultation.people(node)
    return consultation.booked(node)


@pytest.fixture(scope="module")
def actors(browser: Browser) -> Iterator[Browser]:
    """A browser whose camera and microphone are made up."""
    launched = browser.browser_type.launch(executable_path=CHROMIUM, args=list(FAKE_DEVICES))
    yield launched
    launched.close()


@pytest.fixture
def enter(actors: Browser, node: Program, complaints: Complaints) -> Iterator[Enter]:
    """Opens a page as somebody; without a login as a stranger."""
    contexts = []

    def opened(path: str, login: str = "", width: int = 1366, height: int = 768) -> Page:
        context = actors.new_context(
            locale="vi-VN", timezone_id="Asia/Ho_Chi_Minh", viewport={"width": width, "height": height},
            permissions=["camera", "microphone"],
        )  # fmt: skip
        contexts.append(context)
        page = context.new_page()
        complaints.listen(page)
        root = node.base.removesuffix("/fhir")
        if login:
            log_in(page, root, path, login)
        else:
            page.goto(root + path)
        return page

    yield opened
    for context in contexts:
        context.close()


def come_in(page: Page) -> None:
    page.click("text=Vào phòng")
    page.wait_for_selector(".room-controls")


def sees(page: Page, name: str) -> None:
    """A picture of somebody comes, and moves."""
    until(page, f"[...document.querySelectorAll('.tile')].some((tile) => tile.textContent.includes('{name}')"
          " && tile.querySelector('.tile-picture:not(.covered) video'))")  # fmt: skip
    assert page.evaluate(SHOT, name) > 0, name


def test_a_commune_and_a_hospital_meet_and_a_guest_joins(
    enter: Enter, meeting: Consultation, complaints: Complaints, node: Program
):
    room = f"/rooms/{meeting.session}"
    doctor, worker = enter(room, "hai"), enter(room, "mai")
    expect(doctor.locator("h1")).to_contain_text(consultation.PATIENT)
    expect(doctor.locator(".check-list")).to_contain_text("Nghe rõ bạn", timeout=15_000)
    assert violations(doctor) == []
    come_in(doctor)
    come_in(worker)

    sees(doctor, "Nguyễn Thị Mai")
    sees(worker, "Vũ Thị Thanh Hải")
    assert doctor.evaluate(LOUDNESS) > 0.01
    assert worker.evaluate(LOUDNESS) > 0.01

    worker.keyboard.press("c")
    worker.fill("#chat-text", "Chào bác sĩ, ảnh vùng da em vừa gửi.")
    worker.keyboard.press("Enter")
    doctor.click(".control:has-text('Trao đổi')")
    expect(doctor.locator(".messages")).to_contain_text("ảnh vùng da em vừa gửi")

    doctor.click(".control:has-text('Người tham gia')")
    doctor.click("text=Mời người không có tài khoản")
    doctor.click("text=Tạo đường dẫn")
    link = doctor.locator(".invite-link").inner_text()
    doctor.click("dialog[open] button[aria-label='Đóng']")

    guest = enter(link.removeprefix(node.base.removesuffix("/fhir")), width=360, height=740)
    assert not guest.is_checked("input[type=checkbox]")
    assert violations(guest) == []
    guest.check("input[type=checkbox]")
    guest.click("text=Tiếp tục")
    guest.fill("input[autocomplete=name]", "Bà Lò Thị Pành")
    assert guest.evaluate("document.documentElement.scrollWidth") <= 360
    assert "#" not in guest.url
    guest.click("text=Vào phòng")
    expect(guest.locator(".waiting-place")).to_contain_text("1")
    doctor.click("button[aria-label='Mời Bà Lò Thị Pành vào']")
    guest.wait_for_selector(".room-controls")
    sees(guest, "Vũ Thị Thanh Hải")
    sees(doctor, "Bà Lò Thị Pành")
    assert guest.evaluate("document.documentElement.scrollWidth") <= 360
    assert violations(doctor) == []
    assert violations(guest) == []

    worker.context.set_offline(True)
    expect(worker.locator(".room-banners")).to_contain_text("Mất kết nối", timeout=10_000)
    worker.context.set_offline(False)
    expect(worker.locator(".room-banners .call-out")).to_have_count(0, timeout=15_000)
    sees(worker, "Vũ Thị Thanh Hải")

    doctor.click(".control.leave")
    doctor.click("text=Kết thúc với tất cả")
    for page in (doctor, worker, guest):
        expect(page.locator(".out")).to_contain_text("Phiên hội chẩn đã kết thúc", timeout=10_000)
    complaints[:] = [each for each in complaints if "ERR_INTERNET_DISCONNECTED" not in each]


def test_a_code_is_good_once(enter: Enter, node: Program, meeting: Consultation, complaints: Complaints):
    page = enter(f"/#/join/{meeting.session}/khong-co-ma-nay", width=360, height=740)
    page.check("input[type=checkbox]")
    page.click("text=Tiếp tục")
    expect(page.locator(".state")).to_contain_text("không dùng được nữa")
    complaints[:] = [each for each in complaints if "410" not in each and "404" not in each]


def test_a_request_is_sent_accepted_booked_and_its_minutes_signed(
    enter: Enter,
    meeting: Consultation,
    node: Program,
    complaints: Complaints,
):
    del meeting
    with consultation.system(node, consultation.STATION_CLIENT, consultation.STATION_KEY) as own:
        patient = consultation.patient(own, "Ma Văn Sính")
    worker = enter("/requests/new", "mai")
    worker.fill("input[type=search]", "sinh ma")
    worker.click(".choices button:has-text('Ma Văn Sính')")
    worker.click("text=Gửi yêu cầu")
    expect(worker.locator(".fault-summary")).to_contain_text("Viết câu hỏi")
    worker.fill("textarea >> nth=0", QUESTION)
    worker.reload()
    assert worker.input_value("textarea >> nth=0") == QUESTION
    worker.get_by_label("Nơi nhận").select_option(story.HOSPITAL)
    assert violations(worker) == []
    worker.click("text=Gửi yêu cầu")
    expect(worker.locator(".course .here")).to_have_text("Đã gửi", timeout=15_000)
    path = worker.url.removeprefix(node.base.removesuffix("/fhir"))

    doctor = enter(path, "hai")
    doctor.click("button:has-text('Nhận yêu cầu')")
    doctor.click("button:has-text('Hẹn giờ')")
    doctor.fill("input[type=datetime-local]", "2031-03-01T09:00")
    doctor.get_by_label("Thư ký").select_option("Practitioner/mai")
    assert violations(doctor) == []
    doctor.click("dialog button:has-text('Đặt lịch')")
    doctor.click("button:has-text('Bắt đầu hội chẩn')")
    doctor.click("button:has-text('Lập biên bản')")
    doctor.get_by_label(QUESTION).fill(ANSWER)
    doctor.click("text=Lưu bản nháp")
    doctor.click(".card button:has-text('Ký biên bản')")
    doctor.click("dialog button:has-text('Ký biên bản')")
    expect(doctor.locator(".signers")).to_contain_text("đã ký", timeout=15_000)
    assert violations(doctor) == []

    worker.reload()
    expect(worker.locator(".minutes-section", has_text=QUESTION).last).to_contain_text(ANSWER)
    worker.click(".card button:has-text('Ký biên bản')")
    worker.click("dialog button:has-text('Ký biên bản')")
    expect(worker.locator("#minutes")).to_contain_text("Đã ký", timeout=15_000)
    worker.set_viewport_size({"width": 360, "height": 740})
    assert worker.evaluate("document.documentElement.scrollWidth") <= 360
    with consultation.system(node, "HIS", KEY) as hub:
        found = hub.get(f"Composition?patient={patient}&status=final").json()
    assert found["total"] == 1
    complaints[:] = [each for each in complaints if "404" not in each]

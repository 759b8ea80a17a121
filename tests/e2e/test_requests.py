"""A request goes its way through the pages: asked by a commune, accepted and booked by a hospital, minutes signed."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.e2e import consultation, story
from tests.e2e.conftest import KEY, Complaints
from tests.e2e.consultation import Consultation
from tests.e2e.test_app import violations
from tests.e2e.test_room import Enter, actors, enter, meeting  # noqa: F401 -- its fixtures are ours
from tests.processes import Program

pytestmark = [
    pytest.mark.server,
    pytest.mark.browser,
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.xdist_group("e2e"),
]
QUESTION = "Đau khớp gối phải ba tháng. Có cần chụp cộng hưởng từ không?"
ANSWER = "Chưa cần. Giảm đau, tập phục hồi, tái khám sau 4 tuần."


def test_a_request_is_sent_accepted_booked_and_its_minutes_signed(
    enter: Enter,
    meeting: Consultation,
    node: Program,
    complaints: Complaints,  # noqa: F811
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

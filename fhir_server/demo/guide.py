"""What the demo prints: who to log in as, and the way through its story in five minutes, in Vietnamese and English."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from fhir_server.telling import Story

STEPS = (
    (
        "son", "/patients/{patient}",
        "Bác sĩ bệnh viện khu vực: người bệnh, tiền sử, phim đã chụp.",
        "The district doctor: the patient, the history, the images.",
    ),
    (
        "linh", "/day",
        "Điều phối viên tuyến trên: một yêu cầu mới của trạm đang chờ, một buổi hội chẩn ngay bây giờ.",
        "The hub's coordinator: a new request of the station waits, a consultation is now.",
    ),
    (
        "ha", "/images/{study}",
        "Bác sĩ chẩn đoán hình ảnh: mở phim cắt lớp vi tính ngực.",
        "The radiologist: open the CT of the chest.",
    ),
    (
        "tho", "/rooms/{encounter}",
        "Chủ toạ vào phòng hội chẩn; đăng nhập thêm son và dung ở cửa sổ ẩn danh khác.",
        "The chair enters the room; let son and dung in too, each in a private window of their own.",
    ),
    (
        "dung", "/patients/{patient}",
        "Trạm y tế thấy hồ sơ trong lúc hội chẩn, rồi không thấy nữa khi đã đóng.",
        "The commune station sees the record while the consultation lasts, and no more once it is closed.",
    ),
)  # fmt: skip


def who_lines(users: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Yield who can log in, a line each."""
    for user in users:
        yield "  {login:8} {password}  {role:14} {name}".format(**user)


def guide_lines(base: str, story: Story, *, asks: bool) -> Iterator[str]:
    """Yield the steps through the story, with the address of each."""
    ids = {name: reference.rpartition("/")[2] for name, reference in story.items()}
    yield "Năm phút / Five minutes:"
    shown = (step for step in STEPS if all(f"{{{name}}}" not in step[1] or name in ids for name in NAMED))
    for number, (login, path, vietnamese, english) in enumerate(shown, 1):
        yield f"  {number}. {f'{login}: ' if asks else ''}{base}{path.format(**ids)}"
        yield f"     {vietnamese}"
        yield f"     {english}"


NAMED = ("patient", "study", "encounter")
"""The parts of a story that steps lead to."""

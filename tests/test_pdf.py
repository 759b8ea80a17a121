"""Papers are printed with every Vietnamese letter, on as many pages as they need."""

from __future__ import annotations

from io import BytesIO

from pypdf import PdfReader

from fhir_server.page import Block, Facts, Head, Heading, Place, Signatures, Table, Text, Title
from fhir_server.pdf import drawn

LETTERS = "ắằẳẵặ ấầẩẫậ éèẻẽẹ ếềểễệ óòỏõọ ốồổỗộ ớờởỡợ úùủũụ ứừửữự ýỳỷỹỵ đĐ"
BLOCKS: list[Block] = [
    Head(["BỆNH VIỆN TỈNH"], ["CỘNG HÒA XÃ HỘI CHỦ NGHĨA VIỆT NAM", "Độc lập - Tự do - Hạnh phúc"]),
    Title("BIÊN BẢN", "Số 1"),
    Facts([("Họ và tên", "Lý Thị Mẩy"), ("Không có", "")]),
    Heading("I. Kết luận"),
    Text(LETTERS),
    Table(["STT", "Họ tên"], [["1", "<b>A & B</b>"]], [0.2, 0.8]),
    Signatures("Ngày 1 tháng 12 năm 2026", [Place("CHỦ TỌA", [], "BS. An"), Place("THƯ KÝ", ["Đã ký số"], "Bình")]),
]


def text_of(pdf: bytes) -> str:
    return " ".join("".join(page.extract_text() for page in PdfReader(BytesIO(pdf)).pages).split())


def test_all_that_is_said_is_printed():
    text = text_of(drawn("Biên bản", BLOCKS, "Composition/1"))
    for said in ("CỘNG HÒA XÃ HỘI CHỦ NGHĨA VIỆT NAM", "Lý Thị Mẩy", LETTERS, "<b>A & B</b>", "Đã ký số", "Trang 1",
                 "Composition/1"):  # fmt: skip
        assert said in text
    assert "Không có" not in text


def test_the_same_paper_is_the_same_bytes():
    assert drawn("Biên bản", BLOCKS) == drawn("Biên bản", BLOCKS)


def test_a_long_text_goes_on_over_pages_and_the_signatures_are_not_alone():
    long: list[Block] = [*BLOCKS[:4], Text("\n".join([LETTERS] * 120)), *BLOCKS[5:]]
    rows = Table(["STT", "Nội dung"], [["1", LETTERS * 80]], [0.2, 0.8])
    pages = PdfReader(BytesIO(drawn("Biên bản", [*long[:-1], rows, long[-1]]))).pages
    assert len(pages) > 2
    assert "CHỦ TỌA" in pages[-1].extract_text()

"""The minutes as a paper: what their sections say, under the national motto, over the places to sign."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from datetime import datetime, tzinfo

from fhir_server.page import Block, Facts, Head, Heading, Place, Signatures, Table, Text, Title
from telesession.minutes import MODES, ROLE_NAMES, UNWRITTEN, code_of, is_begun, is_written, spoken
from telesession.narrative import Row, read
from telesession.vocabulary import Body, objects, path_of

MOTTO = ("CỘNG HÒA XÃ HỘI CHỦ NGHĨA VIỆT NAM", "Độc lập - Tự do - Hạnh phúc")
NUMERALS = ("I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX", "X", "XI", "XII", "XIII", "XIV", "XV")
PAIR = 2
WIDTHS: Mapping[int, tuple[float, ...]] = {6: (0.07, 0.25, 0.16, 0.16, 0.22, 0.14)}
STATES: Mapping[str, str] = {
    "preliminary": "Bản nháp, chưa đủ chữ ký",
    "amended": "Bản sửa đổi",
    "entered-in-error": "Đã hủy: ghi nhầm",
}


def page(minutes: Body, facility: str, holding: Collection[str], zone: tzinfo) -> list[Block]:
    """Return what is printed of minutes; `holding` are the modes of the attesters whose signatures hold."""
    status = STATES.get(str(minutes.get("status")), "")
    return [
        Head((facility.upper(),), MOTTO),
        Title(str(minutes.get("title", "")).upper(), status),
        *_sections(minutes),
        _signatures(minutes, holding, zone),
    ]


def _sections(minutes: Body) -> Iterator[Block]:
    # What nobody has written is left out of a paper that is signed, and stays open on one that is not.
    shown = [each for each in objects(minutes, "section") if not is_begun(minutes) or _says_anything(each)]
    for place, section in enumerate(shown):
        numeral = NUMERALS[place] if place < len(NUMERALS) else str(place + 1)
        yield Heading(f"{numeral}. {section.get('title', '')}")
        yield from _narrated(section)
        for number, each in enumerate(objects(section, "section"), 1):
            yield Heading(f"{number}. {each.get('title', '')}", 2)
            yield from _narrated(each)


def _says_anything(section: Body) -> bool:
    return is_written(section) or bool(list(objects(section, "section"))) or code_of(section) == "conclusions"


def _narrated(section: Body) -> Iterator[Block]:
    text, rows = read(section.get("text"))
    if text.strip():
        yield Text("…" if text.strip() == UNWRITTEN else text)
    if rows and all(len(row) == PAIR for row in rows):
        yield Facts(tuple((row[0], row[1]) for row in rows))
    elif rows:
        yield _table(rows)


def _table(rows: tuple[Row, ...]) -> Table:
    widest = max(len(row) for row in rows)
    filled = [(*row, *[""] * (widest - len(row))) for row in rows]
    return Table(filled[0], filled[1:], WIDTHS.get(widest, (1 / widest,) * widest))


def _signatures(minutes: Body, holding: Collection[str], zone: tzinfo) -> Signatures:
    times = [str(each["time"]) for each in objects(minutes, "attester") if "time" in each]
    by_mode = {str(each.get("mode")): each for each in objects(minutes, "attester")}
    # The secretary stands on the left, the chair on the right.
    places = [_place(mode, by_mode.get(mode), holding, zone) for mode in reversed(tuple(MODES))]
    return Signatures(_day(max(times, default=str(minutes.get("date", ""))), zone), places)


def _place(mode: str, attester: Body | None, holding: Collection[str], zone: tzinfo) -> Place:
    role = ROLE_NAMES[MODES[mode].role].upper()
    if attester is None:
        return Place(role, (), "")
    party = attester.get("party")
    name = str(party.get("display") or path_of(party)) if isinstance(party, Mapping) else ""
    if "time" not in attester:
        return Place(role, (), name)
    if mode not in holding:
        return Place(role, ("CHỮ KÝ SỐ KHÔNG KHỚP", "với nội dung biên bản này"), name)
    return Place(role, ("Đã ký số", spoken(str(attester["time"]), zone)), name)


def _day(moment: str, zone: tzinfo) -> str:
    try:
        return datetime.fromisoformat(moment).astimezone(zone).strftime("Ngày %d tháng %m năm %Y")
    except ValueError:
        return ""

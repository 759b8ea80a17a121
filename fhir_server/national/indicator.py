"""The indicators of remote care as rows of one table: what is counted, of what, by what, by which law.

An indicator is SQL over the tables of `fhir_server.national.mart` with one row for each unit that counts: `numerator`
(0 or 1), `denominator` (0 or 1, NULL where it is a plain count), `minutes` (NULL where nothing was measured), and its
dimensions. Everything else, sums, medians, strata and suppression, is the same for all.
"""

from __future__ import annotations

from dataclasses import dataclass

MEASURE = "urn:nhipcau:Measure:"


@dataclass(frozen=True, slots=True)
class Indicator:
    """A row: its id, titles, what is counted of what, what `minutes` are, its dimensions, legal basis, and SQL."""

    id: str
    vi: str
    en: str
    numerator: str
    denominator: str
    dimensions: tuple[str, ...]
    basis: str
    sql: str
    minutes: str = ""

    @property
    def url(self) -> str:
        """The canonical of its Measure."""
        return f"{MEASURE}{self.id}"


PLACE = ("province", "facility", "tier")
CARE = (*PLACE, "specialty", "mode", "activity", "outcome", "sex", "age")
REQUEST = ("province", "mode", "activity", "priority")
OF_CARE = ", ".join(CARE)
OF_REQUEST = ", ".join(REQUEST)
FINISHED = "FROM consultations WHERE status = 'finished' AND activity <> 'DTCG'"
ASKED = "FROM requests WHERE activity <> 'DTCG'"

INDICATORS: tuple[Indicator, ...] = (
    Indicator(
        "T1", "Cơ sở có khám, chữa bệnh từ xa", "Facilities active in remote care",
        "facilities with a finished consultation", "active facilities", PLACE, "Decree 96/2023/ND-CP, article 88",
        "SELECT province, id AS facility, tier, CAST(id IN (SELECT facility FROM consultations"
        " WHERE status = 'finished' AND facility IS NOT NULL) AS INTEGER) AS numerator, 1 AS denominator,"
        " NULL AS minutes FROM places WHERE active",
    ),
    Indicator(
        "T2", "Lượt khám, chữa bệnh từ xa", "Consultations", "finished consultations", "", CARE,
        "Decree 96/2023/ND-CP, article 88, clause 3",
        f"SELECT {OF_CARE}, 1 AS numerator, NULL AS denominator, minutes {FINISHED}", "minutes of a consultation",
    ),
    Indicator(
        "T3", "Yêu cầu được xếp lịch", "Requests that were booked", "requests with an appointment", "requests", REQUEST,
        "Circular 49/2017/TT-BYT",
        f"SELECT {OF_REQUEST}, CAST(booked_after IS NOT NULL AS INTEGER) AS numerator, 1 AS denominator,"
        f" booked_after AS minutes {ASKED}", "minutes from request to booking",
    ),
    Indicator(
        "T3-started", "Yêu cầu đã bắt đầu hội chẩn", "Requests that led to a session", "requests whose session began",
        "requests", REQUEST, "Circular 49/2017/TT-BYT",
        f"SELECT {OF_REQUEST}, CAST(started_after IS NOT NULL AS INTEGER) AS numerator, 1 AS denominator,"
        f" started_after AS minutes {ASKED}", "minutes from request to start",
    ),
    Indicator(
        "T3-cancelled", "Yêu cầu bị hủy", "Requests that were cancelled", "cancelled requests", "requests", REQUEST,
        "Circular 49/2017/TT-BYT",
        f"SELECT {OF_REQUEST}, CAST(status = 'revoked' AS INTEGER) AS numerator, 1 AS denominator,"
        f" NULL AS minutes {ASKED}",
    ),
    Indicator(
        "T3-no-show", "Người bệnh không đến", "No-shows", "booked requests at whose time somebody did not come",
        "booked requests", REQUEST, "Circular 49/2017/TT-BYT",
        f"SELECT {OF_REQUEST}, CAST(missed AS INTEGER) AS numerator, 1 AS denominator, NULL AS minutes {ASKED}"
        " AND booked_after IS NOT NULL",
    ),
    Indicator(
        "T4", "Hội chẩn có biên bản đã ký", "Consultations with signed minutes", "consultations with signed minutes",
        "finished consultations", CARE, "Circular 49/2017/TT-BYT, article 7",
        f"SELECT {OF_CARE}, CAST(id IN (SELECT encounter FROM compositions WHERE status IN ('final', 'amended')"
        f" AND attested) AS INTEGER) AS numerator, 1 AS denominator, NULL AS minutes {FINISHED}",
    ),
    Indicator(
        "T5", "Hội chẩn có hình ảnh chia sẻ", "Consultations with images", "consultations with an imaging study",
        "finished consultations", CARE, "Circular 49/2017/TT-BYT",
        f"SELECT {OF_CARE}, CAST(imaged IS NOT NULL AS INTEGER) AS numerator, 1 AS denominator, imaged AS minutes"
        f" {FINISHED}", "minutes from the study to the start",
    ),
    Indicator(
        "T6", "Kết quả hình ảnh đọc từ xa", "Images read from afar", "final reports by another facility",
        "final reports of images", ("province", "facility"), "Circular 49/2017/TT-BYT; Decision 1931/QD-BYT, table 4",
        "SELECT province, facility, CAST(reader <> facility AS INTEGER) AS numerator, 1 AS denominator,"
        " NULL AS minutes FROM readings WHERE status IN ('final', 'amended') AND reader IS NOT NULL",
    ),
    Indicator(
        "T7", "Tránh được chuyển tuyến", "Transfers avoided", "consultations after which the patient stayed",
        "finished consultations with a known disposition", CARE, "Circular 01/2025/TT-BYT",
        f"SELECT {OF_CARE}, CAST(outcome = 'managed' AS INTEGER) AS numerator, 1 AS denominator, NULL AS minutes"
        f" {FINISHED} AND outcome <> 'unknown'",
    ),
    Indicator(
        "T8", "Kê đơn từ xa", "Consultations with a prescription", "consultations with a prescription",
        "finished consultations", CARE, "Circular 26/2025/TT-BYT",
        f"SELECT {OF_CARE}, CAST(id IN (SELECT encounter FROM medication_requests WHERE status NOT IN"
        " ('entered-in-error', 'cancelled', 'draft') AND encounter IS NOT NULL) AS INTEGER) AS numerator,"
        f" 1 AS denominator, NULL AS minutes {FINISHED}",
    ),
    Indicator(
        "T9", "Chẩn đoán trong danh mục được khám từ xa", "Diagnoses inside the list for direct remote treatment",
        "direct consultations with a listed diagnosis", "finished direct consultations", CARE,
        "Circular 30/2023/TT-BYT",
        f"SELECT {OF_CARE}, CAST(id IN (SELECT encounter FROM conditions, allowed WHERE"
        " left(conditions.code, length(allowed.first)) >= allowed.first AND"
        " left(conditions.code, length(allowed.last)) <= allowed.last AND encounter IS NOT NULL) AS INTEGER)"
        f" AS numerator, 1 AS denominator, NULL AS minutes {FINISHED} AND mode = 'DIRECT_TO_PATIENT'",
    ),
    Indicator(
        "T10", "Đào tạo, chuyển giao kỹ thuật từ xa", "Training sessions", "finished training sessions", "", PLACE,
        "Circular 49/2017/TT-BYT, article 1",
        "SELECT province, facility, tier, 1 AS numerator, NULL AS denominator, minutes FROM consultations"
        " WHERE status = 'finished' AND activity = 'DTCG'", "minutes of a session",
    ),
    Indicator(
        "T11", "Phiên bị gián đoạn", "Sessions that were interrupted", "sessions with an interruption",
        "finished consultations", CARE, "Circular 49/2017/TT-BYT",
        f"SELECT {OF_CARE}, CAST(lost IS NOT NULL AS INTEGER) AS numerator, 1 AS denominator, lost AS minutes"
        f" {FINISHED}", "minutes lost",
    ),
    Indicator(
        "T12", "Người bệnh được khám từ xa", "Patients of remote care", "patients with a finished consultation", "",
        ("commune", "ethnicity", "sex"), "Decision 2628/QD-BYT",
        "SELECT commune, ethnicity, sex, 1 AS numerator, NULL AS denominator, NULL AS minutes FROM residents"
        f" WHERE id IN (SELECT patient {FINISHED})",
    ),
    Indicator(
        "W1", "Đang chờ", "Waiting now", "open requests whose session has not begun", "", REQUEST,
        "Circular 49/2017/TT-BYT",
        f"SELECT {OF_REQUEST}, 1 AS numerator, NULL AS denominator, NULL AS minutes {ASKED} AND status = 'active'"
        " AND started_after IS NULL",
    ),
)  # fmt: skip
BY_ID = {indicator.id: indicator for indicator in INDICATORS}

"""A morning at a hospital: patients, requests of stations, images; written by the hospital's own system."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from io import BytesIO
from typing import Any
from uuid import uuid4
from zoneinfo import ZoneInfo

import httpx
import pydicom
from pydicom.data import get_testdata_file
from pydicom.uid import generate_uid

from tests.e2e import phantom

SECONDS_TO_APPEAR = 60
HOSPITAL, STATION = "benh-vien-tinh", "tram-y-te-na-hang"
STUDY, PRIOR = generate_uid(), generate_uid()
NAMES = (
    "Lý Thị Mây", "Nguyễn Thị Ngọc Ánh", "Trần Văn Đức", "Hoàng Thị Phương Thảo", "Đặng Quốc Việt",
    "Nông Thị Bích Ngọc", "Phạm Hữu Nghĩa", "Vừ A Sử", "Công Tằng Tôn Nữ Hoàng Diệu Quỳnh Như",
)  # fmt: skip
QUESTIONS = (
    "Nốt phổi trái 11 mm, cần hội chẩn hướng xử trí", "Ban đỏ cẳng tay hai tuần, có cần chuyển tuyến?",
    "Đau ngực sau xương ức, điện tim nghi thiếu máu", "Thai 32 tuần, huyết áp 150/95 mmHg",
    "Sốt ngày thứ năm, tiểu cầu giảm", "Ho kéo dài, X-quang nghi lao", "Đái tháo đường, loét bàn chân",
    "Trẻ 3 tuổi co giật khi sốt", "Tái khám sau đặt stent",
)  # fmt: skip
PRIORITIES = ("urgent", "routine", "stat", "urgent", "routine", "routine", "routine", "asap", "routine")
STATUSES = (
    "accepted",
    "requested",
    "requested",
    "in-progress",
    "received",
    "on-hold",
    "accepted",
    "requested",
    "accepted",
)
OTHER_IMAGES = (
    ("color3d_jpeg_baseline.dcm", "Siêu âm tim qua thành ngực"), ("RG1_UNCR.dcm", "X-quang ngực thẳng"),
    ("MR2_UNCR.dcm", "Cộng hưởng từ sọ não"), ("test-SR.dcm", "Báo cáo siêu âm"),
    ("liver_1frame.dcm", "Khoanh vùng gan"),
    ("JPEG2000.dcm", "Xạ hình xương"), ("SC_rgb_rle.dcm", "Ảnh chụp màn hình"),
)  # fmt: skip


def resources(now: datetime) -> Iterator[dict[str, Any]]:
    """What stands in the record, in an order in which it can be written."""
    yield {"resourceType": "Organization", "id": HOSPITAL, "name": "Bệnh viện Đa khoa tỉnh Tuyên Quang"}
    yield {"resourceType": "Organization", "id": STATION, "name": "Trạm Y tế xã Nà Hang"}
    yield {"resourceType": "Practitioner", "id": "tho", "name": [{"text": "BS. Hoàng Văn Thọ"}]}
    for at, name in enumerate(NAMES):
        yield patient(at, name)
        yield from request(at, now)
    yield from record(now)


def patient(at: int, name: str) -> dict[str, Any]:
    family, *given = name.split()
    return {
        "resourceType": "Patient", "id": patient_id(at), "active": True,
        "identifier": [{"system": "https://nhipcau.example/ma-benh-nhan", "value": f"NH-2026-0000{42 + at}"}],
        "name": [{"use": "official", "text": name, "family": family, "given": given}],
        "gender": "female" if "Thị" in name or "Nữ" in name else "male", "birthDate": f"{1984 - at * 5}-02-13",
        "address": [{"text": "Thôn Nà Kham, xã Nà Hang, tỉnh Tuyên Quang"}],
    }  # fmt: skip


def patient_id(at: int) -> str:
    return "ly-thi-may" if at == 0 else f"nguoi-benh-{at}"


def request(at: int, now: datetime) -> Iterator[dict[str, Any]]:
    subject, sent = {"reference": f"Patient/{patient_id(at)}"}, (now - timedelta(minutes=17 * at + 5)).isoformat()
    yield {
        "resourceType": "ServiceRequest", "id": f"yeu-cau-{at}", "status": "active", "intent": "order",
        "subject": subject, "priority": PRIORITIES[at], "code": {"text": "Hội chẩn từ xa"}, "authoredOn": sent,
        "reasonCode": [{"text": QUESTIONS[at]}],
    }  # fmt: skip
    yield {
        "resourceType": "Task", "id": f"yeu-cau-{at}", "status": STATUSES[at], "intent": "order", "for": subject,
        "priority": PRIORITIES[at], "focus": {"reference": f"ServiceRequest/yeu-cau-{at}"}, "authoredOn": sent,
        "requester": {"reference": f"Organization/{STATION}"}, "owner": {"reference": f"Organization/{HOSPITAL}"},
    }  # fmt: skip
    if at < 4:
        start = now.replace(minute=0) + timedelta(minutes=30 * at)
        yield {
            "resourceType": "Appointment", "id": f"lich-{at}", "status": "booked", "description": QUESTIONS[at],
            "start": start.isoformat(), "end": (start + timedelta(minutes=30)).isoformat(),
            "participant": [{"actor": subject, "status": "accepted"}],
        }  # fmt: skip


def record(now: datetime) -> Iterator[dict[str, Any]]:
    """What is known of the first patient."""
    subject, day = {"reference": "Patient/ly-thi-may"}, now.date()
    yield {
        "resourceType": "Encounter", "id": "hoi-chan", "status": "in-progress", "subject": subject,
        "class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "VR"},
        "period": {"start": now.isoformat()}, "reasonCode": [{"text": QUESTIONS[0]}],
    }  # fmt: skip
    yield {
        "resourceType": "AllergyIntolerance", "id": "di-ung", "patient": subject, "code": {"text": "Penicillin"},
        "clinicalStatus": coded("allergyintolerance-clinical", "active"),
    }  # fmt: skip
    yield {
        "resourceType": "Condition", "id": "not-phoi", "subject": subject, "code": {"text": "Nốt đơn độc ở phổi"},
        "clinicalStatus": coded("condition-clinical", "active"), "recordedDate": str(day - timedelta(days=3)),
    }  # fmt: skip
    for at, (name, value, unit) in enumerate((("Nhịp tim", 78, "/min"), ("SpO2", 97, "%"), ("Nhiệt độ", 36.8, "Cel"))):
        yield {
            "resourceType": "Observation", "id": f"chi-so-{at}", "status": "final", "subject": subject,
            "code": {"text": name}, "effectiveDateTime": (now - timedelta(days=1)).isoformat(),
            "valueQuantity": {"value": value, "unit": unit},
        }  # fmt: skip
    yield {
        "resourceType": "MedicationRequest", "id": "don", "status": "active", "intent": "order", "subject": subject,
        "medicationCodeableConcept": {"text": "Paracetamol 500 mg"}, "authoredOn": str(day - timedelta(days=3)),
        "dosageInstruction": [{"text": "1 viên khi sốt trên 38,5 độ, cách 6 giờ"}],
    }  # fmt: skip


def report(now: datetime, study: str) -> dict[str, Any]:
    return {
        "resourceType": "DiagnosticReport", "id": "doc-phim", "status": "final",
        "subject": {"reference": "Patient/ly-thi-may"}, "code": {"text": "Cắt lớp vi tính ngực"},
        "issued": (now - timedelta(hours=2)).isoformat(),
        "conclusion": "Nốt đặc thuỳ trên phổi trái 11 mm, bờ đều, không vôi hoá. Đề nghị chụp lại sau 3 tháng.",
        "imagingStudy": [{"reference": f"ImagingStudy/{study}"}],
    }  # fmt: skip


def coded(system: str, code: str) -> dict[str, Any]:
    return {"coding": [{"system": f"http://terminology.hl7.org/CodeSystem/{system}", "code": code}]}


def studies(now: datetime) -> Iterator[list[bytes]]:
    """The files of each study, all of the first patient."""
    today, before = now.strftime("%Y%m%d"), (now - timedelta(days=120)).strftime("%Y%m%d")
    yield list(phantom.series(STUDY, count=24, date=today, description="Cắt lớp vi tính ngực"))
    yield list(phantom.series(PRIOR, count=16, date=before, description="Cắt lớp vi tính ngực, lần trước", nodule=4.0))
    for at, (name, description) in enumerate(OTHER_IMAGES):
        dataset = pydicom.dcmread(str(get_testdata_file(name)))
        dataset.SpecificCharacterSet = "ISO_IR 192"
        dataset.StudyInstanceUID, dataset.StudyDescription = uid_of(name), description
        dataset.PatientName, dataset.PatientID = phantom.PATIENT["name"], phantom.PATIENT["id"]
        dataset.PatientBirthDate, dataset.PatientSex = phantom.PATIENT["born"], phantom.PATIENT["sex"]
        dataset.StudyDate = (now - timedelta(days=7 * (at + 1))).strftime("%Y%m%d")
        buffer = BytesIO()
        dataset.save_as(buffer)
        yield [buffer.getvalue()]


def uid_of(name: str) -> str:
    """The Study Instance UID of the study of a file."""
    return str(generate_uid(entropy_srcs=[name]))


def multipart(files: Iterable[bytes]) -> tuple[bytes, str]:
    """The body of a STOW-RS request, and its media type."""
    mark = uuid4().hex
    parts = [b"--%s\r\nContent-Type: application/dicom\r\n\r\n%s\r\n" % (mark.encode(), file) for file in files]
    return b"".join(
        [*parts, b"--%s--\r\n" % mark.encode()]
    ), f'multipart/related; type="application/dicom"; boundary={mark}'


def tell(base: str, token: str) -> None:
    """Write the story to a server; it is half past nine there."""
    now = datetime.now(ZoneInfo("Asia/Ho_Chi_Minh")).replace(hour=9, minute=30, second=0, microsecond=0)
    with httpx.Client(headers={"authorization": f"Bearer {token}"}, timeout=60) as client:

        def put(resource: dict[str, Any]) -> None:
            url = f"{base}/{resource['resourceType']}/{resource['id']}"
            answer = client.put(url, json=resource, headers={"content-type": "application/fhir+json"})
            assert answer.status_code in (200, 201), answer.text

        for resource in resources(now):
            put(resource)
        count = 0
        for files in studies(now):
            body, media_type = multipart(files)
            url = f"{base.removesuffix('/fhir')}/dicom-web/studies"
            answer = client.post(url, content=body, headers={"content-type": media_type})
            assert answer.status_code == 200, answer.text
            count += 1
        found = images_of(client, base, count)
        (chest,) = (each["id"] for each in found if f"urn:oid:{STUDY}" in str(each["identifier"]))
        put(report(now, chest))


def images_of(client: httpx.Client, base: str, count: int) -> list[dict[str, Any]]:
    """The first patient's ImagingStudy resources, as soon as the server has made all of them."""
    until = time.monotonic() + SECONDS_TO_APPEAR
    while time.monotonic() < until:
        bundle = client.get(f"{base}/ImagingStudy?patient=ly-thi-may&_count=50").json()
        found = [entry["resource"] for entry in bundle.get("entry", ())]
        if len(found) >= count:
            return found
        time.sleep(0.2)
    raise AssertionError(f"of {count} studies {len(found)} appeared")

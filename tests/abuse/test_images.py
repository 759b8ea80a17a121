"""Images that are not theirs, not what they say, or not whose they say (rows 127 and 128 of the catalogue)."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.dicom_bridge.hospital import Hospital, hospital, until, until_seen

STUDY, OTHER = "1.9.1", "1.9.2"
FORMS = (
    "studies/{}", "studies/{}/", "studies/{}/series", "studies/{}/instances", "studies/{}/metadata",
    "studies/{}/rendered", "studies/{}/thumbnail", "studies/{}/series/{}.1", "studies/{}/series/{}.1/metadata",
    "studies/{}/series/{}.1/rendered", "studies/{}/series/{}.1/instances/{}.1.1",
    "studies/{}/series/{}.1/instances/{}.1.1/metadata", "studies/{}/series/{}.1/instances/{}.1.1/rendered",
    "studies/{}/series/{}.1/instances/{}.1.1/frames/1", "studies/{}/series/{}.1/instances/{}.1.1/frames/1/rendered",
    "studies/{}/series/{}.1/instances/{}.1.1/bulkdata/7FE00010", "studies/%31.9.2/metadata",
    "studies/1.9.1/../{}/metadata", "studies/1.9.1/series/{}.1/metadata",
    "studies/1.9.1/series/{}.1/instances/{}.1.1/frames/1", "studies/1.9.1/series/1.9.1.1/instances/{}.1.1",
    "series?StudyInstanceUID={}", "instances?0020000D={}", "studies?StudyInstanceUID=1.9.1,{}",
    "studies?PatientID=VN-B&includefield=all", "instances?SOPInstanceUID={}.1.1",
)  # fmt: skip


@pytest.fixture(scope="module")
def place() -> Iterator[Hospital]:
    """Two facilities with a study each."""
    with hospital() as made:
        made.patient()
        made.patient("anh-b", his="his-b", identifier=[{"value": "VN-B"}])
        made.store("his-a", STUDY, AccessionNumber="")
        made.store("his-b", OTHER, AccessionNumber="", PatientID="VN-B")
        until(lambda: made.imaging(STUDY) and made.imaging(OTHER))
        until(lambda: made.sees("worker-a", STUDY) and made.sees("worker-b", OTHER))
        yield made


@pytest.mark.parametrize("form", FORMS)
def test_128_a_study_of_another_facility_is_not_there(place: Hospital, form: str):
    for caller in ("worker-a", "his-a", "doctor-hub", "admin-a", "ministry-health", "a1", "nobody"):
        answer = place.send(caller, "GET", form.replace("{}", OTHER))
        assert answer.status_code in (200, 307, 400, 403, 404), caller
        assert "NGUYEN" not in answer.text or answer.status_code == 200
        if answer.status_code == 200:
            assert all(each["0020000D"]["Value"] == [STUDY] for each in answer.json()), caller


@pytest.mark.parametrize("method", ["DELETE", "POST"])
def test_128_a_study_of_another_facility_is_not_changed(place: Hospital, method: str):
    answer = place.send("his-a", method, f"studies/{OTHER}", content=b"", headers={"content-type": "application/dicom"})
    assert answer.status_code in (400, 404, 409)
    assert place.sees("worker-b", OTHER)


@pytest.mark.parametrize(
    ("numbers", "elements"),
    [
        ((1,), {"StudyDescription": "other bytes"}),
        ((2,), {"PatientID": "somebody else"}),
        ((1,), {"PatientID": "somebody else"}),
    ],
    ids=["other bytes", "other patient", "both"],
)
def test_127_another_instance_under_a_uid_or_another_patient_in_a_study_is_refused_and_told(
    place: Hospital, numbers: tuple[int, ...], elements: dict[str, str]
):
    before = len(refusals(place))
    answer = place.store("his-a", STUDY, *numbers, AccessionNumber="", **elements)
    assert answer.status_code == 409
    assert len(refusals(place)) == before + 1
    assert place.sees("worker-a", STUDY)


def refusals(place: Hospital) -> list[str]:
    """What the facility's records say of images that were refused."""
    events = place.find("admin-a", "AuditEvent?outcome=4&_count=200")
    return [each["outcomeDesc"] for each in events if "images refused" in each.get("outcomeDesc", "")]


def test_127_images_of_two_people_are_shown_to_nobody(place: Hospital):
    place.store("his-a", "1.9.3", AccessionNumber="")
    until(lambda: place.sees("worker-a", "1.9.3"))
    place.store("his-a", "1.9.3", 2, AccessionNumber="", PatientName="TRAN^BINH")
    for caller in ("worker-a", "his-a"):
        until_seen(place, caller, "1.9.3", sees=False)

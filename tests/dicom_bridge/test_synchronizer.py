"""Images that come become an ImagingStudy of the right patient, or a Task for a person; and what is shown to whom."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from dicom_bridge.extension import images
from tests.access.world import World, for_hub, of, to
from tests.dicom_bridge.hospital import Hospital, hospital, quick, until, until_seen
from tests.serving import Served, outcome, serving


@pytest.fixture(scope="module")
def place() -> Iterator[Hospital]:
    with hospital() as made:
        made.patient()
        made.patient(
            "binh", name=[{"text": "Trần Văn Bình"}], gender="male", birthDate="1950", identifier=[{"value": "VN-2"}]
        )
        yield made


def alone(server: Served) -> Hospital:
    """A server that asks nobody who they are, with one patient."""
    place = Hospital(World(server))
    names = [{"text": "Nguyễn Thị Ánh"}]
    place.world.put(
        "", of("Patient", "anh", name=names, gender="female", birthDate="1980", identifier=[{"value": "VN-1"}])
    )
    return place


def test_images_are_shown_within_five_seconds(tmp_path):
    with serving(tmp_path, extensions=[images]) as server:
        place = alone(server)
        assert place.store("", "1.2.3", *range(1, 21), AccessionNumber="").status_code == 200
        began = time.monotonic()
        until(lambda: (place.imaging() or {}).get("numberOfInstances") == 20)
        assert time.monotonic() - began < 5


def test_images_of_an_order_are_shown_to_its_facility(place: Hospital):
    place.order("order-1", "anh", "ACC-1")
    assert place.store("his-a", "1.2.1", 1, 2, 3, AccessionNumber="ACC-1").status_code == 200
    imaging = until(lambda: place.imaging("1.2.1", "worker-a"))
    assert imaging["subject"] == {"reference": "Patient/anh"}
    assert imaging["basedOn"] == [{"reference": "ServiceRequest/order-1"}]
    assert (imaging["status"], imaging["numberOfInstances"]) == ("available", 3)
    (endpoint,) = imaging["endpoint"]
    kept = place.world.get("worker-a", endpoint["reference"]).json()
    assert (kept["address"], kept["connectionType"]["code"]) == ("http://node/dicom-web", "dicom-wado-rs")
    until(lambda: place.sees("worker-a", "1.2.1"))
    assert not place.sees("worker-b", "1.2.1")
    assert not place.sees("doctor-hub", "1.2.1")


def test_images_that_come_later_are_counted(place: Hospital):
    place.store("his-a", "1.2.2", 1, AccessionNumber="")
    first = until(lambda: place.imaging("1.2.2"))
    place.store("his-a", "1.2.2", 2, 3, AccessionNumber="")
    later = until(lambda: (found := place.imaging("1.2.2")) and found["numberOfInstances"] == 3 and found)
    assert later["id"] == first["id"]
    assert int(later["meta"]["versionId"]) <= 3


def test_images_by_number_are_of_the_patient_whom_all_confirms(place: Hospital):
    place.store("his-a", "1.2.4", AccessionNumber="", PatientID="VN-1")
    assert until(lambda: place.imaging("1.2.4"))["subject"] == {"reference": "Patient/anh"}


def test_images_by_a_national_number_are_of_the_patient_whom_all_confirms(place: Hospital):
    national = [{"system": "http://fhir.hl7.org.vn/core/sid/cccd", "value": "034180001234"}]
    place.patient("cuc", name=[{"text": "Lê Thị Cúc"}], birthDate="1975", identifier=national)
    place.store("his-a", "1.2.5", PatientName="LE^CUC^THI", PatientBirthDate="19750101", PatientID="034180001234")
    assert until(lambda: place.imaging("1.2.5"))["subject"] == {"reference": "Patient/cuc"}


def test_a_patient_of_another_facility_is_nobodys_here(place: Hospital):
    place.patient("anh-b", his="his-b", identifier=[{"value": "VN-B"}])
    place.store("his-a", "1.2.6", AccessionNumber="ACC-B", PatientID="VN-B")
    task = until(lambda: waiting(place, "1.2.6"))
    assert not [each for each in task["input"] if "valueReference" in each]
    assert waiting(place, "1.2.6", "worker-a")
    assert not waiting(place, "1.2.6", "worker-b")


def waiting(place: Hospital, study: str, caller: str = "", status: str = "requested") -> dict[str, Any] | None:
    """The Task about a study."""
    value = f"urn:oid:{study}"
    return next((t for t in place.tasks(caller, status) if any(i["value"] == value for i in t["identifier"])), None)


def resolve(place: Hospital, caller: str, task: dict[str, Any], **arguments: Any) -> Any:
    kinds = {str: "valueString", bool: "valueBoolean"}
    parameters = [{"name": name, kinds[type(value)]: value} for name, value in arguments.items()]
    body = {"resourceType": "Parameters", "parameter": parameters}
    return place.world.ask(caller, "POST", f"Task/{task['id']}/$resolve-study", body)


def test_what_nobody_is_found_for_waits_for_a_person(place: Hospital):
    place.store("his-a", "1.2.7", PatientID="VN-9", AccessionNumber="none")
    task = until(lambda: waiting(place, "1.2.7"))
    assert (task["priority"], task["statusReason"]["coding"][0]["code"]) == ("urgent", "unmatched")
    assert task["owner"] == {"reference": "Organization/station-a"}
    assert place.imaging("1.2.7") is None
    assert not place.sees("worker-a", "1.2.7")
    assert not place.sees("his-a", "1.2.7")

    outcome(resolve(place, "worker-b", task, patient="anh"), 404, "not-found")
    outcome(resolve(place, "worker-a", task, patient="b1"), 404, "not-found")
    outcome(resolve(place, "worker-a", task), 400, "invalid")
    text = outcome(resolve(place, "worker-a", task, patient="Patient/binh"), 409, "conflict")["details"]["text"]
    assert "Trần Văn Bình" in text
    answer = resolve(place, "worker-a", task, patient="Patient/anh")
    assert answer.status_code == 200, answer.text
    assert answer.json()["status"] == "completed"
    imaging = place.imaging("1.2.7", "worker-a")
    assert imaging is not None
    assert imaging["subject"] == {"reference": "Patient/anh"}
    until(lambda: place.sees("worker-a", "1.2.7"))
    # What was decided stays when more comes, and can be decided otherwise.
    place.store("his-a", "1.2.7", 2, PatientID="VN-9", AccessionNumber="none")
    until(lambda: (place.imaging("1.2.7") or {}).get("numberOfInstances") == 2)
    assert resolve(place, "worker-a", task, patient="binh", confirmed=True).status_code == 200
    assert (place.imaging("1.2.7") or {})["subject"] == {"reference": "Patient/binh"}


def test_the_order_of_another_person_is_an_alarm(place: Hospital):
    place.order("order-2", "binh", "ACC-2")
    place.store("his-a", "1.2.8", AccessionNumber="ACC-2")
    task = until(lambda: waiting(place, "1.2.8"))
    assert (task["priority"], task["statusReason"]["coding"][0]["code"]) == ("stat", "wrong-person")
    said = {each["type"]["coding"][0]["code"]: each.get("valueString") for each in task["input"]}
    assert said["name-differs"] == "NGUYEN ANH THI / Trần Văn Bình"
    assert place.imaging("1.2.8") is None
    assert not place.sees("worker-a", "1.2.8")


def test_a_task_about_a_study_opens_nothing_and_is_not_closed_by_hand(place: Hospital):
    place.store("his-a", "1.2.9", PatientID="VN-10", AccessionNumber="")
    task = until(lambda: waiting(place, "1.2.9"))
    done = {
        **task,
        "status": "completed",
        "output": [{"type": {"text": "patient"}, "valueReference": to("Patient/anh")}],
    }
    assert place.world.ask("worker-a", "PUT", f"Task/{task['id']}", done).status_code == 200
    assert place.imaging("1.2.9") is None
    assert not place.sees("worker-a", "1.2.9")


def test_what_a_person_discards_is_gone(place: Hospital):
    place.store("his-a", "1.2.10", PatientID="VN-11", AccessionNumber="")
    task = until(lambda: waiting(place, "1.2.10"))
    outcome(resolve(place, "worker-a", task, discard=True), 400, "required")
    answer = resolve(place, "worker-a", task, discard=True, reason="a phantom for calibration")
    assert answer.json()["status"] == "cancelled", answer.text
    assert place.send("", "GET", "studies/1.2.10").status_code == 404


def test_an_order_that_comes_later_finds_the_study_that_waits(place: Hospital):
    place.store("his-a", "1.2.11", PatientID="VN-12", AccessionNumber="ACC-11")
    until(lambda: waiting(place, "1.2.11"))
    place.order("order-11", "anh", "ACC-11")
    imaging = until(lambda: place.imaging("1.2.11"))
    assert imaging["basedOn"] == [{"reference": "ServiceRequest/order-11"}]
    assert until(lambda: waiting(place, "1.2.11", status="completed"))


def test_images_of_two_people_in_one_study_are_held_back(place: Hospital):
    place.store("his-a", "1.2.12", AccessionNumber="")
    until(lambda: place.imaging("1.2.12"))
    until(lambda: place.sees("worker-a", "1.2.12"))
    # The archive refuses another number; another name under the same one is told by the bridge.
    assert place.store("his-a", "1.2.12", 2, AccessionNumber="", PatientID="VN-2").status_code == 409
    assert place.store("his-a", "1.2.12", 3, AccessionNumber="", PatientName="TRAN^BINH^VAN").status_code == 200
    task = until(lambda: waiting(place, "1.2.12"))
    assert (task["priority"], task["statusReason"]["coding"][0]["code"]) == ("stat", "two-patients")
    until(lambda: not place.sees("worker-a", "1.2.12"))
    assert (place.imaging("1.2.12") or {})["status"] == "unknown"
    # The wrong image is taken out, and the study is whole again.
    path = "studies/1.2.12/series/1.2.12.1/instances/1.2.12.1.3"
    assert place.send("", "DELETE", path).status_code == 204
    until(lambda: (place.imaging("1.2.12") or {}).get("status") == "available")
    until(lambda: place.sees("worker-a", "1.2.12"))


def test_a_study_that_is_deleted_is_in_error(place: Hospital):
    place.store("his-a", "1.2.13", AccessionNumber="")
    until(lambda: place.sees("his-a", "1.2.13"))
    assert place.send("his-a", "DELETE", "studies/1.2.13").status_code == 204
    until(lambda: (place.imaging("1.2.13") or {}).get("status") == "entered-in-error")
    assert not place.sees("worker-a", "1.2.13")
    place.store("his-a", "1.2.13", AccessionNumber="")
    until(lambda: (place.imaging("1.2.13") or {}).get("status") == "available")
    until(lambda: place.sees("worker-a", "1.2.13"))


def test_an_announced_study_is_taken_over_and_one_whose_order_died_is_cancelled(place: Hospital):
    for n, study in ((14, "1.2.14"), (15, "1.2.15")):
        place.order(f"order-{n}", "anh", f"ACC-{n}")
        identifier = [{"system": "urn:dicom:uid", "value": f"urn:oid:{study}"}]
        announced = of(
            "ImagingStudy", f"announced-{n}", status="registered", identifier=identifier, subject=to("Patient/anh")
        )
        place.world.put("his-a", announced | {"basedOn": [to(f"ServiceRequest/order-{n}")], "note": [{"text": "gấp"}]})
    place.store("his-a", "1.2.14", AccessionNumber="", PatientID="")
    until(lambda: (place.imaging("1.2.14") or {}).get("status") == "available")
    imaging = place.imaging("1.2.14") or {}
    assert (imaging["id"], imaging["note"]) == ("announced-14", [{"text": "gấp"}])
    assert imaging["basedOn"] == [to("ServiceRequest/order-14")]
    place.order("order-15", "anh", "ACC-15", status="revoked")
    until(lambda: (place.imaging("1.2.15") or {}).get("status") == "cancelled")


def test_nobody_opens_images_by_writing_an_imaging_study(place: Hospital):
    place.store("his-a", "1.2.16", AccessionNumber="")
    imaging = until(lambda: place.imaging("1.2.16"))
    until(lambda: place.sees("worker-a", "1.2.16"))
    theirs = of(
        "ImagingStudy", "theirs", status="available", subject=to("Patient/b1"), identifier=imaging["identifier"][:1]
    )
    place.world.put("his-b", theirs)
    assert not place.sees("worker-b", "1.2.16")
    assert not place.sees("his-b", "1.2.16")
    assert place.imaging("1.2.16", "worker-b")


def test_the_facility_audits_who_opened_and_took_a_study_once_for_a_while(place: Hospital):
    place.store("his-a", "1.2.17", AccessionNumber="")
    imaging = until(lambda: place.imaging("1.2.17"))
    until(lambda: place.sees("worker-a", "1.2.17"))
    for path in ("metadata", "series/1.2.17.1/metadata", "series/1.2.17.1/instances/1.2.17.1.1/frames/1", "", ""):
        assert place.send("worker-a", "GET", f"studies/1.2.17/{path}".rstrip("/")).status_code == 200
    place.send("worker-b", "GET", "studies/1.2.17")
    events = place.find("admin-a", f"AuditEvent?entity=ImagingStudy/{imaging['id']}&patient=Patient/anh&_count=50")
    told = [
        event["subtype"][0]["code"] if event["type"]["code"] == "rest" else event["type"]["code"] for event in events
    ]
    assert told.count("read") == 1
    assert told.count("110106") == 1
    for event in events:
        verdict = place.world.ask("", "POST", "AuditEvent/$validate", event).json()
        assert [issue for issue in verdict["issue"] if issue["severity"] in ("error", "fatal")] == []


def test_a_consultation_opens_images_to_the_hub_until_it_closes(place: Hospital):
    world = place.world
    world.put("his-a", of("Patient", "dung", name=[{"text": "Phạm Dũng"}], gender="male", birthDate="1960",
                          identifier=[{"value": "VN-20"}]))  # fmt: skip
    world.put("his-a", of("Patient", "mai", name=[{"text": "Vũ Mai"}], gender="female", birthDate="1990",
                          identifier=[{"value": "VN-21"}]))  # fmt: skip
    man = {"PatientName": "PHAM^DUNG", "PatientSex": "M", "PatientBirthDate": "19600101", "PatientID": "VN-20"}
    woman = {"PatientName": "VU^MAI", "PatientSex": "F", "PatientBirthDate": "19900101", "PatientID": "VN-21"}
    place.store("his-a", "1.2.20", AccessionNumber="", **man)
    place.store("his-a", "1.2.21", AccessionNumber="", **woman)
    until(lambda: place.imaging("1.2.20") and place.imaging("1.2.21"))
    consulted(world, "dung")
    for caller in ("doctor-hub", "radiologist-hub"):
        until_seen(place, caller, "1.2.20")
        assert not place.sees(caller, "1.2.21")
        assert [each["0020000D"]["Value"] for each in place.send(caller, "GET", "studies").json()] == [["1.2.20"]]
        for path in PATHS:
            answer = place.send(caller, "GET", path.replace("{}", "1.2.21"))
            assert answer.status_code == 404, path
    for caller in ("worker-b", "his-b", "coordinator-hub", "ministry-health", "a1"):
        assert place.sees(caller, "1.2.20") is (caller == "coordinator-hub")
    until_seen(place, "his-hub", "1.2.20")
    outcome(place.send("his-hub", "DELETE", "studies/1.2.20"), 403, "forbidden")
    # Whom it is shown to may add to it: a presentation state, a report.
    assert place.store("radiologist-hub", "1.2.20", 7, AccessionNumber="", **man).status_code == 200
    assert place.store("radiologist-hub", "1.2.21", 7, AccessionNumber="", **woman).status_code == 409
    done = {**world.get("coordinator-hub", "Task/t-dung").json(), "status": "completed"}
    assert world.ask("coordinator-hub", "PUT", "Task/t-dung", done).status_code == 200
    for caller in ("doctor-hub", "radiologist-hub", "coordinator-hub"):
        until_seen(place, caller, "1.2.20", sees=False)
    assert place.sees("worker-a", "1.2.20")


def test_pages_of_a_search_are_full_of_what_the_caller_sees(place: Hospital):
    place.patient("hoa", his="his-b", name=[{"text": "Hồ Hoa"}], birthDate="1970", identifier=[{"value": "VN-H"}])
    hoa = {"PatientName": "HO^HOA", "PatientBirthDate": "19700101", "PatientID": "VN-H", "AccessionNumber": ""}
    for n in (1, 2, 3):
        place.store("his-b", f"1.3.{n}", **hoa)
        # What comes later stands first.
        place.store("his-a", f"1.4.{n}", AccessionNumber="", StudyDescription="between")
    for n in (1, 2, 3):
        until_seen(place, "worker-b", f"1.3.{n}")
    pages = [place.send("worker-b", "GET", f"studies?limit=2&offset={offset}") for offset in (0, 2)]
    assert [[each["0020000D"]["Value"][0] for each in page.json()] for page in pages] == [["1.3.3", "1.3.2"], ["1.3.1"]]
    assert ["warning" in page.headers for page in pages] == [True, False]


PATHS = (
    "studies/{}", "studies/{}/series", "studies/{}/instances", "studies/{}/metadata", "studies/{}/rendered",
    "studies/{}/series/{}.1", "studies/{}/series/{}.1/instances", "studies/{}/series/{}.1/metadata",
    "studies/{}/series/{}.1/instances/{}.1.1", "studies/{}/series/{}.1/instances/{}.1.1/metadata",
    "studies/{}/series/{}.1/instances/{}.1.1/frames/1", "studies/{}/series/{}.1/instances/{}.1.1/frames/1/rendered",
    "studies/{}/series/{}.1/instances/{}.1.1/bulkdata/7FE00010", "studies/{}/series/{}.1/instances/{}.1.1/thumbnail",
    # The study that is open in the path, and the other's series or instance.
    "studies/1.2.20/series/{}.1", "studies/1.2.20/series/{}.1/instances/{}.1.1",
    "studies/1.2.20/series/1.2.20.1/instances/{}.1.1/frames/1", "studies/1.2.20/series/{}.1/metadata",
)  # fmt: skip


def consulted(world: World, about: str) -> None:
    """A consultation that the hub accepted, with the patient's consent."""
    consent = of("Consent", f"c-{about}", status="active", patient=to(f"Patient/{about}"), provision=for_hub(),
                 scope={"coding": [{"code": "patient-privacy", "system": SCOPE}]}, dateTime="2026-11-01",
                 category=[{"coding": [{"system": "http://loinc.org", "code": "59284-0"}]}],
                 policyRule={"text": "local"})  # fmt: skip
    request = of("ServiceRequest", f"s-{about}", status="active", intent="order", subject=to(f"Patient/{about}"),
                 performer=[to("Organization/hub")])  # fmt: skip
    task = of("Task", f"t-{about}", status="requested", intent="order", owner=to("Organization/hub"),
              focus=to(f"ServiceRequest/s-{about}"))  # fmt: skip
    task["for"] = to(f"Patient/{about}")
    for body in (consent, request, task):
        world.put("his-a", body)
    answer = world.ask("coordinator-hub", "PUT", f"Task/t-{about}", {**task, "status": "accepted"})
    assert answer.status_code == 200, answer.text


SCOPE = "http://terminology.hl7.org/CodeSystem/consentscope"


def test_what_came_while_nobody_followed_is_seen_to_after_a_restart(tmp_path):
    with serving(tmp_path, extensions=[images]) as server:
        # The server stops before the study is quiet.
        assert alone(server).store("", "1.2.3", 1, 2, AccessionNumber="").status_code == 200
    with quick(), serving(tmp_path, extensions=[images]) as server:
        place = Hospital(World(server))
        imaging = until(lambda: place.imaging("1.2.3"))
        assert imaging["numberOfInstances"] == 2
    with quick(), serving(tmp_path, extensions=[images]) as server:
        place = Hospital(World(server))
        time.sleep(0.5)
        assert place.imaging("1.2.3") == imaging


def test_two_servers_on_one_folder_make_one_resource(tmp_path):
    with quick(), serving(tmp_path, extensions=[images]) as one, serving(tmp_path, extensions=[images]) as two:
        place, other = alone(one), Hospital(World(two))
        for number in range(1, 7):
            (place if number % 2 else other).store("", "1.2.3", number, AccessionNumber="")
        until(lambda: (place.imaging("1.2.3") or {}).get("numberOfInstances") == 6)
        assert len(place.find("", "ImagingStudy")) == 1

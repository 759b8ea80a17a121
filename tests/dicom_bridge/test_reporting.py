"""A draft becomes a signed report, and a PDF in the study, by who may sign it and nobody else."""

from __future__ import annotations

from base64 import b64decode, urlsafe_b64encode
from collections.abc import Iterator
from io import BytesIO
from typing import Any

import orjson
import pytest
from joserfc import jws
from joserfc.errors import BadSignatureError
from joserfc.jwk import ECKey
from pypdf import PdfReader

from fhir_server.signature import canonical
from tests.access.world import of, to
from tests.dicom_bridge.hospital import Hospital, hospital, until, until_seen
from tests.dicom_bridge.test_synchronizer import consulted
from tests.serving import outcome

CODE = {"coding": [{"system": "http://loinc.org", "code": "36643-5"}], "text": "X quang ngực"}
LICENCE = {"system": "http://fhir.hl7.org.vn/core/sid/gphn", "value": "012345/BYT-GPHN"}


@pytest.fixture(scope="module")
def place() -> Iterator[Hospital]:
    with hospital() as made:
        made.patient()
        for name, identifiers in (("radiologist-hub", [LICENCE]), ("doctor-hub", [])):
            body = of("Practitioner", name, name=[{"text": "BS. Trần Quốc Bảo"}])
            made.world.put("", body | ({"identifier": identifiers} if identifiers else {}))
        made.order("order", "anh", "ACC-1")
        made.store("his-a", "1.2.3", AccessionNumber="ACC-1")
        until(lambda: made.imaging("1.2.3"))
        consulted(made.world, "anh")
        until_seen(made, "radiologist-hub", "1.2.3")
        yield made


def draft(place: Hospital, caller: str = "radiologist-hub", **more: Any) -> dict[str, Any]:
    imaging = place.imaging("1.2.3") or {}
    body = {
        "resourceType": "DiagnosticReport",
        "status": "preliminary",
        "code": CODE,
        "subject": to("Patient/anh"),
        "imagingStudy": [to(f"ImagingStudy/{imaging['id']}")],
        "conclusion": "Không thấy tổn thương. Tim không to.",
        **more,
    }
    return place.world.post(caller, {name: value for name, value in body.items() if value is not None})


def sign(place: Hospital, report: dict[str, Any], caller: str = "radiologist-hub") -> Any:
    return place.world.ask(caller, "POST", f"DiagnosticReport/{report['id']}/$sign-report")


def test_a_signed_report_is_final_and_in_the_study(place: Hospital):
    report = draft(place)
    answer = sign(place, report)
    assert answer.status_code == 200, answer.text
    signed = answer.json()
    imaging = place.imaging("1.2.3") or {}
    assert signed["status"] == "final"
    assert signed["basedOn"] == [to("ServiceRequest/order")]
    assert signed["effectiveDateTime"] == imaging["started"]
    assert signed["resultsInterpreter"] == [
        {"reference": "Practitioner/radiologist-hub", "display": "BS. Trần Quốc Bảo"}
    ]

    pdf = b64decode(signed["presentedForm"][0]["data"])
    text = " ".join("".join(page.extract_text() for page in PdfReader(BytesIO(pdf)).pages).split())
    for said in ("Nguyễn Thị Ánh", "Không thấy tổn thương. Tim không to.", "012345/BYT-GPHN", "BS. Trần Quốc Bảo"):
        assert said in text

    found = until(lambda: [each for each in metadata(place) if each["00080060"]["Value"] == ["DOC"]])
    assert len(found) == 1
    assert found[0]["00100010"]["Value"] == [{"Alphabetic": "NGUYEN^ANH^THI"}]
    until(lambda: (place.imaging("1.2.3") or {})["numberOfInstances"] == 2)
    assert [each["code"] for each in (place.imaging("1.2.3") or {})["modality"]] == ["CT"]
    uids = [found[0][tag]["Value"][0] for tag in ("0020000E", "00080018")]
    bulk = f"studies/1.2.3/series/{uids[0]}/instances/{uids[1]}/bulkdata/00420011"
    kept = place.send("worker-a", "GET", bulk, headers={"accept": "application/octet-stream"})
    assert kept.content[: len(pdf)] == pdf
    # Signed again it is the same.
    assert sign(place, report).json() == signed
    assert len(metadata(place)) == 2


def metadata(place: Hospital) -> list[dict[str, Any]]:
    return list(place.send("worker-a", "GET", "studies/1.2.3/metadata").json())


def test_a_signature_is_verified_by_whoever_has_the_report(place: Hospital):
    report = draft(place)
    signed = sign(place, report).json()
    (provenance,) = place.find("radiologist-hub", f"Provenance?target=DiagnosticReport/{report['id']}")
    assert provenance["target"] == [to(f"DiagnosticReport/{report['id']}/_history/{signed['meta']['versionId']}")]
    assert provenance["entity"][0]["what"]["reference"].startswith("ImagingStudy/")
    assert provenance["agent"][0]["who"]["identifier"]["value"] == "012345/BYT-GPHN"
    (signature,) = provenance["signature"]
    head, _, tail = b64decode(signature["data"]).decode().split(".")
    key = ECKey.import_key(orjson.loads(b64decode(head + "=="))["jwk"])
    assert checks(head, canonical(signed), tail, key)
    assert not checks(head, canonical({**signed, "conclusion": "Khác"}), tail, key)


def checks(head: str, payload: bytes, tail: str, key: ECKey) -> bool:
    middle = urlsafe_b64encode(payload).rstrip(b"=").decode()
    try:
        jws.deserialize_compact(f"{head}.{middle}.{tail}".encode(), key)
    except BadSignatureError:
        return False
    return True


def test_all_that_the_bridge_writes_is_sound(place: Hospital):
    sign(place, draft(place))
    place.store("his-a", "1.2.4", PatientID="VN-9", AccessionNumber="")
    until(place.tasks)
    for query in ("ImagingStudy?identifier=urn:dicom:uid|", "Endpoint", "Task?code=resolve-study", "Provenance",
                  "DiagnosticReport?status=final"):  # fmt: skip
        found = place.find("", query)
        assert found, query
        for body in found:
            answer = place.world.ask("", "POST", f"{body['resourceType']}/$validate", body).json()
            # R4's list of DICOM's codes is older than that of documents.
            told = [each["details"]["text"] for each in answer["issue"] if each["severity"] in ("error", "fatal")]
            assert [text for text in told if not text.startswith("'DOC' is not a code")] == [], query


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"conclusion": None}, "no conclusion"),
        ({"imagingStudy": None}, "names no study"),
        ({"status": "cancelled"}, "cancelled"),
    ],
)
def test_a_report_that_lacks_something_is_not_signed(place: Hospital, more: dict[str, Any], says: str):
    answer = sign(place, draft(place, **more))
    assert answer.status_code == 422
    assert says in answer.text


def test_who_has_no_licence_or_is_another_signs_nothing(place: Hospital):
    report = draft(place)
    outcome(sign(place, report, "doctor-hub"), 403, "forbidden")
    outcome(sign(place, report, "his-hub"), 403, "forbidden")
    outcome(sign(place, report, "worker-b"), 404, "not-found")
    others = draft(place, resultsInterpreter=[to("Practitioner/doctor-hub")])
    outcome(sign(place, others), 403, "forbidden")


def test_a_report_on_another_patients_study_is_not_signed(place: Hospital):
    report = draft(place, "his-a", subject=to("Patient/a1"))
    assert sign(place, report).status_code in (404, 422)

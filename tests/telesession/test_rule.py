"""Rules of remote care: what each finds, as a warning, and as a refusal where the node says so."""

from collections.abc import Iterator
from typing import Any

import pytest

from telesession.consultation import KINDS
from telesession.extension import telesession
from telesession.rule import RULES, is_allowed
from telesession.vocabulary import ACT, MODE, VISIT_TYPE
from tests.access.world import to
from tests.serving import Served, outcome, serving
from tests.telesession.world import Country, service_request

Json = dict[str, Any]
SID = "http://fhir.hl7.org.vn/core/sid"


@pytest.fixture(scope="module")
def warning() -> Iterator[Served]:
    with serving(extensions=[telesession]) as served:
        yield served


@pytest.fixture(scope="module")
def blocking() -> Iterator[Served]:
    numbers = tuple(rule.number for rule in RULES)
    with serving(extensions=[telesession], tele_blocks=numbers) as served:
        yield served


def patient(kind: str, value: str) -> Json:
    return {"resourceType": "Patient", "identifier": [{"system": f"{SID}/{kind}", "value": value}]}


def encounter(code: str = "VR", visit: str = "14", **more: Any) -> Json:
    kinds = [{"coding": [{"system": VISIT_TYPE, "code": visit}]}] if visit else []
    made = {"resourceType": "Encounter", "status": "planned", "class": {"system": ACT, "code": code}}
    return {**made, **({"type": kinds} if kinds else {}), **more}


def study(uid: str = "urn:oid:1.2.3", **more: Any) -> Json:
    modality = [{"system": "http://dicom.nema.org/resources/ontology/DCM", "code": "CT"}]
    made = {"resourceType": "ImagingStudy", "status": "available", "subject": {"display": "x"}, "modality": modality,
            "identifier": [{"system": "urn:dicom:uid", "value": uid}]}  # fmt: skip
    return {name: value for name, value in {**made, **more}.items() if value is not None}


GOOD = [patient("cccd", "001090000001"), patient("bhyt", "DN4010000000001"), patient("bhyt", "0123456789"),
        patient("passport", "x"), encounter(), encounter("AMB", "01"), study()]  # fmt: skip
BAD = [(1, patient("cccd", "00109000001")), (1, patient("bhyt", "x")), (3, encounter(visit="")),
       (3, encounter("AMB")), (7, study("1.2.x")), (7, study("urn:oid:1." + "1" * 64)), (7, study(modality=None)),
       (10, encounter(diagnosis=[{"condition": {"display": "x"}}] * 14))]  # fmt: skip


@pytest.mark.parametrize("body", GOOD, ids=range(len(GOOD)))
def test_what_is_right_is_taken(blocking: Served, body: Json):
    assert blocking.create(body)["id"]


@pytest.mark.parametrize(("number", "body"), BAD, ids=range(len(BAD)))
def test_what_is_wrong_is_warned_of_or_refused(warning: Served, blocking: Served, number: int, body: Json):
    told = outcome(blocking.ask("POST", body["resourceType"], body), 422, "business-rule")
    assert f"(rule {number})" in told["details"]["text"]
    answer = warning.ask("POST", body["resourceType"], body, prefer="return=OperationOutcome")
    assert answer.status_code == 201
    warned = [each["severity"] for each in answer.json()["issue"] if f"(rule {number})" in each["details"]["text"]]
    assert warned[:1] == ["warning"]


@pytest.mark.parametrize(
    ("icd", "allowed"),
    [("E66", True), ("E66.9", True), ("E03.1", True), ("A19.9", True), ("J31.1", True), ("J31", False), ("I21", False)],
)
def test_the_list_of_circular_30(icd: str, allowed: bool):  # noqa: FBT001 -- of a table
    assert is_allowed(icd) == allowed


def test_treatment_from_afar_is_of_the_list(blocking: Served):
    person = to(f"Patient/{blocking.create({'resourceType': 'Patient'})['id']}")
    mode = [*service_request()["category"], {"coding": [{"system": MODE, "code": "DIRECT_TO_PATIENT"}]}]
    asked = service_request(subject=person, performer=None, requester=None, category=mode)
    request = blocking.create(asked)
    for icd, status in (("I21.0", 422), ("I10", 201)):
        coded = {"coding": [{"system": "http://hl7.org/fhir/sid/icd-10", "code": icd}]}
        condition = blocking.create({"resourceType": "Condition", "subject": person, "code": coded})
        diagnosis = [{"condition": to(f"Condition/{condition['id']}"), "rank": 1}]
        made = encounter(basedOn=[to(f"ServiceRequest/{request['id']}")], diagnosis=diagnosis, subject=person)
        assert blocking.ask("POST", "Encounter", made).status_code == status


def test_a_study_is_of_the_patient_of_its_request_and_its_reader_is_licensed(blocking: Served):
    one, other = (to(f"Patient/{blocking.create({'resourceType': 'Patient'})['id']}") for _ in range(2))
    made = {"resourceType": "ServiceRequest", "status": "active", "intent": "order", "subject": one}
    based = [to(f"ServiceRequest/{blocking.create(made)['id']}")]
    assert blocking.ask("POST", "ImagingStudy", study(basedOn=based, subject=one)).status_code == 201
    outcome(blocking.ask("POST", "ImagingStudy", study(basedOn=based, subject=other)), 422, "business-rule")
    category = [{"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0074", "code": "RAD"}]}]
    for licence, status in (([], 422), ([{"system": f"{SID}/cchn", "value": "1"}], 201)):
        person = blocking.create({"resourceType": "Practitioner", **({"identifier": licence} if licence else {})})
        report = {"resourceType": "DiagnosticReport", "status": "final", "category": category, "code": {"text": "CT"},
                  "resultsInterpreter": [to(f"Practitioner/{person['id']}")]}  # fmt: skip
        assert blocking.ask("POST", "DiagnosticReport", report).status_code == status


def prescribed(served: Served, mode: str, **more: Any) -> Any:
    """The answer to a prescription of a session in a mode."""
    nobody = {"display": "x"}
    category = [{"coding": [{"system": MODE, "code": mode}]}]
    order = service_request(category=category, subject=nobody, performer=None, requester=None)
    session = served.create(encounter(basedOn=[to(f"ServiceRequest/{served.create(order)['id']}")]))
    body = {
        "resourceType": "MedicationRequest",
        "status": "active",
        "intent": "order",
        "subject": nobody,
        "medicationCodeableConcept": {"text": "Morphin"},
        "encounter": to(f"Encounter/{session['id']}"),
    }
    return served.ask("POST", "MedicationRequest", body | more)


@pytest.mark.parametrize(
    ("mode", "number", "status"),
    [("DIRECT_TO_PATIENT", "01234abcdefg-N", 422), ("DIRECT_TO_PATIENT", "01234abcdefg-H", 422),
     ("DIRECT_TO_PATIENT", "01234abcdefg-C", 201), ("TELECONSULT_MDT", "01234abcdefg-N", 201)],
)  # fmt: skip
def test_narcotics_are_not_prescribed_directly_on_any_node(warning: Served, mode: str, number: str, status: int):
    answer = prescribed(warning, mode, identifier=[{"system": "urn:x:don-thuoc", "value": number}])
    assert answer.status_code == status, answer.text


@pytest.mark.parametrize(
    ("note", "status"), [(None, 422), ("HC.01A23", 201), ("HC.99999", 422), ("HC.1", 422), ("Uống sau ăn", 422)]
)
def test_what_another_facility_ordered_has_its_code(blocking: Served, note: str | None, status: int):
    code = [{"system": f"{SID}/ma-cskcb", "value": "01A23"}]
    hub, station = (
        blocking.create({"resourceType": "Organization", "name": "x", **more})["id"]
        for more in ({"identifier": code}, {})
    )
    roles = [
        blocking.create({"resourceType": "PractitionerRole", "organization": to(f"Organization/{each}")})["id"]
        for each in (hub, station)
    ]
    answer = prescribed(
        blocking,
        "TELECONSULT_MDT",
        requester=to(f"PractitionerRole/{roles[0]}"),
        recorder=to(f"PractitionerRole/{roles[1]}"),
        authoredOn="2026-12-01T09:00:00Z",
        **({"note": [{"text": note}]} if note else {}),
    )
    assert answer.status_code == status, answer.text


def test_nobody_is_in_the_sessions_of_two_facilities(blocking: Served):
    places = [to(f"Organization/{blocking.create({'resourceType': 'Organization', 'name': 'x'})['id']}") for _ in "ab"]
    person = to(f"Practitioner/{blocking.create({'resourceType': 'Practitioner'})['id']}")
    for place, status in zip((places[0], places[0], places[1]), (201, 201, 422), strict=True):
        made = encounter(status="in-progress", serviceProvider=place, participant=[{"individual": person}])
        assert blocking.ask("POST", "Encounter", made).status_code == status


def test_a_consultation_is_closed_with_minutes():
    with serving(organization="node", extensions=[telesession], tele_blocks=(6,), tele_unsigned=KINDS) as served:
        world = Country(served)
        world.people()
        request = world.request()
        world.through(request, "submit", "accept", "book", "start", "finish")
        outcome(world.tell("coordinator", request, "close"), 422, "business-rule")
        minutes = {"resourceType": "Composition", "status": "final", "type": {"text": "Biên bản"}, "title": "Biên bản",
                   "date": "2026-12-01", "author": [to("Practitioner/doctor")], "subject": to("Patient/may"),
                   "encounter": to(world.state(request)["encounter"])}  # fmt: skip
        world.post("doctor", minutes)
        assert world.happen("coordinator", request, "close")["state"] == "closed"

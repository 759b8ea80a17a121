"""The telehealth profiles: they hold what consultations write, and refuse what breaks them for the right reason."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dicom_bridge.imaging_study import identifier_of
from fhir_server.definitions.registry import Definitions, r4
from fhir_server.package import add_installed
from fhir_server.validation.validator import Validator
from telesession import consultation, joining, vocabulary
from telesession.consequence import PARTICIPANT_TYPE, Facts, Stay
from telesession.conversation import CATEGORY, DOCUMENT
from telesession.encounter import brought_up
from telesession.extension import telesession
from telesession.minutes import DOCUMENT as MINUTES
from telesession.minutes import SECTION, SECTIONS, code_of
from telesession.narrative import paragraphs
from telesession.notice import NOTICES, RING, STARTING
from tests.access.world import of, person, to
from tests.serving import serving
from tests.telesession.world import FACTS, Country, participant

Json = dict[str, Any]
FOLDER = Path(__file__).resolve().parents[2] / "profiles" / "telehealth"
BASE = "urn:nhipcau:StructureDefinition:"
DCM = "http://dicom.nema.org/resources/ontology/DCM"
PROFILE_OF = {
    "ServiceRequest": "tele-service-request",
    "Task": "tele-task",
    "Appointment": "tele-appointment",
    "Encounter": "tele-encounter",
    "Communication": "tele-notice",
    "Consent": "tele-consent",
    "ImagingStudy": "tele-imaging-study",
    "Composition": "tele-minutes",
    "Provenance": "tele-signature",
}
VN_CORE = {
    "resourceType": "StructureDefinition",
    "url": "http://fhir.hl7.org.vn/core/StructureDefinition/vn-core-encounter",
    "version": "0.6.0",
    "name": "VNCoreEncounter",
    "status": "draft",
    "kind": "resource",
    "abstract": False,
    "type": "Encounter",
    "baseDefinition": "http://hl7.org/fhir/StructureDefinition/Encounter",
    "derivation": "constraint",
    "differential": {"element": [{"id": "Encounter.type", "path": "Encounter.type", "min": 1}]},
}
"""Of a core guide, as much as could stand in the way."""


def resources(folder: Path) -> dict[str, Json]:
    return {file.stem: json.loads(file.read_text()) for file in sorted(folder.glob("*-*.json"))}


DEFINED, EXAMPLES = resources(FOLDER), resources(FOLDER / "examples")


@pytest.fixture(scope="module")
def definitions() -> Definitions:
    return add_installed(r4().extended())


@pytest.fixture(scope="module")
def validator(definitions: Definitions) -> Validator:
    return Validator(definitions, depth="full")


def errors(validator: Validator, body: Json, *profiles: str) -> list[str]:
    found = validator.validate(body, profiles=[BASE + each for each in profiles]).issues
    return [f"{issue.rule or ''} {issue.expression} {issue.text}" for issue in found if issue.is_error]


@pytest.fixture(scope="module")
def world() -> Iterator[Country]:
    known = add_installed(r4().extended())
    with serving(organization="node", extensions=[telesession], definitions=known, validation="profiles") as served:
        country = Country(served)
        country.people()
        country.table.callers["secretary"] = person("secretary", "doctor", "hub")
        country.put("", of("Practitioner", "secretary", name=[{"family": "Hà"}]))
        yield country


def written(world: Country) -> list[Json]:
    """All versions of all resources that consultations are made of."""
    found = []
    for kind in PROFILE_OF:
        answer = world.get("", f"{kind}/_history?_count=1000")
        assert answer.status_code == 200, answer.text
        found += [each["resource"] for each in answer.json().get("entry", ()) if "resource" in each]
    return found


def sign_minutes(world: Country, request: str) -> None:
    """Write a conclusion for each question, and let secretary and chair sign."""
    answer = world.tell("secretary", request, "draft-minutes")
    assert answer.status_code == 200, answer.text
    body = answer.json()
    for each in next(each for each in body["section"] if code_of(each) == "conclusions")["section"]:
        del each["emptyReason"]
        each["text"] = paragraphs("Không nguy hiểm.")
    path = f"Composition/{body['id']}"
    assert world.ask("secretary", "PUT", path, body).status_code == 200
    for caller in ("secretary", "doctor"):
        signed = world.ask(caller, "POST", f"{path}/$tele-sign")
        assert signed.status_code == 200, signed.text
    assert signed.json()["status"] == "final"


def play(world: Country) -> None:
    """Bring consultations by every event to every end, and all roles into one."""
    ended = world.request()
    world.through(ended, "submit", "ask", "answer", "accept", "ask", "answer")
    roles = (
        ("Practitioner/doctor", "chair"),
        ("Practitioner/worker", "presenter"),
        ("Practitioner/secretary", "secretary"),
    )
    people = [participant(path, role) for path, role in roles]
    world.happen("coordinator", ended, "book", *FACTS["book"][:2], *people)
    world.through(ended, "reschedule", "start", "finish")
    sign_minutes(world, ended)
    world.through(ended, "close")
    for events in (("reject",), ("cancel",), ("accept", "cancel")):
        request = world.request(priority="urgent")
        world.through(request, "submit")
        for event in events:
            caller = "his" if events == ("cancel",) else "coordinator"
            world.happen(caller, request, event, *FACTS.get(event, ()))
    world.put("his", of("ImagingStudy", "chest", status="available", subject=to("Patient/may"),
                        identifier=[identifier_of("1.2.3.4")],
                        modality=[{"system": DCM, "code": "DX"}]))  # fmt: skip
    imaging = world.request(activity="HC-CDHA", priority="stat", supportingInfo=[to("ImagingStudy/chest")])
    world.through(imaging, "submit", "accept", "finish", "close")
    group = of("Group", "trainees", type="practitioner", actual=True)
    world.put("his", group)
    training = world.request(activity="DTCG", subject=to("Group/trainees"))
    world.through(training, "submit", "accept")
    world.happen("coordinator", training, "book", *FACTS["reschedule"], participant("Practitioner/doctor", "chair"))


def test_whatever_consultations_write_meets_the_profiles(world: Country, validator: Validator):
    play(world)
    found = written(world)
    assert {each["resourceType"] for each in found} == set(PROFILE_OF)
    assert {each["status"] for each in found if each["resourceType"] == "Task"} >= {"requested", "on-hold", "completed"}
    wrong = {
        f"{each['resourceType']}/{each['id']}/{each['meta']['versionId']}": told
        for each in found
        if (told := errors(validator, each, PROFILE_OF[each["resourceType"]]))
    }
    assert wrong == {}


def test_they_are_met_beside_a_core_guide_too(world: Country, definitions: Definitions):
    both = definitions.extended()
    both.add(VN_CORE)
    looking = Validator(both, depth="full")
    for each in written(world):
        if each["resourceType"] == "Encounter":
            assert errors(looking, {**each, "meta": {"profile": [VN_CORE["url"], f"{BASE}tele-encounter"]}}) == []


def test_what_a_session_makes_of_its_encounter_meets_the_profile(validator: Validator):
    stays = tuple(
        Stay(f"stay-{role}", role, "Lan", "Practitioner/lan", 1_800_000_000.0, 1_800_000_060.0)
        for role in PARTICIPANT_TYPE
    )
    body = EXAMPLES["Encounter-hoi-chan-xquang-phien"] | {"status": "planned"}
    for _ in range(2):
        body = brought_up(body, Facts("finished", stays, 1_800_000_000.0, 1_800_000_060.0), 1_800_000_060.0)
    assert body["status"] == "finished"
    assert errors(validator, body, "tele-encounter") == []


@pytest.mark.parametrize("name", [*DEFINED, *EXAMPLES])
def test_every_definition_and_example_is_valid(validator: Validator, name: str):
    assert errors(validator, (DEFINED | EXAMPLES)[name]) == []


def test_every_profile_has_an_example():
    profiles = {each["url"] for each in DEFINED.values() if each.get("kind") == "resource"}
    assert {each["meta"]["profile"][0] for each in EXAMPLES.values()} == profiles


def test_every_code_and_extension_that_is_written_is_defined():
    urls = {each["url"] for each in DEFINED.values()}
    named = {value for value in vars(vocabulary).values() if isinstance(value, str)}
    used = {value for value in named if value.startswith("urn:nhipcau:") and value != vocabulary.SERIES}
    assert used | {CATEGORY, DOCUMENT, MINUTES, SECTION} <= urls


def test_code_systems_are_the_tables_of_the_program(definitions: Definitions):
    def codes(system: str) -> set[str]:
        found = definitions.code_system(system)
        assert found is not None
        return {each["code"] for each in DEFINED[f"CodeSystem-{system.rpartition(':')[2]}"]["concept"]}

    assert codes(vocabulary.ACTIVITY) == set(consultation.KIND_OF)
    assert codes(vocabulary.STATE) == set(consultation.STATES)
    assert codes(SECTION) == set(SECTIONS)
    assert codes(vocabulary.JOINING) == set(joining.STATES)
    assert codes(vocabulary.ROLE) == set(PARTICIPANT_TYPE)
    assert codes(vocabulary.NOTICE) == {RING.code, STARTING.code, *(each.code for each in NOTICES.values())}


def test_every_code_has_a_vietnamese_and_an_english_display():
    for body in DEFINED.values():
        for concept in body.get("concept", ()):
            assert concept["display"], body["id"]
            assert [each["language"] for each in concept["designation"]] == ["en"]


@pytest.mark.parametrize("state", consultation.TASK_OF)
def test_every_state_of_the_table_is_one_of_the_profile(validator: Validator, state: consultation.State):
    status, business = consultation.TASK_OF[state]
    body = EXAMPLES["Task-hoi-chan-xquang-tiep-nhan"] | {"status": status}
    body["businessStatus"] = vocabulary.concept(vocabulary.STATE, business)
    assert errors(validator, body) == []
    body["status"] = "ready"
    assert [each for each in errors(validator, body) if "tele-task-1" in each]


CS = "consultation-state"
SECRET = "https://nhipcau.example/telesession/sessions/a?token=b"
WRONG = (
    ("ServiceRequest-hoi-chan-xquang", {"category": [vocabulary.concept(vocabulary.MODE, "TELECONSULT_MDT")]},
     "category"),
    ("ServiceRequest-hoi-chan-xquang", {"category": [vocabulary.concept(vocabulary.ACTIVITY, "HC")]}, "HC"),
    ("ServiceRequest-hoi-chan-xquang", {"performer": [to("Practitioner/a")]}, "tele-req-1"),
    ("ServiceRequest-hoi-chan-xquang", {"reasonCode": None}, "tele-req-2"),
    ("ServiceRequest-hoi-chan-xquang", {"supportingInfo": None}, "tele-req-3"),
    ("ServiceRequest-hoi-chan-xquang", {"subject": to("Device/a")}, "subject"),
    ("Task-hoi-chan-xquang-tiep-nhan", {"businessStatus": vocabulary.concept(vocabulary.STATE, "held")}, "tele-task-1"),
    ("Task-hoi-chan-xquang-tiep-nhan", {"businessStatus": vocabulary.concept(vocabulary.STATE, "lost")}, CS),
    ("Task-hoi-chan-xquang-tiep-nhan", {"code": {"text": "Hội chẩn"}}, "Task.code"),
    ("Task-hoi-chan-xquang-tiep-nhan", {"owner": None}, "owner"),
    ("Task-hoi-chan-xquang-tiep-nhan", {"extension": [{"url": vocabulary.RING, "extension": [
        {"url": "until", "valueInstant": "2026-12-01T08:05:00+07:00"}]}]}, "Extension.extension"),
    ("Appointment-hoi-chan-xquang-lich", {"extension": [vocabulary.virtual_service(SECRET)]}, "tele-app-2"),
    ("Appointment-hoi-chan-xquang-lich", {"extension": [
        {"url": vocabulary.HOLD, "valueInstant": "2026-12-01T08:05:00+07:00"}]}, "tele-app-1"),
    ("Appointment-hoi-chan-xquang-lich", {"extension": [{"url": vocabulary.HOLD, "valueDate": "2026-12-01"}],
                                          "status": "pending"}, "instant"),
    ("Appointment-hoi-chan-xquang-lich", {"basedOn": None}, "basedOn"),
    ("Appointment-hoi-chan-xquang-lich", {"participant": [
        {"status": "accepted", "type": [vocabulary.concept(vocabulary.ROLE, "judge")]}]}, "judge"),
    ("Encounter-hoi-chan-xquang-phien", {"class": {"system": vocabulary.ACT, "code": "AMB"}}, "Encounter.class"),
    ("Encounter-hoi-chan-xquang-phien", {"type": [vocabulary.concept(vocabulary.VISIT_TYPE, "01")]}, "type"),
    ("Encounter-hoi-chan-xquang-phien", {"basedOn": None}, "basedOn"),
    ("Consent-dong-y-chia-se", {"scope": vocabulary.concept(vocabulary.TASK, "joining")}, "scope"),
    ("Consent-dong-y-chia-se", {"provision": {"type": "permit"}}, "actor"),
    ("ImagingStudy-xquang-nguc", {"identifier": [{"system": "urn:a", "value": "1"}]}, "identifier"),
    ("ImagingStudy-xquang-nguc", {"identifier": [{"system": "urn:dicom:uid", "value": "1.2.3"}]}, "tele-img-2"),
    ("ImagingStudy-xquang-nguc", {"modality": None, "series": None}, "tele-img-1"),
    ("OrganizationAffiliation-tram-y-te-xa-ket-noi", {"active": True}, "tele-join-1"),
    ("OrganizationAffiliation-tram-y-te-xa-ket-noi", {"code": [{"text": "Điểm cầu"}]}, "code"),
    ("HealthcareService-hoi-chan-tu-xa", {"characteristic": [vocabulary.concept(vocabulary.MODE, "any")]},
     "characteristic"),
    ("Schedule-truc-dem", {"serviceType": [vocabulary.concept(vocabulary.TASK, "joining")]}, "serviceType"),
    ("Composition-hoi-chan-xquang-bien-ban", {"attester": [
        {"mode": "legal", "time": "2026-12-01T09:40:00+07:00", "party": to("Practitioner/a")}]}, "tele-min-1"),
    ("Composition-hoi-chan-xquang-bien-ban", {"attester": [
        {"mode": "legal", "party": to("Practitioner/a")}, {"mode": "legal", "party": to("Practitioner/b")}],
        "status": "preliminary"}, "tele-min-3"),
    ("Composition-hoi-chan-xquang-bien-ban", {"section": [{
        "title": "Kết luận", "code": vocabulary.concept(SECTION, "conclusions"),
        "section": [{"title": "A?", "emptyReason": {"text": "chưa ghi"}, "text": paragraphs("A")}]}]}, "tele-min-2"),
    ("Composition-hoi-chan-xquang-bien-ban", {"type": {"text": "Biên bản"}}, "Composition.type"),
    ("Composition-hoi-chan-xquang-bien-ban", {"encounter": None}, "encounter"),
    ("Composition-hoi-chan-xquang-bien-ban", {"event": None}, "event"),
    ("Provenance-hoi-chan-xquang-chu-toa-ky", {"signature": None}, "signature"),
    ("Appointment-giao-ban-hang-tuan", {"identifier": None}, "identifier"),
    ("Appointment-giao-ban-hang-tuan", {"serviceType": None}, "serviceType"),
    ("Communication-da-dat-lich", {"recipient": None}, "recipient"),
    ("Communication-da-dat-lich", {"payload": [{"contentReference": to("Binary/a")}]}, "payload"),
)  # fmt: skip
"""An example, what is changed in it, and what the only errors must name."""


@pytest.mark.parametrize("row", range(len(WRONG)))
def test_what_breaks_a_profile_is_refused_for_that(validator: Validator, row: int):
    name, changed, reason = WRONG[row]
    body = {key: value for key, value in {**EXAMPLES[name], **changed}.items() if value is not None}
    found = errors(validator, body)
    assert found
    assert all(reason in each for each in found), found


def test_the_server_names_them_and_knows_the_codes(world: Country):
    statement = world.get("", "metadata").json()
    told = {each["type"]: each.get("supportedProfile", ()) for each in statement["rest"][0]["resource"]}
    for kind, profile in PROFILE_OF.items():
        assert f"{BASE}{profile}" in told[kind]
    answer = world.get("", f"CodeSystem/$lookup?system={vocabulary.VISIT_TYPE}&code=14").json()
    shown = {each["name"]: each.get("valueString") for each in answer["parameter"]}
    assert shown["display"] == "Khám chữa bệnh từ xa"
    english = f"CodeSystem/$validate-code?url={vocabulary.ACTIVITY}&code=TVYT&display=Remote health advice"
    assert world.get("", english).json()["parameter"][0] == {"name": "result", "valueBoolean": True}
    request = {**EXAMPLES["ServiceRequest-hoi-chan-xquang"], "status": "draft", "subject": to("Patient/may")}
    request |= {"category": [vocabulary.concept(vocabulary.ACTIVITY, "none")], "supportingInfo": []}
    assert world.ask("his", "POST", "ServiceRequest/$validate", request).json()["issue"][0]["severity"] == "error"

"""Minutes over HTTP: drafted once, signed by chair and secretary, by nobody else, and for what they say alone."""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO
from typing import Any

import pytest
from pypdf import PdfReader

from fhir_server.signature import FILE, key_in
from telesession.attestation import attested, verdicts
from telesession.extension import telesession
from telesession.minutes import UNWRITTEN, code_of, is_signed
from telesession.minuting import KEY_FILE
from telesession.narrative import paragraphs, says
from telesession.vocabulary import ROLE
from tests.access.world import of, person, to
from tests.serving import outcome, serving
from tests.telesession.world import Country, at, link, participant

Json = dict[str, Any]
QUESTIONS = ["Có phải hồng ban nút không?", "Có cần chuyển tuyến không?"]
DAY = iter(range(1, 28))


@pytest.fixture(scope="module")
def world() -> Iterator[Country]:
    with serving(organization="node", extensions=[telesession]) as served:
        country = Country(served)
        country.people()
        country.table.callers["secretary"] = person("secretary", "doctor", "hub")
        country.put("", of("Practitioner", "secretary", name=[{"text": "ĐD. Nguyễn Thu Hà"}]))
        licence = {"system": "http://fhir.hl7.org.vn/core/sid/gphn", "value": "012345/BYT-GPHN"}
        country.put("", of("Practitioner", "doctor", name=[{"text": "BS. Hoàng Văn Thọ"}], identifier=[licence]))
        yield country


def held(world: Country, *, finished: bool = True) -> str:
    """The id of a request whose session was held, with a chair and a secretary."""
    request = world.request(code={"text": "Hội chẩn"}, orderDetail=[{"text": each} for each in QUESTIONS])
    world.through(request, "submit", "accept")
    day = f"2027-01-{next(DAY):02}"
    people = participant("Practitioner/doctor", "chair"), participant("Practitioner/secretary", "secretary")
    world.happen("coordinator", request, "book", *at(f"{day}T09:00:00Z", f"{day}T09:30:00Z"), *people)
    world.through(request, "start", *(["finish"] if finished else []))
    return request


def drafted(world: Country, request: str, *items: Json, caller: str = "secretary") -> Json:
    answer = world.tell(caller, request, "draft-minutes", *items)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def section(minutes: Json, code: str) -> Json:
    return next(each for each in minutes["section"] if code_of(each) == code)


def written(world: Country, minutes: Json, caller: str = "secretary", **more: Any) -> Json:
    """The minutes with a conclusion for each question, as a client writes them."""
    for each in section(minutes, "conclusions")["section"]:
        each.pop("emptyReason", None)
        each["text"] = paragraphs(f"Có: {each['title']}")
    answer = world.ask(caller, "PUT", f"Composition/{minutes['id']}", minutes | more)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def sign(world: Country, minutes: Json, caller: str, *items: Json) -> Any:
    body = {"resourceType": "Parameters", "parameter": list(items)} if items else None
    return world.ask(caller, "POST", f"Composition/{minutes['id']}/$tele-sign", body)


def trails(world: Country, minutes: Json) -> list[Json]:
    found = world.get("doctor", f"Provenance?target=Composition/{minutes['id']}").json()
    return [each["resource"] for each in found.get("entry", [])]


def signers(world: Country, minutes: Json) -> frozenset[str]:
    return attested(minutes, list(verdicts(minutes, trails(world, minutes))))


def signed(world: Country) -> Json:
    minutes = written(world, drafted(world, held(world)))
    sign(world, minutes, "secretary")
    answer = sign(world, minutes, "doctor")
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def test_a_draft_says_what_is_known_and_asks_for_the_rest(world: Country):
    request = held(world)
    minutes = drafted(world, request)
    assert minutes["status"] == "preliminary"
    assert [each["title"] for each in section(minutes, "conclusions")["section"]] == QUESTIONS
    told = " ".join(says(section(minutes, "participants")["text"]))
    assert "BS. Hoàng Văn Thọ" in told
    assert "012345/BYT-GPHN" in told
    assert "Lý" in " ".join(says(section(minutes, "patient")["text"]))
    assert list(says(section(minutes, "plan")["text"])) == [UNWRITTEN]
    assert {each["mode"]: each["party"]["reference"] for each in minutes["attester"]} == {
        "legal": "Practitioner/doctor",
        "professional": "Practitioner/secretary",
    }
    checked = world.ask("", "POST", "Composition/$validate", minutes).json()
    assert [each for each in checked["issue"] if each["severity"] in ("error", "fatal")] == []
    found = world.get("doctor", "Communication?recipient=Practitioner/doctor&_sort=-_lastUpdated&_count=1").json()
    notice = found["entry"][0]["resource"]
    assert notice["payload"] == [{"contentString": "Biên bản chờ ký."}]
    assert notice["recipient"] == [to("Practitioner/doctor"), to("Practitioner/secretary")]


def test_a_draft_is_made_once(world: Country):
    request = held(world)
    asks = [("POST", f"ServiceRequest/{request}/$tele-draft-minutes", None, {"authorization": "Bearer secretary"})] * 6
    answers = [each.json() for each in world.served.ask_together(asks)]
    assert len({(each["id"], each["meta"]["versionId"]) for each in answers}) == 1
    assert drafted(world, request, caller="his")["meta"]["versionId"] == "1"


def test_a_draft_of_a_session_under_way_is_brought_up_to_date(world: Country):
    request = held(world, finished=False)
    minutes = written(world, drafted(world, request))
    world.through(request, "finish")
    later = drafted(world, request)
    assert section(later, "session") != section(minutes, "session")
    assert section(later, "conclusions") == section(minutes, "conclusions")


def test_a_consultation_without_a_session_has_no_minutes(world: Country):
    request = world.request()
    world.through(request, "submit", "accept")
    outcome(world.tell("secretary", request, "draft-minutes"), 409, "conflict")
    outcome(world.tell("stranger", request, "draft-minutes"), 404, "not-found")


def test_both_sign_and_the_minutes_are_final(world: Country):
    minutes = written(world, drafted(world, held(world)))
    half = sign(world, minutes, "secretary").json()
    assert half["status"] == "preliminary"
    assert signers(world, half) == {"professional"}
    whole = sign(world, minutes, "doctor").json()
    assert whole["status"] == "final"
    assert is_signed(whole)
    assert signers(world, whole) == {"legal", "professional"}
    assert {each["agent"][0]["role"][0]["coding"][0]["code"] for each in trails(world, whole)} == {"chair", "secretary"}
    # Signed again they are the same.
    assert sign(world, minutes, "doctor").json() == whole
    assert len(trails(world, whole)) == 2
    for each in trails(world, whole):
        told = world.ask("", "POST", "Provenance/$validate", each).json()["issue"]
        assert [issue for issue in told if issue["severity"] in ("error", "fatal")] == []


def test_a_question_without_a_conclusion_is_named(world: Country):
    minutes = drafted(world, held(world))
    told = outcome(sign(world, minutes, "doctor"), 422, "required")
    assert QUESTIONS[0] in told["details"]["text"]
    conclusions = section(minutes, "conclusions")
    del conclusions["section"][1]
    minutes = written(world, minutes)
    assert QUESTIONS[1] in outcome(sign(world, minutes, "doctor"), 422, "required")["details"]["text"]


def test_nobody_else_signs(world: Country):
    minutes = written(world, drafted(world, held(world)))
    for caller in ("coordinator", "worker"):
        outcome(sign(world, minutes, caller), 403, "forbidden")
    outcome(sign(world, minutes, "stranger"), 404, "not-found")
    outcome(sign(world, minutes, "secretary", link("who", "Practitioner/doctor")), 403, "forbidden")
    outcome(sign(world, minutes, "", link("who", "Practitioner/worker")), 403, "forbidden")
    assert trails(world, minutes) == []


def test_what_was_not_read_is_not_signed(world: Country):
    minutes = written(world, drafted(world, held(world)))
    stale = {"name": "version", "valueId": "1"}
    outcome(sign(world, minutes, "doctor", stale), 409, "conflict")
    assert sign(world, minutes, "doctor", {"name": "version", "valueId": "2"}).status_code == 200


def test_changed_minutes_are_signed_anew(world: Country):
    whole = signed(world)
    changed = {**whole, "status": "amended", "attester": [without_time(each) for each in whole["attester"]]}
    section(changed, "plan").pop("emptyReason", None)
    section(changed, "plan")["text"] = paragraphs("Tái khám sau một tuần")
    answer = world.ask("secretary", "PUT", f"Composition/{whole['id']}", changed)
    assert answer.status_code == 200, answer.text
    assert signers(world, answer.json()) == frozenset()
    sign(world, whole, "secretary")
    again = sign(world, whole, "doctor").json()
    assert again["status"] == "amended"
    assert is_signed(again)
    assert signers(world, again) == {"legal", "professional"}
    assert len(trails(world, again)) == 4


def without_time(attester: Json) -> Json:
    return {name: value for name, value in attester.items() if name != "time"}


def test_a_plain_write_signs_nothing(world: Country):
    minutes = written(world, drafted(world, held(world)))
    timed = [each | {"time": "2027-01-01T00:00:00Z"} for each in minutes["attester"]]
    path = f"Composition/{minutes['id']}"
    for more in ({"attester": timed}, {"status": "final"}, {"attester": minutes["attester"][:1]},
                 {"encounter": to("Encounter/other")}):  # fmt: skip
        assert world.ask("doctor", "PUT", path, minutes | more).status_code in (404, 422), more
        assert world.get("doctor", path).json() == minutes
    whole = signed(world)
    path = f"Composition/{whole['id']}"
    outcome(world.ask("doctor", "PUT", path, whole | {"title": "Khác"}), 422, "business-rule")
    outcome(world.ask("his-hub", "DELETE", path), 409, "business-rule")
    wrong = world.ask("doctor", "PUT", path, whole | {"status": "entered-in-error"})
    assert wrong.status_code == 200, wrong.text


def test_a_copied_signature_of_another_role_does_not_hold(world: Country):
    minutes = written(world, drafted(world, held(world)))
    half = sign(world, minutes, "secretary").json()
    (trail,) = trails(world, half)
    forged = {**trail, "id": "forged"}
    chair = {"coding": [{"system": ROLE, "code": "chair"}]}
    forged["agent"] = [{**trail["agent"][0], "who": half["attester"][0]["party"], "role": [chair]}]
    forged["signature"] = [{**trail["signature"][0], "who": half["attester"][0]["party"]}]
    assert [each.holds for each in verdicts(half, [trail, forged])] == [True, False]
    changed = {**half, "title": "Khác"}
    assert not any(each.holds for each in verdicts(changed, [trail, forged]))


def test_whom_the_consultation_does_not_name_is_named_at_the_draft(world: Country):
    request = world.request(note=[{"text": QUESTIONS[0]}], priority="stat")
    world.through(request, "submit", "accept", "start", "finish")
    minutes = written(world, drafted(world, request))
    told = outcome(sign(world, minutes, "", link("who", "Practitioner/doctor")), 403, "forbidden")
    assert "nobody yet" in told["details"]["text"]
    both = link("chair", "Practitioner/doctor"), link("secretary", "Practitioner/secretary")
    named = drafted(world, request, *both)
    assert sign(world, named, "doctor").status_code == 200
    outcome(world.tell("secretary", request, "draft-minutes", *both), 409, "conflict")
    outcome(world.tell("secretary", request, "draft-minutes", link("chair", "Practitioner/nobody")), 422, "value")


def printed(world: Country, caller: str, minutes: Json) -> Any:
    headers = {"authorization": f"Bearer {caller}"} if caller else {}
    return world.served.send("GET", f"http://node/telesession/minutes/{minutes['id']}/pdf", headers=headers)


def text_of(pdf: bytes) -> str:
    return " ".join("".join(page.extract_text() for page in PdfReader(BytesIO(pdf)).pages).split())


def test_the_paper_is_for_who_may_read_the_minutes(world: Country):
    draft = written(world, drafted(world, held(world)))
    assert "Bản nháp" in text_of(printed(world, "doctor", draft).content)
    whole = signed(world)
    answer = printed(world, "worker", whole)
    assert answer.headers["content-type"] == "application/pdf"
    text = text_of(answer.content)
    for said in ("CỘNG HÒA XÃ HỘI CHỦ NGHĨA VIỆT NAM", "BIÊN BẢN HỘI CHẨN TỪ XA", QUESTIONS[0], "BS. Hoàng Văn Thọ",
                 "ĐD. Nguyễn Thu Hà", "THƯ KÝ", "CHỦ TỌA"):  # fmt: skip
        assert said in text
    assert text.count("Đã ký số") == 2
    assert "KHÔNG KHỚP" not in text
    assert printed(world, "stranger", whole).status_code == 404


def test_the_key_is_the_nodes_own(world: Country, tmp_path: Any):
    whole = signed(world)
    found = list(verdicts(whole, trails(world, whole)))
    assert len({each.key for each in found}) == 1
    assert attested(whole, found, {key_in(tmp_path).thumbprint()}) == frozenset()


def test_a_program_signs_for_the_staff_of_its_facility(world: Country):
    minutes = written(world, drafted(world, held(world)))
    who = link("who", "Practitioner/doctor")
    outcome(sign(world, minutes, "his-hub"), 422, "required")
    outcome(sign(world, minutes, "his-hub", who), 403, "forbidden")
    role = {"resourceType": "PractitionerRole", "practitioner": to("Practitioner/doctor"), "active": False}
    world.put("", {**role, "id": "doctor", "organization": to("Organization/hub")})
    outcome(sign(world, minutes, "his-hub", who), 403, "forbidden")
    world.put("", {**role, "id": "doctor", "organization": to("Organization/hub"), "active": True})
    outcome(sign(world, minutes, "his", who), 403, "forbidden")
    answer = sign(world, minutes, "his-hub", who)
    assert answer.status_code == 200, answer.text
    (trail,) = trails(world, answer.json())
    assert [each["who"].get("display") for each in trail["agent"]] == ["BS. Hoàng Văn Thọ", "his-hub"]
    assert signers(world, answer.json()) == {"legal"}


def test_a_consultation_is_closed_when_its_minutes_are_signed(world: Country):
    request = held(world)
    minutes = written(world, drafted(world, request))
    sign(world, minutes, "secretary")
    told = outcome(world.tell("coordinator", request, "close"), 422, "business-rule")
    assert "$tele-sign" in told["diagnostics"]
    task = world.get("coordinator", world.state(request)["task"]).json()
    plain = world.ask("coordinator", "PUT", f"Task/{task['id']}", {**task, "status": "completed"})
    outcome(plain, 422, "business-rule")
    order = world.get("his", f"ServiceRequest/{request}").json()
    outcome(
        world.ask("his", "PUT", f"ServiceRequest/{request}", {**order, "status": "completed"}), 422, "business-rule"
    )
    sign(world, minutes, "doctor")
    assert world.happen("coordinator", request, "close")["state"] == "closed"
    # The record is the station's alone again; what was written about it belongs to both.
    assert world.get("doctor", "Patient/may").status_code == 404 or other_is_open(world)
    assert world.get("doctor", f"Composition/{minutes['id']}").status_code == 200


def other_is_open(world: Country) -> bool:
    """Whether another consultation of the patient is still open."""
    found = world.get("", "Task?status=accepted,in-progress&patient=may").json()
    return bool(found.get("entry"))


def test_the_key_is_saved_with_the_node():
    assert KEY_FILE == FILE

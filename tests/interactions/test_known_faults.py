"""What widely used servers were found to answer wrongly, each with the right answer."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest

from tests.serving import JSON, Served, outcome, serving

PATIENT = {"resourceType": "Patient"}
LOINC = "http://loinc.org"


def observation(code: str, **members: Any) -> dict[str, Any]:
    coded = {"coding": [{"system": LOINC, "code": code}]}
    return {"resourceType": "Observation", "status": "final", "code": coded, **members}


@pytest.fixture
def empty():
    """A server that nobody has written to."""
    with serving() as served:
        yield served


def places(answer: Any) -> set[str]:
    assert 400 <= answer.status_code < 500, answer.text
    return {place for issue in answer.json()["issue"] for place in issue.get("expression", ())}


def test_an_encounter_without_status_and_class_is_refused_by_both_names(server):
    answer = server.ask("POST", "Encounter", {"resourceType": "Encounter"})
    assert answer.status_code == 400
    texts = " ".join(issue["details"]["text"] for issue in answer.json()["issue"])
    assert "status" in texts
    assert "class" in texts


def test_an_unknown_element_is_refused_and_not_dropped(server):
    assert places(server.ask("POST", "Patient", {**PATIENT, "gendre": "male"})) == {"Patient.gendre"}


def test_a_member_that_is_there_twice_is_refused(server):
    body = b'{"resourceType":"Patient","gender":"male","gender":"female"}'
    assert places(server.ask("POST", "Patient", body)) == {"Patient.gender"}


def test_a_stale_version_is_a_failed_precondition(server, patient):
    server.put({**patient, "active": True})
    outcome(server.put(patient, if_match='W/"1"'), 412, "conflict")


def test_an_id_may_be_a_number(server):
    answer = server.put({**PATIENT, "id": "4711"})
    assert answer.status_code == 201
    assert server.get("Patient/4711").json()["id"] == "4711"


@pytest.mark.parametrize("decimal", ["1.00E-2", "0.0100", "1e2", "5.40", "100", "-0.0", "0.1234567890123456789"])
def test_a_decimal_comes_back_as_it_was_sent(server, decimal):
    body = observation("1", valueQuantity={"value": 0})
    text = str(body).replace("'", '"').replace('"value": 0', f'"value": {decimal}').encode()
    made = server.ask("POST", "Observation", text)
    assert made.status_code == 201, made.text
    read = server.get(f"Observation/{made.json()['id']}").text
    assert f'"value": {decimal}' in read or f'"value":{decimal}' in read


def test_text_is_no_media_type_of_a_resource(server):
    outcome(server.ask("POST", "Patient", PATIENT, content_type="text/plain"), 415, "not-supported")


def test_a_lenient_client_gets_what_is_known_and_is_told_of_the_rest(server):
    answer = server.get("Patient?nickname=a&gender=female", prefer="handling=lenient")
    assert answer.status_code == 200
    told = [entry for entry in answer.json()["entry"] if entry["search"]["mode"] == "outcome"]
    assert "nickname" in told[0]["resource"]["issue"][0]["details"]["text"]


def test_a_search_sees_what_was_made_since_it_was_last_asked(empty):
    query = "Patient?family=moi"
    assert empty.found(query) == []
    made = empty.create({**PATIENT, "name": [{"family": "Mới"}]})
    assert empty.found(query) == [made["id"]]
    empty.put({**made, "name": [{"family": "Cũ"}]})
    assert empty.found(query) == []


def test_what_is_written_between_two_pages_does_not_turn_up_on_the_second(empty):
    for day in range(1, 7):
        empty.create(observation("1", effectiveDateTime=f"2026-01-{day:02}"))
    first = empty.get("Observation?_sort=-date&_count=3").json()
    empty.create(observation("1", effectiveDateTime="2026-01-02"))
    empty.create(observation("1", effectiveDateTime="2026-12-31"))
    (following,) = [link["url"] for link in first["link"] if link["relation"] == "next"]
    second = empty.get(following.partition("/fhir/")[2]).json()
    days = [entry["resource"]["effectiveDateTime"][-2:] for page in (first, second) for entry in page["entry"]]
    assert days == ["06", "05", "04", "03", "02", "01"]


@pytest.mark.parametrize("typed", ["dang", "Dang", "Đặng", "ĐẶNG", "\u00d0ặng", "\u0110a\u0323\u0306ng"])
@pytest.mark.parametrize("stored", ["Đặng", "\u00d0ặng", "\u0110a\u0323\u0306ng"])
def test_a_name_is_found_however_it_is_typed(empty, typed, stored):
    made = empty.create({**PATIENT, "name": [{"family": stored}]})
    assert empty.found(f"Patient?name={quote(typed)}") == [made["id"]]


def test_identifiers_are_found_by_their_type(empty):
    kind = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": "MR"}]}
    made = empty.create({**PATIENT, "identifier": [{"type": kind, "system": "http://a", "value": "7"}]})
    empty.create({**PATIENT, "identifier": [{"system": "http://a", "value": "7"}]})
    query = quote("http://terminology.hl7.org/CodeSystem/v2-0203|MR|7")
    assert empty.found(f"Patient?identifier:of-type={query}") == [made["id"]]


def test_references_are_found_by_the_identifier_that_they_carry(empty):
    made = empty.create(observation("1", subject={"identifier": {"system": "http://a", "value": "7"}}))
    assert empty.found(f"Observation?subject:identifier={quote('http://a|7')}") == [made["id"]]


def test_texts_and_contents_are_searched_by_default(empty):
    div = '<div xmlns="http://www.w3.org/1999/xhtml">Ho kéo dài</div>'
    made = empty.create({**PATIENT, "text": {"status": "generated", "div": div}, "name": [{"family": "Trịnh"}]})
    empty.create(PATIENT)
    assert empty.found("Patient?_text=keo") == [made["id"]]
    assert empty.found("Patient?_content=trinh") == [made["id"]]


def test_a_wrong_code_is_an_issue_of_validation_and_no_failure_of_it(server):
    answer = server.ask("POST", "Patient/$validate", {**PATIENT, "gender": "nu"})
    assert answer.status_code == 200
    (issue,) = [issue for issue in answer.json()["issue"] if issue["severity"] == "error"]
    assert issue["expression"] == ["Patient.gender"]


def test_a_code_is_not_found_in_components_unless_they_are_asked_for(empty):
    panel = observation("85354-9", component=[{"code": {"coding": [{"system": LOINC, "code": "8480-6"}]}}])
    made = empty.create(panel)
    assert empty.found("Observation?code=8480-6") == []
    assert empty.found("Observation?combo-code=8480-6") == [made["id"]]
    assert empty.found("Observation?combo-code=85354-9") == [made["id"]]


def test_a_count_of_one_is_one_match_whatever_is_included(empty):
    patients = [empty.create(PATIENT) for _ in range(2)]
    for each in patients:
        empty.create(observation("1", subject={"reference": f"Patient/{each['id']}"}))
    page = empty.get("Observation?_count=1&_include=Observation:subject").json()
    assert [entry["search"]["mode"] for entry in page["entry"]] == ["match", "include"]


@pytest.mark.parametrize("query", ["_revinclude=*", "_include=*", "_revinclude:iterate=*"])
def test_a_wildcard_is_no_fault(empty, query):
    made = empty.create(PATIENT)
    empty.create(observation("1", subject={"reference": f"Patient/{made['id']}"}))
    assert empty.get(f"Patient?{query}").status_code == 200


def test_a_lookup_in_an_unknown_system_says_so(server):
    answer = server.get("CodeSystem/$lookup?system=http://example.org/none&code=1")
    assert answer.status_code in (404, 422)
    assert "http://example.org/none" in answer.json()["issue"][0]["details"]["text"]


def test_twins_of_one_transaction_are_one(empty):
    identifier = {"system": "http://a", "value": "7"}
    request = {"method": "POST", "url": "Patient", "ifNoneExist": "identifier=http://a|7"}
    entry = {"resource": {**PATIENT, "identifier": [identifier]}, "request": request}
    answer = empty.ask("POST", "", {"resourceType": "Bundle", "type": "transaction", "entry": [entry, entry]})
    assert [each["response"]["status"][:3] for each in answer.json()["entry"]] == ["201", "200"]
    assert len(empty.found("Patient?identifier=7")) == 1


def test_not_finds_what_lacks_the_element(empty):
    female, unknown = empty.create({**PATIENT, "gender": "female"}), empty.create(PATIENT)
    assert set(empty.found("Patient?gender:not=male")) == {female["id"], unknown["id"]}
    assert empty.found("Patient?gender:missing=true") == [unknown["id"]]


def test_a_composite_matches_within_one_component(empty):
    def component(code: str, value: int) -> dict[str, Any]:
        return {"code": {"coding": [{"system": LOINC, "code": code}]}, "valueQuantity": {"value": value}}

    empty.create(observation("1", component=[component("8480-6", 120), component("8462-4", 80)]))
    assert len(empty.found("Observation?component-code-value-quantity=8480-6$gt100")) == 1
    assert empty.found("Observation?component-code-value-quantity=8462-4$gt100") == []


def test_a_resource_that_was_deleted_can_be_made_again(server, patient):
    path = f"Patient/{patient['id']}"
    assert server.ask("DELETE", path).status_code == 204
    outcome(server.get(path), 410, "deleted")
    outcome(server.get(f"{path}/_history/2"), 410, "deleted")
    answer = server.put(patient)
    assert (answer.status_code, answer.json()["meta"]["versionId"]) == (201, "3")
    methods = [entry["request"]["method"] for entry in server.get(f"{path}/_history").json()["entry"]]
    assert methods == ["PUT", "DELETE", "POST"]


def test_if_none_match_creates_only(server, patient):
    outcome(server.put(patient, if_none_match="*"), 412, "conflict")
    for tag in ('W/"1"', '"1"'):
        assert server.get(f"Patient/{patient['id']}", if_none_match=tag).status_code == 304


def test_parts_say_that_they_are_parts_and_keep_what_is_mandatory(server):
    made = server.create(observation("1", effectiveDateTime="2026-01-01"))
    part = server.get(f"Observation/{made['id']}?_elements=effective").json()
    assert part["meta"]["tag"][0]["code"] == "SUBSETTED"
    assert {"status", "code"} <= part.keys()
    counted = server.get("Observation?_summary=count").json()
    assert "entry" not in counted
    assert counted["total"] >= 1


def test_a_versioned_reference_includes_that_version(empty):
    made = empty.create({**PATIENT, "active": True})
    empty.put({**made, "active": False})
    path = f"Patient/{made['id']}/_history/1"
    empty.create(observation("1", subject={"reference": path}))
    page = empty.get("Observation?_include=Observation:subject").json()
    included = [entry["resource"] for entry in page["entry"] if entry["search"]["mode"] == "include"]
    assert made in included


def test_ids_differ_by_the_case_of_their_letters(server: Served):
    for identity in ("CaseOfLetters", "caseofletters"):
        assert server.put({**PATIENT, "id": identity}, content_type=JSON).status_code == 201

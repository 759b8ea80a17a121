import re

import pytest

from tests.serving import Ask, outcome, serving

PATIENT = {"resourceType": "Patient", "gender": "female"}
SYSTEM = "https://example.org/id"


def named(value):
    return {**PATIENT, "identifier": [{"system": SYSTEM, "value": value}]}


def test_a_create_says_where_it_is(server):
    answer = server.ask("POST", "Patient", {**PATIENT, "id": "mine"})
    stored = answer.json()
    assert answer.status_code == 201
    assert answer.headers["location"] == f"http://node/fhir/Patient/{stored['id']}/_history/1"
    assert stored["id"] != "mine"
    assert re.fullmatch(r"[A-Za-z0-9\-.]{1,64}", stored["id"])


def test_the_server_decides_version_and_time(server):
    meta = {"versionId": "77", "lastUpdated": "2001-01-01T00:00:00Z", "source": "urn:x", "tag": [{"code": "t"}]}
    stored = server.create({**PATIENT, "meta": meta})
    assert stored["meta"]["versionId"] == "1"
    assert stored["meta"]["lastUpdated"] > "2026"
    assert stored["meta"]["source"] == "urn:x"


@pytest.mark.parametrize("resource_id", ["12", "abc-1.2", 64 * "x"])
def test_an_update_creates_what_is_not_there(server, resource_id):
    first = server.put({**PATIENT, "id": resource_id})
    assert first.status_code == 201
    assert first.headers["location"].endswith(f"/Patient/{resource_id}/_history/1")
    second = server.put({**PATIENT, "id": resource_id, "gender": "male"})
    assert (second.status_code, second.headers["etag"]) == (200, 'W/"2"')


def test_what_does_not_change_makes_no_version(server, patient):
    again = server.put(server.get(f"Patient/{patient['id']}").json())
    assert (again.status_code, again.headers["etag"]) == (200, 'W/"1"')
    assert server.versions(f"Patient/{patient['id']}") == 1


def test_what_does_not_change_can_make_a_version():
    with serving(unchanged_makes_version=True) as server:
        stored = server.create(PATIENT)
        assert server.put(stored).headers["etag"] == 'W/"2"'


def test_a_version_that_is_not_current_is_refused(server, patient):
    changed = {**patient, "gender": "male"}
    assert server.put(changed, if_match='W/"1"').headers["etag"] == 'W/"2"'
    issue = outcome(server.put({**changed, "gender": "other"}, if_match='W/"1"'), 412, "conflict")
    assert "version 2" in issue["details"]["text"]
    outcome(server.ask("DELETE", f"Patient/{patient['id']}", if_match='W/"1"'), 412, "conflict")
    assert server.put({**changed, "gender": "other"}, if_match='W/"9", W/"2"').status_code == 200
    assert server.put({**changed, "gender": "male"}, if_match="*").status_code == 200
    outcome(server.put({**PATIENT, "id": "never"}, if_match="*"), 412, "conflict")
    outcome(server.put({**PATIENT, "id": "never"}, if_match='W/"1"'), 412, "conflict")
    outcome(server.put(changed, if_match='W/"1'), 400, "value")


def test_a_create_under_an_id_can_ask_that_it_is_free(server):
    assert server.put({**PATIENT, "id": "free"}, if_none_match="*").status_code == 201
    outcome(server.put({**PATIENT, "id": "free"}, if_none_match="*"), 412, "conflict")


def test_the_id_in_url_and_body_must_agree(server):
    outcome(server.ask("PUT", "Patient/a", {**PATIENT, "id": "b"}), 400, "invalid")
    outcome(server.ask("PUT", "Patient/a", PATIENT), 400, "invalid")


def test_the_type_in_url_and_body_must_agree(server):
    issue = outcome(server.ask("POST", "Observation", PATIENT), 400, "invalid")
    assert "/Patient" in issue["diagnostics"]


def test_deleting_is_final_and_can_be_repeated(server, patient):
    path = f"Patient/{patient['id']}"
    first = server.ask("DELETE", path)
    assert (first.status_code, first.content, first.headers["etag"]) == (204, b"", 'W/"2"')
    assert server.ask("DELETE", path).status_code == 204
    assert server.ask("DELETE", "Patient/never-was").status_code == 204
    told = server.ask("DELETE", "Patient/never-was", prefer="return=OperationOutcome")
    assert (told.status_code, told.json()["resourceType"]) == (200, "OperationOutcome")


def test_what_comes_back_counts_on(server, patient):
    server.ask("DELETE", f"Patient/{patient['id']}")
    again = server.put(patient)
    assert (again.status_code, again.headers["etag"]) == (201, 'W/"3"')


def test_the_client_chooses_what_is_sent_back(server):
    minimal = server.ask("POST", "Patient", PATIENT, prefer="return=minimal")
    assert (minimal.status_code, minimal.content) == (201, b"")
    assert minimal.headers["location"]
    advised = server.ask("POST", "Patient", PATIENT, prefer="return=OperationOutcome").json()
    severities = {issue["severity"] for issue in advised["issue"]}
    assert severities == {"information", "warning"}
    assert server.ask("POST", "Patient", PATIENT, prefer="return=representation").json()["gender"] == "female"


def test_a_base_fault_is_400_and_a_profiles_422():
    vital_signs = "http://hl7.org/fhir/StructureDefinition/vitalsigns"
    observation = {"resourceType": "Observation", "status": "final", "code": {"text": "a"}}
    with serving(validation="profiles") as server:
        outcome(server.ask("POST", "Observation", {**observation, "status": "wrong"}), 400, "code-invalid")
        claimed = {**observation, "meta": {"profile": [vital_signs]}}
        outcome(server.ask("POST", "Observation", claimed), 422, "required")
    with serving() as server:
        assert server.ask("POST", "Observation", claimed).status_code == 201
    with serving(validation="off") as server:
        assert server.ask("POST", "Observation", {**observation, "status": "wrong"}).status_code == 201
        repeated = b'{"resourceType":"Patient","gender":"male","gender":"female"}'
        outcome(server.ask("POST", "Patient", repeated), 400, "structure")


SCRIPT = (
    b'{"resourceType":"Patient","text":{"status":"generated","div":'
    b'"<div xmlns=\\"http://www.w3.org/1999/xhtml\\"><script>1</script></div>"}}'
)
BAD = {
    "cut off": (b'{"resourceType":"Patient",', 400, "structure"),
    "empty": (b"", 400, "structure"),
    "nested": (b'{"resourceType":"Patient","a":' + b"[" * 100_000 + b"]" * 100_000 + b"}", 400, "structure"),
    "deep": (b'{"resourceType":"Patient","a":' + b"[" * 100 + b"]" * 100 + b"}", 400, "too-long"),
    "NaN": (b'{"resourceType":"Patient","multipleBirthInteger":NaN}', 400, "structure"),
    "Infinity": (b'{"resourceType":"Patient","multipleBirthInteger":Infinity}', 400, "structure"),
    "1e400": (b'{"resourceType":"Patient","multipleBirthInteger":1e400}', 400, "structure"),
    "repeated": (b'{"resourceType":"Patient","id":"a","id":"b"}', 400, "structure"),
    "repeated within": (b'{"resourceType":"Patient","name":[{"text":"a","text":"b"}]}', 400, "structure"),
    "NUL": (b'{"resourceType":"Patient","name":[{"text":"a\\u0000"}]}', 400, "invalid"),
    "control": (b'{"resourceType":"Patient","name":[{"text":"a\x01"}]}', 400, "structure"),
    "surrogate": (b'{"resourceType":"Patient","name":[{"text":"\\ud800"}]}', 400, "structure"),
    "latin-1": (b'{"resourceType":"Patient","name":[{"text":"\xe1"}]}', 400, "structure"),
    "UTF-16": ('{"resourceType":"Patient"}'.encode("utf-16"), 400, "structure"),
    "a list": (b"[]", 400, "structure"),
    "no type": (b'{"gender":"male"}', 400, "structure"),
    "unknown type": (b'{"resourceType":"Patinet"}', 404, "not-found"),
    "meta of a wrong kind": (b'{"resourceType":"Patient","meta":[]}', 400, "structure"),
    "script": (
        SCRIPT,
        400,
        "invariant",
    ),
    "unknown member": (b'{"resourceType":"Patient","gendre":"male"}', 400, "structure"),
    "wrong date": (b'{"resourceType":"Patient","birthDate":"2026-02-30"}', 400, "value"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_body_is_refused_with_its_own_text(server, name):
    raw, status, code = BAD[name]
    outcome(server.ask("POST", "Patient", raw), status, code)


def test_no_bad_body_has_the_text_of_another(server):
    raws = [raw for name, (raw, _, _) in BAD.items() if name != "Infinity"]
    texts = [server.ask("POST", "Patient", raw).json()["issue"][0]["details"]["text"] for raw in raws]
    assert len(set(texts)) == len(texts)


def test_a_reference_must_lead_somewhere(server):
    observation = {"resourceType": "Observation", "status": "final", "code": {"text": "a"}}
    patient = server.create(PATIENT)
    issue = outcome(
        server.ask("POST", "Observation", {**observation, "subject": {"reference": "Patient/nobody"}}), 422, "not-found"
    )
    assert "Patient/nobody" in issue["details"]["text"]
    outcome(
        server.ask("POST", "Observation", {**observation, "subject": {"reference": "http://node/fhir/Patient/nobody"}}),
        422,
        "not-found",
    )
    for reference in (f"Patient/{patient['id']}", "https://elsewhere.example/fhir/Patient/1"):
        server.create({**observation, "subject": {"reference": reference}})
    server.create({**observation, "subject": {"reference": f"Patient/{patient['id']}/_history/1"}})
    own = {"resourceType": "Patient", "id": "p", "gender": "male"}
    server.create({**observation, "contained": [own], "subject": {"reference": "#p"}})


def test_what_is_referred_to_is_not_deleted(server, patient):
    observation = server.create(
        {
            "resourceType": "Observation",
            "status": "final",
            "code": {"text": "a"},
            "note": [{"authorReference": {"reference": f"Patient/{patient['id']}"}, "text": "no search parameter"}],
        }
    )
    issue = outcome(server.ask("DELETE", f"Patient/{patient['id']}"), 409, "conflict")
    assert f"Observation/{observation['id']}" in issue["details"]["text"]
    server.ask("DELETE", f"Observation/{observation['id']}")
    assert server.ask("DELETE", f"Patient/{patient['id']}").status_code == 204


def test_what_refers_to_itself_can_be_deleted(server):
    body = {**PATIENT, "id": "self", "link": [{"other": {"reference": "Patient/self"}, "type": "refer"}]}
    assert server.put(body).status_code == 201
    assert server.ask("DELETE", "Patient/self").status_code == 204


def test_integrity_can_be_left_to_clients():
    with serving(referential_integrity=False) as server:
        body = {
            "resourceType": "Observation",
            "status": "final",
            "code": {"text": "a"},
            "subject": {"reference": "Patient/nobody"},
        }
        server.create(body)
        patient = server.create(PATIENT)
        server.create({**body, "subject": {"reference": f"Patient/{patient['id']}"}})
        assert server.ask("DELETE", f"Patient/{patient['id']}").status_code == 204


@pytest.mark.parametrize("count", [32])
def test_updates_without_a_version_all_succeed(server, patient, count):
    asks: list[Ask] = [
        ("PUT", f"Patient/{patient['id']}", {**patient, "birthDate": f"2000-01-{day % 28 + 1:02d}"}, {})
        for day in range(count)
    ]
    assert {answer.status_code for answer in server.ask_together(asks)} == {200}


def test_of_updates_from_one_version_one_succeeds(server, patient):
    asks: list[Ask] = [
        (
            "PUT",
            f"Patient/{patient['id']}",
            {**patient, "birthDate": f"2000-01-{day + 1:02d}"},
            {"if_match": 'W/"1"'},
        )
        for day in range(16)
    ]
    answers = sorted(answer.status_code for answer in server.ask_together(asks))
    assert answers == [200] + 15 * [412]

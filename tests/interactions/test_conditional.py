from urllib.parse import quote

import pytest

from tests.serving import Ask, outcome, serving

SYSTEM = "https://example.org/id"


def patient(value, **more):
    return {"resourceType": "Patient", "identifier": [{"system": SYSTEM, "value": value}], **more}


def criteria(value):
    return f"identifier={SYSTEM}|{value}"


def where(value):
    return f"Patient?{quote(criteria(value), safe='=?')}"


def test_a_conditional_create_makes_what_is_not_there_and_finds_what_is(server):
    first = server.ask("POST", "Patient", patient("a"), if_none_exist=criteria("a"))
    second = server.ask("POST", "Patient", patient("a", gender="male"), if_none_exist=f"?{criteria('a')}")
    assert (first.status_code, second.status_code) == (201, 200)
    assert second.json() == first.json()
    assert second.headers["location"] == first.headers["location"]
    assert server.ask("POST", where("a"), patient("a")).json() == first.json()
    server.create(patient("a"))
    outcome(server.ask("POST", "Patient", patient("a"), if_none_exist=criteria("a")), 412, "multiple-matches")


@pytest.mark.parametrize(("header", "code"), [("", "invalid"), ("nickname=a", "invalid"), ("birthdate=soon", "value")])
def test_criteria_that_say_nothing_are_refused(server, header, code):
    answer = server.ask("POST", "Patient", patient("x"), if_none_exist=header)
    assert answer.status_code == 400
    assert answer.json()["issue"][0]["severity"] == "error"


def test_64_conditional_creates_at_once_make_one(server):
    asks: list[Ask] = [("POST", "Patient", patient("one"), {"if_none_exist": criteria("one")})] * 64
    answers = server.ask_together(asks)
    assert sorted(answer.status_code for answer in answers) == [200] * 63 + [201]
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert len(server.found(where("one"))) == 1


@pytest.mark.parametrize("own_id", [None, "of-the-client"])
def test_64_conditional_updates_at_once_make_one(server, own_id):
    name = f"updated-{own_id}"
    identity = {"id": own_id} if own_id else {}
    asks: list[Ask] = [
        ("PUT", where(name), patient(name, birthDate=f"2000-01-{number % 28 + 1:02d}", **identity), {})
        for number in range(64)
    ]
    answers = server.ask_together(asks)
    statuses = sorted(answer.status_code for answer in answers)
    assert (statuses[-1], set(statuses[:-1])) == (201, {200})
    assert len(server.found(where(name))) == 1


def test_a_conditional_update_changes_the_one_that_matches(server):
    stored = server.create(patient("u"))
    answer = server.ask("PUT", where("u"), patient("u", gender="male"))
    assert (answer.status_code, answer.json()["id"], answer.headers["etag"]) == (200, stored["id"], 'W/"2"')
    outcome(server.ask("PUT", where("u"), patient("u", id="other")), 400, "invalid")
    outcome(server.ask("PUT", where("u"), patient("u"), if_match='W/"1"'), 412, "conflict")
    server.create(patient("u"))
    outcome(server.ask("PUT", where("u"), patient("u")), 412, "multiple-matches")
    outcome(server.ask("PUT", "Patient", patient("u")), 400, "invalid")


def test_a_conditional_update_that_matches_nothing_creates(server):
    assert server.ask("PUT", where("new"), patient("new")).status_code == 201
    answer = server.ask("PUT", where("newer"), patient("newer", id="chosen"))
    assert (answer.status_code, answer.json()["id"]) == (201, "chosen")
    outcome(server.ask("PUT", where("newest"), patient("newest", id="chosen")), 409, "conflict")


def test_a_conditional_delete_deletes_one(server):
    stored = server.create(patient("d"))
    assert server.ask("DELETE", where("d")).status_code == 204
    outcome(server.get(f"Patient/{stored['id']}"), 410, "deleted")
    assert server.ask("DELETE", where("d")).status_code == 204
    for _ in range(2):
        server.create(patient("d"))
    outcome(server.ask("DELETE", where("d")), 412, "multiple-matches")
    outcome(server.ask("DELETE", "Patient"), 400, "invalid")


def test_a_conditional_delete_may_delete_several():
    with serving(conditional_delete=3) as server:
        for _ in range(3):
            server.create(patient("d"))
        assert server.ask("DELETE", where("d")).status_code == 204
        assert server.found(where("d")) == []
        for _ in range(4):
            server.create(patient("d"))
        outcome(server.ask("DELETE", where("d")), 412, "multiple-matches")
        assert len(server.found(where("d"))) == 4


def test_a_conditional_patch_changes_the_one_that_matches(server):
    server.create(patient("p"))
    change = [{"op": "add", "path": "/gender", "value": "male"}]
    answer = server.ask("PATCH", where("p"), change, content_type="application/json-patch+json")
    assert (answer.status_code, answer.json()["gender"]) == (200, "male")
    outcome(server.ask("PATCH", where("nobody"), change, content_type="application/json-patch+json"), 404, "not-found")


JSON_PATCH = "application/json-patch+json"


def test_a_patch_changes_a_part(server, stored):
    path = f"Patient/{stored['id']}"
    change = [{"op": "replace", "path": "/gender", "value": "male"}]
    answer = server.ask("PATCH", path, change, content_type=JSON_PATCH, if_match='W/"1"')
    assert (answer.status_code, answer.json()["gender"], answer.headers["etag"]) == (200, "male", 'W/"2"')
    outcome(server.ask("PATCH", path, change, content_type=JSON_PATCH, if_match='W/"1"'), 412, "conflict")
    assert server.ask("PATCH", path, change, content_type=JSON_PATCH).headers["etag"] == 'W/"2"'
    xml = '<diff><replace sel="f:Patient/f:gender/@value">other</replace></diff>'
    answer = server.ask("PATCH", path, xml.encode(), content_type="application/xml-patch+xml")
    assert answer.json()["gender"] == "other"
    parts = [
        {"name": "type", "valueCode": "replace"},
        {"name": "path", "valueString": "Patient.gender"},
        {"name": "value", "valueCode": "unknown"},
    ]
    parameters = {"resourceType": "Parameters", "parameter": [{"name": "operation", "part": parts}]}
    assert server.ask("PATCH", path, parameters).json()["gender"] == "unknown"


@pytest.mark.parametrize(
    ("body", "content_type", "status"),
    [
        ([{"op": "remove", "path": "/nothing"}], JSON_PATCH, 422),
        ([{"op": "replace", "path": "/id", "value": "other"}], JSON_PATCH, 422),
        ([{"op": "replace", "path": "/gender", "value": "wrong"}], JSON_PATCH, 400),
        ([{"op": "jump", "path": "/gender"}], JSON_PATCH, 400),
        ({"op": "test"}, JSON_PATCH, 400),
        ([{"op": "remove", "path": "/gender"}], "application/json", 415),
        ([{"op": "remove", "path": "/gender"}], "text/plain", 415),
    ],
)
def test_a_patch_that_cannot_be_is_refused(server, stored, body, content_type, status):
    answer = server.ask("PATCH", f"Patient/{stored['id']}", body, content_type=content_type)
    assert answer.status_code == status, answer.text
    assert answer.json()["resourceType"] == "OperationOutcome"
    assert server.versions(f"Patient/{stored['id']}") == 1


def test_32_patches_at_once_are_all_made(server):
    stored = server.create({"resourceType": "Patient", "name": [{"text": "a", "given": ["a"]}]})
    asks: list[Ask] = [
        (
            "PATCH",
            f"Patient/{stored['id']}",
            [{"op": "add", "path": "/name/0/given/-", "value": f"b{number}"}],
            {"content_type": JSON_PATCH},
        )
        for number in range(32)
    ]
    assert {answer.status_code for answer in server.ask_together(asks)} == {200}
    assert len(server.get(f"Patient/{stored['id']}").json()["name"][0]["given"]) == 33

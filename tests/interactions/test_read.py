import pytest

from tests.serving import outcome

RAW = (
    b'{ "resourceType" : "Observation",\n "status":"final","code":{"text":"a\\u0301"},'
    b'"valueQuantity":{"value":1.10},"effectiveDateTime":"2026-11-20T13:55:00.120+07:00"}'
)


def test_what_was_sent_comes_back_with_id_and_meta_in_it(server):
    answer = server.ask("POST", "Observation", RAW)
    stored = answer.json()
    read = server.get(f"Observation/{stored['id']}")
    assert read.content == answer.content
    mark = f',"id":"{stored["id"]}","meta":{{"versionId":"1","lastUpdated":"{stored["meta"]["lastUpdated"]}"}}'
    assert read.content.replace(mark.encode(), b"") == RAW


def test_a_read_has_its_version_in_its_headers(server, patient):
    answer = server.get(f"Patient/{patient['id']}")
    assert answer.headers["etag"] == 'W/"1"'
    assert answer.headers["last-modified"].endswith(" GMT")
    assert answer.headers["content-type"] == "application/fhir+json"
    assert answer.headers["x-request-id"]


def test_each_version_stays_readable(server, patient):
    path = f"Patient/{patient['id']}"
    server.put({**patient, "gender": "other"})
    assert server.get(f"{path}/_history/1").json()["gender"] == "female"
    assert server.get(f"{path}/_history/2").json()["gender"] == "other"
    outcome(server.get(f"{path}/_history/3"), 404, "not-found")
    outcome(server.get(f"{path}/_history/first"), 404, "not-found")
    outcome(server.get(f"{path}/_history/99999999999999999999999"), 404, "not-found")


def test_what_was_deleted_is_gone_and_its_versions_are_not(server, patient):
    path = f"Patient/{patient['id']}"
    server.ask("DELETE", path)
    outcome(server.get(path), 410, "deleted")
    outcome(server.get(f"{path}/_history/2"), 410, "deleted")
    assert server.get(f"{path}/_history/1").status_code == 200


def test_a_client_that_has_it_is_not_sent_it_again(server, patient):
    path = f"Patient/{patient['id']}"
    first = server.get(path)
    for headers in (
        {"if_none_match": first.headers["etag"]},
        {"if_none_match": '"9", W/"1"'},
        {"if_none_match": "*"},
        {"if_modified_since": first.headers["last-modified"]},
    ):
        answer = server.get(path, **headers)
        assert (answer.status_code, answer.content, answer.headers["etag"]) == (304, b"", 'W/"1"')
    for headers in (
        {"if_none_match": 'W/"2"'},
        {"if_modified_since": "Mon, 01 Jan 2024 00:00:00 GMT"},
        {"if_modified_since": "yesterday"},
    ):
        assert server.get(path, **headers).status_code == 200


def test_head_is_get_without_the_body(server, patient):
    path = f"Patient/{patient['id']}"
    head, read = server.ask("HEAD", path), server.get(path)
    assert head.content == b""
    assert head.headers["content-length"] == str(len(read.content))
    assert head.headers["etag"] == read.headers["etag"]


@pytest.mark.parametrize(
    ("path", "status", "code", "says"),
    [
        ("Patient/no-such", 404, "not-found", "Patient/no-such"),
        ("Patinet/1", 404, "not-found", "Patient"),
        ("Patient/..%2f..%2fetc", 400, "value", "id"),
        ("Patient/%00", 400, "value", "id"),
        ("Patient/__proto__", 400, "value", "id"),
        ("Patient/$where", 404, "not-found", "$where"),
        ("Patient/" + 65 * "a", 400, "value", "64"),
        ("Patient/%ff", 400, "value", "UTF-8"),
        ("Patient/1/2/3/4", 404, "not-found", "R4 has no"),
        ("Patient/1/Observation/2", 404, "not-found", "Nothing"),
    ],
)
def test_what_is_not_there_is_told(server, path, status, code, says):
    assert says in outcome(server.get(path), status, code)["details"]["text"]


def test_a_part_is_marked_as_one_and_keeps_what_it_must_have(server):
    stored = server.create(
        {
            "resourceType": "Observation",
            "meta": {"tag": [{"code": "x"}]},
            "status": "final",
            "code": {"text": "a"},
            "note": [{"text": "b"}],
            "valueQuantity": {"value": 2},
        }
    )
    part = server.get(f"Observation/{stored['id']}?_elements=note").json()
    assert set(part) == {"resourceType", "id", "meta", "status", "code", "note"}
    assert [tag["code"] for tag in part["meta"]["tag"]] == ["x", "SUBSETTED"]
    summary = server.get(f"Observation/{stored['id']}?_summary=true").json()
    assert "note" not in summary
    assert summary["valueQuantity"] == {"value": 2}
    assert "note" in server.get(f"Observation/{stored['id']}?_summary=data").json()
    assert set(server.get(f"Observation/{stored['id']}?_summary=text").json()) == set(part) - {"note"}
    assert server.get(f"Observation/{stored['id']}?_summary=false").json() == stored
    outcome(server.get(f"Observation/{stored['id']}?_summary=all"), 400, "value")

import pytest

from tests.serving import outcome, serving

FORM = "application/x-www-form-urlencoded"


@pytest.fixture(scope="module")
def server():
    with serving(page_entries=5) as served:
        for number in range(12):
            served.put({"resourceType": "Patient", "id": f"p{number}", "name": [{"family": "Đặng"}], "gender": "male"})
            served.put(
                {
                    "resourceType": "Observation",
                    "id": f"o{number}",
                    "status": "final",
                    "code": {"coding": [{"system": "http://loinc.org", "code": "8480-6"}]},
                    "subject": {"reference": f"Patient/p{number % 2}"},
                    "valueQuantity": {"value": 100 + number, "system": "http://unitsofmeasure.org", "code": "mm[Hg]"},
                }
            )
        yield served


def following(body):
    return next((link["url"] for link in body["link"] if link["relation"] == "next"), None)


def own(body):
    return next(link["url"] for link in body["link"] if link["relation"] == "self")


def test_pages_hold_every_match_once(server):
    found, url = [], "Patient?name=dang"
    while url:
        body = server.get(url.removeprefix("http://node/fhir/")).json()
        found += [each["resource"]["id"] for each in body["entry"]]
        url = following(body)
    assert sorted(found) == sorted(f"p{number}" for number in range(12))


def test_the_total_is_told_when_asked_or_known(server):
    assert "total" not in server.get("Patient?gender=male").json()
    assert server.get("Patient?gender=male&_total=accurate").json()["total"] == 12
    assert server.get("Observation?patient=p1&_count=10").json()["total"] == 6
    counted = server.get("Patient?gender=male&_summary=count").json()
    assert counted["total"] == 12
    assert "entry" not in counted
    assert server.get("Patient?gender=male&_count=0").json()["total"] == 12


def test_what_is_included_comes_after_the_matches(server):
    entries = server.get("Observation?_id=o1&_include=Observation:subject").json()["entry"]
    assert [(each["search"]["mode"], each["fullUrl"]) for each in entries] == [
        ("match", "http://node/fhir/Observation/o1"),
        ("include", "http://node/fhir/Patient/p1"),
    ]


def test_parameters_may_come_in_a_form(server):
    answer = server.ask("POST", "Observation/_search?patient=p1", b"_count=20&code=8480-6", content_type=FORM)
    assert answer.json()["total"] == 6
    assert own(answer.json()) == "http://node/fhir/Observation?patient=p1&_count=20&code=8480-6"
    assert server.ask("POST", "Patient/_search", b"_id=p1&_format=xml", content_type=FORM).text.startswith("<?xml")
    outcome(server.ask("POST", "Patient/_search", b"{}", content_type="application/json"), 415, "not-supported")


def test_a_compartment_and_everything_can_be_searched(server):
    assert len(server.get("Patient/p1/Observation?_count=20").json()["entry"]) == 6
    assert server.get("Patient/p1/*?_count=20").json()["total"] == 7
    found = server.get("?_type=Patient,Observation&_id=p1,o1").json()["entry"]
    assert {each["resource"]["resourceType"] for each in found} == {"Patient", "Observation"}
    outcome(server.get("Organization/o/Patient"), 404, "not-found")


def test_an_unknown_parameter_is_refused_or_reported(server):
    issue = outcome(server.get("Patient?familly=a"), 400, "invalid")
    assert "family" in issue["details"]["text"] + issue.get("diagnostics", "")
    body = server.get("Patient?familly=a&gender=male", prefer="handling=lenient").json()
    assert own(body) == "http://node/fhir/Patient?gender=male"
    (told,) = (each for each in body["entry"] if each["search"]["mode"] == "outcome")
    assert "familly" in told["resource"]["issue"][0]["details"]["text"]


def test_matches_may_come_in_part(server):
    (entry,) = server.get("Patient?_id=p1&_elements=gender").json()["entry"]
    assert set(entry["resource"]) == {"resourceType", "id", "meta", "gender"}
    assert entry["resource"]["meta"]["tag"][0]["code"] == "SUBSETTED"


def test_a_cursor_cannot_be_made_or_used_elsewhere(server):
    cursor = following(server.get("Patient?gender=male").json()).partition("_cursor=")[2]
    outcome(server.get(f"Patient?gender=female&_cursor={cursor}"), 400, "invalid")
    outcome(server.get(f"Patient?gender=male&_cursor=x{cursor}"), 400, "invalid")


def test_a_search_can_be_explained(server):
    body = server.get("Observation?code=http://loinc.org|8480-6&_explain=true").json()
    assert body["resourceType"] == "Parameters"
    assert "8480-6" in body["parameter"][0]["valueString"]


def test_text_that_looks_like_code_is_text(server):
    for value in ("' OR 1=1--", '");DROP', '{"$gt":""}', "%"):
        assert server.get(f"Patient?name={value}").status_code == 200
    assert server.get("Patient?name:contains=%25").json()["total"] == 0


@pytest.mark.parametrize("query", ["_sort=$$$", "_count=-1", "_count=0x10", "birthdate=2026-02-30", "a=%ff", "_id="])
def test_no_search_is_a_fault_of_the_server(server, query):
    assert server.get(f"Patient?{query}").status_code in (200, 400)


def test_a_write_is_found_at_once(server):
    assert server.found("Patient?family=Hoàng") == []
    server.put({"resourceType": "Patient", "id": "new", "name": [{"family": "Hoàng"}]})
    assert server.found("Patient?family=Hoàng") == ["new"]
    server.ask("DELETE", "Patient/new")
    assert server.found("Patient?family=Hoàng") == []

"""What callers did can be read and searched as AuditEvents, by those whose staff or whose data it was."""

import re
import time

import pytest

from fhir_server.repository.clue import Clues
from tests.access.world import World, country


@pytest.fixture(scope="module")
def world():
    with country() as made:
        made.get("worker-a", "Patient/a1")
        made.get("doctor-hub", "Observation?subject=Patient/a1")
        made.get("worker-b", "Patient/a1")
        made.get("worker-a", "Patient/zz")
        made.ask("worker-a", "PUT", "Observation/oa1", {**made.get("", "Observation/oa1").json(), "status": "amended"})
        yield made


def found(world: World, caller: str, query: str):
    answer = world.get(caller, f"AuditEvent?{query}")
    assert answer.status_code == 200, answer.text
    return [entry["resource"] for entry in answer.json().get("entry", ())]


def agents(event):
    return [agent["who"].get("identifier", {}).get("value") for agent in event["agent"]]


def test_a_read_is_told_with_who_what_and_whose(world):
    (event, *_) = found(world, "admin-a", "subtype=read&patient=Patient/a1&_count=5")
    assert event["action"] == "R"
    assert event["outcome"] == "0"
    assert agents(event)[0] == "worker-a"
    assert event["entity"][0]["what"] == {"reference": "Patient/a1/_history/1"}
    assert {"reference": "Patient/a1"} in [entity.get("what") for entity in event["entity"]]
    assert event["meta"]["profile"] == [
        "https://profiles.ihe.net/ITI/BALP/StructureDefinition/IHE.BasicAudit.PatientRead"
    ]
    assert re.fullmatch("ledger-[0-9]+", event["id"])
    assert world.get("admin-a", f"AuditEvent/{event['id']}").json() == event


def test_a_write_is_told(world):
    (event, *_) = found(world, "admin-a", "action=U&entity=Observation/oa1&_count=5")
    assert agents(event)[0] == "worker-a"
    assert event["entity"][0]["what"]["reference"].startswith("Observation/oa1/_history/2")


def test_a_search_is_told_with_its_words(world):
    (event, *_) = found(world, "a1", "action=E&subtype=search-type&_count=5")
    assert agents(event)[0] == "doctor-hub"
    assert any("query" in entity for entity in event["entity"])


def test_a_refusal_is_told(world):
    refused = found(world, "admin-a", "outcome=4&_count=50")
    assert all(event["outcome"] == "4" for event in refused)
    assert refused


def test_every_event_is_a_sound_resource(world):
    for event in found(world, "admin-a", "_count=50"):
        answer = world.ask("", "POST", "AuditEvent/$validate", event).json()
        assert [issue for issue in answer["issue"] if issue["severity"] in ("error", "fatal")] == []


def test_a_patient_sees_who_looked_at_them_and_nobody_else(world):
    mine = found(world, "a1", "_count=100")
    assert mine
    for event in mine:
        assert {"reference": "Patient/a1"} in [entity.get("what") for entity in event["entity"]]
    assert world.get("worker-a", "AuditEvent").status_code == 403
    other = next(event for event in found(world, "admin-a", "_count=200") if "Patient/a2" in str(event))
    assert world.get("a1", f"AuditEvent/{other['id']}").status_code in (200, 404)


def test_pages_hold_every_event_once_the_newest_first(world):
    seen, path = [], "AuditEvent?_count=7&patient=Patient/a2"
    while path:
        body = world.get("a2", path).json()
        seen += [int(entry["resource"]["id"].removeprefix("ledger-")) for entry in body.get("entry", ())]
        links = {link["relation"]: link["url"] for link in body["link"]}
        path = links.get("next", "").removeprefix("http://node/fhir/")
    assert seen == sorted(set(seen), reverse=True)
    assert len(seen) >= 7


TODAY = time.strftime("%Y-%m-%d")
TOLD_BY_CLUES = [
    "patient=a1",
    "patient=Patient/a1,Patient/a2&action=R",
    "entity=Patient/zz",
    "agent=Practitioner/worker-a,Practitioner/nobody",
    "agent:identifier=worker-a",
    "subtype=read&patient:missing=true",
    f"date=ge{TODAY[:4]}-01-01&date=le{TODAY[:4]}-12-31",
    f"date={TODAY}",
    f"date=eq{TODAY[:7]}&patient=a1",
    "date=ge2001-01-01&date=lt2002-01-01",
    "_lastUpdated=ge2001-01-01",
    f"_lastUpdated=ge{TODAY}&_lastUpdated=le{TODAY}",
    f"date=lt2002-01-01,ge{TODAY}",
    "date:missing=true",
    "subtype=read,search-type",
]


@pytest.mark.parametrize("query", TOLD_BY_CLUES)
def test_what_entries_mention_finds_what_looking_at_all_finds(world, query, monkeypatch):
    asked = f"{query}&_count=500&_total=accurate"
    quick = world.get("admin-a", f"AuditEvent?{asked}").json()
    with monkeypatch.context() as patched:
        patched.setattr(Clues, "names", lambda *_: None)
        slow = world.get("admin-a", f"AuditEvent?{asked}").json()
    ids = [{each["resource"]["id"] for each in answer.get("entry", ())} for answer in (quick, slow)]
    # What was asked in between is told as well.
    assert ids[0] <= ids[1]
    assert len(ids[1] - ids[0]) <= 1
    assert slow["total"] - quick["total"] <= 1


@pytest.mark.parametrize("caller", ["admin-a", "his-a", "a1", "ministry-health"])
@pytest.mark.parametrize("method", ["PUT", "DELETE", "POST"])
def test_nobody_writes_or_removes_an_event(world, caller, method):
    (event, *_) = found(world, "admin-a", "_count=1")
    path = "AuditEvent" if method == "POST" else f"AuditEvent/{event['id']}"
    answer = world.ask(caller, method, path, None if method == "DELETE" else event)
    assert answer.status_code == 405
    assert answer.headers["allow"] == "GET"
    assert answer.json()["issue"][0]["code"] == "not-supported"
    assert world.get("admin-a", f"AuditEvent/{event['id']}").json() == event


def test_nobody_changes_an_event_by_a_bundle(world):
    (event, *_) = found(world, "admin-a", "_count=1")
    entry = {"resource": event, "request": {"method": "PUT", "url": f"AuditEvent/{event['id']}"}}
    answer = world.ask("admin-a", "POST", "", {"resourceType": "Bundle", "type": "transaction", "entry": [entry]})
    assert answer.status_code == 405
    answer = world.ask("admin-a", "POST", "", {"resourceType": "Bundle", "type": "batch", "entry": [entry]})
    assert answer.json()["entry"][0]["response"]["status"].startswith("405")
    assert world.get("admin-a", f"AuditEvent/{event['id']}").json() == event


def test_an_event_has_one_version(world):
    (event, *_) = found(world, "admin-a", "_count=1")
    path = f"AuditEvent/{event['id']}"
    assert world.get("admin-a", f"{path}/_history/1").json() == event
    assert world.get("admin-a", f"{path}/_history/2").status_code == 404
    history = world.get("admin-a", f"{path}/_history").json()
    assert [entry["resource"] for entry in history["entry"]] == [event]
    assert history["total"] == 1
    assert world.get("admin-a", f"{path}/_history?_since=2020-01-01T00:00:00Z").json()["entry"]
    assert "entry" not in world.get("admin-a", f"{path}/_history?_at=2020-01-01T00:00:00Z").json()
    assert world.get("worker-a", f"{path}/_history/1").status_code == 403
    assert world.get("worker-a", f"{path}/_history").status_code == 403
    (other, *_) = found(world, "admin-a", "patient=Patient/a2&_count=1")
    for way in ("", "/_history", "/_history/1"):
        assert world.get("a1", f"AuditEvent/{other['id']}{way}").status_code == 404
    answer = world.get("admin-a", "AuditEvent/_history")
    assert (answer.status_code, answer.json()["issue"][0]["code"]) == (400, "not-supported")


def test_events_are_found_from_the_base_alone(world):
    seen = world.get("a1", "?_type=AuditEvent&_count=5").json()
    assert {entry["resource"]["resourceType"] for entry in seen["entry"]} == {"AuditEvent"}
    answer = world.get("a1", "?_type=AuditEvent,Patient")
    assert (answer.status_code, answer.json()["issue"][0]["code"]) == (400, "not-supported")

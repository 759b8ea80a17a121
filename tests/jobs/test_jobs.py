"""Resources that were stored before a search parameter came get their rows in the background."""

import asyncio
import time

import orjson
import pytest

from fhir_server.app import Origin, Service
from fhir_server.definitions.registry import r4
from fhir_server.jobs import jobs
from fhir_server.repository import coverage
from fhir_server.settings import Settings
from tests.serving import outcome, serving

COLOUR = "http://example.org/colour"
URL = "http://example.org/SearchParameter/colour"
PATIENTS = 60
LONG = 3600.0


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(jobs, "AT_ONCE", 7)
    monkeypatch.setattr(jobs, "SECONDS_TO_SETTLE", 0.2)
    monkeypatch.setattr(jobs, "SECONDS_BETWEEN_REPORTS", 0.0)


def parameter(**more):
    return {
        "resourceType": "SearchParameter", "id": "colour", "url": URL, "name": "colour", "status": "active",
        "description": "Colour", "code": "colour", "type": "token", "base": ["Patient"],
        "expression": f"Patient.extension('{COLOUR}').value",
    } | more  # fmt: skip


def patient(number, **more):
    colour = {"url": COLOUR, "valueCode": "red" if number % 2 else "blue"}
    return {"resourceType": "Patient", "id": f"p{number}", "extension": [colour], "gender": "other"} | more


def stored(server, many=PATIENTS):
    server.ask_together([("PUT", f"Patient/p{n}", patient(n), {}) for n in range(many)])


def told(server, path):
    """How many a search finds, and what it says of itself."""
    body = server.get(path).json()
    issues = [e["resource"]["issue"] for e in body.get("entry", ()) if e["search"]["mode"] == "outcome"]
    return body["total"], [issue["code"] for group in issues for issue in group]


def until(condition, seconds=150.0):
    """What the condition gives once it is true."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := condition():
            return found
        time.sleep(0.05)
    return pytest.fail("it takes too long")


def tasks(server, status):
    entries = server.get(f"Task?code=urn:nhipcau:job|reindex&status={status}").json().get("entry", ())
    return [entry["resource"] for entry in entries]


def test_what_was_stored_before_is_found_when_the_job_is_done(monkeypatch):
    monkeypatch.setattr(jobs, "SECONDS_TO_SETTLE", LONG)
    with serving(works=True) as server:
        stored(server)
        assert server.put(parameter()).status_code == 201
        server.put(patient(1001))
        found, codes = told(server, "Patient?colour=red&_summary=count")
        assert found >= 1
        assert codes == ["incomplete"]
        monkeypatch.setattr(jobs, "SECONDS_TO_SETTLE", 0.0)
        (task,) = until(lambda: tasks(server, "completed"))
        assert told(server, "Patient?colour=red&_summary=count") == (PATIENTS // 2 + 1, [])
        outputs = {each["type"]["coding"][0]["code"]: each for each in task["output"]}
        assert outputs["indexed"]["valueInteger"] == outputs["total"]["valueInteger"] == PATIENTS + 1
        assert server.versions("Patient/p1") == 1
        assert server.get("Patient/p1").json()["meta"]["versionId"] == "1"


def test_searches_by_other_parameters_are_whole_meanwhile():
    with serving() as server:
        stored(server, 5)
        server.put(parameter())
        assert told(server, "Patient?gender=other&_summary=count") == (5, [])
        assert told(server, "Patient?_id=p1&_summary=count") == (1, [])
        assert told(server, "Patient?colour:missing=true&_summary=count") == (5, ["incomplete"])
        assert told(server, "Patient?_sort=colour&_total=accurate") == (5, ["incomplete"])
        assert told(server, "Observation?patient.colour=red&_summary=count") == (0, ["incomplete"])


def test_conditional_writes_by_a_parameter_wait_until_it_reaches_all():
    with serving() as server:
        stored(server, 3)
        server.put(parameter())
        red = patient(1)
        red.pop("id")
        answer = server.ask("POST", "Patient", red, if_none_exist="colour=red")
        issue = outcome(answer, 409, "incomplete")
        assert "Patient.colour" in issue["details"]["text"]
        assert server.ask("DELETE", "Patient?colour=red").status_code == 409
        assert server.ask("POST", "Patient", red, if_none_exist="gender=male").status_code == 201


def test_a_changed_definition_is_indexed_anew(monkeypatch):
    with serving(works=True) as server:
        stored(server)
        server.put(parameter())
        until(lambda: tasks(server, "completed"))
        monkeypatch.setattr(jobs, "SECONDS_TO_SETTLE", LONG)
        server.put(parameter(expression="Patient.gender"))
        assert told(server, "Patient?colour=other&_summary=count")[1] == ["incomplete"]
        monkeypatch.setattr(jobs, "SECONDS_TO_SETTLE", 0.0)
        until(lambda: len(tasks(server, "completed")) == 2)
        assert told(server, "Patient?colour=other&_summary=count") == (PATIENTS, [])
        assert told(server, "Patient?colour=red&_summary=count") == (0, [])


def test_a_deleted_definition_leaves_no_rows_behind():
    with serving(works=True) as server:
        stored(server, 4)
        server.put(parameter())
        until(lambda: tasks(server, "completed"))
        server.ask("DELETE", "SearchParameter/colour")
        until(lambda: len(tasks(server, "completed")) == 2)
        server.put(parameter())
        until(lambda: len(tasks(server, "completed")) == 3)
        assert told(server, "Patient?colour=red&_summary=count") == (2, [])


def test_a_cancelled_job_stops_and_is_not_begun_anew(monkeypatch):
    monkeypatch.setattr(jobs, "SECONDS_TO_SETTLE", LONG)
    with serving(works=True) as server:
        stored(server, 4)
        server.put(parameter())
        (task,) = until(lambda: tasks(server, "in-progress"))

        def cancelled():
            body = server.get(f"Task/{task['id']}").json() | {"status": "cancelled"}
            return server.put(body, if_match=f'W/"{body["meta"]["versionId"]}"').status_code == 200

        until(cancelled)
        time.sleep(1.5)
        assert server.get(f"Task/{task['id']}").json()["status"] == "cancelled"
        assert tasks(server, "requested,in-progress") == []
        assert told(server, "Patient?colour=red&_summary=count")[1] == ["incomplete"]
        monkeypatch.setattr(jobs, "SECONDS_TO_SETTLE", 0.2)
        server.put(server.get(f"Task/{task['id']}").json() | {"status": "requested"})
        until(lambda: tasks(server, "completed"))
        assert told(server, "Patient?colour=red&_summary=count") == (2, [])


PATCHED = [{"op": "replace", "path": "/status", "value": "cancelled"}]


def test_a_job_cancelled_by_a_patch_says_how_far_it_came(monkeypatch):
    monkeypatch.setattr(jobs, "SECONDS_TO_SETTLE", LONG)
    with serving(works=True) as server:
        stored(server, 4)
        server.put(parameter())
        (task,) = until(lambda: [t for t in tasks(server, "in-progress") if t["output"][0]["valueInteger"] == 4])
        path = f"Task/{task['id']}"
        answer = server.ask("PATCH", path, PATCHED, content_type="application/json-patch+json")
        assert answer.status_code == 200, answer.text
        ended = until(lambda: (t := server.get(path).json()).get("statusReason") and t)
        assert ended["status"] == "cancelled"
        assert ended["statusReason"]["text"] == "Cancelled: 4 of 4 indexed."
        assert ended["executionPeriod"]["end"]


def test_a_job_whose_task_is_deleted_stops(monkeypatch):
    monkeypatch.setattr(jobs, "SECONDS_TO_SETTLE", LONG)
    with serving(works=True) as server:
        stored(server, 4)
        server.put(parameter())
        (task,) = until(lambda: tasks(server, "in-progress"))
        assert server.ask("DELETE", f"Task/{task['id']}").status_code == 204
        assert told(server, "Patient?colour=red&_summary=count")[1] == ["incomplete"]
        monkeypatch.setattr(jobs, "SECONDS_TO_SETTLE", 0.0)
        # What the index lacks is begun anew, under the same name: a deletion is no wish that it stays so.
        until(lambda: tasks(server, "completed"))
        assert told(server, "Patient?colour=red&_summary=count") == (2, [])


def test_a_job_goes_on_after_a_restart(tmp_path, monkeypatch):
    monkeypatch.setattr(jobs, "SECONDS_TO_SETTLE", LONG)
    with serving(tmp_path, works=True) as server:
        stored(server)
        server.put(parameter())
        until(lambda: [t for t in tasks(server, "in-progress") if t["output"][0]["valueInteger"] == PATIENTS])
    monkeypatch.setattr(jobs, "SECONDS_TO_SETTLE", 0.0)
    seen: list[dict[str, int]] = []
    monkeypatch.setattr(jobs.Course, "results", spied(jobs.Course.results, seen))
    with serving(tmp_path, works=True) as server:
        until(lambda: tasks(server, "completed"))
        assert told(server, "Patient?colour=red&_summary=count") == (PATIENTS // 2, [])
    assert all(each["indexed"] == PATIENTS for each in seen)


def spied(method, seen):
    def spy(self):
        found = method(self)
        seen.append(found)
        return found

    return spy


def test_one_process_works_and_the_others_know_how_far(tmp_path):
    with serving(tmp_path, works=True) as first, serving(tmp_path, works=True) as second:
        stored(first)
        first.put(parameter())
        second.ask_together([("PUT", f"Patient/q{n}", patient(n, id=f"q{n}"), {}) for n in range(10)])
        until(lambda: tasks(second, "completed"))
        until(lambda: told(second, "Patient?colour=red&_summary=count") == (PATIENTS // 2 + 5, []))
        assert told(first, "Patient?colour=red&_summary=count") == (PATIENTS // 2 + 5, [])
        assert len(tasks(first, "completed")) == 1


def test_rows_of_an_older_form_are_made_anew(tmp_path, monkeypatch):
    with serving(tmp_path) as server:
        stored(server, 4)
    monkeypatch.setattr(coverage, "FORM", coverage.FORM + 1)
    with serving(tmp_path, works=True) as server:
        assert told(server, "Patient?gender=other&_summary=count") == (4, ["incomplete"])
        assert told(server, "Observation?code=x&_summary=count") == (0, [])
        until(lambda: tasks(server, "completed"))
        assert told(server, "Patient?gender=other&_summary=count") == (4, [])
    with serving(tmp_path) as server:
        assert told(server, "Patient?gender=other&_summary=count") == (4, [])


def test_a_package_brings_parameters_for_what_is_stored(tmp_path):
    async def run():
        definitions = r4().extended()
        definitions.add(parameter())
        async with Service(definitions, Settings(), Origin(tmp_path)).running() as node:
            return node.coverage.pending

    with serving(tmp_path) as server:
        stored(server, 2)
    assert asyncio.run(run()) == {"Patient"}


def test_a_task_that_names_no_types_fails():
    with serving(works=True) as server:
        code = {"coding": [{"system": "urn:nhipcau:job", "code": "reindex"}]}
        body = {"resourceType": "Task", "status": "requested", "intent": "order", "code": code}
        made = server.create(body)
        (task,) = until(lambda: tasks(server, "failed"))
        assert task["id"] == made["id"]
        assert "resource types" in orjson.dumps(task["statusReason"]).decode()

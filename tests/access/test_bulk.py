"""Who may export what: never more than a search shows."""

import orjson
import pytest

from fhir_server.access.caller import Caller
from fhir_server.access.scope import parse_scopes
from fhir_server.auth.outbound import Outbound
from fhir_server.bulk.receiving import Receipt
from fhir_server.bulk.submission import Asked
from tests.access.world import program
from tests.bulk.exports import begun, content, exported, finished
from tests.bulk.files import Files, hosting
from tests.serving import BASE, outcome

KINDS = ("Patient", "Observation", "Encounter", "ImagingStudy", "ServiceRequest", "Task", "Consent", "Group", "List")


@pytest.fixture(scope="module")
def asking(world):
    """A world whose exports are worked on, and what asks as a caller."""
    following = world.served._portal.start_task_soon(world.served.service.exports.follow, world.served.node)
    world.table.callers |= {
        "his-narrow": program("his-narrow", "station-a", "system/Patient.rs system/Observation.rs"),
        "his-bound": program("his-bound", "station-a", "system/Observation.rs?category=laboratory"),
        "his-none": program("his-none", "station-a", "system/Patient.r system/Encounter.s"),
    }
    yield lambda caller: lambda *arguments, **headers: world.ask(caller, *arguments, **headers)
    following.cancel()


def searched(world, caller):
    found = set()
    for kind in KINDS:
        entries = world.get(caller, f"{kind}?_count=500").json().get("entry", [])
        found |= {f"{kind}/{entry['resource']['id']}" for entry in entries}
    return found


@pytest.mark.parametrize("caller", ["his-a", "his-b", "his-hub"])
def test_an_export_has_what_searches_show(world, asking, caller):
    whole = exported(asking(caller), "$export")
    assert {key for key in whole if key.partition("/")[0] in KINDS} == searched(world, caller)
    types = exported(asking(caller), f"$export?_type={','.join(KINDS)}")
    assert types == searched(world, caller)


def test_patients_and_groups_are_those_of_the_caller(asking):
    assert "Patient/b1" not in exported(asking("his-a"), "Patient/$export")
    assert {"Patient/a1", "Patient/a2"} <= exported(asking("his-a"), "Group/ga/$export")
    outcome(asking("his-b")("GET", "Group/ga/$export"), 404, "not-found")


def test_without_types_scopes_say_which(asking):
    kinds = {key.partition("/")[0] for key in exported(asking("his-narrow"), "$export")}
    assert kinds == {"Patient", "Observation"}


@pytest.mark.parametrize(
    ("caller", "path"),
    [
        ("his-narrow", "$export?_type=Encounter"),
        ("his-narrow", "$export?_type=Patient,Encounter"),
        ("his-bound", "$export?_type=Observation"),
        ("his-bound", "$export"),
        ("his-none", "$export?_type=Patient"),
        ("his-none", "$export?_type=Encounter"),
        ("doctor-hub", "$export"),
        ("worker-a", "Patient/$export"),
        ("ministry-health", "$export"),
        ("a1", "Patient/$export"),
        ("app-of-a1", "Patient/$export"),
    ],
)
def test_exporting_takes_system_scopes_of_every_type_without_conditions(asking, caller, path):
    outcome(asking(caller)("GET", path), 403, "forbidden")


def test_an_export_is_its_callers_alone(asking):
    ask = asking("his-a")
    status = begun(ask, "$export?_type=Patient")
    manifest = finished(ask, status)
    path = manifest["output"][0]["url"].removeprefix(f"{BASE}/")
    for other in ("his-b", "doctor-hub", "a1"):
        for method, asked in (("GET", status), ("DELETE", status), ("GET", path)):
            outcome(asking(other)(method, asked), 404, "not-found")
    assert content(ask, manifest["output"][0])


def test_a_token_with_less_than_was_exported_opens_nothing(world, asking):
    ask = asking("his-a")
    status = begun(ask, "$export?_type=Patient,Observation")
    manifest = finished(ask, status)
    whole = world.table.callers["his-a"]
    less = Caller("client", "his-a", parse_scopes("system/Patient.rs"), whole.roles, None, whole.organizations)
    world.table.callers["his-a"] = less
    try:
        outcome(ask("GET", status), 403, "forbidden")
        outcome(ask("GET", manifest["output"][0]["url"].removeprefix(f"{BASE}/")), 403, "forbidden")
    finally:
        world.table.callers["his-a"] = whole


def test_a_view_has_rows_of_what_the_caller_sees_and_no_others(world, asking):
    def rows(caller):
        return {row["id"] for row in asking(caller)("GET", "ViewDefinition/patients/$viewdefinition-run").json()}

    for caller in ("his-a", "his-b", "doctor-hub", "a1"):
        entries = world.get(caller, "Patient?_count=500").json().get("entry", [])
        assert rows(caller) == {f"Patient/{entry['resource']['id']}" for entry in entries}
    outcome(asking("his-bound")("GET", "ViewDefinition/patients/$viewdefinition-run"), 403, "forbidden")


@pytest.mark.parametrize("caller", ["doctor-hub", "a1", "his-narrow", "ministry-health"])
def test_importing_takes_system_scopes_that_write(asking, caller):
    body = {"input": [{"type": "Patient", "url": "https://example.org/x"}]}
    outcome(asking(caller)("POST", "$import", body, content_type="application/json"), 403, "forbidden")


def submission(caller, name, **more):
    parameters = [
        {"name": "submitter", "valueIdentifier": {"value": caller}},
        {"name": "submissionId", "valueString": name},
        *({"name": key, "valueUrl": value} for key, value in more.items()),
    ]
    return {"resourceType": "Parameters", "parameter": parameters}


@pytest.mark.parametrize("caller", ["doctor-hub", "a1", "his-narrow", "ministry-health", "his-bound"])
def test_submitting_is_for_programs_that_write(asking, caller):
    outcome(asking(caller)("POST", "$bulk-submit", submission(caller, "s")), 403, "forbidden")


def test_a_submission_is_its_clients_alone(asking):
    outcome(asking("his-a")("POST", "$bulk-submit", submission("his-b", "s")), 403, "forbidden")
    assert asking("his-a")("POST", "$bulk-submit", submission("his-a", "s")).status_code == 200
    answer = asking("his-a")("POST", "$bulk-submit-status", submission("his-a", "s"))
    status = answer.headers["content-location"].removeprefix(f"{BASE}/")
    outcome(asking("his-b")("POST", "$bulk-submit-status", submission("his-a", "s")), 404, "not-found")
    for other in ("his-b", "doctor-hub", "a1"):
        outcome(asking(other)("GET", status), 404, "not-found")
        outcome(asking(other)("GET", status.replace("-status", "-outcome") + "/0"), 404, "not-found")


def test_a_manifest_stores_no_more_than_its_scopes_let(world, asking):
    world.table.callers["his-rows"] = program("his-rows", "station-a", "system/Observation.cu")
    with hosting() as host:
        body = {"resourceType": "Organization", "id": "of-nobody", "name": "x"}
        Files.held["/o"] = orjson.dumps(body)
        Files.held["/v"] = orjson.dumps({"id": "Encounter/1"})
        for number, kind in enumerate(("Organization", "urn:nhipcau:view:encounters")):
            entry = {"type": kind, "url": f"http://{host}/{'ov'[number]}"}
            Files.held["/m"] = orjson.dumps({"output": [entry]})
            submits, name = world.served.service.submits, f"n{number}"
            asked = Asked("", "his-rows", name, "in-progress", f"http://{host}/m")
            accepted = submits._submissions.accept(asked, world.table.callers["his-rows"], "his-rows", 1)
            (delivery,) = accepted.deliveries
            receipt = Receipt(world.served.node, accepted, delivery, Outbound((host,)), submits._tables())
            world.served.call(receipt.receive)
            assert accepted.done(delivery) == {"status": 403}
    assert world.served.get("Organization/of-nobody").status_code == 404


def test_exported_views_have_rows_of_what_the_caller_sees_and_are_the_callers(world, asking):
    following = world.served._portal.start_task_soon(world.served.service.view_exports.follow, world.served.node)
    path = "ViewDefinition/patients/$viewdefinition-export"
    try:
        for caller in ("his-a", "his-b", "doctor-hub"):
            ask = asking(caller)
            status = ask("GET", path).headers["content-location"].removeprefix(f"{BASE}/")
            while (answer := ask("GET", status)).status_code == 202:
                pass
            (output,) = (each for each in answer.json()["parameter"] if each["name"] == "output")
            file = output["part"][1]["valueUri"].removeprefix(f"{BASE}/")
            rows = {orjson.loads(line)["id"] for line in ask("GET", file).content.splitlines()}
            assert rows == {row["id"] for row in ask("GET", "ViewDefinition/patients/$viewdefinition-run").json()}
            for other in {"his-a", "his-b", "a1"} - {caller}:
                for method, asked in (("GET", status), ("DELETE", status), ("GET", file)):
                    outcome(asking(other)(method, asked), 404, "not-found")
    finally:
        following.cancel()
    outcome(asking("his-bound")("GET", path), 403, "forbidden")


def test_facilities_are_published_to_programs_that_may_export_them(world, asking):
    world.table.callers["his-lists"] = program("his-lists", "station-a", "system/Organization.rs system/Patient.rs")
    manifest = asking("his-lists")("GET", "$bulk-publish").json()
    assert {entry["type"] for entry in manifest["output"]} == {"Organization"}
    entries = world.get("his-lists", "Organization?_count=500").json()["entry"]
    (output,) = manifest["output"]
    ids = {each["id"] for each in content(asking("his-lists"), output)}
    assert ids == {entry["resource"]["id"] for entry in entries}
    outcome(asking("his-a")("GET", output["url"].removeprefix(f"{BASE}/")), 404, "not-found")
    for caller in ("doctor-hub", "a1", "his-narrow", "ministry-health"):
        outcome(asking(caller)("GET", "$bulk-publish"), 403, "forbidden")

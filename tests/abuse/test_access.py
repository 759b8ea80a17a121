"""Callers who ask for what is not theirs (rows 16, 31, 44, 45, 78 to 87 of the catalogue)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from fhir_server.access.grant import SYSTEM
from fhir_server.access.scope import parse_scopes
from tests.access.world import CALLERS, World, consent, country, for_hub, observation, of, request, task, to

HUB = {"reference": "Organization/hub"}


@pytest.fixture
def world() -> Iterator[World]:
    """A country that the test may change."""
    with country() as made:
        yield made


def parameters(**values: str) -> dict[str, Any]:
    kinds = {"reason": "valueCode", "text": "valueString"}
    return {"resourceType": "Parameters", "parameter": [{"name": n, kinds[n]: v} for n, v in values.items()]}


EMERGENCY = parameters(reason="ETREAT", text="Unconscious after an accident")


def broken(world: World, caller: str, about: str, body: Any = EMERGENCY) -> Any:
    return world.ask(caller, "POST", f"Patient/{about}/$break-glass", body)


def ids(world: World, caller: str, path: str) -> set[str]:
    answer = world.get(caller, path)
    assert answer.status_code == 200, answer.text
    return {entry["resource"]["id"] for entry in answer.json().get("entry", ())}


def refused(answer: Any, *statuses: int) -> None:
    assert answer.status_code in statuses, answer.text
    body = answer.json()
    assert body["resourceType"] == "OperationOutcome"
    assert "family" not in answer.text


def test_16_a_label_that_a_client_sets_gives_nothing_to_anybody(world: World):
    owned = {"meta": {"tag": [{"code": "station-b"}], "security": [{"code": "station-b"}]}}
    world.put("his-a", {**observation("labelled", "a1"), **owned})
    refused(world.get("worker-b", "Observation/labelled"), 404)
    stored = world.get("his-a", "Observation/labelled").json()
    assert {name: stored["meta"][name] for name in owned["meta"]} == owned["meta"]


def test_31_counting_through_a_hidden_type_finds_nothing(world: World):
    for family in ("a1", "b1", "nobody"):
        assert ids(world, "app-of-lab", f"Observation?subject:Patient.family={family}") == set()
    assert world.get("app-of-lab", "Observation?_has:Patient:link:_id=a1").status_code in (200, 400, 403)


def test_45_an_old_version_goes_with_the_access_to_the_new_one(world: World):
    assert world.get("doctor-hub", "Observation/oa1/_history/1").status_code == 200
    world.put("his-a", {**observation("oa1", "a2")})
    refused(world.get("doctor-hub", "Observation/oa1/_history/1"), 404)
    refused(world.get("doctor-hub", "Observation/oa1/_history"), 404)
    assert world.get("worker-a", "Observation/oa1/_history/1").status_code == 200


def test_45_the_end_of_a_consultation_takes_everything_back(world: World):
    assert "a1" in ids(world, "doctor-hub", "Patient")
    done = {**world.get("coordinator-hub", "Task/ta1").json(), "status": "completed"}
    assert world.ask("coordinator-hub", "PUT", "Task/ta1", done).status_code == 200
    assert ids(world, "doctor-hub", "Patient") == {"h1"}
    refused(world.get("doctor-hub", "Patient/a1/_history/1"), 404)
    assert world.answer in ids(world, "doctor-hub", "Observation")
    assert world.answer in ids(world, "worker-a", "Observation")


def test_45_the_end_of_the_request_takes_everything_back(world: World):
    world.put("his-a", {**request("sa1", "a1"), "status": "revoked"})
    assert ids(world, "doctor-hub", "Patient") == {"h1"}


def test_78_a_patient_reaches_nobody_else(world: World):
    refused(world.get("a1", "Patient/a2/$everything"), 404)
    assert ids(world, "a1", "Observation?_include=Observation:subject&_count=50") == {"a1", "oa1", "va1", world.answer}
    assert "oa2" not in ids(world, "a1", "_history?_count=500")


def test_79_the_arguments_of_a_scope_bind_a_read(world: World):
    assert world.get("app-of-lab", "Observation/oa1").status_code == 200
    refused(world.get("app-of-lab", "Observation/va1"), 404)
    refused(world.get("app-of-lab", "Observation/va1/_history/1"), 404)


@pytest.mark.parametrize(
    ("scope", "found"),
    [
        ("user/Observation.rs?category=laboratory&status=final", {"oa1", "oa2", "ours"}),
        ("user/*.rs?category=vital-signs", {"va1", "va2"}),
        ("user/Observation.rs?_security=N", set()),
        # What a provider of tokens may hand out, though this server would not: what the arguments do not say of a
        # resource alone, or say of none.
        ("user/Observation.rs?subject:below=Patient/a1", set()),
        ("user/Observation.rs?birthdate=2026", set()),
        ("user/Observation.rs?code=%20", set()),
    ],
)
def test_79_a_scope_lets_a_search_find_what_it_lets_a_read_show(world: World, scope: str, found: set[str]):
    found = {world.answer if each == "ours" else each for each in found}
    world.table.callers["narrow"] = replace(CALLERS["worker-a"], subject="narrow", scopes=parse_scopes(scope))
    everything = ("oa1", "oa2", "va1", "va2", world.answer)
    assert ids(world, "narrow", "Observation?_count=50") == found
    assert ids(world, "narrow", "Observation/_history?_count=50") == found
    for way in ("", "/_history/1", "/_history"):
        assert {each for each in everything if world.get("narrow", f"Observation/{each}{way}").is_success} == found
    assert world.get("narrow", "Patient/a1").status_code in (403, 404)


def test_80_a_facility_cannot_change_what_another_keeps(world: World):
    before = world.get("his-b", "Observation/ob1").json()
    for method, body in (("PUT", observation("ob1", "b1")), ("DELETE", None)):
        answer = world.ask("his-a", method, "Observation/ob1", body)
        assert answer.status_code in (204, 404)
    assert world.get("his-b", "Observation/ob1").json() == before
    shared = world.ask("doctor-hub", "PUT", "Observation/oa1", observation("oa1", "a1"))
    refused(shared, 403)


def test_80_a_reference_to_what_is_hidden_is_one_to_nothing(world: World):
    texts = []
    for about in ("b1", "zz"):
        made = observation("x", about)
        del made["id"]
        answer = world.ask("worker-a", "POST", "Observation", made)
        refused(answer, 422)
        texts.append(answer.json()["issue"][0]["details"]["text"].replace(about, "?"))
    assert texts[0] == texts[1]


@pytest.mark.parametrize("caller", ["doctor-hub", "coordinator-hub", "his-hub"])
def test_81_nobody_writes_a_consent_in_their_own_favour(world: World, caller: str):
    made = consent("mine", "a1", for_hub())
    del made["id"]
    refused(world.ask(caller, "POST", "Consent", made), 403)


@pytest.mark.parametrize(
    ("status", "period"),
    [
        ("active", {"start": "2020-01-01", "end": "2020-12-31"}),
        ("active", {"start": "2099-01-01", "end": "2099-12-31"}),
        ("rejected", None),
        ("proposed", None),
        ("inactive", None),
    ],
)
def test_82_a_consent_that_is_not_in_force_opens_nothing(world: World, status: str, period: Any):
    assert "a1" in ids(world, "doctor-hub", "Patient")
    provision = {**for_hub(), **({"period": period} if period else {})}
    world.put("his-a", consent("ca1", "a1", provision, status))
    assert "a1" not in ids(world, "doctor-hub", "Patient")
    refused(world.get("doctor-hub", "Observation/oa1"), 404)


def test_82_a_refusal_withholds_from_the_keeper_too_and_not_from_the_patient(world: World):
    world.put("his-a", consent("no", "a2", {"type": "deny"}))
    assert ids(world, "worker-a", "Patient") == {"a1"}
    refused(world.get("worker-a", "Observation/oa2"), 404)
    assert ids(world, "a2", "Patient") == {"a2"}
    assert "no" in ids(world, "worker-a", "Consent")


def test_83_glass_is_broken_by_few_with_a_reason_and_one_at_a_time(world: World):
    for caller in ("coordinator-hub", "radiologist-hub", "admin-a", "his-hub", "ministry-health", "a2"):
        refused(broken(world, caller, "b1"), 403)
    for body in (
        parameters(reason="ETREAT"),
        parameters(text="long enough a text"),
        parameters(reason="ETREAT", text=" "),
    ):
        refused(broken(world, "doctor-hub", "b1", body), 400)
    refused(broken(world, "doctor-hub", "b1", parameters(reason="PUBHLTH", text="long enough a text")), 400)
    refused(broken(world, "doctor-hub", "zz"), 404)
    assert "b1" not in ids(world, "doctor-hub", "Patient")
    assert broken(world, "doctor-hub", "b1").status_code == 201
    refused(broken(world, "doctor-hub", "a2"), 403)


def test_83_nobody_makes_or_prolongs_a_task_of_broken_glass(world: World):
    code = {"coding": [{"system": SYSTEM, "code": "break-glass"}]}
    forged = {**task("forged", "h1", None), "code": code}
    del forged["id"]
    refused(world.ask("doctor-hub", "POST", "Task", forged), 403)
    made = broken(world, "doctor-hub", "b1").json()
    period = {"start": "2020-01-01", "end": "2099-01-01"}
    longer = {**made, "restriction": {"period": period}}
    refused(world.ask("his-b", "PUT", f"Task/{made['id']}", longer), 403)


def test_84_broken_glass_opens_one_record_tells_and_asks_for_a_review(world: World):
    world.put("his-b", consent("no", "b1", {"type": "deny"}))
    refused(world.get("doctor-hub", "Patient/b1"), 404)
    opened = broken(world, "doctor-hub", "b1")
    assert opened.status_code == 201
    assert world.get("doctor-hub", "Patient/b1").status_code == 200
    assert "ob1" in ids(world, "doctor-hub", "Observation")
    assert ids(world, "doctor-ward", "Patient") == set()
    made = observation("x", "b1")
    del made["id"]
    written = world.post("doctor-hub", made)["id"]
    assert world.get("doctor-hub", f"Observation/{written}").status_code == 200
    assert opened.json()["id"] in ids(world, "his-b", "Task")
    closed = {**opened.json(), "status": "cancelled"}
    assert world.ask("his-b", "PUT", f"Task/{closed['id']}", closed).status_code == 200
    refused(world.get("doctor-hub", "Patient/b1"), 404)
    world.table.callers["admin-b"] = replace(CALLERS["admin-a"], subject="admin-b", organizations=("station-b",))
    (event,) = world.get("admin-b", "AuditEvent?subtype=110127").json()["entry"]
    assert event["resource"]["purposeOfEvent"][0]["coding"][0]["code"] == "BTG"
    assert {"reference": "Patient/b1"} in [each.get("what") for each in event["resource"]["entity"]]
    world.table.callers["b1"] = replace(CALLERS["a1"], subject="b1", fhir_user="Patient/b1", patient="b1")
    assert len(ids(world, "b1", "Communication")) == 1


def test_85_a_purpose_of_another_role_is_refused(world: World):
    refused(world.get("doctor-hub", "Patient/a1", x_purpose_of_use="PUBHLTH"), 403)
    assert world.get("doctor-hub", "Patient/a1", x_purpose_of_use="ETREAT").status_code == 200


def test_86_a_forged_link_joins_no_records(world: World):
    linked = of("Patient", "linked", link=[{"other": to("Patient/a1"), "type": "seealso"}])
    refused(world.ask("his-b", "PUT", "Patient/linked", linked), 422)
    world.put("his-a", linked)
    world.put("his-a", of("Person", "both", link=[{"target": to("Patient/a1")}, {"target": to("Patient/a2")}]))
    assert ids(world, "a1", "Patient") == {"a1"}
    assert ids(world, "a1", "Person") == set()
    assert ids(world, "a2", "Observation") == {"oa2", "va2"}


def test_86_a_task_that_somebody_accepts_for_themselves_opens_nothing(world: World):
    own = task("own", "h1", None, "accepted")
    world.put("his-hub", {**own, "for": to("Patient/h1")})
    assert ids(world, "doctor-hub", "Patient") == {"a1", "h1"}
    accepted = {**world.get("coordinator-hub", "Task/ta2").json(), "status": "accepted"}
    for changed in ({"for": to("Patient/a1")}, {"focus": to("ServiceRequest/sa1")}, {"owner": to("Organization/ward")}):
        refused(world.ask("coordinator-hub", "PUT", "Task/ta2", {**accepted, **changed}), 403, 422)


@pytest.mark.parametrize("caller", ["his-a", "worker-a", "admin-a"])
@pytest.mark.parametrize("method", ["PUT", "DELETE"])
def test_87_provenance_is_never_changed_or_removed(world: World, caller: str, method: str):
    made = of("Provenance", "x", target=[to("Observation/oa1")], recorded="2026-11-20T10:00:00+07:00",
              agent=[{"who": to("Organization/station-a")}])  # fmt: skip
    del made["id"]
    stored = world.post("worker-a", made)
    answer = world.ask(caller, method, f"Provenance/{stored['id']}", stored if method == "PUT" else None)
    writes_none = caller == "admin-a"
    refused(answer, 403 if writes_none and method == "PUT" else 405)
    assert world.ask(caller, "PATCH", f"Provenance/{stored['id']}", b"[]").status_code == 405
    assert world.get("worker-a", f"Provenance/{stored['id']}").json() == stored

"""Operations at the levels of a type and of the system (FHIR R4, 3.2.0 operations)."""

import pytest

from tests.serving import outcome, serving

CODE = {"coding": [{"system": "http://loinc.org", "code": "8480-6"}]}


def observation(own_id, patient, **more):
    subject = {"reference": f"Patient/{patient}"}
    return {"resourceType": "Observation", "id": own_id, "status": "final", "code": CODE, "subject": subject, **more}


@pytest.fixture(scope="module")
def server():
    with serving() as served:
        tags = [("urn:a", "one"), ("urn:a", "Two"), ("urn:b", "one"), (None, "three"), ("urn:a", "four")]
        meta = {"profile": ["http://hl7.org/fhir/StructureDefinition/vitalsigns"], "security": [{"code": "R"}]}
        bodies = [
            {"resourceType": "Organization", "id": "clinic", "name": "A"},
            {"resourceType": "Practitioner", "id": "doctor", "meta": {"tag": [{"code": "one", "system": "urn:a"}]}},
            *({"resourceType": "Patient", "id": f"p{number}", "meta": {"tag": [
                {"code": code, **({"system": system} if system else {})} for system, code in tags[: number + 1]
            ]}} for number in range(5)),
            observation("o0", "p0", performer=[{"reference": "Practitioner/doctor"}], effectiveDateTime="2024-01-05"),
            observation("o1", "p1", effectiveDateTime="2025-01-05"),
            observation("o2", "p1", meta={"security": meta["security"]}),
            {"resourceType": "Group", "id": "inner", "type": "person", "actual": True, "member": [
                {"entity": {"reference": "Patient/p0"}}]},
            {"resourceType": "Group", "id": "outer", "type": "person", "actual": True, "member": [
                {"entity": {"reference": "Group/inner"}}, {"entity": {"reference": "Patient/p3"}},
                {"entity": {"reference": "Patient/p4"}, "inactive": True}]},
            {"resourceType": "Group", "id": "empty", "type": "person", "actual": True},
        ]  # fmt: skip
        for body in bodies:
            answer = served.put(body)
            assert answer.status_code == 201, answer.text
        yield served


def keys(server, path, mode="match"):
    found = []
    while path:
        body = server.get(path).json()
        assert body["resourceType"] == "Bundle", body
        entries = [each for each in body.get("entry", []) if each["search"]["mode"] == mode]
        found += [each["fullUrl"].removeprefix("http://node/fhir/") for each in entries]
        following = [link["url"] for link in body["link"] if link["relation"] == "next"]
        path = following[0].removeprefix("http://node/fhir/") if following else ""
    return found


EVERYBODY = ["Observation/o0", "Observation/o1", "Observation/o2", *(f"Patient/p{number}" for number in range(5))]


def test_the_records_of_all_patients_come_in_pages(server):
    groups = [f"Group/{name}" for name in ("inner", "outer")]
    assert sorted(keys(server, "Patient/$everything")) == sorted([*EVERYBODY, *groups])
    assert sorted(keys(server, "Patient/$everything?_count=3")) == sorted([*EVERYBODY, *groups])
    assert keys(server, "Patient/$everything", "include") == ["Practitioner/doctor"]
    assert keys(server, "Patient/$everything?_type=Observation&start=2025-01-01") == [
        "Observation/o1",
        "Observation/o2",
    ]
    moment = server.get("Observation/o2").json()["meta"]["lastUpdated"].replace("+", "%2B")
    assert "Patient/p0" not in keys(server, f"Patient/$everything?_since={moment}")


def test_the_records_of_a_group_are_those_of_its_members(server):
    assert sorted(keys(server, "Group/outer/$everything?_type=Patient,Observation")) == [
        "Observation/o0", "Patient/p0", "Patient/p3",
    ]  # fmt: skip
    outcome(server.get("Group/empty/$everything"), 422, "not-found")
    outcome(server.get("Group/none/$everything"), 404, "not-found")


def labels(server, path):
    meta = server.get(path).json()["parameter"][0]["valueMeta"]
    return {name: [(each.get("system"), each["code"]) for each in listed] for name, listed in meta.items()}


def test_the_labels_in_use_are_told_of_a_type_and_of_all(server):
    tags = {("urn:a", "one"), ("urn:a", "Two"), ("urn:b", "one"), (None, "three"), ("urn:a", "four")}
    assert set(labels(server, "Patient/$meta")["tag"]) == tags
    assert labels(server, "Practitioner/$meta") == {"tag": [("urn:a", "one")]}
    assert labels(server, "Observation/$meta") == {"security": [(None, "R")]}
    everywhere = labels(server, "$meta")
    assert set(everywhere["tag"]) == tags
    assert everywhere["security"] == [(None, "R")]
    assert server.get("Location/$meta").json()["parameter"][0]["valueMeta"] == {}


def test_a_document_is_made_of_the_composition_that_is_named(server):
    composition = {
        "resourceType": "Composition", "id": "c", "status": "final", "type": CODE, "date": "2026-01-01", "title": "A",
        "author": [{"reference": "Practitioner/doctor"}], "subject": {"reference": "Patient/p0"},
    }  # fmt: skip
    assert server.put(composition).status_code == 201
    for named in ("c", "Composition/c", "http://node/fhir/Composition/c"):
        body = server.get(f"Composition/$document?id={named}").json()
        assert (body["type"], body["entry"][0]["resource"]["id"]) == ("document", "c")
    outcome(server.get("Composition/$document"), 400, "required")
    outcome(server.get("Composition/$document?id=http://else/Composition/c"), 400, "not-supported")
    stored = server.ask("POST", "Composition/$document?id=c&persist=true").json()
    assert server.get(f"Bundle/{stored['id']}").json()["type"] == "document"

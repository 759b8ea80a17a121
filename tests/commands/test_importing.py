import gzip
import json
import os
import signal
import subprocess
import sys
import time

import orjson
import pytest

from fhir_server.bulk import loading
from tests.commands.stored import ndjson, patient, resources, versions

OBSERVATION = {
    "resourceType": "Observation", "id": "one", "status": "final", "code": {"text": "a"},
    "subject": {"reference": "Patient/an"}, "valueQuantity": {"value": 1.5},
}  # fmt: skip


def bundle(kind, *resources, **more):
    entries = [{"resource": each, "fullUrl": f"urn:uuid:{n}"} | more for n, each in enumerate(resources)]
    return {"resourceType": "Bundle", "type": kind, "entry": entries}


def reported(data):
    lines = (data / "import-rejected.ndjson").read_bytes().splitlines()
    return [
        (issue["extension"][0]["valueString"].rpartition("/")[2], issue["extension"][1]["valueInteger"], issue["code"])
        for line in lines
        for issue in orjson.loads(line)["issue"]
    ]


def test_resources_are_stored_under_their_ids_whatever_they_refer_to(nhipcau, data, tmp_path):
    file = ndjson(tmp_path / "all.ndjson", OBSERVATION, patient("an"), '{"resourceType":"Patient","id":"b","x":1.10}')
    status, printed, _ = nhipcau("import", file, "--data", data, "--validation", "off")
    assert (status, printed) == (0, "stored: 3, unchanged: 0, rejected: 0\n")
    assert [each["id"] for each in resources(data, "Patient")] == ["an", "b"]
    assert b'"x":1.10' in (versions(data, "Patient")[-1].body or b"")


def test_what_is_rejected_is_told_with_file_and_line(nhipcau, data, tmp_path):
    file = ndjson(
        tmp_path / "all.ndjson",
        patient("good"),
        patient("bad", gender="nu"),
        "{",
        patient("no id"),
        '{"resourceType":"Patient","active":true,"active":false}',
        {"resourceType": "Nothing"},
    )
    status, printed, _ = nhipcau("import", file, "--data", data)
    assert status == 1
    assert "stored: 1, unchanged: 0, rejected: 5" in printed
    assert sorted(line for _, line, _ in reported(data)) == [2, 3, 4, 5, 6]
    assert {name for name, _, _ in reported(data)} == {f"all.ndjson:{line}" for line in range(2, 7)}


def test_bundles_are_carried_out_or_taken_apart(nhipcau, data, tmp_path):
    carried = tmp_path / "carried.json"
    carried.write_text(json.dumps(bundle("collection", patient("an"), OBSERVATION, patient("bad", gender="nu"))))
    acting = tmp_path / "acting.json.gz"
    observation = {**OBSERVATION, "subject": {"reference": "urn:uuid:0"}}
    del observation["id"]
    transaction = bundle("transaction", {"resourceType": "Patient", "active": True}, observation)
    for entry in transaction["entry"]:
        entry["request"] = {"method": "POST", "url": entry["resource"]["resourceType"]}
    acting.write_bytes(gzip.compress(json.dumps(transaction).encode()))
    refused = ndjson(tmp_path / "refused.ndjson", bundle("transaction", patient("x")), bundle("document"))
    status, printed, _ = nhipcau("import", carried, acting, refused, "--data", data)
    assert status == 1
    assert "stored: 4, unchanged: 0, rejected: 3" in printed
    subjects = {each["subject"]["reference"] for each in resources(data, "Observation")}
    assert subjects == {f"Patient/{each['id']}" for each in resources(data, "Patient")}


def test_a_condition_waits_for_what_it_finds(nhipcau, data, tmp_path):
    waiting = {**OBSERVATION, "subject": {"reference": "Patient?identifier=urn:a|1"}}
    in_vain = {**waiting, "id": "two", "subject": {"reference": "Patient?_id=none"}}
    first = ndjson(tmp_path / "a.ndjson", waiting, in_vain)
    second = ndjson(tmp_path / "b.ndjson", patient("an", identifier=[{"system": "urn:a", "value": "1"}]))
    status, printed, _ = nhipcau("import", first, second, "--data", data)
    assert (status, printed.splitlines()[0]) == (1, "stored: 2, unchanged: 0, rejected: 1")
    assert resources(data, "Observation")[0]["subject"] == {"reference": "Patient/an"}
    assert [line for _, line, _ in reported(data)] == [2]
    assert not (data / "import.deferred").exists()


def test_what_was_imported_is_skipped_and_what_is_the_same_makes_no_version(nhipcau, data, tmp_path):
    file = ndjson(tmp_path / "all.ndjson", patient("an"), {"resourceType": "Patient", "active": True})
    nhipcau("import", file, "--data", data)
    assert "imported before, skipped" in nhipcau("import", file, "--data", data)[1]
    assert "stored: 0, unchanged: 2, rejected: 0" in nhipcau("import", file, "--data", data, "--again")[1]
    ndjson(file, patient("an"), {"resourceType": "Patient", "active": True}, patient("more"))
    assert "stored: 1, unchanged: 2, rejected: 0" in nhipcau("import", file, "--data", data)[1]
    assert {version.version for version in versions(data, "Patient")} == {1}


def test_an_import_goes_on_where_it_failed(nhipcau, data, tmp_path, monkeypatch):
    monkeypatch.setattr(loading, "AT_ONCE", 2)
    packed = tmp_path / "all.ndjson.gz"
    whole = gzip.compress(b"\n".join(json.dumps(patient(f"p{n}", active=True)).encode() for n in range(2000)), 0)
    packed.write_bytes(whole[: len(whole) // 2])
    status, _, told = nhipcau("import", packed, "--data", data)
    assert status == 2
    assert "cannot be read to its end" in told
    before = len(versions(data, "Patient"))
    assert 0 < before < 2000
    packed.write_bytes(whole)
    assert nhipcau("import", packed, "--data", data)[0] == 0
    assert len(versions(data, "Patient")) == 2000


@pytest.mark.server
def test_an_import_that_is_killed_goes_on(nhipcau, data, tmp_path):
    file = ndjson(tmp_path / "all.ndjson", *({"resourceType": "Patient", "active": n % 2 == 0} for n in range(6000)))
    main = "from fhir_server.cli import main; main()"
    program = [sys.executable, "-c", main, "import", str(file), "--data", str(data)]
    journal = data / "import.journal"
    with subprocess.Popen(program, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as killed:
        while killed.poll() is None and not (journal.exists() and b'"done"' in journal.read_bytes()):
            time.sleep(0.005)
        os.kill(killed.pid, signal.SIGKILL)
        killed.communicate()
    status, printed, _ = nhipcau("import", file, "--data", data)
    assert status == 0
    assert "stored: 6000" not in printed
    found = versions(data, "Patient")
    assert len(found) == 6000
    assert {version.version for version in found} == {1}

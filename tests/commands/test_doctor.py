import json
import time
from types import SimpleNamespace

import pytest

from fhir_server.app import DATABASE
from fhir_server.commands import doctor
from tests.commands.stored import ndjson, patient


@pytest.fixture
def filled(nhipcau, data, tmp_path):
    nhipcau("import", ndjson(tmp_path / "all.ndjson", patient("an")), "--data", data)
    return data


def found(nhipcau, data, *more):
    status, printed, _ = nhipcau("doctor", "--data", data, "--json", *more)
    return status, {(each["check"], each["state"]): each["text"] for each in json.loads(printed)}


def test_a_healthy_node_is_told_so(nhipcau, filled):
    status, findings = found(nhipcau, filled, "--thorough")
    assert status == 0
    assert {name for name, state in findings if state == "good"} >= doctor.CHECKS.keys() - {"limits", "disk"}
    assert "1 resources, 1 versions" in findings["store", "good"]


def test_a_node_without_data_is_no_fault(nhipcau, data):
    status, findings = found(nhipcau, data)
    assert status == 0
    assert ("folder", "warning") in findings


def test_a_damaged_database_is_found(nhipcau, filled):
    file = filled / DATABASE
    content = bytearray(file.read_bytes())
    content[5000:9000] = bytes(4000)
    file.write_bytes(content)
    for leftover in filled.glob(f"{DATABASE}-*"):
        leftover.unlink()
    status, printed, _ = nhipcau("doctor", "--data", filled)
    assert status == 1
    assert "restore the last backup" in printed


def test_a_file_of_something_else_is_found(nhipcau, filled):
    (filled / DATABASE).write_bytes(b"nothing like a database" * 100)
    status, findings = found(nhipcau, filled)
    assert status == 1
    assert "cannot be read" in findings["store", "bad"]


def test_a_wrong_setting_is_found(nhipcau, filled, monkeypatch):
    monkeypatch.setenv("NHIPCAU_JSON_DEPTH", "0")
    status, findings = found(nhipcau, filled)
    assert status == 1
    assert "NHIPCAU_JSON_DEPTH cannot be '0'" in findings["settings", "bad"]


def test_a_clock_that_runs_behind_is_found(nhipcau, filled, monkeypatch):
    now = time.time()
    monkeypatch.setattr("fhir_server.commands.doctor.time.time", lambda: now - 1_000_000)
    status, findings = found(nhipcau, filled)
    assert status == 1
    assert "the last commit is of" in findings["store", "bad"]
    assert ("clock", "bad") in findings


def test_a_full_disk_and_open_files_are_found(nhipcau, filled, monkeypatch):
    monkeypatch.setattr("fhir_server.commands.doctor.shutil.disk_usage", lambda _path: SimpleNamespace(free=10))
    (filled / DATABASE).chmod(0o644)
    filled.chmod(0o755)
    _, findings = found(nhipcau, filled)
    assert "0.0 GB free" in findings["disk", "bad"]
    assert "can be read by everybody" in findings["permissions", "warning"]

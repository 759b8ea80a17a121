import json

import pytest

from fhir_server.app import DATABASE
from tests.commands.stored import ndjson, patient, resources


@pytest.fixture
def saved(nhipcau, data, tmp_path):
    nhipcau("import", ndjson(tmp_path / "all.ndjson", patient("an"), patient("binh")), "--data", data)
    assert nhipcau("backup", tmp_path / "copy", "--data", data)[0] == 0
    return tmp_path / "copy"


def test_a_backup_can_be_restored(nhipcau, saved, tmp_path, data):
    manifest = json.loads((saved / "backup.json").read_text())
    assert (manifest["resources"], set(manifest["files"])) == (2, {DATABASE, "cursor.key", "kept.sha256"})
    status, printed, _ = nhipcau("restore", saved, "--data", tmp_path / "new")
    assert status == 0
    assert "resources: 2, versions: 2" in printed
    assert resources(tmp_path / "new", "Patient") == resources(data, "Patient")
    assert (tmp_path / "new" / "cursor.key").stat().st_mode & 0o077 == 0


def test_a_backup_holds_the_people_who_log_in(nhipcau, tmp_path, data):
    nhipcau("import", ndjson(tmp_path / "all.ndjson", patient("an")), "--data", data)
    assert nhipcau("user", "add", "lan", "--role", "doctor", "--data", data)[0] == 0
    assert nhipcau("backup", tmp_path / "copy", "--data", data)[0] == 0
    assert nhipcau("restore", tmp_path / "copy", "--data", tmp_path / "new")[0] == 0
    assert "lan  lan · doctor" in nhipcau("user", "list", "--data", tmp_path / "new")[1]
    assert (tmp_path / "new" / "auth.sqlite").stat().st_mode & 0o077 == 0


def test_nothing_is_written_over(nhipcau, saved, data):
    status, _, told = nhipcau("restore", saved, "--data", data)
    assert status == 2
    assert "needs a new or empty folder" in told
    assert "needs a new or empty folder" in nhipcau("backup", saved, "--data", data)[2]


def test_a_damaged_or_incomplete_backup_is_refused(nhipcau, saved, tmp_path):
    file = saved / DATABASE
    whole = file.read_bytes()
    file.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    assert "is damaged" in nhipcau("restore", saved, "--data", tmp_path / "new")[2]
    file.unlink()
    assert "is missing" in nhipcau("restore", saved, "--data", tmp_path / "new")[2]
    (saved / "backup.json").write_text("{")
    assert "no complete backup" in nhipcau("restore", saved, "--data", tmp_path / "new")[2]
    assert not (tmp_path / "new").exists()


def test_there_must_be_data(nhipcau, tmp_path):
    assert "There is no data" in nhipcau("backup", tmp_path / "copy", "--data", tmp_path / "none")[2]

import asyncio
import sqlite3

import orjson
import pytest

from fhir_server.app import DATABASE
from fhir_server.bulk import exporting
from fhir_server.bulk.exporting import Exporting
from fhir_server.bulk.journal import Journal
from fhir_server.store.sqlite.store import SqliteStore
from tests.commands.stored import ndjson, patient, resources, versions

OBSERVATION = {"resourceType": "Observation", "id": "one", "status": "final", "code": {"text": "a"}}


@pytest.fixture
def filled(nhipcau, data, tmp_path):
    bodies = [patient(f"p{n}", active=True) for n in range(7)]
    nhipcau("import", ndjson(tmp_path / "all.ndjson", *bodies, OBSERVATION), "--data", data)
    return data


def lines(file):
    return [orjson.loads(line) for line in file.read_bytes().splitlines()]


def test_each_type_is_a_file_that_can_be_imported_again(nhipcau, filled, tmp_path):
    status, printed, _ = nhipcau("export", tmp_path / "out", "--data", filled)
    assert status == 0
    assert printed.endswith("resources: 8, files: 2\n")
    files = sorted((tmp_path / "out").iterdir())
    assert [file.name for file in files] == ["Observation.ndjson", "Patient.ndjson"]
    again = tmp_path / "again"
    assert nhipcau("import", *files, "--data", again)[0] == 0
    strip = [{k: v for k, v in each.items() if k != "meta"} for each in resources(again, "Patient")]
    assert strip == [{k: v for k, v in each.items() if k != "meta"} for each in resources(filled, "Patient")]


def test_types_and_changes_can_be_chosen(nhipcau, filled, tmp_path):
    nhipcau("export", tmp_path / "a", "--data", filled, "--type", "Observation")
    assert [file.name for file in (tmp_path / "a").iterdir()] == ["Observation.ndjson"]
    moment = resources(filled, "Patient")[0]["meta"]["lastUpdated"]
    nhipcau("export", tmp_path / "b", "--data", filled, "--since", moment)
    assert len(lines(tmp_path / "b" / "Patient.ndjson")) == 7
    assert "resources: 0" in nhipcau("export", tmp_path / "c", "--data", filled, "--since", "2999-01-01T00:00:00Z")[1]


def test_an_export_goes_on_where_it_was_interrupted(filled, tmp_path, monkeypatch):
    monkeypatch.setattr(exporting, "PAGE", 2)

    class Interrupted(Exception):
        pass

    async def attempt(pages):
        store = SqliteStore(filled / DATABASE)

        def progress(_name, _count):
            nonlocal pages
            pages -= 1
            if pages == 0:
                raise Interrupted

        try:
            with Journal(tmp_path / "journal") as journal:
                return await Exporting(store, tmp_path, journal).export(["Patient"], progress)
        finally:
            await store.close()

    for _ in range(3):
        with pytest.raises(Interrupted):
            asyncio.run(attempt(2))
    (done,) = asyncio.run(attempt(-1))
    assert done.resources == 7
    assert done.size == (tmp_path / "Patient.ndjson").stat().st_size
    assert sorted(each["id"] for each in lines(tmp_path / "Patient.ndjson")) == [f"p{n}" for n in range(7)]


def test_line_breaks_within_a_resource_are_taken_out(nhipcau, data, tmp_path):
    file = tmp_path / "one.json"
    file.write_text('{\n  "resourceType": "Patient",\r\n  "id": "an",\n "gender": "female"}')
    nhipcau("import", file, "--data", data)
    assert b"\n" in (versions(data, "Patient")[0].body or b"")
    nhipcau("export", tmp_path / "out", "--data", data)
    (line,) = lines(tmp_path / "out" / "Patient.ndjson")
    assert line["gender"] == "female"


def test_what_cannot_be_exported_is_said(nhipcau, filled, tmp_path):
    assert "Did you mean Patient" in nhipcau("export", tmp_path / "a", "--data", filled, "--type", "Patent")[2]
    assert "There is no data" in nhipcau("export", tmp_path / "a", "--data", tmp_path / "none")[2]
    ndjson(tmp_path / "other.ndjson", patient("x"))
    assert "not of an export" in nhipcau("export", tmp_path, "--data", filled)[2]


def test_a_database_of_a_newer_release_is_refused(nhipcau, filled, tmp_path):
    connection = sqlite3.connect(filled / DATABASE)
    connection.execute("PRAGMA user_version=999")
    connection.close()
    status, _, told = nhipcau("export", tmp_path / "a", "--data", filled)
    assert status == 2
    assert "use a newer release" in told

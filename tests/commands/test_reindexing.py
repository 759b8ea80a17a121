import json

from fhir_server.repository import coverage
from tests.commands.stored import ndjson, patient, resources, versions

COLOUR = "http://example.org/colour"
PARAMETER = {
    "resourceType": "SearchParameter", "id": "colour", "url": "http://example.org/SearchParameter/colour",
    "name": "colour", "status": "active", "description": "Colour", "code": "colour", "type": "token",
    "base": ["Patient"], "expression": f"Patient.extension('{COLOUR}').value",
}  # fmt: skip
RED = [{"url": COLOUR, "valueCode": "red"}]


def matches(nhipcau, data, search):
    return json.loads(nhipcau("explain", search, "--data", data, "--json")[1])["matches"]


def test_what_was_stored_before_a_parameter_is_found_after_the_command(nhipcau, data, tmp_path):
    nhipcau("import", ndjson(tmp_path / "a.ndjson", patient("an", extension=RED), patient("binh")), "--data", data)
    nhipcau("import", ndjson(tmp_path / "b.ndjson", PARAMETER), "--data", data)
    assert matches(nhipcau, data, "Patient?colour=red") == 0
    status, printed, _ = nhipcau("reindex", "--data", data, "--type", "Patient")
    assert (status, printed) == (0, "indexed: 2\n")
    assert matches(nhipcau, data, "Patient?colour=red") == 1
    assert [version.version for version in versions(data, "Patient")] == [1, 1]
    (task,) = resources(data, "Task")
    assert task["status"] == "completed"


def test_all_types_are_indexed_for_a_new_form_of_rows(nhipcau, data, tmp_path, monkeypatch):
    nhipcau("import", ndjson(tmp_path / "a.ndjson", patient("an", gender="other")), "--data", data)
    monkeypatch.setattr(coverage, "FORM", coverage.FORM + 1)
    assert nhipcau("reindex", "--data", data)[0] == 0
    assert matches(nhipcau, data, "Patient?gender=other") == 1


def test_what_cannot_be_indexed_is_said(nhipcau, data, tmp_path):
    assert nhipcau("reindex", "--data", data)[0] == 2
    nhipcau("import", ndjson(tmp_path / "a.ndjson", patient("an")), "--data", data)
    status, _, told = nhipcau("reindex", "--data", data, "--type", "Patent")
    assert status == 2
    assert "Patient" in told

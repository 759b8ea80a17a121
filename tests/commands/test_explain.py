import json

import pytest

from tests.commands.stored import ndjson, patient


def test_a_search_is_explained_as_text_and_as_json(nhipcau, data, tmp_path):
    nhipcau("import", ndjson(tmp_path / "all.ndjson", patient("an", gender="female")), "--data", data)
    status, printed, _ = nhipcau("explain", "Patient?gender=female", "--data", data)
    assert status == 0
    assert "row: Patient.gender" in printed
    assert "matches: 1" in printed
    found = json.loads(nhipcau("explain", "Patient?gender=female", "--data", data, "--json")[1])
    assert found["matches"] == 1
    assert "Patient" in found["plan"]["find"]


def test_without_data_the_plan_alone_is_told(nhipcau, data):
    found = json.loads(nhipcau("explain", "Patient/an/Observation?code=a", "--data", data, "--json")[1])
    assert set(found) == {"search", "plan"}
    assert not data.exists()


def test_parameters_without_effect_are_told(nhipcau, data):
    _, printed, told = nhipcau("explain", "Patient?gendr=female", "--data", data)
    assert "gender" in told
    assert "ignored" in printed


@pytest.mark.parametrize(("search", "text"), [("Patent?a=b", "no resource type Patent"), ("a/b/c/d", "is no search")])
def test_what_is_no_search_is_said(nhipcau, data, search, text):
    status, _, told = nhipcau("explain", search, "--data", data)
    assert status == 2
    assert text in told

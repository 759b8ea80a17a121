"""What travels of rows: what is allowed, under a key that the receiver does not have."""

from __future__ import annotations

import pytest

from fhir_server.definitions.registry import r4
from fhir_server.national.catalogue import own_view
from fhir_server.national.definition import read_view
from fhir_server.national.pseudonym import ALLOWED, is_modified, key_in, shared
from fhir_server.national.reporting import VIEWS
from fhir_server.national.view import Runner, view_engine
from tests.national.care import story

KEY = b"k" * 32
ENGINE = view_engine(r4())


@pytest.mark.parametrize("name", ALLOWED)
def test_what_is_allowed_are_columns_of_the_view(name: str):
    columns = {column.name for column in read_view(ENGINE, own_view(name)).columns}
    assert set(ALLOWED[name]) <= columns
    assert set(ALLOWED) == set(VIEWS)


def test_no_row_says_whose_it_is():
    rows = [
        shared(name, row, KEY)
        for name in ALLOWED
        for row in Runner(ENGINE, read_view(ENGINE, own_view(name))).all_rows(story())
    ]
    text = repr(rows)
    for secret in ("Patient/an'", "Patient/chi'", "1990-05-17", "Giàng", "01529", "Encounter/e1'"):
        assert secret not in text
    assert "Organization/station" in text


def test_ids_fit_each_other_under_one_key_alone():
    one = shared("encounters", {"id": "Encounter/1", "patient": "Patient/an"}, KEY)
    other = shared("homes", {"id": "Patient/an", "birth_date": "1990-05-17"}, KEY)
    assert one["patient"] == other["id"]
    assert other["birth_date"] == "1990"
    assert shared("homes", {"id": "Patient/an"}, b"x" * 32)["id"] != other["id"]


def test_a_text_that_only_calls_itself_a_code_is_left_out():
    row = shared("encounters", {"id": "Encounter/1", "status": "finished", "priority": "Ông Giàng Seo An, 0912"}, KEY)
    assert (row["status"], row["priority"]) == ("finished", None)
    assert shared("encounters", {"facility": "Practitioner/x"}, KEY)["facility"] is None


def test_what_may_mean_the_contrary_is_found():
    assert is_modified({"resourceType": "Encounter", "modifierExtension": [{"url": "urn:x"}]})
    assert is_modified({"participant": [{"individual": {"modifierExtension": []}}]})
    assert not is_modified({"extension": [{"url": "urn:x"}]})


def test_a_key_is_made_once(tmp_path):
    assert key_in(tmp_path) == key_in(tmp_path)
    assert len(key_in(tmp_path)) == 32
    assert (tmp_path / "pseudonym.key").stat().st_mode & 0o077 == 0

"""Centres in a table: what is sound becomes resources, what is not is told by row and column."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fhir_server.definitions.registry import r4
from fhir_server.package import add_installed
from fhir_server.validation.validator import Validator
from telesession.centre_import import in_order
from telesession.centre_table import COLUMNS, PROVINCES, faults_in, resources_of, rows_of

HEADER = ",".join(COLUMNS)
HUB = "79001,Bệnh viện trung ương,19,,,,HCTV-KCB;HC-CDHA,TELECONSULT_MDT,Phòng A,Camera;Màn hình,0280 1,a@b.vn"
SITE = "08A12,Trạm y tế Na Hang,08,79001,79001,surveyed,TVYT,,Phòng khám 2,Loa,,"
NOW = "2026-12-01T00:00:00Z"


@pytest.fixture(scope="module")
def validator() -> Validator:
    return Validator(add_installed(r4().extended()), depth="full")


def table(*rows: str) -> str:
    return "\n".join((HEADER, *rows)) + "\n"


def faults(*rows: str) -> list[str]:
    found, wrong = rows_of(table(*rows))
    return [str(each) for each in (*wrong, *faults_in(found, {}))]


def test_sound_rows_are_resources_that_meet_the_profiles(validator: Validator):
    rows, wrong = rows_of(table(HUB, SITE))
    assert (wrong, list(faults_in(rows, {}))) == ([], [])
    made = [body for row in rows for body in resources_of(row, {"79001": "hub"}, NOW)]
    kinds = [body["resourceType"] for body in made]
    assert kinds == [
        "Organization", "Location", "Device", "Device", "HealthcareService",
        "Organization", "Location", "Device", "HealthcareService", "OrganizationAffiliation",
    ]  # fmt: skip
    assert made[5]["partOf"] == {"reference": "Organization/hub"}
    profiles = {"HealthcareService": "tele-healthcare-service", "OrganizationAffiliation": "tele-hub-relation"}
    for body in made:
        asked = (
            [f"urn:nhipcau:StructureDefinition:{profiles[body['resourceType']]}"]
            if body["resourceType"] in profiles
            else []
        )
        assert [each.text for each in validator.validate(body, profiles=asked).issues if each.is_error] == []


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ("79-01,A,79,,,,,,,,,", "row 2, column code: '79-01' is no facility code"),
        ("79001,,79,,,,,,,,,", "row 2, column name: It is empty"),
        ("79001,A,2,,,,,,,,,", "row 2, column province: '2' is none of the 34"),
        ("79001,A,79,79009,,,,,,,,", "row 2, column above: There is no facility 79009: add its row"),
        ("79001,A,79,,79001,,,,,,,", "row 2, column hub: A facility is not its own"),
        ("79001,A,79,,,surveyed,,,,,,", "row 2, column hub: It is empty, but state"),
        ("79001,A,79,,,,TVYT;X,,,,,", "row 2, column activities: 'X' is none of"),
        ("79001,A,79,,,,TVYT,Y,,,,", "row 2, column modes: 'Y' is none of"),
        ("79001,A,79,,,,,,,Camera,,", "row 2, column room: It is empty, but equipment"),
        ("79001,A,79,,,,,,,,,nobody", "row 2, column email: 'nobody' is no address"),
        ("79001,A,79,,,,,,,,,,more", "row 2, column email: There are 13 cells"),
    ],
)
def test_what_is_wrong_is_told_with_row_and_column(row: str, told: str):
    found = faults(row)
    assert len(found) == 1
    assert found[0].startswith(told)


def test_a_code_stands_once_and_columns_are_known():
    assert faults(HUB, HUB)[0].startswith("row 3, column code: 79001 is in row 2 already")
    assert [str(each) for each in rows_of("code,town\n")[1]] == [
        "row 1, column name: There must be a column name.",
        "row 1, column province: There must be a column province.",
        f"row 1, column town: There is no such column. Columns: {', '.join(COLUMNS)}.",
    ]
    assert rows_of("")[1]


def test_a_table_with_tabs_and_a_mark_of_its_order_of_bytes_is_read_too():
    rows, wrong = rows_of("\ufeffcode\tname\tprovince\n79001\tA, B\t79\n")
    assert (wrong, rows[0]["name"]) == ([], "A, B")


def test_who_is_led_to_comes_first():
    rows, _ = rows_of(table(SITE, HUB, "79002,Vòng,79,79003,,,,,,,,", "79003,Vòng,79,79002,,,,,,,,"))
    assert [row["code"] for row in in_order(rows)] == ["79001", "08A12", "79002", "79003"]


def test_there_are_34_provinces():
    assert len(PROVINCES) == 34


@settings(max_examples=80, deadline=None)
@given(st.text(max_size=200))
def test_no_text_breaks_the_reading(text: str):
    for start in ("", f"{HEADER}\n"):
        rows, _ = rows_of(start + text)
        bad = {each.row for each in faults_in(rows, {})}
        for row in rows:
            if row.number not in bad:
                assert list(resources_of(row, {}, NOW))

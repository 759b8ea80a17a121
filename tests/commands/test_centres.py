"""`nhipcau centres import`: what is sound is stored once, what is not is told by row and column."""

import json
from pathlib import Path

HEADER = "code,name,province,above,hub,state,activities,modes,room,equipment,phone,email"
HUB = "79001,Bệnh viện trung ương,19,,,,HCTV-KCB;HC-CDHA,TELECONSULT_MDT,Phòng A,Camera;Màn hình,0280 1,a@b.vn"
SITE = "08A12,Trạm y tế Na Hang,08,79001,79001,surveyed,TVYT,,Phòng khám 2,Loa,,"


def table(*rows: str) -> str:
    return "\n".join((HEADER, *rows)) + "\n"


def test_the_command_stores_once_and_tells_bad_rows(nhipcau, data: Path, tmp_path: Path):
    file = tmp_path / "centres.csv"
    file.write_text(
        table(SITE, HUB, "ABC,Hỏng,79,,,,,,,,,", "79005,Theo hỏng,79,,79006,,,,,,,", "79006,Hỏng,7,,,,,,,,,")
    )
    status, out, told = nhipcau("centres", "import", file, "--data", data, "--check")
    assert (status, "stored: 0" in out) == (1, True)
    status, out, told = nhipcau("centres", "import", file, "--data", data)
    assert status == 1
    assert "centres stored: 2, unchanged: 0, bad rows: 3" in out
    assert "row 4, column code" in told
    assert "row 5, column hub: The row of 79006 is bad" in told
    file.write_text(table(SITE.replace("surveyed", "in-service"), HUB))
    assert "stored: 0, unchanged: 2, bad rows: 0" in nhipcau("centres", "import", file, "--data", data)[1]
    file.write_text(table(SITE, HUB.replace("0280 1", "0280 2")))
    assert "stored: 1, unchanged: 1, bad rows: 0" in nhipcau("centres", "import", file, "--data", data)[1]
    nhipcau("export", tmp_path / "out", "--data", data)
    lines = [
        json.loads(each) for name in (tmp_path / "out").rglob("*.ndjson") for each in name.read_text().splitlines()
    ]
    found = {f"{each['resourceType']}/{each['id']}": each for each in lines}
    assert found["Organization/cskcb-79001"]["telecom"][0]["value"] == "0280 2"
    affiliations = [each for each in found.values() if each["resourceType"] == "OrganizationAffiliation"]
    assert [each["code"][0]["coding"][0]["code"] for each in affiliations] == ["surveyed"]


def test_a_table_that_is_not_in_utf_8_is_refused(nhipcau, data: Path, tmp_path: Path):
    file = tmp_path / "centres.csv"
    file.write_bytes("code,name,province\n79001,Trạm,79\n".encode("utf-16"))
    status, _, told = nhipcau("centres", "import", file, "--data", data)
    assert status == 2
    assert "UTF-8" in told

"""Two provinces and the ministry as three processes: numbers travel, names stay, and a false number is found."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from fhir_server.national.measure_report import Heading
from fhir_server.national.province import month_at
from fhir_server.national.reporting import days_of
from tests.national.care import bundle, made
from tests.processes import Program, running

FHIR = {"content-type": "application/fhir+json"}
LOOPBACK = '["127.0.0.1"]'
SECONDS = 60.0


def visits(seed: int, count: int, month: str, province: str) -> list[dict[str, Any]]:
    """Sessions that nobody asked for by a request: one that was asked for goes through all states of its workflow."""
    bodies = made(seed, count, month, province)
    return [
        {key: value for key, value in body.items() if key != "basedOn"}
        for body in bodies
        if body["resourceType"] != "ServiceRequest"
    ]


def put(base: str, *bodies: dict[str, Any]) -> None:
    answer = httpx.post(base, json=bundle(*bodies), headers=FHIR, timeout=60)
    assert answer.status_code == 200, answer.text


def until(known: Callable[[], Any]) -> Any:
    end = time.monotonic() + SECONDS
    while not (found := known()):
        assert time.monotonic() < end, "It did not come about."
        time.sleep(0.3)
    return found


def consultations(ministry: Program, month: str) -> dict[str, int]:
    asked = {"indicator": "T2", "from": month, "by": "province"}
    answer = httpx.get(f"{ministry.base.removesuffix('/fhir')}/national/figures", params=asked)
    return {row["province"]: row["numerator"] for row in answer.json()["rows"]}


def mismatches(ministry: Program, month: str, status: str = "requested") -> list[str]:
    """The mismatches that the ministry knows of after it looked again."""
    body = {"resourceType": "Parameters", "parameter": [{"name": "period", "valueString": month}]}
    answer = httpx.post(f"{ministry.base}/$national-reconcile", json=body, headers=FHIR, timeout=60)
    assert answer.status_code == 200, answer.text
    found = httpx.get(f"{ministry.base}/Task?status={status}&_count=100").json().get("entry", [])
    return sorted(each["resource"]["description"] for each in found)


def secrets(bodies: list[dict[str, Any]]) -> list[bytes]:
    """What may be found in no file of the ministry."""
    people = [body for body in bodies if body["resourceType"] == "Patient"]
    texts = [text for body in people for text in (
        body["name"][0]["given"][0], body["identifier"][0]["value"], body["birthDate"], f"Patient/{body['id']}",
    )]  # fmt: skip
    return [text.encode() for text in texts]


@pytest.mark.server
def test_numbers_travel_and_names_stay(tmp_path: Path):
    month = month_at(time.time())
    north, south = visits(1, 12, month, "15"), visits(2, 9, month, "79")
    folders = [tmp_path / name for name in ("ministry", "north", "south")]
    for folder in folders:
        folder.mkdir()
    quick = {"report_seconds": 2, "outbound_hosts": LOOPBACK}
    with running(folders[0], report_seconds=3600, outbound_hosts=LOOPBACK) as ministry:
        sending = {"ministry": ministry.base, "report_rows": "true"}
        # The south is down before it has told anything.
        with running(folders[2], province="79", **sending, report_seconds=3600, outbound_hosts=LOOPBACK) as program:
            put(program.base, *south)
        with running(folders[1], province="15", **sending, **quick) as first:
            put(first.base, *north)
            until(lambda: consultations(ministry, month).get("15") == 12)
            state = httpx.get(f"{ministry.base.removesuffix('/fhir')}/national/state").json()
            assert "79" in {each["province"] for each in state["missing"]}
            with running(folders[2], province="79", **sending, **quick):
                until(lambda: consultations(ministry, month) == {"15": 12, "79": 9})
                # The rows come after the numbers, and agree with them.
                until((folders[0] / "data" / "lake" / "sites" / "files.json").exists)
                until(lambda: mismatches(ministry, month) == [])
                falsify(ministry, Heading("T2", *days_of(month), "79"), 25)
                (told,) = until(lambda: mismatches(ministry, month))
                assert told == (
                    f"Hồ Chí Minh (79), {month}, T2: 25 reported, 9 counted in the rows that the province shares."
                )
                falsify(ministry, Heading("T2", *days_of(month), "79"), 9)
                assert mismatches(ministry, month) == []
                assert len(mismatches(ministry, month, "completed")) == 1
    held = b"".join(path.read_bytes() for path in folders[0].rglob("*") if path.is_file())
    assert [secret for secret in secrets([*north, *south]) if secret in held] == []
    # What was looked for can be found where it is.
    assert secrets(north)[0] in b"".join(path.read_bytes() for path in folders[1].rglob("*") if path.is_file())


def falsify(ministry: Program, heading: Heading, number: int) -> None:
    """Put another number into a report, as its province might."""
    url = f"{ministry.base}/MeasureReport/{heading.id}"
    body = httpx.get(url).json()
    body["group"][0]["population"][0]["count"] = number
    assert httpx.put(url, json=body, headers=FHIR).status_code == 200

"""A consultation from its request to the end of its session, by the extension as it is installed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import orjson
import pytest

from telesession.extension import telesession
from tests.serving import outcome, serving
from tests.telesession.ward import until
from tests.telesession.world import Country


@pytest.fixture
def country() -> Iterator[Country]:
    with serving(extensions=[telesession], auth="on") as served:
        made = Country(served)
        made.people()
        yield made


def call(country: Country, who: str, method: str, path: str, body: Any = None) -> httpx.Response:
    content = None if body is None else orjson.dumps(body)
    headers = {"authorization": f"Bearer {who}"}
    return country.served.send(method, f"http://node/telesession/sessions/{path}", content=content, headers=headers)


def test_the_room_brings_the_consultation_on(country: Country):
    request = country.request()
    country.through(request, "submit", "accept", "book")
    session = str(country.state(request, "doctor")["encounter"]).partition("/")[2]
    outcome(call(country, "stranger", "GET", session), 404, "not-found")
    worker = call(country, "worker", "POST", f"{session}/participants", {"role": "presenter"})
    assert worker.json()["state"] == "in-session", worker.text
    doctor = call(country, "doctor", "POST", f"{session}/participants", {})
    assert (doctor.json()["role"], doctor.json()["state"]) == ("chair", "in-session")
    until(lambda: country.get("", f"Encounter/{session}").json()["status"] == "in-progress")
    until(lambda: country.state(request, "doctor")["state"] == "in-progress")
    assert call(country, "doctor", "GET", session).json()["engine"] == "aiortc"
    assert call(country, "doctor", "POST", f"{session}/end").status_code == 200
    until(lambda: country.get("", f"Encounter/{session}").json()["status"] == "finished")
    until(lambda: country.state(request, "doctor")["state"] == "finished")
    people = country.get("", f"Encounter/{session}").json()["participant"]
    stayed = [each["individual"]["reference"] for each in people if "end" in each.get("period", {})]
    assert sorted(stayed) == ["Practitioner/doctor", "Practitioner/worker"]


def test_a_consultation_that_is_finished_by_fhir_ends_its_room(country: Country):
    request = country.request()
    country.through(request, "submit", "accept", "book", "start")
    session = str(country.state(request, "doctor")["encounter"]).partition("/")[2]
    assert call(country, "doctor", "POST", f"{session}/participants", {}).status_code == 201
    country.happen("doctor", request, "finish")
    until(lambda: call(country, "doctor", "GET", session).json()["state"] == "ended")
    outcome(call(country, "doctor", "POST", f"{session}/participants", {}), 410, "deleted")

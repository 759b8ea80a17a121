from typing import Any

import httpx
import pytest

from tests.serving import Served, serving

PATIENT = {"resourceType": "Patient", "gender": "female", "birthDate": "1984-02-13"}


@pytest.fixture(scope="module")
def server():
    with serving(body_bytes=2000, bundle_bytes=4000) as served:
        yield served


def page(server: Served, path: str) -> httpx.Response:
    return server.ask("GET", f"../{path}")


def test_it_says_that_it_runs_and_that_it_is_ready(server):
    answer = page(server, "health")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})
    assert page(server, "ready").status_code == 200


def test_it_is_not_ready_when_it_stops():
    with serving() as server:
        service = server.service
    assert not service.is_ready


def test_a_fault_of_the_server_is_not_told_in_detail(server, monkeypatch, caplog):
    async def fail(*_: object) -> None:
        raise RuntimeError("the inside")

    monkeypatch.setattr(type(server.node.repository), "read", fail)
    answer = server.get("Patient/1")
    assert answer.status_code == 500
    assert answer.json()["issue"][0]["severity"] == "fatal"
    assert answer.json()["id"] == answer.headers["x-request-id"]
    assert "the inside" not in answer.text


def test_what_no_page_is_at_is_refused_with_an_outcome(server):
    answer = page(server, "nothing")
    assert answer.status_code == 404
    assert answer.json()["issue"][0]["code"] == "not-found"


def test_what_waits_to_be_merged_is_read_before_anybody_asks(tmp_path):
    with serving(tmp_path) as server:
        server.create({"resourceType": "Patient"})
    with serving(tmp_path) as server:
        store: Any = server.node.repository._store
        assert store._reader.search.tail.waiting == 1

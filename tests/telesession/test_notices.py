"""Notices reach who they are for, once, as events of a stream that can be resumed."""

import asyncio
from collections.abc import Iterator
from typing import Any

import orjson
import pytest

from telesession.extension import telesession
from telesession.notices import Board
from tests.access.world import person
from tests.serving import outcome, serving
from tests.telesession.world import FACTS, Country


@pytest.fixture(scope="module")
def world() -> Iterator[Country]:
    with serving(organization="node", extensions=[telesession]) as served:
        country = Country(served)
        country.people()
        country.table.callers["no-scope"] = person("no-scope", "doctor", "hub", scopes="user/Patient.rs")
        yield country


def heard(world: Country, caller: str, count: int, last: str = "0") -> list[tuple[str, dict[str, Any]]]:
    """The first events of a caller's stream, with their ids."""
    node = world.served.node.bound(world.table.callers[caller])

    async def read() -> list[tuple[str, dict[str, Any]]]:
        found: list[tuple[str, dict[str, Any]]] = []
        stream = Board()._told(node, await node.repository.identities(), int(last))
        async for frame in stream:
            lines = dict(line.split(": ", 1) for line in frame.decode().strip().split("\n") if not line.startswith(":"))
            if lines:
                found.append((lines["id"], orjson.loads(lines["data"])))
            if len(found) == count:
                break
        await stream.aclose()  # type: ignore[attr-defined]
        return found

    return world.served.call(lambda: asyncio.wait_for(read(), 20))


def test_each_side_hears_what_is_for_it(world: Country):
    request = world.request()
    world.through(request, "submit", "ask", "answer", "accept", "book", "start", "finish")
    path = f"ServiceRequest/{request}"
    at_hub = [each["notice"] for _, each in heard(world, "coordinator", 4) if each["request"] == path]
    at_station = [each["notice"] for _, each in heard(world, "worker", 3) if each["request"] == path]
    assert at_hub == ["requested", "answer", "booked", "minutes"]
    assert at_station == ["question", "accepted", "booked"]
    told = heard(world, "doctor", 4)[2][1]
    assert told["appointment"].startswith("Appointment/")
    assert "may" not in orjson.dumps(told).decode()


def test_a_stream_goes_on_where_it_was(world: Country):
    request = world.request()
    world.through(request, "submit")
    last, first = heard(world, "coordinator", 5)[-1]
    assert first["notice"] == "requested"
    world.happen("coordinator", request, "reject", *FACTS["reject"])
    assert heard(world, "worker", 1, last=str(int(last) + 1))[0][1]["notice"] == "rejected"


def test_a_repeated_message_gives_no_second_notice(world: Country):
    request = world.request()
    message = {"name": "message", "valueId": "once"}
    world.happen("his", request, "submit", message)
    world.happen("his", request, "submit", message)
    found = world.get("", "Communication?recipient=Organization/hub&_count=200").json()["entry"]
    about = [
        each["resource"] for each in found if {"reference": f"ServiceRequest/{request}"} in each["resource"]["about"]
    ]
    assert len(about) == 1


def test_a_stream_needs_its_scopes_and_an_id_of_its_own(world: Country):
    url = "http://node/telesession/notices"
    answer = world.served.send("GET", url, headers={"authorization": "Bearer no-scope"})
    outcome(answer, 403, "forbidden")
    headers = {"authorization": "Bearer doctor", "last-event-id": "x; y"}
    outcome(world.served.send("GET", url, headers=headers), 400, "value")
